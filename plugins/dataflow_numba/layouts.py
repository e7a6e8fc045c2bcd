"""How an array lies in memory, as the interpreter sees it: axes that are like one, matrices, batches."""

from __future__ import annotations

import math

from dataflow.plan import Instruction
from dataflow_numba.places import Place, merged


def reduced_axes(instruction: Instruction, shape: tuple[int, ...]) -> set[int]:
    """The axes that ``sum`` and ``max`` name, or those that ``sum_to`` finds by the shape that it leaves."""
    attributes = instruction.attributes
    if "shape" in attributes:
        lead = len(shape) - len(attributes["shape"])
        kept = attributes["shape"]
        return {i for i in range(len(shape)) if i < lead or (kept[i - lead] == 1 and shape[i] != 1)}
    axis = attributes["axis"]
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return {one % len(shape) for one in axes} if shape else set()


def three_parts(source: Place, axes: set[int]) -> tuple[int, int, int, int, int] | None:
    """Outer, its stride, reduced, its stride, inner, if the array is that: outer axes that are like one, reduced ones
    likewise, and inner ones that lie side by side."""
    groups: list[tuple[bool, int, int]] = []
    for axis, (size, step) in enumerate(zip(source.shape, source.strides, strict=True)):
        if size == 1:
            continue
        reduced = axis in axes
        if groups and groups[-1][0] == reduced and groups[-1][2] == step * size:
            groups[-1] = (reduced, groups[-1][1] * size, step)
        else:
            groups.append((reduced, size, step))
    outer, reduced, inner = (1, 0), (1, 0), (1, 1)
    if groups and not groups[0][0] and (len(groups) == 1 or groups[1][0]):
        outer = groups.pop(0)[1:]
    if groups and groups[0][0]:
        reduced = groups.pop(0)[1:]
    if groups and not groups[0][0] and groups[0][2] == 1:
        inner = groups.pop(0)[1:]
    return None if groups else (*outer, *reduced, inner[0])


def matrix_strides(place: Place) -> tuple[int, int]:
    """The strides of the last two axes; along an axis of one entry, what suits."""
    rows, columns = place.shape[-2:]
    by_row, along = place.strides[-2:]
    if columns == 1:
        along = 1
        if rows == 1:
            by_row = 1
    elif rows == 1:
        by_row = columns * along
    return by_row, along


def batch_strides(left: Place, right: Place, result: Place) -> tuple[int, tuple[int, ...]] | None:
    """How many products, and the strides from one to the next, if they are like one axis."""
    shape = result.shape[:-2]
    wholes = [place.broadcast((*shape, *place.shape[-2:])) for place in (left, right, result)]
    sizes, steps = merged(shape, *(whole.strides[:-2] for whole in wholes))
    if len(sizes) > 1:
        return None
    return math.prod(shape), tuple(step[0] for step in steps)
