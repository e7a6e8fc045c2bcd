"""How an array lies in memory, as the interpreter sees it: joined axes, matrices, batches."""

from __future__ import annotations

import numpy as np

from dataflow.operations.engine_ops import sum_to
from dataflow.operations.engine_ops.shaping import summed_axes
from dataflow.plan import Instruction
from dataflow_llvm.lowering.places import Place, merged


def reduced_axes(instruction: Instruction, shape: tuple[int, ...]) -> set[int] | None:
    """The axes that the attribute ``axis`` says, or those that ``sum_to`` finds by the shape that it leaves; ``None``
    where an op has no such attribute."""
    attributes = instruction.attributes
    if instruction.op is sum_to:
        return set(summed_axes(shape, attributes["shape"]))
    if "axis" not in attributes:
        return None
    axis = attributes["axis"]
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return {axis_number % len(shape) for axis_number in axes} if shape else set()


def three_parts(source: Place, axes: set[int]) -> tuple[int, int, int, int, int] | None:
    """Outer size and stride, reduced size and stride, inner size, if the array has that layout: outer axes that can be
    joined to one, reduced ones likewise, and inner ones side by side."""
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
    """The strides of the last two axes; along an axis of one entry, those of a row-major matrix."""
    rows, columns = place.shape[-2:]
    by_row, along = place.strides[-2:]
    if columns == 1:
        along = 1
        if rows == 1:
            by_row = 1
    elif rows == 1:
        by_row = columns * along
    return by_row, along


def batches(left: Place, right: Place, *results: Place) -> list[tuple[list[Place], int, tuple[int, ...]]]:
    """A stack of products as few stacks along one axis: for each its places, the number of its products and the strides
    between them. There is more than one where the batch axes cannot be joined. ``results`` are of one shape."""
    places, shape = (left, right, *results), results[0].shape[:-2]
    wholes = [place.broadcast((*shape, *place.shape[-2:])) for place in places]
    sizes, steps = merged(shape, *(whole.strides[:-2] for whole in wholes))
    longest = max(range(len(sizes)), key=lambda axis: sizes[axis])
    outer = [axis for axis in range(len(sizes)) if axis != longest]
    parts = []
    for indices in np.ndindex(*(sizes[axis] for axis in outer)):
        moved = [
            place.window(
                sum(i * step[axis] for i, axis in zip(indices, outer, strict=True)), place.shape, place.strides
            )
            for place, step in zip(places, steps, strict=True)
        ]
        parts.append((moved, sizes[longest], tuple(step[longest] for step in steps)))
    return parts
