"""Sums of what is placed in zeros, as the cotangents of slices are, become one array that is filled part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from dataflow.operations.declare_ops import primitive
from dataflow.operations.engine_ops import place
from dataflow.operations.indexing import parse_key
from dataflow.plan.passes.rewrite_plan import Rewriting, rewritten
from dataflow.plan.structure import Instruction, Plan, concrete
from dataflow.shapes import Shape

MOST_BYTES = 2**26
"""Larger arrays are added as they are: to see whether parts meet takes a byte for each entry."""


@primitive(structure="selection")
def place_all(*xs: Any, keys: tuple[str, ...], shape: Shape) -> Any:
    """The sum of each x placed at its index, where no two meet. No op of graphs: plans alone have it."""
    result = np.zeros(cast("tuple[int, ...]", shape), np.result_type(*xs))
    for key, x in zip(keys, xs, strict=True):
        result[parse_key(key)] += x  # 0 where x is −0, as in the sum
    return result


@place_all.shape
def _(*xs: Any, keys: tuple[str, ...], shape: Shape) -> Shape:
    return shape


@place_all.into
def _(out: np.ndarray, *xs: np.ndarray, keys: tuple[str, ...], shape: Shape) -> list[Callable[[], object]]:
    windows = [out[items if Ellipsis in items else (*items, Ellipsis)] for items in map(parse_key, keys)]
    filled = sum(window.size for window in windows) == out.size
    steps = [] if filled else [partial(np.ndarray.fill, out, 0)]
    zero = out.dtype.type(0)
    return [*steps, *(partial(np.add, x, zero, window) for x, window in zip(xs, windows, strict=True))]


def placements(plan: Plan) -> Plan:
    """``place(a) + place(b) + ...``, each read in no other way, becomes ``place_all(a, b, ...)`` where no two parts
    meet. The results are the same."""
    if not any(instruction.op is place for instruction in plan.instructions):
        return plan
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.output_slots)
    summed = {  # what is read by one addition alone
        slot
        for instruction in plan.instructions
        if instruction.op.ufunc is np.add
        for slot in instruction.inputs
        if uses[slot] == 1
    }

    def visit(state: Rewriting, instruction: Instruction) -> Instruction | None:
        if instruction.op.ufunc is not np.add or instruction.inputs[0] == instruction.inputs[1]:
            return None
        return None if instruction.output in summed else _joined(state, instruction, summed)

    return rewritten(plan, visit)


def _joined(state: Rewriting, instruction: Instruction, summed: set[int]) -> Instruction | None:
    spec = state.specs[instruction.output]
    if spec is None or np.prod(concrete(spec)) > MOST_BYTES:
        return None
    parts: list[Instruction] = []
    left = [*instruction.inputs]
    while left:
        slot = left.pop()
        maker = state.makers.get(slot)
        if maker is None or slot not in summed or state.specs[slot] != spec:
            return None
        if maker.op is place:
            parts.append(maker)
        elif maker.op.ufunc is np.add:
            left += maker.inputs
        else:
            return None
    keys = [part.attributes["key"] for part in parts]
    if not _apart(keys, concrete(spec)):
        return None
    attributes = {"keys": tuple(keys), "shape": concrete(spec)}
    inputs = tuple(part.inputs[0] for part in parts)
    return Instruction(place_all, inputs, instruction.output, attributes, instruction.node)


def _apart(keys: Sequence[str], shape: tuple[int, ...]) -> bool:
    taken = np.zeros(shape, bool)
    for key in keys:
        items = parse_key(key)
        window = taken[items if Ellipsis in items else (*items, Ellipsis)]
        if window.any():
            return False
        window[...] = True
    return True
