"""Products that go into a sum alone, as those of a gradient over steps: they are added where the sum lies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dataflow.operations.engine_ops import matmul
from dataflow.plan import Instruction, Plan, Region


@dataclass(frozen=True, slots=True)
class Addition:
    """``target`` is where the other summand stands when the product is computed, and where the sum is read."""

    target: int
    region: int
    """The first instruction of the region that the addition is, and that need not run."""


def added_products(plan: Plan) -> dict[int, Addition]:
    """By its slot, each product that a region of one addition alone reads, where the sum takes the place of the other
    summand, and nothing else reads this one."""
    position = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
    uses = Counter(plan.root(slot) for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.root(slot) for slot in plan.output_slots)
    found: dict[int, Addition] = {}
    for region in plan.regions:
        added = _addition(plan, region)
        if added is None or any(slot not in position or uses[slot] != 1 for slot in added.inputs):
            continue
        summand, product = sorted(added.inputs, key=lambda slot: position[slot])
        maker = plan.instructions[position[product]]
        in_place = plan.offsets.get(summand, -1) == plan.offsets.get(added.output, -2)
        if in_place and maker.op is matmul and all(plan.spec(slot).ndim > 1 for slot in maker.inputs):
            found[product] = Addition(added.output, region.start)
    return found


def _addition(plan: Plan, region: Region) -> Instruction | None:
    """The region's only instruction, if it adds two arrays of the result's kind."""
    instruction = plan.instructions[region.start]
    if region.stop - region.start != 1 or instruction.op.ufunc is not np.add:
        return None
    alike = all(plan.specs[slot] == plan.specs[instruction.output] for slot in instruction.inputs)
    return instruction if alike else None
