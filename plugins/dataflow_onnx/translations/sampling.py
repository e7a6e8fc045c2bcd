"""Ops that take entries between others, or put windows and maxima back to where they came from."""

from __future__ import annotations

import itertools
import math
from functools import reduce
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.shapes import is_static
from dataflow_onnx.call import Call, DeclinedError, translates

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@translates("GridSample", until=28)
def _grid_sample(call: Call) -> Any:
    """Along each axis the places that count and their weights; of all combinations of these the weighted sum."""
    x, grid = call.value(0), call.value(1)
    sizes = x.shape[2:]
    if not is_static(sizes) or 0 in sizes:
        raise FileFormatError("GridSample needs spatial sizes that are numbers")
    mode, outside = call.attribute("mode", "linear"), call.attribute("padding_mode", "zeros")
    corners, count = bool(call.attribute("align_corners", 0)), len(sizes)
    flat = ops.reshape(x, shape=(*x.shape[:2], math.prod(sizes)))
    taps = []
    for axis, size in enumerate(sizes):
        place = _place(ops.index(grid, key=f"..., {count - 1 - axis}"), size, corners, outside, bounded=mode != "cubic")
        taps.append(_taps(place, _MODES.get(mode, mode)))
    terms = []
    for chosen in itertools.product(*taps):
        kept, weights, number = [], [], None
        for (place, weight), size in zip(chosen, sizes, strict=True):
            if outside == "zeros":
                kept.append(ops.logical_and(place >= 0, place <= size - 1))
            elif outside == "reflection":
                place = _reflected(place, size, corners)
            whole = ops.cast(ops.clip(place, 0, size - 1), dtype="int64")
            number = whole if number is None else number * size + whole
            weights += [] if weight is None else [weight]
        picked = _picked(flat, number, x, grid)
        factor = reduce(ops.multiply, weights) if weights else None
        if kept:
            counts = reduce(ops.logical_and, kept)
            factor = ops.where(counts, 1.0 if factor is None else factor, 0.0)
        if factor is not None:
            picked = picked * ops.expand_dims(ops.cast(factor, dtype=x.dtype.name), axis=1)
        terms.append(picked)
    return reduce(ops.add, terms)


def _picked(flat: Any, number: Any, x: Any, grid: Any) -> Any:
    """The entries of every channel at these places."""
    spread = ops.expand(ops.reshape(number, shape=(number.shape[0], 1, -1)), shape=(1, x.shape[1], 1))
    return ops.reshape(ops.gather_elements(flat, spread, axis=2), shape=(*x.shape[:2], *grid.shape[1:-1]))


def _place(coordinate: Any, size: int, corners: bool, outside: str, bounded: bool) -> Any:
    """Where a coordinate from -1 to 1 lies along an axis, counted in entries."""
    place = (coordinate + 1.0) * ((size - 1) / 2) if corners else ((coordinate + 1.0) * float(size) - 1.0) / 2.0
    if not bounded or outside == "zeros":
        return place
    return ops.clip(place, 0.0, float(size - 1)) if outside == "border" else _reflected(place, size, corners)


def _reflected(place: Any, size: int, corners: bool) -> Any:
    """A place beyond the ends, mirrored there until it lies within."""
    low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
    length = high - low
    if length == 0:
        return place * 0.0
    rest = ops.mod(place - low, 2 * length)
    return ops.where(rest > length, 2 * length - rest, rest) + low


def _taps(place: Any, mode: str) -> list[tuple[Any, Any]]:
    """The whole places that count, each with its weight."""
    if mode == "nearest":
        return [(ops.round(place), None)]
    first = ops.floor(place)
    t = place - first
    if mode == "linear":
        return [(first, 1.0 - t), (first + 1.0, t)]
    if mode != "cubic":
        raise FileFormatError(f"GridSample has the unknown mode '{mode}'")
    a = -0.75
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (t + 1.0, 2.0 - t)]
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1.0 - t)]
    return [(first - 1.0, far[0]), (first, near[0]), (first + 1.0, near[1]), (first + 2.0, far[1])]


