"""Interpolation along one axis, and its transpose: each entry of the result is a sum of a few entries, with weights
that follow from the sizes alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache, partial
from operator import setitem
from typing import Literal, TypeAlias

import numpy as np

from dataflow import DTYPES, Cost, ShapeError, TensorSpec, element_count, normalize_axis, primitive, sample
from dataflow.shapes import Shape

Mode: TypeAlias = Literal["nearest", "linear", "cubic"]
Coordinates: TypeAlias = Literal[
    "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric", "crop_and_resize"
]
Rounding: TypeAlias = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
Terms: TypeAlias = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
"""Summands: for which entries of the result, from which entries of x, and with which weights. The first has one for
each entry that has any."""


@primitive
def resample(
    x,
    *,
    axis: int,
    size: Shape,
    scale: float,
    mode: Mode = "nearest",
    coordinates: Coordinates = "half_pixel",
    rounding: Rounding = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    region: tuple[float, ...] = (0.0, 1.0),
    outside: float = 0.0,
):
    """x interpolated along one axis, to the size of that axis, a list of one number; attributes as in resize."""
    grid = scale, mode, coordinates, rounding, cubic, exclude_outside, antialias, region
    return _computed(x, axis, size, mode, *_terms(np.shape(x)[axis], size[0], *grid), outside)


@resample.into
def _(out, x, *, axis, size, outside, **grid):
    return _steps(out, x, axis, *_terms(x.shape[axis], size[0], **grid), outside)


@resample.vjp
def _(g, y, x, *, axis, size, outside, **grid):
    return resample_transpose(g, axis=axis, size=(x.shape[normalize_axis(axis, x.ndim)],), **grid)


@resample.cost
def _(y, x, *, axis, size, outside, **grid):
    terms, _ = _terms(x.shape[axis], size[0], **grid)
    return _cost(terms, element_count(x.shape) // x.shape[axis])


@resample.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), axis=1, size=(5,), scale=5 / 3, mode="linear")
    yield sample(rng.normal(size=(4, 2)), axis=-2, size=(2,), scale=0.5, mode="cubic", antialias=True)
    given = {"coordinates": "crop_and_resize", "region": (-0.5, 1.2), "outside": 0.5}
    yield sample(rng.normal(size=(1, 3)), axis=1, size=(4,), scale=1.0, **given)


@primitive
def resample_transpose(
    g,
    *,
    axis: int,
    size: Shape,
    scale: float,
    mode: Mode = "nearest",
    coordinates: Coordinates = "half_pixel",
    rounding: Rounding = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    region: tuple[float, ...] = (0.0, 1.0),
):
    """The cotangent of resample's x for the cotangent g of its result; size is that of x along the axis."""
    grid = scale, mode, coordinates, rounding, cubic, exclude_outside, antialias, region
    return _computed(g, axis, size, mode, _transposed_terms(size[0], np.shape(g)[axis], *grid))


@resample_transpose.into
def _(out, g, *, axis, size, **grid):
    return _steps(out, g, axis, _transposed_terms(size[0], g.shape[axis], **grid))


@resample_transpose.vjp
def _(t, y, g, *, axis, size, **grid):
    return resample(t, axis=axis, size=(g.shape[normalize_axis(axis, g.ndim)],), **grid)


