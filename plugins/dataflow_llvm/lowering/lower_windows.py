"""The products of convolutions and pooling by the largest entry as instructions, where windows lie one entry apart
(products), or in the array (pooling); the rest is left to numpy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from dataflow.operations.op import Op
from dataflow.plan import Instruction, Plan
from dataflow.plan.structure import contiguous
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, WINDOWS, ZERO
from dataflow_llvm.kernels.windows import KINDS, SIDE
from dataflow_llvm.lowering.places import MEMORY, Place, Places, merged
from dataflow_llvm.lowering.program import Program
from dataflow_nn.correlation import correlate, correlate_kernel, correlate_transpose
from dataflow_nn.max_pooling import max_pool, max_pool_spread
from dataflow_nn.pooling_windows import pooling_windows
from dataflow_nn.windows import Windows, for_each_axis

SHARED_WORK = 100_000
"""Visits of windows above which threads share them."""


class Lowering(Protocol):
    """What is used of the lowering of a plan."""

    plan: Plan
    places: Places
    program: Program

    def _copy(self, source: Place, target: Place) -> bool: ...

    def _emit(self, code: int, shared: bool, *operands: int) -> None: ...


def lower_windows(lowering: Lowering, instruction: Instruction, result: Place) -> bool:
    """Emit an instruction's code; false where it is left to numpy."""
    operands = [lowering.places.of(slot) for slot in instruction.inputs]
    if result.dtype.name not in FLOAT_NAMES or any(place.dtype != result.dtype for place in operands):
        return False
    return _RULES[instruction.op](lowering, instruction.attributes, operands, result)


