"""Pictures of scores: the confusion matrix, or the predicted numbers against the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataflow.errors import TrainingError
from dataflow.metrics.scores import Scores
from dataflow.support.figures import written_figure
from dataflow.support.texts import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWING = "drawing scores"
"""What needs matplotlib."""
POINTS = 20_000
"""The most points of a picture; of more, every so-manieth is drawn."""
LABELLED = 30
"""A confusion matrix of more classes has no names and numbers."""


def plot_scores(scores: Scores, path: str | Path, *, title: str = "") -> None:
    """Draw the confusion matrix of the first comparison of classes, else the predicted numbers against the true ones,
    into a ``.png``, ``.svg`` or ``.pdf`` file. ``TrainingError`` where nothing is compared."""
    if not scores.compared:
        raise TrainingError("there is nothing to draw: no metric compares predictions with targets")
    name = next((name for name, value in scores.items() if isinstance(value, np.ndarray)), None)
    with written_figure(path, DRAWING, (5.6, 4.8)) as figure:
        axes = figure.add_subplot()
        if name is not None:
            _draw_matrix(axes, scores[name], scores.classes[name])
        else:
            compared = next(iter(scores.compared.values()))[1]
            _draw_points(axes, compared.target, compared.prediction)
        if title:
            axes.set_title(title)


def _draw_matrix(axes: Axes, matrix: np.ndarray, classes: list[str]) -> None:
    image = axes.imshow(matrix, cmap="Blues")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    if len(classes) > LABELLED:
        axes.figure.colorbar(image, ax=axes)
        return
    names = [shorten(name, 20) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    half = matrix.max(initial=0) / 2
    for i, row in enumerate(matrix.tolist()):
        for j, count in enumerate(row):
            axes.text(j, i, f"{count:g}", ha="center", va="center", color="white" if count > half else "black")


def _draw_points(axes: Axes, target: np.ndarray, prediction: np.ndarray) -> None:
    step = -(-max(1, target.size) // POINTS)
    axes.plot(target.ravel()[::step], prediction.ravel()[::step], ".", markersize=4, alpha=0.6)
    finite = target[np.isfinite(target)]
    if finite.size:
        ends = [float(finite.min()), float(finite.max())]
        axes.plot(ends, ends, color="0.4", linewidth=0.8)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.grid(alpha=0.3)