@resample_transpose.cost
def _(y, g, *, axis, size, **grid):
    return _cost(_transposed_terms(size[0], g.shape[axis], **grid), element_count(y.shape) // y.shape[axis])


@resample_transpose.samples
def _(rng):
    yield sample(rng.normal(size=(2, 5)), axis=1, size=(3,), scale=5 / 3, mode="linear")
    yield sample(rng.normal(size=(2, 2)), axis=-2, size=(4,), scale=0.5)


def _declare_rules(resampling, transposed):
    @resampling.shape
    def _(x, *, axis, size, mode):
        along = normalize_axis(axis, x.ndim)
        if len(size) != 1 or size[0] == -1:
            raise ShapeError(f"size is a list of one number, the size of the axis, not {list(size)}")
        own, others = (size[0], x.shape[along]) if transposed else (x.shape[along], size[0])
        if own == 0 and others != 0:
            raise ShapeError(f"axis {axis} has no entries to resize")
        return TensorSpec((*x.shape[:along], size[0], *x.shape[along + 1 :]), _dtype_of(x, mode))

    @resampling.batch
    def _(batched, x, *, axis, **attributes):
        return resampling(x, axis=normalize_axis(axis, x.ndim - 1) + 1, **attributes)


_declare_rules(resample, transposed=False)
_declare_rules(resample_transpose, transposed=True)


def _dtype_of(x, mode):
    return x.dtype if x.dtype.kind == "f" or (mode == "nearest" and x.dtype.kind != "b") else DTYPES["float64"]


def _computed(x, axis, size, mode, terms, beyond=None, outside=0.0):
    x = np.asarray(x)
    along = normalize_axis(axis, x.ndim)
    dtype = x.dtype if x.dtype == object else _dtype_of(x, mode)
    out = np.empty((*x.shape[:along], size[0], *x.shape[along + 1 :]), dtype)
    for step in _steps(out, x, axis, terms, beyond, outside):
        step()
    return out


def _steps(out, x, axis, terms, beyond=None, outside=0.0):
    """Steps that add up the terms along an axis; what lies beyond x is ``outside``."""
    target, entries = np.moveaxis(out, axis, 0), np.moveaxis(x, axis, 0)
    steps = [partial(np.ndarray.fill, out, 0)]
    for number, (places, sources, weights) in enumerate(terms):
        factors = None
        if np.any(weights != 1):
            factors = weights.astype(out.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        steps.append(partial(_add, target, places, entries, sources, factors, number == 0))
    if beyond is not None and beyond.any():
        steps.append(partial(setitem, target, beyond, outside))
    return steps


def _add(target, places, entries, sources, factors, is_first):
    taken = entries[sources] if factors is None else entries[sources] * factors
    target[places] = taken if is_first else target[places] + taken


def _cost(terms, others):
    products = sum(len(places) for places, _, weights in terms if np.any(weights != 1))
    return Cost(multiplications=products * others, additions=sum(len(places) for places, _, _ in terms[1:]) * others)


# ------------------------------------------------------------------------------------------------ weights


@lru_cache(maxsize=256)
def _terms(size, length, scale, mode, coordinates, rounding, cubic, exclude_outside, antialias, region):
    """The terms of each entry of the result, and which lie beyond x and are no sums, if there may be such."""
    at = _places(np.arange(length), size, length, scale, coordinates, region)
    indices, weights = _window(at, size, scale, mode, rounding, cubic, exclude_outside, antialias)
    beyond = None
    if coordinates == "crop_and_resize":
        beyond = (at < 0) | (at > size - 1)
        weights = np.where(beyond, 0, weights)
    rows = np.broadcast_to(np.arange(length), indices.shape)
    used = weights != 0
    return tuple(_in_rounds(rows[used], indices[used], weights[used])), beyond


@lru_cache(maxsize=256)
def _transposed_terms(size, length, *grid, **named):
    terms, _ = _terms(size, length, *grid, **named)
    rows, sources, weights = (np.concatenate(part) for part in zip(*terms, strict=True)) if terms else ([], [], [])
    return tuple(_in_rounds(np.asarray(sources, int), np.asarray(rows, int), np.asarray(weights)))


def _in_rounds(rows: np.ndarray, sources: np.ndarray, weights: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The summands in rounds, each with one for a row at most."""
    order = np.argsort(rows, kind="stable")
    rows, sources, weights = rows[order], sources[order], weights[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    for number in range(int(rank.max(initial=-1)) + 1):
        chosen = rank == number
        yield rows[chosen], sources[chosen], weights[chosen]


def _places(entries, size, length, scale, coordinates, region):
    """Where each entry lies in x, whose own entries lie at 0 to size − 1."""
    # by its scale the result has so many entries; where that is no whole number, ONNX takes it as it is
    span = size * scale if math.floor(size * scale) == length else float(length)
    match coordinates:
        case "align_corners":
            return entries * ((size - 1) / (span - 1)) if span != 1 else entries * 0.0
        case "asymmetric":
            return entries / scale
        case "crop_and_resize":
            start, end = region
            if length == 1:
                return entries + 0.5 * (start + end) * (size - 1)
            return start * (size - 1) + entries * ((end - start) * (size - 1) / (length - 1))
        case "pytorch_half_pixel" if length == 1:
            return entries * 0.0
        case "half_pixel_symmetric":
            return size / 2 * (1 - length / span) + (entries + 0.5) / scale - 0.5
    return (entries + 0.5) / scale - 0.5


def _window(at, size, scale, mode, rounding, cubic, exclude_outside, antialias):
    """For each place the indices of the entries around it, and their weights: one row for each of the window's."""
    if mode == "nearest":
        rounded = {
            "round_prefer_floor": lambda: np.ceil(at - 0.5),
            "round_prefer_ceil": lambda: np.floor(at + 0.5),
            "floor": lambda: np.floor(at),
            "ceil": lambda: np.ceil(at),
        }[rounding]()
        return np.clip(rounded.astype(int), 0, size - 1)[None], np.ones((1, len(at)))
    narrow = min(scale, 1.0) if antialias else 1.0
    reach = 1 if mode == "linear" else 2
    first = math.floor(-reach / narrow) + 1
    start = np.floor(at)
    offsets = np.arange(first, 2 - first)[:, None] if antialias else np.arange(1 - reach, reach + 1)[:, None]
    distance = np.abs(narrow * (offsets - (at - start)))
    weights = np.maximum(1 - distance, 0) if mode == "linear" else _keys(distance, cubic)
    indices = start.astype(int) + offsets
    if exclude_outside:
        weights = np.where((indices >= 0) & (indices < size), weights, 0)
    if exclude_outside or antialias:
        weights = weights / weights.sum(axis=0)
    return np.clip(indices, 0, size - 1), weights


def _keys(distance, a):
    """The cubic convolution kernel of Keys (1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
