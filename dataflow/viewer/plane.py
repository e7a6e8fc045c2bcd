"""A model of two inputs as a function on the plane: what it says at each point of a grid, at each epoch looked at."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.feeding import batch_symbol
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.viewer.numbers import plain
from dataflow.viewer.replay import Frame

SIDE = 64
"""Points of the grid along each axis."""
MOST_POINTS = 600
MARGIN = 0.15
LEVELS = 255


@dataclass(frozen=True)
class Plane:
    """How the two numbers are fed: as one input of two columns, or as two inputs."""

    output: str
    inputs: tuple[str, ...]
    axes: tuple[str, str]
    feed: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


def find_plane(model: Model) -> Plane | None:
    """The plane of a model whose first output needs two numbers for each example, and nothing else."""
    graph, batch = model.graph, batch_symbol(model.graph)
    if not model.outputs or batch is None:
        return None
    output = model.outputs[0]
    needed = graph.needed_for([output])
    inputs = [name for name in graph.names(INPUT) if name in needed]
    shapes = [tuple(str(size) for size in graph.nodes[name]["shape"]) for name in inputs]
    result = tuple(str(size) for size in graph.nodes[output]["shape"])
    if not all(graph.spec(name).is_float for name in inputs) or result[:1] != (batch,) or len(result) > 2:
        return None
    if shapes == [(batch, "2")]:
        name = inputs[0]
        return Plane(output, (name,), (f"{name}[0]", f"{name}[1]"), lambda a, b: {name: np.stack([a, b], axis=1)})
    if len(shapes) == 2 and all(shape in ((batch,), (batch, "1")) for shape in shapes):
        first, second = inputs
        columns = [len(shape) == 2 for shape in shapes]

        def feed(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
            return {
                name: values[:, None] if column else values
                for name, values, column in zip((first, second), (a, b), columns, strict=True)
            }

        return Plane(output, (first, second), (first, second), feed)
    return None


def plane_data(model: Model, plane: Plane, given: Mapping[str, Any], frames: Sequence[Frame]) -> dict[str, Any]:
    """Plain data: the axes, the grid's bounds, the examples with their labels, and a field for each frame.

    A field is a number or a class for each point, row by row from the lower left, in base64: bytes that stand for the
    ``levels`` from ``low`` to ``high``, or the class that has the largest of several outputs. ``threshold`` is between
    the two labels that there are, or between the two outputs."""
    points = _points(plane, given)
    bounds = _bounds(points)
    along, up = (np.linspace(low, high, SIDE) for low, high in bounds)
    grid = plane.feed(*(axis.reshape(-1) for axis in np.meshgrid(along, up)))
    fields = _fields(model, plane, grid, frames)
    labels = _labels(model, plane, given, len(points))
    described = _described(fields, labels)
    return {
        "output": plane.output,
        "axes": list(plane.axes),
        "bounds": [[plain(float(x)) for x in pair] for pair in bounds],
        "side": SIDE,
        "points": [[plain(float(x)) for x in row] for row in points[:MOST_POINTS]],
        "labels": None if labels is None else [plain(float(x)) for x in labels[:MOST_POINTS]],
        "points_in_all": len(points),
        **described,
    }


def _points(plane: Plane, given: Mapping[str, Any]) -> np.ndarray:
    """The examples, (n, 2); none without data."""
    if not all(name in given for name in plane.inputs):
        return np.zeros((0, 2))
    arrays = [np.asarray(given[name], dtype=np.float64) for name in plane.inputs]
    return arrays[0].reshape(-1, 2) if len(arrays) == 1 else np.stack([a.reshape(-1) for a in arrays], axis=1)


def _bounds(points: np.ndarray) -> list[tuple[float, float]]:
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        return [(-1.0, 1.0), (-1.0, 1.0)]
    bounds = []
    for low, high in zip(finite.min(axis=0), finite.max(axis=0), strict=True):
        margin = MARGIN * (high - low) or 1.0
        bounds.append((float(low - margin), float(high + margin)))
    return bounds


def _fields(model: Model, plane: Plane, grid: Mapping[str, np.ndarray], frames: Sequence[Frame]) -> list[np.ndarray]:
    """The output at each point of the grid, (points,) or (points, classes)."""
    run = model.compile(values=[plane.output])
    kept = {name: array.copy() for name, array in model.parameters.items()}
    fields = []
    try:
        for frame in frames:
            model.parameters = frame.parameters
            with np.errstate(all="ignore"):
                field = run(data=grid)[0][plane.output]
            fields.append(field[:, 0] if field.ndim == 2 and field.shape[1] == 1 else field)
    finally:
        model.parameters = kept
    return fields


def _labels(model: Model, plane: Plane, given: Mapping[str, Any], count: int) -> np.ndarray | None:
    """A number for each example: the other input of the loss, or which of its columns is the largest."""
    if model.loss is None:
        return None
    needed = model.graph.needed_for([model.loss])
    others = [name for name in model.graph.names(INPUT) if name in needed and name not in plane.inputs]
    if len(others) != 1 or others[0] not in given:
        return None
    found = np.asarray(given[others[0]], dtype=np.float64)
    if found.ndim not in (1, 2) or len(found) != count:
        return None
    return found if found.ndim == 1 else found[:, 0] if found.shape[1] == 1 else found.argmax(axis=1).astype(float)


def _described(fields: Sequence[np.ndarray], labels: np.ndarray | None) -> dict[str, Any]:
    if fields[0].ndim == 2 and fields[0].shape[1] > 2:
        classes = [field.argmax(axis=1).astype(np.uint8) for field in fields]
        return {"classes": fields[0].shape[1], "fields": [_encoded(one) for one in classes]}
    two = fields[0].ndim == 2
    numbers = [field[:, 1] - field[:, 0] if two else field for field in fields]
    threshold = 0.0 if two else None
    if threshold is None and labels is not None and len(set(labels.tolist())) == 2:
        threshold = float(labels.min() + labels.max()) / 2
    low, high = _span(numbers, threshold)
    steps = [
        np.clip(np.nan_to_num((one - low) / (high - low), nan=0.5, posinf=1, neginf=0), 0, 1) * LEVELS
        for one in numbers
    ]
    return {
        "difference": two,
        "threshold": threshold,
        "low": plain(low),
        "high": plain(high),
        "levels": LEVELS,
        "fields": [_encoded(np.round(one).astype(np.uint8)) for one in steps],
    }


def _span(numbers: Sequence[np.ndarray], threshold: float | None) -> tuple[float, float]:
    """The bounds that the last field has, with the threshold in the middle: at the start, with other parameters, the
    numbers may be far from it, and are cut off."""
    last = numbers[-1][np.isfinite(numbers[-1])].astype(np.float64)
    if not last.size:
        return 0.0, 1.0
    if threshold is not None:
        reach = float(np.abs(last - threshold).max()) or 1.0
        return threshold - reach, threshold + reach
    low, high = float(last.min()), float(last.max())
    return (low, high) if high > low else (low - 1, high + 1)


def _encoded(field: np.ndarray) -> str:
    return base64.b64encode(field.tobytes()).decode()
