"""How much work one run of a plan is, before it runs."""

from __future__ import annotations

import math

from dataflow.errors import DataflowError
from dataflow.graph.cost import ENTRIES_A_STEP, OPERATIONS_A_STEP, primitive_cost
from dataflow.operations.operands import literals_of, with_literals
from dataflow.plan.structure import Instruction, Plan, concrete
from dataflow.shapes import TensorSpec


def input_specs(plan: Plan, instruction: Instruction) -> list[TensorSpec | None]:
    """The inputs' specs; a plain number takes the dtype of the arrays beside it."""
    literals = literals_of([plan.constants.get(slot) for slot in instruction.inputs])
    return with_literals([plan.specs[slot] for slot in instruction.inputs], literals)


def steps_of(plan: Plan) -> int:
    """The steps of work, as ``Limits.work`` counts them."""
    return sum(1 + _steps(plan, instruction) for instruction in plan.instructions)


def _steps(plan: Plan, instruction: Instruction) -> int:
    result = plan.spec(instruction.output)
    specs = input_specs(plan, instruction)
    entries = sum(math.prod(concrete(spec)) for spec in (result, *specs) if spec is not None)
    if entries <= ENTRIES_A_STEP:
        return 0
    try:
        operations = primitive_cost(instruction.op, result, specs, instruction.attributes).operations
    except DataflowError:  # it says no cost
        operations = 0
    return entries // ENTRIES_A_STEP + operations // OPERATIONS_A_STEP
