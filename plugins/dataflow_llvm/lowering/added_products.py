"""Products that go into a sum alone: the sum begins with the other summand, such as the last step's gradient or a
bias, and is where the product would be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dataflow.operations.engine_ops import matmul
from dataflow.plan import Instruction, Plan, Region


@dataclass(frozen=True, slots=True)
class Addition:
    """``target`` is the slot of the sum, ``summand`` that of what is added to the product."""

    target: int
    summand: int
    region: int
    """The first instruction of the region that the addition is, and that need not run."""
    late: bool
    """Whether the product is computed where the region stands, since the summand is not there before."""


def added_products(plan: Plan) -> dict[int, Addition]:
    """By its slot, each product that a region of one addition alone reads, where the sum has a place from the product
    on: its own, the caller's, or that of the summand, which is read for the last time."""
    position = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
    uses = Counter(plan.root(slot) for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.root(slot) for slot in plan.output_slots)
    last = {plan.root(slot): i for i, instruction in enumerate(plan.instructions) for slot in instruction.inputs}
    found: dict[int, Addition] = {}
    for region in plan.regions:
        added = _addition(plan, region)
        if added is None:
            continue
        made = [slot for slot in added.inputs if uses[slot] == 1 and _is_product(plan, position.get(slot))]
        product = max(made, key=lambda slot: position[slot], default=None)
        if product is None:
            continue
        (summand,) = (slot for slot in added.inputs if slot != product)
        late = position.get(plan.root(summand), -1) > position[product]
        factors = [plan.root(slot) for slot in plan.instructions[position[product]].inputs]
        if late and any(slot in position and last[slot] < region.start for slot in factors):
            continue
        if _has_a_place(plan, added.output, product, summand):
            found[product] = Addition(added.output, summand, region.start, late)
    return found


def _is_product(plan: Plan, position: int | None) -> bool:
    if position is None:
        return False
    maker = plan.instructions[position]
    return maker.op is matmul and all(plan.spec(slot).ndim > 1 for slot in maker.inputs)


def _has_a_place(plan: Plan, total: int, product: int, summand: int) -> bool:
    """Whether nothing else lies where the sum goes when the product is computed."""
    place = plan.offsets.get(total)
    if place is None:
        return total in plan.output_slots
    return place in (plan.offsets.get(product), plan.offsets.get(summand))


def _addition(plan: Plan, region: Region) -> Instruction | None:
    """The region's only instruction, if it adds two different arrays of one dtype."""
    instruction = plan.instructions[region.start]
    if region.stop - region.start != 1 or instruction.op.ufunc is not np.add:
        return None
    specs = [plan.specs[slot] for slot in (*instruction.inputs, instruction.output)]
    if any(spec is None for spec in specs) or instruction.inputs[0] == instruction.inputs[1]:
        return None
    return instruction if len({spec.dtype for spec in specs if spec is not None}) == 1 else None
