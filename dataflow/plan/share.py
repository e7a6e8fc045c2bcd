"""Common subexpressions shared, dead instructions dropped, transposed products turned round."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from dataflow.plan.rewriting import Rewriting, key_of, rewritten
from dataflow.plan.structure import Instruction, Plan
from dataflow.shapes import TensorSpec
from dataflow.value import lookup

SMALL = 1024
"""Constants of at most so many bytes are compared by what is in them."""


def share(plan: Plan) -> Plan:
    """What the same op makes of the same inputs is made once, and equal small constants are one."""
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


def turn(plan: Plan) -> Plan:
    """``transpose(a @ b)`` becomes ``b.T @ a.T`` where the product is read in no other way, so that what a transposed
    parameter's gradient is a view of need not be copied. The sums are the same; a BLAS may add them up in another
    order."""
    matmul, transpose = lookup("matmul"), lookup("transpose")
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.output_slots)

    def visit(state: Rewriting, instruction: Instruction) -> Instruction | None:
        if instruction.op is not transpose:
            return None
        source = instruction.inputs[0]
        product = state.makers.get(source)
        if product is None or product.op is not matmul or uses[source] != 1:
            return None
        specs = [state.specs[slot] for slot in product.inputs]
        if any(spec is None or spec.ndim != 2 for spec in specs):
            return None
        if instruction.attributes["axes"] not in (None, (1, 0)):
            return None
        left, right = [
            state.emit(transpose, (slot,), _transposed(spec), {"axes": None}, product.node)
            for slot, spec in zip(reversed(product.inputs), reversed(specs), strict=True)
        ]
        return Instruction(matmul, (left, right), instruction.output, product.attributes, product.node)

    return rewritten(plan, visit)


def _transposed(spec: TensorSpec | None) -> TensorSpec | None:
    return None if spec is None else TensorSpec(spec.shape[::-1], spec.dtype)
