"""What tests of plans share: a plan run one instruction at a time, and results held against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dataflow import Graph, Model
from dataflow.autodiff.reverse import gradient_graph
from dataflow.plan import Instruction, Plan, concrete, make_plan, stages
from dataflow.registry.registry import backend
from dataflow.shapes import TensorSpec


def plan_of(graph: Graph, outputs: list[str], arrays: dict[str, np.ndarray]) -> Plan:
    return make_plan(graph, outputs, {name: TensorSpec(a.shape, a.dtype) for name, a in arrays.items()})


def computed(instruction: Instruction, arguments: Sequence[Any]) -> np.ndarray:
    """By the op's own kernel, in memory of its own."""
    return np.array(instruction.op.function(*arguments, **instruction.attributes), order="C")


def interpreted(
    plan: Plan,
    arguments: Sequence[np.ndarray],
    compute: Callable[[Instruction, list[Any]], np.ndarray] = computed,
) -> tuple[list[np.ndarray], float]:
    """A plan run one instruction at a time; and the largest number on the way."""
    slots: list[Any] = [None] * len(plan.specs)
    for slot, value in plan.constants.items():
        slots[slot] = value
    slots[: len(arguments)] = arguments
    largest = max([1.0, *(magnitude(array) for array in arguments)])
    with np.errstate(all="ignore"):
        for step in plan.instructions:
            slots[step.output] = compute(step, [plan.read(slots, i) for i in step.inputs])
            largest = max(largest, magnitude(slots[step.output]))
            assert slots[step.output].dtype == plan.spec(step.output).dtype
            assert slots[step.output].shape == concrete(plan.spec(step.output))
    return [np.array(plan.read(slots, i)) for i in plan.output_slots], largest


def magnitude(array: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(np.abs(array[np.isfinite(array)], dtype=np.float64).max(initial=0))


def same(left: np.ndarray, right: np.ndarray, largest: float | None = None) -> None:
    """The same bits, but for those of NaN; or, given the largest number on the way, as close as rounding leaves it."""
    assert left.shape == right.shape
    assert left.dtype == right.dtype
    if largest is None:
        np.testing.assert_array_equal(left, right)
        if left.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(left[~np.isnan(left)]), np.signbit(right[~np.isnan(right)]))
    else:
        rtol = 1e-5 if left.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol * largest)


EXACT = {"lower", "fold", "share", "drop", "regions", "arena"}


"""Passes that keep every bit. ``simplify`` writes powers as products; after ``products`` and ``views``, numpy adds up
in another order."""


def gradient_plans(model: Model, known: dict[str, np.ndarray]) -> tuple[Graph, list[str], dict[str, TensorSpec]]:
    of = model.loss or model.outputs[0]
    wrt = [name for name, array in known.items() if array.dtype.kind == "f"]
    gradient = gradient_graph(model.graph, of, wrt)
    outputs = [of, *gradient.cotangents.values()]
    needed = gradient.graph.needed_for(outputs)
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in known.items() if name in needed}
    return gradient.graph, outputs, specs


def check_all(graph: Graph, outputs: list[str], specs: dict[str, TensorSpec], arrays: list[np.ndarray]) -> Plan:
    before: list[np.ndarray] | None = None
    plan = None
    for name, plan in stages(graph, outputs, specs):
        results, largest = interpreted(plan, arrays)
        if before is not None:
            for result, previous in zip(results, before, strict=True):
                same(result, previous, None if name in EXACT else largest)
        before = results
    assert plan is not None
    assert before is not None
    check_arena(plan)
    runner = backend("numpy").prepare(plan)
    first, second = runner.run(arrays), runner.run([array.copy() for array in arrays])
    for result, again, expected in zip(first, second, before, strict=True):
        same(result, expected, largest)
        assert result.tobytes() == again.tobytes()
        assert not np.may_share_memory(result, again)
    return plan


def check_arena(plan: Plan) -> None:
    """No two slots that are needed at one time overlap, but for an input and the output that takes its place."""
    reads: dict[int, list[int]] = {}
    written: dict[int, int] = {}
    for position, instruction in enumerate(plan.instructions):
        written[instruction.output] = position
        for slot in instruction.inputs:
            reads.setdefault(plan.root(slot), []).append(position)
    region_of = {}
    for region in plan.regions:
        for position in range(region.start, region.stop):
            region_of[position] = region
    roots = {plan.root(slot) for slot in plan.output_slots}
    registers = {slot for region in plan.regions for slot in region.registers}
    for slot in written:
        assert (slot in plan.offsets) + (slot in roots) + (slot in registers) == 1
    spans = []
    for slot, offset in plan.offsets.items():
        assert offset % 64 == 0
        assert offset + plan.bytes_of(slot) <= plan.arena_bytes
        start, stop = written[slot], max(reads.get(slot, [written[slot]]))
        if start in region_of:  # a tile is written while another is still read
            start = region_of[start].start
        if stop in region_of:
            stop = region_of[stop].stop - 1
        spans.append((slot, offset, offset + plan.bytes_of(slot), start, stop))
    for i, (slot, low, high, start, stop) in enumerate(spans):
        for other, other_low, other_high, other_start, other_stop in spans[i + 1 :]:
            if low < other_high and other_low < high and start <= other_stop and other_start <= stop:
                older, newer = (slot, other) if written[slot] < written[other] else (other, slot)
                region = region_of[written[newer]]
                assert plan.offsets[older] == plan.offsets[newer]
                assert plan.spec(older).shape == plan.spec(newer).shape == region.shape
                assert plan.spec(older).dtype.itemsize == plan.spec(newer).dtype.itemsize
                assert max(reads[older]) <= written[newer]
                assert older in region.inputs
                assert all(plan.root(s) != older or s == older for s in region.inputs)
