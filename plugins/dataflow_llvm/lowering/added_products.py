"""Products that go into a sum: the sum begins with the other summand, such as the last step's gradient or a bias, and
is where the product would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataflow.operations.engine_ops import matmul
from dataflow.plan import Instruction, Plan, Region


@dataclass(frozen=True, slots=True)
class Addition:
    """``target`` is the slot of the sum, ``summand`` that of what is added to the product."""

    target: int
    summand: int
    region: Region
    """The region that begins with the addition, which need not run."""
    late: bool
    """Whether the product is computed where the region stands, since the summand is not there before."""
    rest: Region | None
    """What is left of the region, if anything: it reads the sum where the product would be."""


def added_products(plan: Plan) -> dict[int, Addition]:
    """By its slot, each product that a region begins by adding to something, where the sum has a place from the product
    on: its own, the caller's, that of the product or, if the region is the addition alone, that of the summand, which
    is read for the last time."""
    position = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
    uses = Counter(plan.root(slot) for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.root(slot) for slot in plan.output_slots)
    last = {plan.root(slot): i for i, instruction in enumerate(plan.instructions) for slot in instruction.inputs}
    found: dict[int, Addition] = {}
    for region in plan.regions:
        added = _addition(plan, region)
        if added is None:
            continue
        made = [slot for slot in added.inputs if uses[slot] == 1 and is_product(plan, position.get(slot))]
        product = max(made, key=lambda slot: position[slot], default=None)
        if product is None:
            continue
        (summand,) = (slot for slot in added.inputs if slot != product)
        late = position.get(plan.root(summand), -1) > position[product]
        factors = [plan.root(slot) for slot in plan.instructions[position[product]].inputs]
        if late and any(slot in position and last[slot] < region.start for slot in factors):
            continue
        alone = region.stop - region.start == 1
        between = plan.instructions[region.start if late else position[product] : region.start]
        has_a_place = _has_a_place(plan, added.output, product, summand, between)
        if has_a_place if alone else not late and _stays(plan, region, product):
            found[product] = Addition(added.output, summand, region, late, _rest(plan, region))
    return found


def is_product(plan: Plan, position: int | None) -> bool:
    """Whether the instruction at a position, if there is one, is a product of matrices or of stacks of them."""
    if position is None:
        return False
    maker = plan.instructions[position]
    return maker.op is matmul and all(plan.spec(slot).ndim > 1 for slot in maker.inputs)


def _has_a_place(plan: Plan, total: int, product: int, summand: int, between: Sequence[Instruction]) -> bool:
    """Whether the sum has the product's shape, and nothing else lies where it goes when the product is computed;
    ``between`` are the instructions from the product to the sum."""
    if plan.spec(product).shape != plan.spec(total).shape:
        return False
    place = plan.offsets.get(total)
    if place is None:
        return total in plan.output_slots
    if place == plan.offsets.get(product):
        return True
    read = {plan.root(slot) for instruction in between for slot in instruction.inputs}
    return place == plan.offsets.get(summand) and summand not in read


def _stays(plan: Plan, region: Region, product: int) -> bool:
    """Whether the sum, a matrix, may stand where the product does for as long as its region reads it: the region writes
    nothing there before the last reading."""
    total, place = plan.instructions[region.start].output, plan.offsets.get(product)
    shape = plan.spec(product).shape
    if place is None or shape != region.shape or 1 in shape[-2:] or plan.offsets.get(total, place) != place:
        return False
    members = plan.instructions[region.start : region.stop]
    written = [i for i, member in enumerate(members) if plan.offsets.get(member.output) == place]
    read = max(i for i, member in enumerate(members) if i == 0 or total in member.inputs)
    return total not in plan.output_roots and not any(0 < i < read for i in written)


def _rest(plan: Plan, region: Region) -> Region | None:
    """The region without its first instruction."""
    first, *members = plan.instructions[region.start : region.stop]
    if not members:
        return None
    read = {slot for member in members for slot in member.inputs}
    return replace(
        region,
        start=region.start + 1,
        inputs=tuple(slot for slot in (first.output, *region.inputs) if slot in read),
        outputs=tuple(slot for slot in region.outputs if slot != first.output),
        registers={slot: number for slot, number in region.registers.items() if slot != first.output},
    )


def _addition(plan: Plan, region: Region) -> Instruction | None:
    """The region's first instruction, if it adds two different arrays of one dtype."""
    instruction = plan.instructions[region.start]
    if instruction.op.ufunc is not np.add:
        return None
    specs = [plan.specs[slot] for slot in (*instruction.inputs, instruction.output)]
    if any(spec is None for spec in specs) or instruction.inputs[0] == instruction.inputs[1]:
        return None
    return instruction if len({spec.dtype for spec in specs if spec is not None}) == 1 else None
