"""Code for one small plan: every entry of every array is a scalar, so that nothing but arguments and outputs touches
memory.

What is written depends on the plan's instructions, shapes and plain numbers; no name that a file gives gets into it.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir

from dataflow.operations.engine_ops import matmul
from dataflow.plan import Instruction, Plan, Region, concrete
from dataflow.plan.structure import contiguous
from dataflow_llvm.kernels.assembly import FLOATS, I8, POINTER, VOID, Lanes, Operand, begin, element, i64, load
from dataflow_llvm.kernels.formulas import FORMULAS, maximum
from dataflow_llvm.lowering.layouts import reduced_axes
from dataflow_llvm.lowering.lower_region import formula_of

MOST_OPERATIONS = 1500
"""The most operations on single entries; a plan with more is run by the interpreter."""


def operations(plan: Plan) -> int:
    """Count the operations on single entries, up to just over ``MOST_OPERATIONS``."""
    total = 0
    for instruction in plan.instructions:
        result, first = plan.specs[instruction.output], plan.specs[instruction.inputs[0]]
        size = math.prod(concrete(result)) if result is not None else 0
        if instruction.op is matmul and first is not None:
            size *= concrete(first)[-1]
        elif instruction.op.reduces is not None and first is not None:
            size = math.prod(concrete(first))
        total += max(1, size)
        if total > MOST_OPERATIONS:
            break
    return total


def generated(plan: Plan) -> str | None:
    """The text of a module with the function ``step`` (bases), which runs the plan; ``None`` for a plan that is too
    large, or has an instruction that cannot be written so."""
    if operations(plan) > MOST_OPERATIONS or not plan.instructions:
        return None
    dtypes = {
        spec.dtype.name
        for instruction in plan.instructions
        for slot in (*instruction.inputs, instruction.output)
        if (spec := plan.specs[slot]) is not None and spec.dtype != bool
    }
    if len(dtypes) != 1 or not dtypes <= set(FLOATS):
        return None
    module = ir.Module("small")
    return str(module) if _Writer(module, plan, dtypes.pop()).write() else None


class _Writer:
    def __init__(self, module: ir.Module, plan: Plan, dtype: str) -> None:
        self.plan, self.dtype = plan, dtype
        self.builder, (self.bases,) = begin(module, "step", VOID, [POINTER])
        self.lanes = Lanes(self.builder, dtype, 1)
        self.values: dict[int, list[Operand]] = {}
        """The entries of each slot in row-major order; masks for booleans."""

    def write(self) -> bool:
        """Write the function; return whether every instruction could be written."""
        for stretch in self.plan.stretches():
            members = self.plan.instructions[stretch.start : stretch.stop] if isinstance(stretch, Region) else [stretch]
            for instruction in members:
                done = self._elementwise(instruction) if instruction.op.elementwise else self._other(instruction)
                if not done:
                    return False
        first_output = 1 + len(self.plan.arguments)
        for number, slot in enumerate(self.plan.output_slots):
            spec = self.plan.specs[slot]
            if spec is None or spec.dtype.name not in (self.dtype, "bool"):
                return False
            base = load(self.builder, self.bases, first_output + number, POINTER)
            for index, value in enumerate(self._entries(slot)):
                if spec.dtype == bool:
                    self.builder.store(self.builder.zext(value, I8), element(self.builder, base, i64(index), I8))
                else:
                    self.lanes.store(value, element(self.builder, base, i64(index), self.lanes.kind))
        self.builder.ret_void()
        return True

    # -------------------------------------------------------------------------------------------- instructions

    def _elementwise(self, instruction: Instruction) -> bool:
        named_formula = formula_of(self.plan, instruction, self.dtype)
        if named_formula is None:
            return False
        name, sources = named_formula
        formula = FORMULAS[name]
        result = self.plan.specs[instruction.output]
        assert result is not None
        shape = concrete(result)
        columns = [self._broadcast(source, shape) for source in sources]
        boolean = result.dtype == bool
        if any(column is None for column in columns):
            return False
        entries = []
        for operands in zip(*columns, strict=True):
            fitting = [
                self.lanes.fitting(operand, takes) for operand, takes in zip(operands, formula.takes, strict=True)
            ]
            value = formula.write(self.lanes, *fitting)
            entries.append(self.lanes.fitting(value, "m" if boolean else "n"))
        self.values[instruction.output] = entries
        return True

    def _other(self, instruction: Instruction) -> bool:
        op = instruction.op
        if op.reduces in (np.add, np.maximum):
            return self._reduction(instruction)
        if op is matmul:
            return self._matmul(instruction)
        return False

    def _reduction(self, instruction: Instruction) -> bool:
        spec, result = (self.plan.specs[slot] for slot in (instruction.inputs[0], instruction.output))
        assert spec is not None
        assert result is not None
        if not spec.dtype == result.dtype == self.dtype:
            return False
        shape = concrete(spec)
        axes = reduced_axes(instruction, shape)
        if axes is None:
            return False
        sums: dict[tuple[int, ...], Operand] = {}
        adding = instruction.op.reduces is np.add
        for place, value in zip(product(*map(range, shape)), self._entries(instruction.inputs[0]), strict=True):
            key = tuple(i for axis, i in enumerate(place) if axis not in axes)
            if key not in sums:
                sums[key] = value
            else:
                sums[key] = self.lanes.add(sums[key], value) if adding else maximum(self.lanes, sums[key], value)
        kept = [size for axis, size in enumerate(shape) if axis not in axes]
        zero = self.lanes.number(0.0)
        self.values[instruction.output] = [sums.get(place, zero) for place in product(*map(range, kept))]
        return True

    def _matmul(self, instruction: Instruction) -> bool:
        left, right = (self.plan.specs[slot] for slot in instruction.inputs)
        if left is None or right is None or len(left.shape) > 2 or len(right.shape) > 2:
            return False
        if not left.dtype == right.dtype == self.dtype:
            return False
        length = concrete(left)[-1]
        a, b = (self._entries(slot) for slot in instruction.inputs)
        columns = concrete(right)[1] if len(right.shape) == 2 else 1
        rows = concrete(left)[0] if len(left.shape) == 2 else 1
        entries = []
        for i, j in product(range(rows), range(columns)):
            total: Operand = self.lanes.number(0.0)
            for k in range(length):
                x, y = a[i * length + k], b[k * columns + j]
                total = self.lanes.fma(x, y, total) if k else self.lanes.multiply(x, y)
            entries.append(total)
        self.values[instruction.output] = entries
        return True

    # -------------------------------------------------------------------------------------------- operands

    def _broadcast(self, source: Any, shape: tuple[int, ...]) -> list[Operand] | None:
        size = math.prod(shape)
        if not isinstance(source, int):
            return [self.lanes.number(source[1])] * size
        spec = self.plan.specs[source]
        assert spec is not None
        own = concrete(spec)
        entries = self._entries(source)
        steps = [0 if n == 1 else step for n, step in zip(own, contiguous(own), strict=True)]
        steps = [0] * (len(shape) - len(own)) + steps
        places = product(*map(range, shape))
        return [entries[sum(i * step for i, step in zip(place, steps, strict=True))] for place in places]

    def _entries(self, slot: int) -> list[Operand]:
        if slot not in self.values:
            view = self.plan.views.get(slot)
            self.values[slot] = self._loaded(slot) if view is None else self._seen(slot)
        return self.values[slot]

    def _seen(self, slot: int) -> list[Operand]:
        view, spec = self.plan.views[slot], self.plan.specs[slot]
        assert spec is not None
        base = self._entries(view.base)
        places = product(*map(range, concrete(spec)))
        return [
            base[view.offset + sum(i * step for i, step in zip(place, view.strides, strict=True))] for place in places
        ]

    def _loaded(self, slot: int) -> list[Operand]:
        spec = self.plan.specs[slot]
        assert spec is not None
        constant = self.plan.constants.get(slot)
        if isinstance(constant, np.ndarray):
            entries = [float(value) for value in constant.ravel()]
            numbers = [self.lanes.number(value) for value in entries]
            return [self.lanes.fitting(number, "m") for number in numbers] if spec.dtype == bool else numbers
        base = load(self.builder, self.bases, 1 + slot, POINTER)
        count = math.prod(concrete(spec))
        if spec.dtype == bool:
            loaded = [load(self.builder, base, i, I8) for i in range(count)]
            return [self.builder.icmp_unsigned("!=", value, I8(0)) for value in loaded]
        return [self.lanes.load(element(self.builder, base, i64(i), self.lanes.kind)) for i in range(count)]