@translates("Col2Im", until=28)
def _image_of_columns(call: Call) -> Any:
    """Each column is a window, which is put back by a kernel that has 1 at one place."""
    x = call.value(0)
    size, block = call.numbers(1, "the size of the image"), call.numbers(2, "the size of a window")
    count, length = len(size), math.prod(block)
    strides, dilation = call.attribute("strides", (1,) * count), call.attribute("dilations", (1,) * count)
    pads = call.attribute("pads", (0,) * (2 * count))
    pairs = tuple(zip(pads[:count], pads[count:], strict=True))
    each = zip(size, block, strides, dilation, pairs, strict=True)
    counts = [(n + sum(pair) - d * (k - 1) - 1) // step + 1 for n, k, step, d, pair in each]
    if not isinstance(x.shape[1], int) or x.shape[1] % length:
        raise FileFormatError(f"Col2Im has {x.shape[1]} rows for windows of {length} entries")
    kernel = np.tile(np.eye(length).reshape(length, 1, *block), (x.shape[1] // length, *(1 for _ in (1, *block))))
    windows = ops.reshape(x, shape=(x.shape[0], x.shape[1], *counts))
    how = {"strides": strides, "padding": pairs, "dilation": dilation, "groups": x.shape[1] // length}
    return ops.correlate_transpose(windows, call.constant(kernel, x.dtype), size=size, **how)


@translates("MaxUnpool", until=28)
def _unpool(call: Call) -> Any:
    x, places = call.value(0), call.value(1)
    kernel = call.attribute("kernel_shape")
    count = len(kernel)
    strides, pads = call.attribute("strides", (1,) * count), call.attribute("pads", (0,) * (2 * count))
    each = zip(x.shape[2:], strides, kernel, pads[:count], pads[count:], strict=True)
    shape = [(n - 1) * stride + k - before - behind for n, stride, k, before, behind in each]
    whole = (*x.shape[:2], *shape)
    if not is_static(whole):
        raise FileFormatError("MaxUnpool needs sizes that are numbers")
    flat = [ops.reshape(value, shape=(-1,)) for value in (places, x)]
    zeros = call.constant(np.zeros(math.prod(whole)), x.dtype)
    result = ops.reshape(ops.scatter_elements(zeros, *flat, axis=0), shape=whole)
    if not call.has(2):
        return result
    wanted = call.numbers(2, "the shape")
    return ops.pad(result, padding=tuple((0, new - old) for new, old in zip(wanted, whole, strict=True)))


@translates("TensorScatter", until=28)
def _tensor_scatter(call: Call) -> Any:
    """New entries along an axis, from a place on that each example has of its own."""
    past, update = call.value(0), call.value(1)
    axis = call.attribute("axis", -2)
    axis = axis + past.ndim if axis < 0 else axis
    length, most = update.shape[axis], past.shape[axis]
    if not isinstance(length, int) or not isinstance(most, int):
        raise FileFormatError("TensorScatter needs sizes that are numbers")
    along = call.constant(np.arange(length).reshape(-1, *(1 for _ in update.shape[axis + 1 :])), np.int64)
    if call.has(2):
        along = along + ops.reshape(call.value(2), shape=(-1, *(1 for _ in update.shape[1:])))
    if call.attribute("mode", "linear") == "circular":
        along = ops.mod(along, most)
    return ops.scatter_elements(past, ops.expand(along, shape=update.shape), update, axis=axis)


@translates("Det", until=28)
def _determinant(call: Call) -> Any:
    x = call.value(0)
    size = x.shape[-1]
    if not isinstance(size, int) or not 1 <= size <= 4 or x.shape[-2] != size:
        raise DeclinedError("Det of other matrices than those of one to four rows is not supported")
    return _minor(x, tuple(range(size)), tuple(range(size)))


def _minor(x: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
    """The determinant of some rows and columns, expanded along the first row."""
    if len(rows) == 1:
        return ops.index(x, key=f"..., {rows[0]}, {columns[0]}")
    total = None
    for i, column in enumerate(columns):
        rest = columns[:i] + columns[i + 1 :]
        term = ops.index(x, key=f"..., {rows[0]}, {column}") * _minor(x, rows[1:], rest)
        total = term if total is None else total - term if i % 2 else total + term
    return total
