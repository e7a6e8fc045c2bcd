"""What each instruction of a plan does: operations from the op's cost rule, bytes from the slots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dataflow.errors import DataflowError
from dataflow.graph.cost import primitive_cost
from dataflow.operations.operation_cost import Cost
from dataflow.plan import Instruction, Plan, concrete
from dataflow.plan.run_work import input_specs
from dataflow.shapes import TensorSpec


@dataclass(frozen=True)
class Work:
    """One instruction, what it costs, and the bytes that it reads from memory and writes there.

    Each array that it reads counts once, one that is repeated along an axis with what is repeated. Results that a
    region keeps in cache, tile by tile, are neither read from memory nor written there.
    """

    instruction: Instruction
    result: TensorSpec
    cost: Cost
    read: int
    written: int


def work(plan: Plan) -> list[Work]:
    """The work of each instruction. A ``RuleError`` names an op that does not say what it costs, and its node."""
    cached = {slot for region in plan.regions for slot in region.registers}
    return list(_each(plan, cached))


def _each(plan: Plan, cached: set[int]) -> Iterator[Work]:
    for instruction in plan.instructions:
        result = plan.spec(instruction.output)
        try:
            cost = primitive_cost(instruction.op, result, input_specs(plan, instruction), instruction.attributes)
        except DataflowError as error:
            raise error.at(node=instruction.node) from None
        read = sum(bytes_read(plan, slot) for slot in set(instruction.inputs) - cached)
        written = 0 if instruction.output in cached else plan.bytes_of(instruction.output)
        yield Work(instruction, result, cost, read, written)


def bytes_read(plan: Plan, slot: int) -> int:
    """Bytes of the entries that reading a slot goes through; 0 for a plain number."""
    view = plan.views.get(slot)
    if view is None:
        return plan.bytes_of(slot)
    spec = plan.spec(slot)
    sizes = (size for size, stride in zip(concrete(spec), view.strides, strict=True) if stride or not size)
    return math.prod(sizes) * spec.dtype.itemsize
