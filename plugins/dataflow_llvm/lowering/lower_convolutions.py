"""The three products that convolutions are made of, and sums over windows, as instructions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.plan.structure import contiguous
from dataflow_llvm.lowering.emitter import Emitter
from dataflow_llvm.lowering.places import MEMORY, Place
from dataflow_llvm.lowering.sliding import Sliding, distances, emit_windows, near, one_apart, padded
from dataflow_nn.pooling_windows import pooling_windows
from dataflow_nn.windows import Windows, for_each_axis


def correlate(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """A correlation of x with a kernel."""
    x, kernel = operands
    windows = _windows(attributes, x.shape[2:], kernel.shape[2:], result.shape[2:])
    return windows is not None and _correlate(emitter, x, kernel, result, windows, attributes["groups"])


def sum_windows(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """A correlation of each channel by itself, with ones."""
    (x,) = operands
    windows = reaching_all(pooling_windows(x.shape[2:], **attributes))
    return windows is not None and _correlate(emitter, x, _ones(emitter, x, windows), result, windows, x.shape[1])


def _correlate(emitter: Emitter, x: Place, kernel: Place, result: Place, windows: Windows, groups: int) -> bool:
    if not kernel.is_row_major or not result.is_row_major:
        return False
    sliding = one_apart(emitter, x, windows.pairs, windows.kernel, windows.strides, windows.dilation, windows.counts)
    _product(emitter, sliding, kernel, result, groups)
    return True


def correlate_transpose(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """The cotangent of a correlation's x."""
    y, kernel = operands
    windows = _windows(attributes, result.shape[2:], kernel.shape[2:], y.shape[2:])
    return windows is not None and _transpose(emitter, y, kernel, result, windows, attributes["groups"])


