"""Views: transpose, reshape, slicing and broadcasting copy nothing. They become windows on the slot that they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from dataflow.plan.passes.rewrite_plan import key_of, with_inputs
from dataflow.plan.structure import Instruction, Plan, View, concrete, contiguous, stand_in
from dataflow.shapes import TensorSpec
from dataflow.support.arrays import address


def views(plan: Plan) -> Plan:
    """Take the instructions away whose results are views of their first input; a view of everything, in its place, is
    the input itself. What has to be in row-major order and is not, stays an instruction."""
    view_by_slot: dict[int, View] = {}
    windows: dict[Any, Window | None] = {}
    same: dict[int, int] = {}
    kept: list[Instruction] = []
    for instruction in plan.instructions:
        if same and any(slot in same for slot in instruction.inputs):
            instruction = with_inputs(instruction, tuple([same.get(slot, slot) for slot in instruction.inputs]))
        view = _view(plan.specs, view_by_slot, windows, instruction) if instruction.op.view is not None else None
        if view is None:
            kept.append(instruction)
        elif _is_whole(view, plan.specs[view.base], plan.specs[instruction.output]):
            same[instruction.output] = view.base
        else:
            view_by_slot[instruction.output] = view
    outputs = tuple(same.get(slot, slot) for slot in plan.output_slots)
    used = {*outputs, *(slot for instruction in kept for slot in instruction.inputs)}
    return dataclasses.replace(
        plan,
        output_slots=outputs,
        instructions=tuple(kept),
        views={slot: view for slot, view in view_by_slot.items() if slot in used},
    )


Window: TypeAlias = "tuple[int, tuple[int, ...]]"
"""The offset and the strides of a view, in elements."""


def _view(
    specs: Sequence[TensorSpec | None],
    view_by_slot: dict[int, View],
    windows: dict[Any, Window | None],
    instruction: Instruction,
) -> View | None:
    """What an instruction's result is a view of; ``windows`` has those found before, by all that they depend on."""
    source = instruction.inputs[0]
    before = view_by_slot.get(source)
    base = source if before is None else before.base
    whole, result = specs[base], specs[instruction.output]
    if whole is None or result is None:
        return None
    inputs = [specs[slot] for slot in instruction.inputs]
    seen = None if before is None else (before.offset, before.strides)
    kind = (key_of(instruction.op, (), instruction.attributes), seen, whole, result, *inputs)
    if kind not in windows:
        windows[kind] = _window(instruction, before, whole, result, inputs)
    window = windows[kind]
    return None if window is None else View(base, *window, instruction.op, instruction.node)


def _window(
    instruction: Instruction,
    before: View | None,
    whole: TensorSpec,
    result: TensorSpec,
    inputs: Sequence[TensorSpec | None],
) -> Window | None:
    """What the op's own body makes of an array that has the right strides, and whose entries nobody reads."""
    memory = np.empty(concrete(whole), whole.dtype)
    spec = inputs[0]
    if spec is None or spec.dtype != result.dtype:
        return None
    window = memory if before is None else before.of(memory, spec)
    if instruction.op.view == "contiguous" and not window.flags.c_contiguous:
        return None
    view = instruction.op.function(window, *map(stand_in, inputs[1:]), **instruction.attributes)
    if not isinstance(view, np.ndarray) or view.shape != result.shape:
        return None
    if 0 in view.shape:
        return 0, contiguous(view.shape)
    offset = (address(view) - address(memory)) // memory.itemsize
    if not 0 <= offset < max(1, memory.size):
        return None  # no view of its input after all
    return offset, tuple([stride // memory.itemsize for stride in view.strides])


def _is_whole(view: View, base: TensorSpec | None, spec: TensorSpec | None) -> bool:
    if base != spec or spec is None or view.offset:
        return False
    shape = concrete(spec)
    steps = zip(shape, view.strides, contiguous(shape), strict=True)
    return 0 in shape or all(size == 1 or stride == expected for size, stride, expected in steps)
