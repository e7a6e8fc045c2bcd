"""Products that end with relu or its derivative: what a region makes of the sums is done while they are in registers,
and its result is written where the product would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dataflow.plan import Instruction, Plan, Region
from dataflow_llvm.kernels.matrix_products import DEPTH, FINISHES
from dataflow_llvm.lowering.added_products import Addition, is_product
from dataflow_llvm.lowering.lower_region import region_formulas


@dataclass(frozen=True, slots=True)
class Finish:
    """``target`` is the slot of the region's result, ``source`` that of relu's argument or result where its derivative
    is taken."""

    number: int
    target: int
    source: int | None
    region: Region
    """The region, which need not run."""


def finished_products(plan: Plan, added: Mapping[int, Addition]) -> dict[int, Finish]:
    """By its slot, each product, or product with a summand, of which a region makes nothing but one result, by one of
    ``FINISHES``, if that may be where it goes when the product is computed."""
    position = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
    uses = Counter(plan.root(slot) for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.root(slot) for slot in plan.output_slots)
    product_of = {addition.region.start: product for product, addition in added.items()}
    found: dict[int, Finish] = {}
    for region in plan.regions:
        addition = added.get(product_of.get(region.start, -1))
        rest = region if addition is None else addition.rest
        known = None if rest is None else region_formulas(plan, rest, set(region.outputs), joined=True)
        if known is None or len(known[1]) != 1:
            continue
        ((target, (name, (value, *others))),) = known[1].items()
        if name not in FINISHES or repr(others.pop()) != repr(("number", 0.0)):
            continue
        source = others.pop() if others else None
        product = value if addition is None else product_of[region.start]
        if addition is None and (uses[product] != 1 or not is_product(plan, position.get(product))):
            continue
        if addition is not None and (value != addition.target or value in region.outputs or source is not None):
            continue
        finish = Finish(FINISHES[name], target, source, region)
        if _can_be_there(plan, plan.instructions[position[product]], position, finish, addition):
            found[product] = finish
    return found


def _can_be_there(
    plan: Plan, product: Instruction, position: Mapping[int, int], finish: Finish, addition: Addition | None
) -> bool:
    """Whether the result has the product's shape, and nothing that is read later than it is written lies there."""
    target, source = finish.target, finish.source
    shape, factors = plan.spec(target).shape, [plan.root(slot) for slot in product.inputs]
    length = plan.spec(product.inputs[0]).shape[-1]
    if plan.spec(product.output).shape != shape or {0, 1} & {*shape[-2:]} or 0 in (*shape, length):
        return False
    computed = finish.region.start if addition is not None and addition.late else position[product.output]
    if source is not None and (
        plan.spec(source).shape != shape
        or position.get(plan.root(source), -1) > computed
        or (length > DEPTH and _overlap(plan, source, target))  # sums of the first panels are stored there
    ):
        return False
    place = plan.offsets.get(target)
    if target in plan.output_slots or place == plan.offsets.get(product.output):
        return True
    if computed + 1 < finish.region.start or any(_overlap(plan, factor, target) for factor in factors):
        return False
    together = [slot for slot in (source, addition and addition.summand) if slot is not None]
    return all(
        not _overlap(plan, slot, target) or (plan.offsets.get(slot) == place and plan.spec(slot).shape == shape)
        for slot in together
    )


def _overlap(plan: Plan, a: int, b: int) -> bool:
    """Whether two arrays, or what they are views of, share memory of the plan's."""
    a, b = plan.root(a), plan.root(b)
    if a not in plan.offsets or b not in plan.offsets:
        return a == b
    first, second = plan.offsets[a], plan.offsets[b]
    return first < second + plan.bytes_of(b) and second < first + plan.bytes_of(a)