def _correlate(lowering: Lowering, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    x, kernel = operands
    windows = _apart_by_one(attributes, x.shape[2:], kernel.shape[2:], result.shape[2:])
    if windows is None:
        return False
    return _product(lowering, x, kernel, result, windows.pairs, windows.dilation)


def _correlate_transpose(lowering: Lowering, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """The correlation of y, with other padding, and the kernel turned round, whose channels are exchanged."""
    y, kernel = operands
    windows = _apart_by_one(attributes, result.shape[2:], kernel.shape[2:], y.shape[2:])
    if windows is None:
        return False
    sizes = zip(windows.kernel, windows.dilation, windows.pairs, windows.sizes, windows.counts, strict=True)
    pairs = [
        ((entries - 1) * apart - before, size - count + before) for entries, apart, (before, _), size, count in sizes
    ]
    if min(itertools.chain(*pairs)) < 0:
        return False
    spatial = kernel.shape[2:]
    last = sum((size - 1) * step for size, step in zip(spatial, kernel.strides[2:], strict=True))
    backwards = tuple(-step for step in kernel.strides[2:])
    shape = (kernel.shape[1], kernel.shape[0], *spatial)
    turned = kernel.window(last, shape, (kernel.strides[1], kernel.strides[0], *backwards))
    target = lowering.places.temporary(shape, kernel.dtype)
    return lowering._copy(turned, target) and _product(lowering, y, target, result, pairs, windows.dilation, mend=True)


def _product(
    lowering: Lowering,
    x: Place,
    kernel: Place,
    result: Place,
    pairs: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    mend: bool = False,
) -> bool:
    """A correlation; with ``mend`` the padding counts for nothing, even where a weight is infinite."""
    inside = np.pad(np.ones(x.shape[2:], np.uint8), pairs)
    x = _padded(lowering, x, pairs)
    if not kernel.is_row_major or not result.is_row_major or (x.strides[-1] != 1 and x.shape[-1] > 1):
        return False
    distances = _distances((kernel.shape[1:]), [x.strides[1], *_scaled(x.strides[2:], dilation)])
    rows = _distances(result.shape[2:-1], x.strides[2:-1])
    places, shared_axis = [kernel, x, result], result.shape[0]
    steps = [1, x.strides[0], result.strides[0], result.strides[1], x.strides[1], 0, 0]
    _emit(lowering, "correlate", places, result.shape, distances, rows, steps, shared_axis)
    if mend and not inside.all():
        steps[-2:] = MEMORY, lowering.places.constant(inside)
        _emit(lowering, "mend", places, result.shape, distances, rows, steps, shared_axis)
    return True


def _correlate_kernel(lowering: Lowering, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    x, y = operands
    windows = _apart_by_one(attributes, x.shape[2:], result.shape[2:], y.shape[2:])
    if windows is None:
        return False
    x = _padded(lowering, x, windows.pairs)
    if not y.is_row_major or not result.is_row_major or (x.strides[-1] != 1 and x.shape[-1] > 1):
        return False
    distances = _distances(result.shape[1:], [x.strides[1], *_scaled(x.strides[2:], windows.dilation)])
    rows = _distances(y.shape[2:-1], x.strides[2:-1])
    steps = [1, x.strides[0], y.strides[0], y.strides[1], 0, 0, 0]
    return _emit(lowering, "correlate_kernel", [y, x, result], y.shape, distances, rows, steps, result.shape[0])


def _largest(lowering: Lowering, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    return _pool(lowering, "largest", attributes, operands[0], operands[0], result, result)


def _spread(lowering: Lowering, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    g, x = operands
    if not g.is_row_major or not x.is_row_major or not result.is_row_major:
        return False
    lowering._emit(ZERO, False, result.base, result.offset, result.size * result.dtype.itemsize)
    return _pool(lowering, "spread", attributes, x, g, result, g)


def _pool(
    lowering: Lowering, kind: str, attributes: Any, x: Place, second: Place, result: Place, pooled: Place
) -> bool:
    windows = pooling_windows(x.shape[2:], **attributes)
    joined, (steps,) = merged(x.shape[:2], x.strides[:2])
    spans = zip(windows.counts, windows.strides, windows.kernel, windows.dilation, windows.sizes, strict=True)
    inside = all((count - 1) * step + (size - 1) * apart < length for count, step, size, apart, length in spans)
    if any(itertools.chain(*windows.pairs)) or not inside or len(joined) > 1 or not pooled.is_row_major:
        return False
    along = x.strides[2:]
    distances = _distances(windows.kernel, _scaled(along, windows.dilation))
    rows = _distances(windows.counts[:-1], _scaled(along, windows.strides)[:-1])
    numbers = [along[-1] * windows.strides[-1], steps[0], 0, 0, 0, 0, 0]
    outer = x.shape[0] * x.shape[1]
    shape = (outer, 1, *windows.counts)
    return _emit(lowering, kind, [x, second, result], shape, distances, rows, numbers, outer)


_RULES: dict[Op, Any] = {
    correlate: _correlate,
    correlate_transpose: _correlate_transpose,
    correlate_kernel: _correlate_kernel,
    max_pool: _largest,
    max_pool_spread: _spread,
}
WINDOW_OPS = tuple(_RULES)
"""The ops that have a kernel for windows."""


def _emit(
    lowering: Lowering,
    kind: str,
    places: Sequence[Place],
    shape: Sequence[int],
    distances: list[int],
    rows: list[int],
    steps: list[int],
    shared_axis: int,
) -> bool:
    program, walk = lowering.program, len(lowering.program.walks)
    for place in places:
        program.walks += [place.base, place.offset]
    program.walks += [shape[0], shape[1], len(distances), len(rows), shape[-1], *steps, *distances, *rows]
    shared = math.prod(shape) * len(distances) > SHARED_WORK
    unit = SIDE if kind == "correlate_kernel" else 1
    dtype = FLOAT_NAMES.index(places[-1].dtype.name)
    lowering._emit(WINDOWS, shared, KINDS.index(kind) * len(FLOAT_NAMES) + dtype, walk, shared_axis, unit)
    return True


def _apart_by_one(
    attributes: Any, sizes: Sequence[int], kernel: Sequence[int], counts: Sequence[int]
) -> Windows | None:
    """The windows, if they lie one entry apart and all channels are one group."""
    ndim = len(sizes)
    strides, dilation = (for_each_axis(name, attributes[name], ndim) for name in ("strides", "dilation"))
    windows = Windows(sizes, kernel, strides, attributes["padding"], dilation, counts)
    fits = set(strides) == {1} and attributes["groups"] == 1 and min(itertools.chain(*windows.pairs)) >= 0
    return windows if fits and 0 not in (*sizes, *counts) else None


def _padded(lowering: Lowering, x: Place, pairs: Sequence[tuple[int, int]]) -> Place:
    """x in the middle of zeros; itself where there are none."""
    last_is_near = x.strides[-1] == 1 or x.shape[-1] == 1
    if not any(itertools.chain(*pairs)) and last_is_near:
        return x
    shape = (*x.shape[:2], *(size + sum(pair) for size, pair in zip(x.shape[2:], pairs, strict=True)))
    target = lowering.places.temporary(shape, x.dtype)
    lowering._emit(ZERO, False, target.base, target.offset, target.size * target.dtype.itemsize)
    strides = contiguous(shape)
    offset = sum(before * step for (before, _), step in zip(pairs, strides[2:], strict=True))
    lowering._copy(x, target.window(offset, x.shape, strides))
    return target


def _scaled(strides: Sequence[int], factors: Sequence[int]) -> list[int]:
    return [step * factor for step, factor in zip(strides, factors, strict=True)]


def _distances(sizes: Sequence[int], steps: Sequence[int]) -> list[int]:
    """How far each index lies from the first, in row-major order."""
    return [sum(i * step for i, step in zip(index, steps, strict=True)) for index in np.ndindex(*sizes)]