def spread_windows(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """The transpose of ``sum_windows``."""
    (y,) = operands
    attributes = {name: value for name, value in attributes.items() if name != "size"}
    windows = reaching_all(pooling_windows(result.shape[2:], **attributes))
    return windows is not None and _transpose(emitter, y, _ones(emitter, y, windows), result, windows, y.shape[1])


def _transpose(emitter: Emitter, y: Place, kernel: Place, result: Place, windows: Windows, groups: int) -> bool:
    """Along an axis with a stride s, every s-th entry of the result is a correlation of y with every s-th entry of the
    kernel, turned round; those of each remainder by s are computed by themselves. The padding of y counts for nothing,
    even where a weight is infinite."""
    axes = [
        _remainders(*numbers)
        for numbers in zip(
            windows.sizes, windows.counts, windows.kernel, windows.strides, windows.dilation, windows.pairs, strict=True
        )
    ]
    pairs = [
        (
            max([0, *(-shift for _, _, _, shifts in parts for shift in shifts)]),
            max([0, *(count + shift - own for _, count, _, shifts in parts for shift in shifts)]),
        )
        for parts, own in zip(axes, windows.counts, strict=True)
    ]
    if not result.is_row_major:
        return False
    inside = np.pad(np.ones(windows.counts, np.uint8), pairs)
    y = near(emitter, padded(emitter, y, pairs))
    if any(not shifts for parts in axes for _, _, _, shifts in parts):
        emitter.clear(result)
    examples, channels = result.shape[:2]
    outs, each = kernel.shape[0] // groups, kernel.shape[1]
    mask = 0 if inside.all() else emitter.places.constant(inside)
    for parts in itertools.product(*axes):
        starts, counts, entries, shifts = zip(*parts, strict=True)
        if not all(shifts):
            continue
        along = [range(size)[own] for size, own in zip(kernel.shape[2:], entries, strict=True)]
        lengths = tuple(len(own) for own in along)
        offset = sum(own[0] * step for own, step in zip(along, kernel.strides[2:], strict=True))
        apart = tuple(own.step * step for own, step in zip(along, kernel.strides[2:], strict=True))
        rows, columns = kernel.strides[:2]
        source = kernel.window(offset, (groups, each, outs, *lengths), (outs * rows, columns, rows, *apart))
        turned = emitter.places.scratch(source.shape, source.dtype)
        if not emitter.copy(source, turned):
            return False
        whole = set(windows.strides) == {1}
        target = result if whole else emitter.places.scratch((examples, channels, *counts), result.dtype)
        steps = y.strides[2:]
        places = [[pair[0] + shift for shift in own] for pair, own in zip(pairs, shifts, strict=True)]
        entry = [sum(i * step for i, step in zip(place, steps, strict=True)) for place in itertools.product(*places)]
        sliding = Sliding(y, entry, distances(counts[:-1], steps[:-1]), counts[-1])
        _product(emitter, sliding, turned, target, groups, None if inside.all() else mask)
        if not whole:
            moved = sum(start * step for start, step in zip(starts, result.strides[2:], strict=True))
            strides = tuple(step * own for step, own in zip(windows.strides, result.strides[2:], strict=True))
            emitter.copy(target, result.window(moved, target.shape, (*result.strides[:2], *strides)))
    return True


def _remainders(
    size: int, count: int, kernel: int, stride: int, dilation: int, pair: tuple[int, int]
) -> list[tuple[int, int, slice, list[int]]]:
    """For each remainder of places by the stride: the first of the places, how many there are, which entries of the
    kernel reach them, and which window each of these is in, counted from the place's own number."""
    parts = []
    apart = stride // math.gcd(stride, dilation)
    for start in range(min(stride, size)):
        first = next((k for k in range(min(apart, kernel)) if (start + pair[0] - k * dilation) % stride == 0), kernel)
        shifts = [(start + pair[0] - k * dilation) // stride for k in range(first, kernel, apart)]
        parts.append((start, -(-(size - start) // stride), slice(first, kernel, apart), shifts))
    return parts


def _product(
    emitter: Emitter, sliding: Sliding, kernel: Place, result: Place, groups: int, mask: int | None = None
) -> None:
    """A correlation of what windows slide over, with a kernel of (groups, out/groups, in/groups, ...) or
    (out, in/groups, ...); with a mask, what it leaves out counts for nothing."""
    x, examples, channels = sliding.place, result.shape[0], result.shape[1] // groups
    each = math.prod(kernel.shape) // (groups * channels * len(sliding.entries))
    entries = [c * x.strides[1] + entry for c in range(each) for entry in sliding.entries]
    plane = math.prod(result.shape[2:])
    laid_out = Sliding(x, entries, sliding.rows, sliding.columns).joined()
    outer = examples * groups
    outer_step = each * x.strides[1] if groups > 1 else x.strides[0]
    steps = [outer_step, channels * plane, plane, x.strides[1]]
    sizes, places = (outer, channels), [kernel, x, result]
    single = channels == 1
    kind, shared = ("correlate_single", outer) if single else ("correlate", outer * len(laid_out.rows))
    emit_windows(emitter, kind, places, laid_out, sizes, steps, shared, (groups, 0))
    if mask is not None:
        emit_windows(emitter, "mend", places, laid_out, sizes, steps, outer, (groups, 0), (MEMORY, mask))


def correlate_kernel(emitter: Emitter, attributes: Any, operands: Sequence[Place], result: Place) -> bool:
    """The cotangent of a correlation's kernel."""
    x, y = operands
    windows = _windows(attributes, x.shape[2:], result.shape[2:], y.shape[2:])
    if windows is None or not y.is_row_major or not result.is_row_major:
        return False
    groups = attributes["groups"]
    sliding = one_apart(emitter, x, windows.pairs, windows.kernel, windows.strides, windows.dilation, windows.counts)
    place = sliding.place
    entries = [c * place.strides[1] + entry for c in range(result.shape[1]) for entry in sliding.entries]
    laid_out = Sliding(place, entries, sliding.rows, sliding.columns).joined()
    steps = [place.strides[0], y.strides[0], y.strides[1], 0]
    own = (groups, result.shape[1] * place.strides[1])
    sizes = (y.shape[0], y.shape[1])
    emit_windows(emitter, "correlate_kernel", [y, place, result], laid_out, sizes, steps, result.shape[0], own)
    return True


def _windows(attributes: Any, sizes: Sequence[int], kernel: Sequence[int], counts: Sequence[int]) -> Windows | None:
    ndim = len(sizes)
    strides, dilation = (for_each_axis(name, attributes[name], ndim) for name in ("strides", "dilation"))
    return reaching_all(Windows(sizes, kernel, strides, attributes["padding"], dilation, counts))


def reaching_all(windows: Windows) -> Windows | None:
    """The windows, if there are any, and padding takes nothing away; padded so far that all lie inside."""
    if min(itertools.chain(*windows.pairs)) < 0 or 0 in (*windows.sizes, *windows.counts):
        return None
    spans = zip(
        windows.sizes, windows.kernel, windows.strides, windows.dilation, windows.counts, windows.pairs, strict=True
    )
    pairs = [
        (before, max(behind, (count - 1) * stride + (kernel - 1) * apart + 1 - size - before))
        for size, kernel, stride, apart, count, (before, behind) in spans
    ]
    return Windows(windows.sizes, windows.kernel, windows.strides, tuple(pairs), windows.dilation, windows.counts)


def _ones(emitter: Emitter, like: Place, windows: Windows) -> Place:
    shape = (like.shape[1], 1, *windows.kernel)
    return Place(MEMORY, emitter.places.constant(np.ones(shape, like.dtype)), shape, contiguous(shape), like.dtype)
