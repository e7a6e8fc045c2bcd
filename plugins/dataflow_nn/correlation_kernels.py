"""How the three products that convolutions are made of are computed into given memory: a matrix product for each few
examples, whose columns are the windows, read or added up one entry of the kernel at a time."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

ALL = slice(None)
COLUMNS = 2**20
"""The most bytes of windows that are written out at a time: they stay in a cache."""


def correlate_into(out, x, W, groups, windows):
    """Steps for ``correlate``, whose columns are the windows."""
    steps = []
    rows = _prepared(W, out.dtype, steps).reshape(groups, W.shape[0] // groups, math.prod(W.shape[1:]))
    results = _grouped(out, groups)
    if windows.is_trivial and x.dtype == out.dtype and x.flags.c_contiguous:
        return [*steps, partial(np.matmul, rows, _grouped(x, groups), results)]
    columns = _columns(x.shape, windows, out.dtype)
    products = columns.reshape(len(columns), groups, rows.shape[2], results.shape[3])
    for start, end in _portions(x.shape[0], len(columns)):
        steps += [
            partial(np.copyto, columns[(slice(end - start), ALL, entry, *inside)], x[(slice(start, end), ALL, *at)])
            for entry, inside, at in windows.places
        ]
        steps.append(partial(np.matmul, rows, products[: end - start], results[start:end]))
    return steps


def correlate_transpose_into(out, y, W, groups, windows):
    """Steps for ``correlate_transpose``, whose columns are added up where their windows lie."""
    steps = []
    rows = _prepared(W, out.dtype, steps).reshape(groups, W.shape[0] // groups, math.prod(W.shape[1:])).swapaxes(1, 2)
    given = _grouped(_prepared(y, out.dtype, steps), groups)
    if windows.in_rows and out.dtype.kind == "f":
        return [*steps, *_add_in_rows(out, rows, given.reshape(y.shape), windows)]
    columns = _columns(out.shape, windows, out.dtype)
    products = columns.reshape(len(columns), groups, rows.shape[1], given.shape[3])
    steps.append(partial(np.ndarray.fill, out, 0))
    for start, end in _portions(y.shape[0], len(columns)):
        steps.append(partial(np.matmul, rows, given[start:end], products[: end - start]))
        for entry, inside, at in windows.places:
            target = out[(slice(start, end), ALL, *at)]
            steps.append(partial(np.add, target, columns[(slice(end - start), ALL, entry, *inside)], target))
    return steps


def _add_in_rows(out, rows, y, windows):
    """correlate_transpose where each step is 1. y gets zeros behind each axis, so that its places lie in memory as
    those of the padded result do: an entry of the kernel moves them all by one distance, and one addition of long rows
    adds what it gives."""
    groups, channels = len(rows), out.shape[1]
    full = tuple(size + sum(pair) for size, pair in zip(windows.sizes, windows.pairs, strict=True))
    pitches = [math.prod(full[axis + 1 :]) for axis in range(len(full))]
    length = 1 + sum((count - 1) * pitch for count, pitch in zip(windows.counts, pitches, strict=True))
    entries = math.prod(windows.kernel)
    portion = _portion(len(y), channels * entries * length * out.itemsize)
    spread = np.zeros((portion, y.shape[1], *full), out.dtype)
    total = np.empty((portion, channels, *full), out.dtype)
    products = np.empty((portion, channels, entries, length), out.dtype)
    right = _grouped(spread, groups)[..., :length]
    sums = total.reshape(portion, channels, math.prod(full))
    corner = tuple(slice(0, count) for count in windows.counts)
    middle = tuple(slice(pair[0], pair[0] + size) for size, pair in zip(windows.sizes, windows.pairs, strict=True))
    behind = np.ones(full, bool)
    behind[corner] = False
    behind = behind.reshape(-1)[:length]
    distances = [
        sum(entry * apart * pitch for entry, apart, pitch in zip(place, windows.dilation, pitches, strict=True))
        for place in np.ndindex(windows.kernel)
    ]
    steps = []
    for start, end in _portions(len(y), portion):
        own = slice(end - start)
        steps += [
            partial(np.copyto, spread[(own, ALL, *corner)], y[start:end]),
            partial(np.matmul, rows, right[own], products.reshape(portion, groups, rows.shape[1], length)[own]),
            partial(_clear_if_infinite, rows, products, behind),
            partial(np.ndarray.fill, total, 0),
        ]
        for entry, distance in enumerate(distances):
            target = sums[own, :, distance : distance + length]
            steps.append(partial(np.add, target, products[own, :, entry], target))
        steps.append(partial(np.copyto, out[start:end], total[(own, ALL, *middle)]))
    return steps


def _clear_if_infinite(rows, products, behind):
    """The products of what stands behind are 0, but NaN where a weight is infinite."""
    if not np.isfinite(rows).all():
        products[..., behind] = 0


def correlate_kernel_into(out, x, y, groups, windows):
    """Steps for ``correlate_kernel``, whose columns are rows over several examples."""
    results = out.reshape(groups, out.shape[0] // groups, math.prod(out.shape[1:]))
    columns = _columns(x.shape, windows, out.dtype)
    portion = len(columns)
    product = np.empty_like(results) if x.shape[0] > portion else None
    steps = [] if x.shape[0] else [partial(np.ndarray.fill, out, 0)]
    for start, end in _portions(x.shape[0], portion):
        # an entry of the kernel is a row over all examples of the portion, so that one product adds them up
        count = end - start
        rows = columns if count == portion else _columns((count, *x.shape[1:]), windows, out.dtype)
        rows = rows.reshape(x.shape[1], math.prod(windows.kernel), count, *windows.counts)
        steps += [
            partial(np.copyto, rows[(ALL, entry, ALL, *inside)], x[(slice(start, end), ALL, *at)].swapaxes(0, 1))
            for entry, inside, at in windows.places
        ]
        given = np.empty((y.shape[1], count, *windows.counts), out.dtype)
        steps.append(partial(np.copyto, given, y[start:end].swapaxes(0, 1)))
        length = count * math.prod(windows.counts)
        left = given.reshape(groups, results.shape[1], length)
        right = rows.reshape(groups, results.shape[2], length).swapaxes(1, 2)
        steps.append(partial(np.matmul, left, right, results if start == 0 else product))
        if start:
            steps.append(partial(np.add, results, product, results))
    return steps


def _grouped(array, groups):
    """(N, channels, spatial...) as (N, groups, channels of a group, places)."""
    return array.reshape(array.shape[0], groups, array.shape[1] // groups, math.prod(array.shape[2:]))


def _prepared(array, dtype, steps):
    """The array in row-major order and of that dtype: itself, or memory that a step copies it to."""
    if array.flags.c_contiguous and array.dtype == dtype:
        return array
    copy = np.empty(array.shape, dtype)
    steps.append(partial(np.copyto, copy, array))
    return copy


def _columns(shape, windows, dtype):
    """Zeros for the windows of as many examples as go into a cache: (examples, channels, kernel, *windows)."""
    entries = shape[1] * math.prod(windows.kernel) * math.prod(windows.counts)
    return np.zeros(
        (_portion(shape[0], entries * dtype.itemsize), shape[1], math.prod(windows.kernel), *windows.counts), dtype
    )


def _portion(count, size):
    """How many examples, whose columns have that many bytes, go into a cache."""
    return max(1, min(count, COLUMNS // max(1, size)))


def _portions(count, portion):
    return [(start, min(start + portion, count)) for start in range(0, count, portion)]
