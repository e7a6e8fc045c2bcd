"""Ops that move entries and compute nothing, as copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dataflow.operations.engine_ops import place, reshape, stack
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.plan import Instruction
from dataflow.plan.passes.placements import place_all
from dataflow.support.arrays import address
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, PLUS_ZERO
from dataflow_llvm.lowering import lower_gathers
from dataflow_llvm.lowering.emitter import Emitter, can_copy
from dataflow_llvm.lowering.places import Place
from dataflow_nn.padding import pad, pairs_by_axis, sources_along
from dataflow_ops.joining import concatenate

MOST_COPIES = 32
"""The most copies that stand for one instruction along an axis; what needs more is left to numpy."""


def _concatenate(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    axis = instruction.attributes["axis"] % len(result.shape)
    start = 0
    pairs = []
    for slot in instruction.inputs:
        if emitter.plan.specs[slot] is None:
            return False
        source = emitter.places.of(slot)
        pairs.append((source, result.window(start * result.strides[axis], source.shape, result.strides)))
        start += source.shape[axis]
    return emitter.copies(pairs)


def _stack(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    axis = instruction.attributes["axis"] % len(result.shape)
    shape = result.shape[:axis] + result.shape[axis + 1 :]
    strides = result.strides[:axis] + result.strides[axis + 1 :]
    pairs = []
    for number, slot in enumerate(instruction.inputs):
        if emitter.plan.specs[slot] is None:
            return False
        target = result.window(number * result.strides[axis], shape, strides)
        pairs.append((emitter.places.of(slot).broadcast(shape), target))
    return emitter.copies(pairs)


def _place(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """Zeros, and the input where the key says."""
    source = emitter.places.of(instruction.inputs[0])
    target = _window(result, instruction.attributes["key"])
    if target is None or source.dtype != result.dtype:
        return False
    emitter.clear(result)
    return emitter.copies([(source, target)])


def _place_all(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    pairs, signed = [], []
    for slot, key in zip(instruction.inputs, instruction.attributes["keys"], strict=True):
        target = _window(result, key)
        if emitter.plan.specs[slot] is None or target is None:
            return False
        pairs.append((emitter.places.of(slot), target))
        signed.append(slot not in emitter.places.unsigned)
    if result.dtype.name not in FLOAT_NAMES or not all(can_copy(*pair) for pair in pairs):
        return False
    if sum(source.size for source, _ in pairs) < result.size:
        emitter.clear(result)
    for (source, target), has_sign in zip(pairs, signed, strict=True):
        if has_sign:
            emitter.copy(source, target, PLUS_ZERO[result.dtype.itemsize])
    emitter.places.unsigned |= {instruction.output} & emitter.places.parts.keys()
    return True


def _reordered(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    source = emitter.places.of(instruction.inputs[0])
    return emitter.copies([(source, Place.at(result, source.shape))])


def _pad(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """One axis after the other, in stretches along which one entry comes behind, or in front of, the other in x."""
    given = instruction.attributes
    x = emitter.places.of(instruction.inputs[0])
    if not can_copy(x, x) or x.dtype != result.dtype:
        return False
    axes = [(axis, pair) for axis, pair in pairs_by_axis(given["padding"], given["axes"], len(x.shape)) if any(pair)]
    parts = [_stretches(sources_along(x.shape[axis], *pair, given["mode"])) for axis, pair in axes]
    if not axes or max(map(len, parts)) > MOST_COPIES:
        return not axes and emitter.copy(x, result)
    for number, ((axis, pair), stretches) in enumerate(zip(axes, parts, strict=True)):
        shape = (*x.shape[:axis], x.shape[axis] + sum(pair), *x.shape[axis + 1 :])
        target = result if number + 1 == len(axes) else emitter.places.scratch(shape, x.dtype)
        for first, count, source, step in stretches:
            size = (*shape[:axis], count, *shape[axis + 1 :])
            part = target.window(first * target.strides[axis], size, target.strides)
            if source < 0:
                emitter.fill(part, given["value"])
                continue
            strides = (*x.strides[:axis], step * x.strides[axis], *x.strides[axis + 1 :])
            emitter.copy(x.window(source * x.strides[axis], size, strides), part)
        x = target
    return True


def _stretches(sources: np.ndarray) -> list[tuple[int, int, int, int]]:
    """First place, length, first source and the step from source to source; the source −1 stands alone."""
    found: list[tuple[int, int, int, int]] = []
    for number, source in enumerate(sources.tolist()):
        if found:
            first, count, begin, step = found[-1]
            step = source - begin if count == 1 else step
            alike = source == begin if min(source, begin) < 0 else abs(step) <= 1
            if alike and source == begin + count * step:
                found[-1] = first, count + 1, begin, step
                continue
        found.append((number, 1, source, 0))
    return found


def _window(place: Place, key: str) -> Place | None:
    """The entries that a key names: numpy's own indexing tells the offset and the strides."""
    numbers = np.empty(place.shape, np.int8)
    window = numbers[parse_key(key)]
    if not isinstance(window, np.ndarray):
        return None
    offset = address(window) - address(numbers) if window.size else 0
    return place.window(offset, window.shape, window.strides)


RULES: dict[Op, Callable[[Emitter, Instruction, Place], bool]] = {
    concatenate: _concatenate,
    stack: _stack,
    place: _place,
    place_all: _place_all,
    reshape: _reordered,
    pad: _pad,
    **lower_gathers.RULES,
}
"""Each emits an instruction's code, or returns false, where it is left to numpy."""
