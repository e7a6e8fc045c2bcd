"""Constants folded: what depends on constants alone, or on shapes alone, is computed once, when the plan is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.errors import DataflowError
from dataflow.plan.passes.rewrite_plan import Rewriting, rewritten
from dataflow.plan.structure import Instruction, Plan, concrete, stand_in
from dataflow.shapes import byte_count

GROWTH = 2**16
"""The most bytes of a folded constant, unless the constants that it comes from have as many."""


@np.errstate(all="ignore")
def fold(plan: Plan) -> Plan:
    """Compute what is constant, bit for bit as a run would, unless that takes much more memory than what it comes
    from."""
    values: dict[int, Any] = dict(plan.constants)
    memory = {slot: value.nbytes for slot, value in plan.constants.items() if isinstance(value, np.ndarray)}

    def visit(state: Rewriting, instruction: Instruction) -> int | None:
        op = instruction.op
        if op.shape_only:
            arguments = [stand_in(state.specs[slot], values.get(slot)) for slot in instruction.inputs]
        elif values.keys() >= {*instruction.inputs}:
            arguments = [values[slot] for slot in instruction.inputs]
        else:
            return None
        spec = state.specs[instruction.output]
        size = 0 if spec is None else byte_count(concrete(spec), spec.dtype)
        sources = sum(memory.get(slot, 0) for slot in instruction.inputs)
        if size > max(GROWTH, sources) and op.view is None:
            return None
        try:
            value = op.compute(arguments, instruction.attributes)
            if spec is not None:
                op.checked(value, concrete(spec), spec.dtype)
        except DataflowError:
            return None  # the run says what is wrong
        if op.view is not None:  # a view takes no memory, and says more of what is in it than its entries do
            values[instruction.output], memory[instruction.output] = value, sources
            return None
        slot = state.array(value)
        values[slot], memory[slot] = state.constants[slot], size
        return slot

    return rewritten(plan, visit)
