"""A picture of what a model of two numbers makes of the plane: its decision boundary, and the examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.errors import DataError
from dataflow.model.model import Model
from dataflow.notation.names import Names
from dataflow.support.figures import written_figure
from dataflow.support.texts import shorten
from dataflow.training.plane import Regions, find_plane, find_regions, in_units, target_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWING = "drawing the decision boundary"
"""What needs matplotlib."""
SIDE = 256
"""Points of the grid along each axis."""
MOST_POINTS = 2000
COLOURS = ("#0066cc", "#d65e00", "#228b54", "#9646b4", "#be2846", "#6e6e1e", "#148c96", "#785032")
MARKERS = "os^Dv*PX"
"""A colour and a marker for each label, so that labels differ in grey too; of more labels they come again."""


def plot_boundary(model: Model, inputs: Mapping[str, Any], path: str | Path, *, title: str = "") -> None:
    """Draw the first output over the plane of the two numbers that it needs, with the boundary between two labels, or
    the regions of several classes, and the examples of ``inputs``, into a ``.png``, ``.svg`` or ``.pdf`` file.

    ``DataError`` where the output does not depend on two numbers for each example.
    """
    plane = find_plane(model)
    if isinstance(plane, str):
        raise DataError(f"there is no plane to draw: {plane}")
    regions = find_regions(model, plane, inputs, [model.parameters], SIDE)
    with written_figure(path, DRAWING, (5.6, 4.8)) as figure:
        axes = figure.add_subplot()
        if regions.classes is None:
            output = shorten(Names(model.graph).text(plane.output), 40)
            _draw_numbers(axes, regions, in_units(model, target_of(model, plane), output))
        else:
            _draw_classes(axes, regions, regions.classes)
        _draw_points(axes, regions)
        axes.set_xlabel(shorten(plane.axes[0], 60))
        axes.set_ylabel(shorten(plane.axes[1], 60))
        if title:
            axes.set_title(title)


def _place(regions: Regions) -> dict[str, Any]:
    (left, right), (bottom, top) = regions.bounds
    return {"extent": (left, right, bottom, top), "origin": "lower", "aspect": "auto"}


def _draw_numbers(axes: Axes, regions: Regions, output: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    tints = LinearSegmentedColormap.from_list("plane", [COLOURS[0], "#ffffff", COLOURS[1]])
    field = np.nan_to_num(
        regions.fields[0].astype(np.float64), nan=np.nan, posinf=regions.high, neginf=regions.low
    ).reshape(regions.side, regions.side)
    image = axes.imshow(
        field, cmap=tints, vmin=regions.low, vmax=regions.high, alpha=0.75, interpolation="bilinear", **_place(regions)
    )
    axes.figure.colorbar(image, ax=axes, label=f"{output}[1] − {output}[0]" if regions.difference else output)
    if regions.threshold is not None and np.nanmin(field) < regions.threshold < np.nanmax(field):
        (left, right), (bottom, top) = regions.bounds
        along, up = np.linspace(left, right, regions.side), np.linspace(bottom, top, regions.side)
        axes.contour(along, up, field, levels=[regions.threshold], colors="black", linewidths=1.5)


def _draw_classes(axes: Axes, regions: Regions, classes: int) -> None:
    from matplotlib.colors import ListedColormap

    field = regions.fields[0].reshape(regions.side, regions.side)
    tints = ListedColormap([COLOURS[i % len(COLOURS)] for i in range(classes)])
    axes.imshow(field, cmap=tints, vmin=-0.5, vmax=classes - 0.5, alpha=0.4, interpolation="nearest", **_place(regions))


def _draw_points(axes: Axes, regions: Regions) -> None:
    points, labels = regions.points[:MOST_POINTS], regions.labels
    look: dict[str, Any] = {"s": 60 if len(points) <= 60 else 14, "edgecolors": "white", "linewidths": 0.7}
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], color="#444444", **look)
        return
    kinds = sorted(set(labels.tolist()))
    for i, kind in enumerate(kinds):
        number = int(kind) if regions.classes is not None else i
        chosen = points[labels[: len(points)] == kind]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.scatter(chosen[:, 0], chosen[:, 1], color=colour, marker=marker, label=f"label {kind:g}", **look)
    if kinds:
        axes.figure.legend(loc="outside lower center", ncols=4)
