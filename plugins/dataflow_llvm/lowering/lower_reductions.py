"""Sums and largest entries over axes as instructions."""

from __future__ import annotations

import numpy as np

from dataflow.plan import Instruction
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, MAX, SUM
from dataflow_llvm.lowering.emitter import SHARED_WORK, Emitter, at, dtype_number
from dataflow_llvm.lowering.layouts import reduced_axes, three_parts
from dataflow_llvm.lowering.places import Place


def lower_reduction(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """Emit an instruction's code; false where it is left to numpy."""
    source = emitter.places.of(instruction.inputs[0])
    if source.dtype.name not in FLOAT_NAMES or result.dtype != source.dtype:
        return False
    axes = reduced_axes(instruction, source.shape)
    if axes is None:
        return False
    parts = three_parts(source, axes)
    if parts is None:
        kept = [axis for axis in range(len(source.shape)) if axis not in axes]
        order = [*kept, *sorted(axes)]
        shape = tuple(source.shape[axis] for axis in order)
        turned = Place(source.base, source.offset, shape, tuple(source.strides[a] for a in order), source.dtype)
        source = emitter.places.temporary(shape, source.dtype)
        if not emitter.copy(turned, source):
            return False
        parts = three_parts(source, set(range(len(kept), len(order))))
        assert parts is not None
    outer, outer_step, reduced, step, inner = parts
    code = SUM if instruction.op.reduces is np.add else MAX
    shared = source.size > SHARED_WORK and outer > 1
    ends = (*at(source), *at(result))
    emitter.emit(code, shared, dtype_number(source.dtype), *ends, reduced, inner, outer_step, step, outer)
    return True
