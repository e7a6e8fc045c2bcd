"""Joining along an axis, and the pieces of what was joined."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import numpy as np

from dataflow import ShapeError, TensorSpec, format_shape, normalize_axis, primitive, sample
from dataflow.operations.engine_ops import broadcast_to, index, where


@primitive(structure="selection")
def concatenate(*xs, axis: int = 0):
    """The inputs one after the other along an axis that they have."""
    return np.concatenate([np.asarray(x) for x in xs], axis=axis)


@concatenate.shape
def _(*xs, axis):
    first = xs[0].shape
    along = normalize_axis(axis, len(first))
    for x in xs[1:]:
        if x.ndim != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(first, x.shape, strict=True)) if i != along
        ):
            raise ShapeError(
                f"shapes {format_shape(first)} and {format_shape(x.shape)} differ in more than axis {along}, "
                f"along which they are joined"
            )
    total = xs[0].shape[along]
    for x in xs[1:]:
        total = total + x.shape[along]
    return (*first[:along], total, *first[along + 1 :])


@concatenate.into
def _(out, *xs, axis):
    return partial(np.concatenate, xs, axis, out)


@concatenate.vjp
def _(g, y, *xs, axis):
    along = normalize_axis(axis, g.ndim)
    return tuple(_piece(g, x, along, start) for x, start in zip(xs, _starts(xs, along), strict=True))


def _starts(xs, along):
    """Where each begins when they are joined."""
    return accumulate((x.shape[along] for x in xs[:-1]), initial=0)


def _piece(g, x, along, start):
    """What lies in ``g`` where x lies, which begins there. It reads ``g`` and three arrays at most, however many were
    joined; two of them stand for all before and behind it, where sizes are symbolic."""
    size, whole = x.shape[along], g.shape[along]
    if isinstance(start, int) and isinstance(size, int):
        return index(g, key=":, " * along + f"{start}:{start + size}")
    before, behind = (
        [g.apply_op(broadcast_to, [0.0], {"shape": (*x.shape[:along], count, *x.shape[along + 1 :])})] if count else []
        for count in (start, whole - start - size)
    )
    return part(g, *before, x, *behind, axis=along, which=len(before))


@concatenate.batch
def _(batched, *xs, axis):
    whole = all_batched(batched, xs)
    return concatenate(*whole, axis=normalize_axis(axis, whole[0].ndim - 1) + 1)


@concatenate.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=(1, 3)))
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), rng.normal(size=(2, 2)), axis=-1)
    yield sample(rng.normal(size=(2, 3)))


@primitive(structure="selection", view="always")
def part(*xs, which: int, axis: int = 0):
    """Of the first input, the piece that lies where input number ``which`` (from 0) lies when the others are joined."""
    whole, *pieces = (np.asarray(x) for x in xs)
    along = axis % whole.ndim
    start = sum(piece.shape[along] for piece in pieces[:which])
    cut = [slice(None)] * whole.ndim
    cut[along] = slice(start, start + pieces[which].shape[along])
    return whole[tuple(cut)]


@part.shape
def _(*xs, which, axis):
    whole, *pieces = xs
    if not 0 <= which < len(pieces):
        raise ShapeError(f"part {which} of {len(pieces)} is not there")
    if concatenate.infer(pieces, {"axis": axis}, {}).shape != whole.shape:
        raise ShapeError(f"{format_shape(whole.shape)} is not the shape of the parts joined along axis {axis}")
    return TensorSpec(pieces[which].shape, whole.dtype)


@part.vjp
def _(g, y, *xs, which, axis):
    pieces = [g if i == which else where(False, x, 0) for i, x in enumerate(xs[1:])]  # not 0 * x, which can be NaN
    return concatenate(*pieces, axis=axis), *(None for _ in pieces)


@part.batch
def _(batched, *xs, which, axis):
    whole = all_batched(batched, xs)
    return part(*whole, which=which, axis=normalize_axis(axis, whole[0].ndim - 1) + 1)


@part.samples
def _(rng):
    yield sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 2)), rng.normal(size=(3, 3)), axis=1, which=1)


def all_batched(batched, xs):
    """For a batch rule: what is one for all sets, repeated for each, so that all have the new first axis."""
    count = next(x.shape[0] for x, flag in zip(xs, batched, strict=True) if flag)
    return [x if flag else broadcast_to(x, shape=(count, *x.shape)) for x, flag in zip(xs, batched, strict=True)]
