"""Padding: entries around an array, or with negative numbers, fewer of its own."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataflow import (
    Cost,
    OpError,
    ShapeError,
    element_count,
    format_shape,
    normalize_axes,
    normalize_axis,
    primitive,
    sample,
)
from dataflow.errors import counted
from dataflow.shapes import Shape

Mode = Literal["constant", "reflect", "edge", "wrap"]
Pads = int | tuple[int | tuple[int, ...], ...]


@primitive
def pad(
    x, *, padding: Pads, axes: tuple[int, ...] | None = None, mode: Mode = "constant", value: int | float | bool = 0
):
    """x with entries in front of and behind each of the given axes, or of all: padding is a number, or for each axis a
    number or a pair. A negative one takes entries away. mode says what stands there: "constant", the value; "reflect",
    x mirrored at its first and last entry, which are not repeated; "edge", that entry; "wrap", x from its other end."""
    x = np.asarray(x)
    pad.shape_rule(x, padding=padding, axes=axes, mode=mode, value=value)
    for axis, (before, behind) in pairs_by_axis(padding, axes, x.ndim):
        x = _padded(x, axis, sources_along(x.shape[axis], before, behind, mode), value)
    return x


@pad.shape
def _(x, *, padding, axes, mode):
    shape = list(x.shape)
    for axis, (before, behind) in pairs_by_axis(padding, axes, x.ndim):
        size = shape[axis]
        shape[axis] = size + (before + behind)
        if isinstance(shape[axis], int) and shape[axis] < 0:
            raise ShapeError(f"axis {axis} of size {size} does not have {-before - behind} entries to take away")
        if size == 0 and mode != "constant" and before + behind > 0:
            raise ShapeError(f'axis {axis} has no entries to pad with; mode="{mode}" takes them from x')
    return tuple(shape)


@pad.vjp
def _(g, y, x, *, padding, axes, mode, value):
    if mode == "constant":
        pairs = tuple((-before, -behind) for _, (before, behind) in pairs_by_axis(padding, axes, x.ndim))
        return pad(g, padding=pairs, axes=axes)
    return pad_transpose(g, size=x.shape, padding=padding, axes=axes, mode=mode)


@pad.batch
def _(batched, x, *, padding, axes, mode, value):
    return pad(x, padding=padding, axes=_shifted(axes, x.ndim - 1), mode=mode, value=value)


@pad.cost
def _(y, x):
    return Cost()


@pad.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), padding=((1, 0), (-1, 2)), value=0.5)
    yield sample(rng.normal(size=(2, 3)), padding=((1, 3),), axes=(-1,), mode="reflect")
    yield sample(rng.normal(size=(2, 3)), padding=1, mode="edge")
    yield sample(rng.normal(size=(2, 3)), padding=(0, (-1, 2)), mode="wrap")


@primitive
def pad_transpose(g, *, size: Shape, padding: Pads, mode: Mode, axes: tuple[int, ...] | None = None):
    """The cotangent of pad's x, of the given size, for the cotangent g of its result: what stands in the padding is
    added to the entry that it was taken from."""
    g = np.asarray(g)
    for axis, (before, behind) in pairs_by_axis(padding, axes, g.ndim):
        sources = sources_along(size[axis], before, behind, mode)
        moved = np.moveaxis(g, axis, 0)
        total = np.zeros((size[axis], *moved.shape[1:]), g.dtype)
        first, end = _own(size[axis], before, behind)
        total[first - before : end - before] = moved[first:end]
        for place in (*range(first), *range(end, len(sources))):
            if sources[place] >= 0:
                total[sources[place]] += moved[place]
        g = np.moveaxis(total, 0, axis)
    return g


@pad_transpose.shape
def _(g, *, size, padding, axes, mode):
    expected = list(size)
    if len(size) != g.ndim or -1 in size:
        raise ShapeError(f"g of {format_shape(g.shape)} is no padded array of {format_shape(size)}")
    for axis, (before, behind) in pairs_by_axis(padding, axes, g.ndim):
        expected[axis] = expected[axis] + (before + behind)
    if tuple(expected) != g.shape:
        raise ShapeError(
            f"an array of {format_shape(size)} is padded to {format_shape(expected)}, not {format_shape(g.shape)}"
        )
    return size


@pad_transpose.vjp
def _(t, y, g, *, size, **given):
    return pad(t, **given)


@pad_transpose.batch
def _(batched, g, *, size, axes, **given):
    return pad_transpose(g, size=(g.shape[0], *size), axes=_shifted(axes, g.ndim - 1), **given)


@pad_transpose.cost
def _(y, g, *, size, padding, axes, mode):
    shape, additions = list(g.shape), 0
    for axis, (before, behind) in pairs_by_axis(padding, axes, g.ndim):
        shape[axis] = size[axis]
        first, end = _own(size[axis], before, behind)
        added = size[axis] + before + behind - (end - first)
        additions += added * element_count([*shape[:axis], *shape[axis + 1 :]])
    return Cost(additions=additions if mode != "constant" else 0)


@pad_transpose.samples
def _(rng):
    yield sample(rng.normal(size=(2, 6)), size=(2, 3), padding=((1, 2),), axes=(1,), mode="reflect")
    yield sample(rng.normal(size=(4, 4)), size=(2, 3), padding=((1, 1), (-1, 2)), mode="edge")


def pairs_by_axis(padding, axes, ndim):
    """The axes, and what is padded in front of each and behind."""
    along = tuple(range(ndim)) if axes is None else tuple(normalize_axis(axis, ndim) for axis in axes)
    normalize_axes(along, ndim)
    each = (padding,) * len(along) if isinstance(padding, int) else padding
    pairs = [(pair, pair) if isinstance(pair, int) else pair for pair in each]
    if len(pairs) != len(along) or any(len(pair) != 2 for pair in pairs):
        raise OpError(
            f"padding is {padding} for {counted(len(along), 'axis')}; give one number, or for each axis a "
            f"number or a pair"
        )
    return list(zip(along, pairs, strict=True))


def _shifted(axes, ndim):
    return tuple(normalize_axis(axis, ndim) + 1 for axis in (range(ndim) if axes is None else axes))


def sources_along(size, before, behind, mode):
    """For each entry of the result along an axis, where in x it comes from, or −1."""
    places = np.arange(-before, size + behind)
    if mode == "constant":
        return np.where((places >= 0) & (places < size), places, -1)
    if mode == "edge":
        return np.clip(places, 0, size - 1)
    if mode == "wrap":
        return places % size if size else places
    folded = places % (2 * (size - 1)) if size > 1 else places * 0
    return np.minimum(folded, 2 * (size - 1) - folded)


def _own(size, before, behind):
    """Where in the result the entries stand that are not padding: from, to."""
    length = size + before + behind
    first = min(max(before, 0), length)
    return first, min(max(before + size, first), length)


def _padded(x, axis, sources, value):
    if -1 not in sources:
        return np.take(x, sources, axis)
    moved = np.moveaxis(x, axis, 0)
    result = np.full((len(sources), *moved.shape[1:]), value, x.dtype)
    known = np.flatnonzero(sources >= 0)
    if len(known):
        result[known[0] : known[-1] + 1] = moved[sources[known[0]] : sources[known[-1]] + 1]
    return np.moveaxis(result, 0, axis)
