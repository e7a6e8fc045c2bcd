"""Ops with windows that slide over the last axes of an array, as instructions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dataflow.operations.op import Op
from dataflow.plan import Instruction
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES
from dataflow_llvm.lowering import lower_convolutions
from dataflow_llvm.lowering.emitter import Emitter
from dataflow_llvm.lowering.places import MEMORY, Place
from dataflow_llvm.lowering.sliding import Sliding, distances, emit_windows, one_apart, padded, scaled
from dataflow_nn.correlation import correlate, correlate_kernel, correlate_transpose
from dataflow_nn.max_pooling import max_pool, max_pool_spread
from dataflow_nn.pooling_windows import pooling_windows
from dataflow_nn.window_sums import window_spread, window_sum


def lower_windows(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """Emit an instruction's code; false where it is left to numpy."""
    operands = [emitter.places.of(slot) for slot in instruction.inputs]
    if result.dtype.name not in FLOAT_NAMES or any(place.dtype != result.dtype for place in operands):
        return False
    return _RULES[instruction.op](emitter, instruction.attributes, operands, result)


def _largest(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    (x,) = operands
    windows = lower_convolutions.reaching_all(pooling_windows(x.shape[2:], **attributes))
    if windows is None or not result.is_row_major:
        return False
    shape = (windows.pairs, windows.kernel, windows.strides, windows.dilation, windows.counts)
    sliding = one_apart(emitter, x, *shape, value=float("-inf"))
    outer, plane = result.shape[0] * result.shape[1], len(sliding.rows) * sliding.columns
    places, steps = [sliding.place, sliding.place, result], [sliding.place.strides[1], plane, 0, 0]
    emit_windows(emitter, "largest", places, sliding.joined(), (outer, 1), steps, outer)
    return True


def _spread(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """With padding, of an array that has −∞ around it, into one that is as large."""
    g, x = operands
    windows = lower_convolutions.reaching_all(pooling_windows(x.shape[2:], **attributes))
    if windows is None or not all(p.is_row_major for p in (g, x, result)):
        return False
    target, kind, inside = result, "spread", (0, 0)
    if any(itertools.chain(*windows.pairs)):
        mask = np.pad(np.ones(x.shape[2:], np.uint8), windows.pairs)
        kind, inside = "spread_inside", (MEMORY, emitter.places.constant(mask))
        x = padded(emitter, x, windows.pairs, float("-inf"))
        target = emitter.places.scratch(x.shape, x.dtype)
    emitter.clear(target)
    along, outer = x.strides[2:], x.shape[0] * x.shape[1]
    plane = math.prod(x.shape[2:])
    entries = distances(windows.kernel, scaled(along, windows.dilation))
    rows = distances(windows.counts[:-1], scaled(along, windows.strides)[:-1])
    sliding = Sliding(x, entries, rows, windows.counts[-1], along[-1] * windows.strides[-1])
    emit_windows(emitter, kind, [x, g, target], sliding, (outer, 1), [plane, 0, 0, 0], outer, inside=inside)
    if target is not result:
        offset = sum(before * step for (before, _), step in zip(windows.pairs, along, strict=True))
        emitter.copy(target.window(offset, result.shape, target.strides), result)
    return True


_RULES: dict[Op, Callable[[Emitter, Any, Sequence[Place], Place], bool]] = {
    correlate: lower_convolutions.correlate,
    correlate_transpose: lower_convolutions.correlate_transpose,
    correlate_kernel: lower_convolutions.correlate_kernel,
    window_sum: lower_convolutions.sum_windows,
    window_spread: lower_convolutions.spread_windows,
    max_pool: _largest,
    max_pool_spread: _spread,
}
WINDOW_OPS = tuple(_RULES)
"""The ops that have a kernel for windows."""
