"""Ops that look into an image at places that are computed: regions of interest, and kernels whose places are moved."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.shapes import is_static
from dataflow_onnx.call import Call, DeclinedError, translates


def _corners(flat: Any, places: Any, sizes: Any, *, clamped: bool) -> list[Any]:
    """The entries at the four corners around places, each times its weight. ``flat`` is (N, C, H · W), each place of
    (N, P). What lies outside is 0; or, ``clamped``, the edge stands for what is at most one entry beyond it."""
    lows, shares, insides = [], [], []
    for place, size in zip(places, sizes, strict=True):
        insides.append(ops.logical_and(place >= -1.0, place <= float(size)))
        if clamped:
            place = ops.clip(place, 0.0, float(size - 1))
        low = ops.floor(place)
        lows.append(low)
        shares.append(place - low)
    corners = []
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        number, weight = None, None
        kept = list(insides) if clamped else []
        for low, share, size, step in zip(lows, shares, sizes, (dy, dx), strict=True):
            at = low + float(step)
            if not clamped:
                kept.append(ops.logical_and(at >= 0.0, at <= float(size - 1)))
            whole = ops.cast(ops.clip(at, 0.0, float(size - 1)), dtype="int64")
            number = whole if number is None else number * size + whole
            part = share if step else 1.0 - share
            weight = part if weight is None else weight * part
        weight = ops.where(reduce(ops.logical_and, kept), weight, 0.0)
        spread = ops.expand(ops.expand_dims(number, axis=1), shape=(1, flat.shape[1], 1))
        corners.append(ops.gather_elements(flat, spread, axis=2) * ops.expand_dims(weight, axis=1))
    return corners


def _image(x: Any, op: str) -> tuple[int, int]:
    if x.ndim != 4 or not is_static(x.shape[1:]):
        raise FileFormatError(f"{op} needs images whose channels and sizes are numbers")
    return int(x.shape[2]), int(x.shape[3])


@translates("RoiAlign", since=10, until=28)
def _roi_align(call: Call) -> Any:
    """Places on a grid in each region, four entries around each, and their mean, or the largest of the weighted."""
    x, regions = call.value(0), call.value(1)
    sizes, ratio = _image(x, "RoiAlign"), call.attribute("sampling_ratio", 0)
    if not 1 <= ratio <= 64:
        raise DeclinedError("RoiAlign whose number of places depends on the regions is not supported")
    shape = call.attribute("output_height", 1), call.attribute("output_width", 1)
    usual = "half_pixel" if call.version >= 16 else "output_half_pixel"
    half = call.attribute("coordinate_transformation_mode", usual) == "half_pixel"
    scaled = regions * call.attribute("spatial_scale", 1.0) - (0.5 if half else 0.0)
    lines = []
    for axis, count in ((1, shape[0]), (0, shape[1])):
        start, end = (ops.index(scaled, key=f":, {i}:{i + 1}") for i in (axis, axis + 2))
        length = end - start if half else ops.maximum(end - start, 1.0)
        steps = (np.arange(count * ratio) + 0.5) / (count * ratio)
        lines.append(start + length * call.constant(steps, x.dtype))
    rows, columns = (line.shape[1] for line in lines)
    places = [
        ops.reshape(ops.expand(ops.expand_dims(line, axis=axis), shape=(1, rows, columns)), shape=(-1, rows * columns))
        for line, axis in zip(lines, (2, 1), strict=True)
    ]
    flat = ops.reshape(ops.gather(x, call.value(2), axis=0), shape=(-1, x.shape[1], math.prod(sizes)))
    corners = _corners(flat, places, sizes, clamped=True)
    largest = call.attribute("mode", "avg") == "max"
    each = reduce(ops.maximum if largest else ops.add, corners)
    grid = ops.reshape(each, shape=(-1, x.shape[1], shape[0], ratio, shape[1], ratio))
    return (ops.max if largest else ops.mean)(grid, axis=(3, 5))


@translates("DeformConv", since=19, until=28)
def _deformed_convolution(call: Call) -> Any:
    """A convolution each of whose entries is taken from a place that is moved by an offset of its own."""
    x, W, offset, bias, mask = call.value(0), call.value(1), call.value(2), call.optional(3), call.optional(4)
    sizes, kernel = _image(x, "DeformConv"), tuple(W.shape[2:])
    parts, groups = call.attribute("offset_group", 1), call.attribute("group", 1)
    strides, dilation = call.attribute("strides", (1, 1)), call.attribute("dilations", (1, 1))
    pads, results = call.attribute("pads", (0, 0, 0, 0)), tuple(offset.shape[2:])
    count, channels, total = math.prod(kernel), x.shape[1], math.prod(results)
    grids = np.indices((*kernel, *results), dtype=np.float64)
    moves = ops.reshape(offset, shape=(-1, parts, count, 2, total))
    kept = None if mask is None else ops.reshape(mask, shape=(-1, parts, 1, count * total))
    pieces = []
    for part in range(parts):
        places = []
        for axis in range(2):
            own = grids[2 + axis] * strides[axis] + grids[axis] * dilation[axis] - pads[axis]
            move = ops.reshape(ops.index(moves, key=f":, {part}, :, {axis}"), shape=(-1, count * total))
            places.append(move + call.constant(own.reshape(-1), x.dtype))
        first, last = part * channels // parts, (part + 1) * channels // parts
        flat = ops.reshape(ops.index(x, key=f":, {first}:{last}"), shape=(-1, last - first, math.prod(sizes)))
        entries = reduce(ops.add, _corners(flat, places, sizes, clamped=False))
        pieces.append(entries if kept is None else entries * ops.index(kept, key=f":, {part}"))
    columns = ops.reshape(ops.concatenate(*pieces, axis=1), shape=(-1, groups, channels // groups * count, total))
    weights = ops.reshape(W, shape=(groups, W.shape[0] // groups, channels // groups * count))
    product = ops.reshape(weights @ columns, shape=(-1, W.shape[0], *results))
    return product if bias is None else product + ops.reshape(bias, shape=(-1, 1, 1))
