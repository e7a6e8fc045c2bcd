"""Sums of many products of matrices, such as the gradient of a recurrent layer's weights: one product of the matrices,
one beside the other. XLA multiplies long ones faster than many short ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from dataflow.plan import Plan
from dataflow.shapes import TensorSpec
from dataflow_jax.table.entries import Kept, canonical, joined, neighbours
from dataflow_jax.views import is_across, lying, window

LEAST = 8
"""The fewest products that are put together."""


@dataclass(frozen=True)
class Sum:
    """Σ x @ y, added to what is in the slot ``before``, if there is one. These instructions make it, the last of them
    its ``output``."""

    positions: frozenset[int]
    output: int
    before: int | None
    factors: tuple[tuple[int, ...], ...]
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
    """Those of floats whose products are added one after the other, and of which no part is needed elsewhere."""
    maker = {instruction.output: at for at, instruction in enumerate(plan.instructions)}
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update((*plan.output_slots, *(view.base for view in plan.views.values())))

    def part(slot: int, name: str, spec: TensorSpec) -> int | None:
        """Where such an instruction makes that slot for a sum alone, in its shape and dtype."""
        at = maker.get(slot)
        if at is None or uses[slot] != 1 or plan.instructions[at].op.name != name:
            return None
        own, factors = plan.spec(slot), plan.instructions[at].inputs if name == "matmul" else ()
        flat = all(len(plan.spec(factor).shape) == 2 for factor in factors)
        return at if flat and (own.shape, own.dtype) == (spec.shape, spec.dtype) else None

    found: list[Sum] = []
    taken: set[int] = set()
    for position in range(len(plan.instructions) - 1, -1, -1):
        output = plan.instructions[position].output
        spec = plan.spec(output)
        if position in taken or plan.instructions[position].op.name != "add" or spec.dtype.kind != "f":
            continue
        positions: list[int] = []
        factors: list[tuple[int, ...]] = []
        at, rest = position, output
        while at is not None:
            terms = plan.instructions[at].inputs
            product = next((which for which in (1, 0) if part(terms[which], "matmul", spec) is not None), None)
            if product is None:
                break
            positions += [at, maker[terms[product]]]
            factors.append(plan.instructions[maker[terms[product]]].inputs)
            rest = terms[1 - product]
            at = part(rest, "add", spec)
        first = part(rest, "matmul", spec)
        if first is not None:
            positions.append(first)
            factors.append(plan.instructions[first].inputs)
        if len(factors) >= LEAST and all(_described(plan, each) == _described(plan, factors[0]) for each in factors):
            found.append(Sum(frozenset(positions), output, None if first is not None else rest, tuple(factors[::-1])))
            taken.update(positions)
    return found


def _described(plan: Plan, pair: Sequence[int]) -> Any:
    views = [plan.views.get(slot) for slot in pair]
    roots = [plan.spec(plan.root(slot)) for slot in pair]
    windows = [(view.offset, view.strides) if view else None for view in views]
    return windows, [(root.shape, root.dtype) for root in roots], [plan.spec(slot).dtype for slot in pair]
