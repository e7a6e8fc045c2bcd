"""Matrix products made better: transposed ones turned round, and small sums of products as one product."""

from __future__ import annotations

from collections import Counter

import numpy as np

from dataflow.operations.engine_ops import matmul, multiply, reshape, sum_to, transpose
from dataflow.plan.passes.rewrite_plan import Rewriting, rewritten
from dataflow.plan.structure import Instruction, Plan, concrete
from dataflow.shapes import TensorSpec, element_count

FEW = 1024
"""Up to this many products are added by a product of two vectors, which adds them one after the other."""


def products(plan: Plan) -> Plan:
    """``transpose(a @ b)`` becomes ``b.T @ a.T``, so that what a transposed parameter's gradient is a view of need not
    be copied, ``sum(a * b)`` becomes the product of two vectors, and the sum of a stack of products with transposed
    left factors one product, each where the inner result is read in no other way. The products are the same; they may
    be added up in another order."""
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.output_slots)

    def visit(state: Rewriting, instruction: Instruction) -> Instruction | None:
        source = instruction.inputs[0]
        inner = state.makers.get(source)
        if inner is None or uses[source] != 1:
            return None
        if instruction.op is transpose and inner.op is matmul:
            return _turned(state, instruction, inner)
        if instruction.op is sum_to and inner.op is matmul:
            return _stacked(state, instruction, inner)
        if instruction.op.reduces is np.add and inner.op is multiply:
            return _contracted(state, instruction, inner)
        return None

    return rewritten(plan, visit)


def _turned(state: Rewriting, instruction: Instruction, product: Instruction) -> Instruction | None:
    specs = [state.specs[slot] for slot in product.inputs]
    if any(spec is None or spec.ndim != 2 for spec in specs) or instruction.attributes["axes"] not in (None, (1, 0)):
        return None
    left, right = [
        state.emit(instruction.op, (slot,), _transposed(spec), {"axes": None}, product.node)
        for slot, spec in zip(reversed(product.inputs), reversed(specs), strict=True)
    ]
    return Instruction(product.op, (left, right), instruction.output, product.attributes, product.node)


def _transposed(spec: TensorSpec | None) -> TensorSpec | None:
    return None if spec is None else TensorSpec(spec.shape[::-1], spec.dtype)


def _stacked(state: Rewriting, instruction: Instruction, product: Instruction) -> Instruction | None:
    """Σ aᵢᵀ bᵢ is the product of all rows of a, transposed, and all rows of b."""
    turned = state.makers.get(product.inputs[0])
    specs = [state.specs[slot] for slot in (*product.inputs, instruction.output)]
    if turned is None or turned.op is not transpose or any(spec is None for spec in specs):
        return None
    left, right, result = (concrete(spec) for spec in specs if spec is not None)
    ahead = tuple(range(len(left) - 2))
    if len(result) != 2 or not ahead or left[:-2] != right[:-2] or result != (left[-2], right[-1]):
        return None
    if turned.attributes["axes"] != (*ahead, len(left) - 1, len(left) - 2) or 0 in left or 0 in right:
        return None
    rows = []
    for slot in (turned.inputs[0], product.inputs[1]):
        spec = state.specs[slot]
        assert spec is not None
        shape = (element_count(spec.shape[:-1]), spec.shape[-1])
        rows.append(state.emit(reshape, (slot,), TensorSpec(shape, spec.dtype), {"shape": shape}, product.node))
    columns = state.emit(transpose, (rows[0],), _transposed(state.specs[rows[0]]), {"axes": None}, product.node)
    return Instruction(matmul, (columns, rows[1]), instruction.output, {}, product.node)


def _contracted(state: Rewriting, instruction: Instruction, product: Instruction) -> Instruction | None:
    result = state.specs[instruction.output]
    left, right = (state.specs[slot] for slot in product.inputs)
    if result is None or left is None or left != right or concrete(result) != () or result.dtype != left.dtype:
        return None
    count = element_count(left.shape)
    if not left.is_float or not isinstance(count, int) or count > FEW:
        return None
    flat = TensorSpec((count,), left.dtype)
    vectors = {
        slot: state.emit(reshape, (slot,), flat, {"shape": (count,)}, product.node)
        for slot in dict.fromkeys(product.inputs)
    }
    inputs = tuple(vectors[slot] for slot in product.inputs)
    return Instruction(matmul, inputs, instruction.output, {}, instruction.node)
