"""What a model of two numbers for each example makes of the plane: its first output at each point of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataflow.execution.inputs import batch_symbol, needed_inputs
from dataflow.model.model import Model
from dataflow.notation.names import Names
from dataflow.shapes import format_shape

MARGIN = 0.15
"""How far the plane reaches beyond the examples, as a share of their spread."""
MOST_LABELS = 8
"""Targets of more different numbers, of a model without classes, are no labels."""


@dataclass(frozen=True)
class Plane:
    """How the two numbers are fed: as one input of two columns, or as two inputs."""

    output: str
    inputs: tuple[str, ...]
    axes: tuple[str, str]
    feed: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Regions:
    """The output on the plane, with each of several sets of parameters, and the examples.

    A field has a number, or the class that has the largest of several outputs, for each point of the grid, row by row
    from the lower left.
    """

    plane: Plane
    side: int
    """Points of the grid along each axis."""
    bounds: list[tuple[float, float]]
    points: np.ndarray
    """The examples, (n, 2)."""
    labels: np.ndarray | None
    """A number for each example: its target, or its class; nothing where targets are no labels."""
    fields: list[np.ndarray]
    classes: int | None = None
    """How many classes there are, where there are more than two outputs."""
    difference: bool = False
    """Whether the numbers are the second of two outputs less the first."""
    threshold: float | None = None
    """Where the boundary is: between the two labels that there are, or between the two outputs."""
    low: float = 0.0
    high: float = 1.0
    """The bounds of the last field, with the threshold in the middle."""


def find_plane(model: Model) -> Plane | str:
    """The plane of a model whose first output needs two numbers for each example, and nothing else; a text says why
    there is none."""
    graph, batch = model.graph, batch_symbol(model.graph)
    if not model.outputs:
        return "the model has no output"
    output = model.outputs[0]
    if batch is None:
        return f"'{output}' is not computed for each example of a batch: no input has a symbolic first size"
    inputs = needed_inputs(graph, [output])
    shapes = [tuple(str(size) for size in graph.node_of(name).shape) for name in inputs]
    result = tuple(str(size) for size in graph.node_of(output).shape)
    if result[:1] != (batch,) or len(result) > 2:
        return f"'{output}' has shape {format_shape(graph.node_of(output).shape)}, which is no row for each example"
    if all(graph.spec(name).is_float for name in inputs):
        if shapes == [(batch, "2")]:
            return _of_one(model, output, inputs[0])
        if len(shapes) == 2 and all(shape in ((batch,), (batch, "1")) for shape in shapes):
            return _of_two(model, output, inputs, [len(shape) == 2 for shape in shapes])
    needs = ", ".join(f"'{name}' of shape {format_shape(graph.node_of(name).shape)}" for name in inputs[:4])
    return f"'{output}' needs {needs or 'no input'}{' and more' * (len(inputs) > 4)}, not two floats for each example"


def _of_one(model: Model, output: str, name: str) -> Plane:
    """The axes are called as the table's columns are, if the model says which these are."""
    names, declared = Names(model.graph), () if model.data is None else model.data.columns.get(name, ())
    columns = [part.strip() for part in declared.split(":")] if isinstance(declared, str) else list(declared)
    if len(columns) != 2 or any(":" in column or "*" in column for column in columns):
        columns = [names.entry(name, (place,)) for place in (0, 1)]
    across, up = (in_units(model, name, column) for column in columns)
    return Plane(output, (name,), (across, up), lambda a, b: {name: np.stack([a, b], axis=1)})


def in_units(model: Model, name: str | None, text: str) -> str:
    """What an axis is called for an input's numbers: with a word on it where the model sees them standardized."""
    return f"{text} (standardized)" if model.data is not None and name in model.data.standardize else text


def _of_two(model: Model, output: str, inputs: Sequence[str], columns: Sequence[bool]) -> Plane:
    first, second = inputs

    def feed(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: values[:, None] if column else values
            for name, values, column in zip((first, second), (a, b), columns, strict=True)
        }

    names = Names(model.graph)
    across, up = (in_units(model, name, names.text(name)) for name in inputs)
    return Plane(output, (first, second), (across, up), feed)


def find_regions(
    model: Model,
    plane: Plane,
    inputs: Mapping[str, np.ndarray],
    parameters: Sequence[Mapping[str, np.ndarray]],
    side: int,
) -> Regions:
    """Evaluate the plane around the examples in ``inputs``, once with each of these ``parameters``."""
    points = _points(plane, inputs)
    bounds = _bounds(points)
    along, up = (np.linspace(low, high, side) for low, high in bounds)
    grid = plane.feed(*(axis.reshape(-1) for axis in np.meshgrid(along, up)))
    fields = _fields(model, plane, grid, parameters)
    labels = _labels(model, plane, inputs, len(points))
    regions = Regions(plane, side, bounds, points, labels, fields)
    return _described(regions)


def _points(plane: Plane, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the examples, (n, 2); none without data."""
    if not all(name in inputs for name in plane.inputs):
        return np.zeros((0, 2))
    arrays = [np.asarray(inputs[name], dtype=np.float64) for name in plane.inputs]
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


def _fields(
    model: Model, plane: Plane, grid: Mapping[str, np.ndarray], parameters: Sequence[Mapping[str, np.ndarray]]
) -> list[np.ndarray]:
    """Compute the output at each point of the grid, (points,) or (points, classes)."""
    run = model.compile(values=[plane.output])
    kept = {name: array.copy() for name, array in model.parameters.items()}
    fields = []
    try:
        for values in parameters:
            model.parameters = dict(values)
            with np.errstate(all="ignore"):
                field = run(data=grid)[0][plane.output]
            fields.append(field[:, 0] if field.ndim == 2 and field.shape[1] == 1 else field)
    finally:
        model.parameters = kept
    return fields


def target_of(model: Model, plane: Plane) -> str | None:
    """The input that the loss needs besides those of the plane, where that is one."""
    needed = [] if model.loss is None else needed_inputs(model.graph, [model.loss])
    others = [name for name in needed if name not in plane.inputs]
    return others[0] if len(others) == 1 else None


def _labels(model: Model, plane: Plane, inputs: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    """A number for each example: the other input of the loss, or which of its columns is the largest."""
    target = target_of(model, plane)
    if target is None or target not in inputs:
        return None
    labels = np.asarray(inputs[target], dtype=np.float64)
    if labels.ndim not in (1, 2) or len(labels) != count:
        return None
    return labels if labels.ndim == 1 else labels[:, 0] if labels.shape[1] == 1 else labels.argmax(axis=1).astype(float)


def _described(regions: Regions) -> Regions:
    """Say what the numbers of the fields are, and where the boundary is."""
    fields, labels = regions.fields, regions.labels
    if fields[0].ndim == 2 and fields[0].shape[1] > 2:
        return replace(regions, fields=[field.argmax(axis=1) for field in fields], classes=fields[0].shape[1])
    kinds = 0 if labels is None else len(set(labels.tolist()))
    two = fields[0].ndim == 2
    numbers = [field[:, 1] - field[:, 0] if two else field for field in fields]
    threshold = 0.0 if two else None
    if threshold is None and labels is not None and kinds == 2:
        threshold = float(labels.min() + labels.max()) / 2
    low, high = _span(numbers, threshold)
    kept = None if kinds > MOST_LABELS else labels
    return replace(regions, labels=kept, fields=numbers, difference=two, threshold=threshold, low=low, high=high)


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
