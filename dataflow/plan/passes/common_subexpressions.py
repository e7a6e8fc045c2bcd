"""Common subexpressions shared, and dead instructions dropped."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dataflow.plan.passes.rewrite_plan import Rewriting, key_of, rewritten
from dataflow.plan.structure import Instruction, Plan

SMALL = 1024
"""The size in bytes up to which constants are compared by their content."""


def share(plan: Plan) -> Plan:
    """Compute the same op on the same inputs once, and keep equal small constants once."""
    known: dict[Any, int] = {}
    first: dict[Any, int] = {}
    same = {slot: first.setdefault(key, slot) for slot, key in _comparable_constants(plan)}

    def visit(state: Rewriting, instruction: Instruction) -> int | None:
        inputs = tuple([same.get(slot, slot) for slot in instruction.inputs])
        output = known.setdefault(key_of(instruction.op, inputs, instruction.attributes), instruction.output)
        return None if output == instruction.output else output

    return rewritten(plan, visit)


def _comparable_constants(plan: Plan) -> list[tuple[int, Any]]:
    return [
        (slot, (value.shape, value.dtype.str, value.tobytes()))
        for slot, value in plan.constants.items()
        if isinstance(value, np.ndarray) and value.nbytes <= SMALL
    ]


def drop(plan: Plan) -> Plan:
    """Leave out what no output needs, constants included."""
    needed = set(plan.output_slots)
    kept = []
    for instruction in reversed(plan.instructions):
        if instruction.output in needed:
            needed.update(instruction.inputs)
            kept.append(instruction)
    constants = {slot: value for slot, value in plan.constants.items() if slot in needed}
    return dataclasses.replace(plan, instructions=tuple(reversed(kept)), constants=constants)
