"""Sums of many products of matrices, such as the gradient of a recurrent layer's weights: one product of the matrices one
beside the other. XLA multiplies long ones faster than many short ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from dataflow.plan import Instruction, Plan
from dataflow_jax.table.entries import Kept, canonical, joined, neighbours
from dataflow_jax.views import is_across, lying, window

LEAST = 8
"""The fewest products that are put together."""


@dataclass(frozen=True)
class Sum:
    """Σ x @ y, added to what is in the slot ``before``, if there is one. These instructions make it, the last of them its
    ``output``."""

    positions: frozenset[int]
    output: int
    before: int | None
    factors: tuple[tuple[int, int], ...]
    """The slots of each x and y."""

    def total(self, plan: Plan, slots: Sequence[Any], read: Callable[[int], Any]) -> Any:
        """The sum."""
        dtype = canonical(plan.spec(self.output).dtype)
        roots = [[plan.root(slot) for slot in each] for each in zip(*self.factors, strict=True)]
        values = [[kept if isinstance(kept := slots[root], Kept) else read(root) for root in each] for each in roots]
        if isinstance(values[0][0], Kept) and neighbours(values[0])[1] < 0:
            values = [each[::-1] for each in values]

        def whole(which: int) -> Any:
            slot = self.factors[0][which]
            view, spec = plan.views.get(slot), plan.spec(slot)
            return joined(
                values[which], 1 - which, lambda one: jnp.asarray(window(one, view, spec) if view else one, dtype)
            )

        view = plan.views.get(self.factors[0][0])
        x = lying(whole(0)) if view is not None and is_across(view) else whole(0)
        product = jnp.matmul(x, whole(1))
        return product if self.before is None else read(self.before) + product


def find_sums(plan: Plan) -> list[Sum]:
    """Those whose products are added one after the other, and of which no part is needed elsewhere."""
    maker = {instruction.output: at for at, instruction in enumerate(plan.instructions)}
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update((*plan.output_slots, *(view.base for view in plan.views.values())))
    found: list[Sum] = []
    taken: set[int] = set()
    for position in range(len(plan.instructions) - 1, -1, -1):
        if position in taken or plan.instructions[position].op.name != "add":
            continue
        at: int | None = position
        positions, factors, rest = [], [], None
        while at is not None:
            here = plan.instructions[at]
            if here.op.name == "add":
                products = [slot for slot in here.inputs if _is_part(plan, maker.get(slot), uses[slot], here, "matmul")]
                if not products:
                    break
                positions += [at, maker[products[-1]]]
                factors.append(plan.instructions[maker[products[-1]]].inputs)
                rest = here.inputs[0] if products[-1] == here.inputs[1] else here.inputs[1]
            else:
                positions.append(at)
                factors.append(here.inputs)
                rest = None
                break
            following = maker.get(rest)
            names = ("add", "matmul")
            at = following if any(_is_part(plan, following, uses[rest], here, name) for name in names) else None
        alike = [pair for pair in factors if _described(plan, pair) == _described(plan, factors[0])]
        if len(factors) >= LEAST and len(alike) == len(factors):
            found.append(Sum(frozenset(positions), plan.instructions[position].output, rest, tuple(factors[::-1])))
            taken.update(positions)
    return found


def _is_part(plan: Plan, maker: int | None, uses: int, whole: Instruction, name: str) -> bool:
    """Whether such an instruction makes that slot for this sum alone, in its shape and dtype."""
    if maker is None or uses != 1:
        return False
    part = plan.instructions[maker]
    if part.op.name != name or (name == "matmul" and any(len(plan.spec(slot).shape) != 2 for slot in part.inputs)):
        return False
    like, spec = plan.spec(part.output), plan.spec(whole.output)
    return (like.shape, like.dtype) == (spec.shape, spec.dtype)


def _described(plan: Plan, pair: Sequence[int]) -> Any:
    views = [plan.views.get(slot) for slot in pair]
    roots = [plan.spec(plan.root(slot)) for slot in pair]
    windows = [(view.offset, view.strides) if view else None for view in views]
    return windows, [(root.shape, root.dtype) for root in roots], [plan.spec(slot).dtype for slot in pair]
