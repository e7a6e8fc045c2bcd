"""Parts of an array that are computed where they belong, so that nothing is copied when the array is put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dataflow.operations.engine_ops import matmul, stack
from dataflow.operations.indexing import parse_key
from dataflow.plan import Instruction, Plan, concrete
from dataflow.plan.passes.placements import place_all
from dataflow.plan.structure import contiguous
from dataflow.support.arrays import address
from dataflow_ops.joining import concatenate

MOST_ENTRIES = 2**24
"""Larger arrays are put together by copies: the parts' own places are kept for nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """Entries of the slot ``target``, which has memory of its own; the offset and the strides count entries."""

    target: int
    offset: int
    strides: tuple[int, ...]
    unsigned: bool
    """Whether -0 is to be 0 there."""


def placed_parts(plan: Plan) -> dict[int, Window]:
    """By its slot, where each part lies that an instruction puts beside others. A part whose entries do not lie side by
    side is one of a region, which writes its results anywhere, and one whose zeros lose their sign is read by nobody
    else."""
    makers = {instruction.output: instruction for instruction in plan.instructions}
    in_regions = {slot for region in plan.regions for slot in region.outputs}
    seen = {view.base for view in plan.views.values()}
    uses = Counter(plan.root(slot) for instruction in plan.instructions for slot in instruction.inputs)
    found: dict[int, Window] = {}
    for instruction in plan.instructions:
        for slot, window in _windows(plan, instruction):
            shape = concrete(plan.spec(slot))
            maker = makers.get(slot)
            if maker is None or slot in found or slot in plan.output_roots or instruction.inputs.count(slot) > 1:
                continue
            if not _is_whole(shape, window.strides) and (slot not in in_regions or slot in seen):
                continue
            its_own = not window.unsigned or maker.op is place_all or (slot in in_regions and uses[slot] == 1)
            if its_own and (slot in in_regions or maker.op in (place_all, matmul, stack, concatenate)):
                found[slot] = window
    return found


def _windows(plan: Plan, instruction: Instruction) -> Iterator[tuple[int, Window]]:
    """The parts of what an instruction fills with them."""
    if instruction.op not in (place_all, stack, concatenate) or instruction.output in plan.output_roots:
        return
    spec = plan.spec(instruction.output)
    shape = concrete(spec)
    parts = [plan.specs[slot] for slot in instruction.inputs]
    if any(part is None or part.dtype != spec.dtype for part in parts):
        return
    shapes = [concrete(part) for part in parts if part is not None]
    count = int(np.prod(shape))
    if not 0 < count <= MOST_ENTRIES or sum(int(np.prod(part)) for part in shapes) != count:
        return
    numbers = np.empty(shape, np.int8)
    for slot, part, window in zip(instruction.inputs, shapes, _entries(instruction, numbers, shapes), strict=True):
        if window.shape == part and window.size:
            offset = address(window) - address(numbers)
            yield slot, Window(instruction.output, offset, window.strides, unsigned=instruction.op is place_all)


def _entries(instruction: Instruction, numbers: np.ndarray, shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """The part of the array ``numbers`` that is filled with each input."""
    if instruction.op is place_all:
        for key in instruction.attributes["keys"]:
            items = parse_key(key)
            yield numbers[items if Ellipsis in items else (*items, Ellipsis)]
        return
    axis = instruction.attributes["axis"] % numbers.ndim
    start = 0
    for number, shape in enumerate(shapes):
        before = (slice(None),) * axis
        if instruction.op is stack:
            yield numbers[(*before, number, ...)]
        else:
            yield numbers[(*before, slice(start, start + shape[axis]))]
            start += shape[axis]


def _is_whole(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether entries lie side by side in order."""
    steps = zip(shape, strides, contiguous(shape), strict=True)
    return all(size == 1 or step == expected for size, step, expected in steps)
