"""Attention and rotary positions, composites of matrix products and softmax."""

from __future__ import annotations

import math

import numpy as np

from dataflow import DtypeError, ShapeError, format_shape, op, sample
from dataflow.operations.engine_ops import broadcast_to, cast, expand_dims, index, reshape, stack, transpose, where
from dataflow_nn.activations import softmax
from dataflow_ops.arithmetic import cos, sin
from dataflow_ops.cumulative import positions
from dataflow_ops.joining import concatenate

FORBIDDEN = -1e30
"""The score of a key that a query may not see: its share is 0 beside any other."""


@op
def attention(
    q,
    k,
    v,
    mask=None,
    *,
    heads: int | None = None,
    groups: int | None = None,
    causal: bool = False,
    scale: float | None = None,
):
    """softmax(scale · q kᵀ) v (Vaswani et al., 2017). q is (..., queries, width), k (..., keys, width), v (..., keys,
    values); the result is (..., queries, values). The scale is 1/√width unless given.

    A mask broadcasts to (..., queries, keys): booleans say which keys a query may see, numbers are added to the scores.
    With ``causal`` a query sees no keys behind its own place. What sees no key at all gives 0.

    With fewer heads in k and v than in q, along the third axis from the end, each serves a group of neighbouring heads
    of q (Ainslie et al., 2023). With ``heads`` q is split along its width into heads of one width, k and v into
    ``groups``, or as many, and the results are joined along the width: so multi-head attention is
    linear(attention(linear(x, Wq), linear(x, Wk), linear(x, Wv), heads=4), Wo).
    """
    if heads is not None:
        groups = heads if groups is None else groups
        q, k, v = _split(q, heads), _split(k, groups), _split(v, groups)
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"attention takes q of (..., queries, width), k of (..., keys, width) and v of (..., keys, values), not "
            f"{format_shape(q.shape)}, {format_shape(k.shape)} and {format_shape(v.shape)}"
        )
    k, v = _repeated(k, q), _repeated(v, q)
    factor = 1 / math.sqrt(_whole(q.shape[-1], "the width of q")) if scale is None else scale
    scores = (q * factor) @ _exchanged(k, -1)
    allowed = None
    if mask is not None and mask.dtype == bool:
        allowed = mask
    elif mask is not None:
        scores = scores + mask
    if causal:
        seen = positions(scores, axis=-1) <= positions(scores, axis=-2)
        allowed = seen if allowed is None else where(seen, allowed, False)
    if allowed is None:
        result = softmax(scores) @ v
    else:
        result = where(allowed, softmax(where(allowed, scores, FORBIDDEN)), 0) @ v
    return result if heads is None else _joined(result)


def _split(x, heads):
    """(..., positions, width) as (..., heads, positions, width / heads)."""
    width = x.shape[-1] if x.ndim > 1 else 0
    if heads < 1 or not isinstance(width, int) or not width or width % heads:
        raise ShapeError(f"attention does not split {format_shape(x.shape)} into {heads} heads of one width")
    return _exchanged(reshape(x, shape=(*x.shape[:-1], heads, width // heads)), -2)


def _joined(x):
    """(..., heads, positions, width) as (..., positions, heads · width)."""
    x = _exchanged(x, -2)
    return reshape(x, shape=(*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _exchanged(x, axis):
    """x with an axis exchanged with the one before it."""
    order = list(range(x.ndim))
    order[axis], order[axis - 1] = order[axis - 1], order[axis]
    return transpose(x, axes=tuple(order))


def _repeated(x, q):
    """x with each of its heads as often as q has heads for it."""
    if x.ndim < 3 or q.ndim < 3 or x.shape[-3] in (1, q.shape[-3]):
        return x
    heads, groups = q.shape[-3], x.shape[-3]
    if not isinstance(heads, int) or not isinstance(groups, int) or groups == 0 or heads % groups:
        raise ShapeError(f"{groups} heads of k and v do not serve {heads} heads of q evenly")
    wide = broadcast_to(expand_dims(x, axis=-3), shape=(*x.shape[:-3], groups, heads // groups, *x.shape[-2:]))
    return reshape(wide, shape=(*x.shape[:-3], heads, *x.shape[-2:]))


def _whole(size, what):
    if not isinstance(size, int) or size < 1:
        raise ShapeError(f"{what} is a number above 0, not {size}")
    return size


@attention.samples
def _(rng):
    q, k, v = (rng.normal(size=shape) for shape in ((2, 2, 2), (1, 2, 2), (1, 2, 1)))
    yield sample(q, k, v, causal=True)
    yield sample(q[0], k[0, :, :1], v[0], rng.normal(size=(2, 2)), heads=2, groups=1, scale=0.5)


@op
def rotary(x, *, base: float = 10000.0, interleaved: bool = False, offset: int = 0):
    """x, (..., positions, width), with pairs of entries rotated by the angle (position + offset) / base^(2i/width), so
    that products of queries and keys depend on their distance (Su et al., 2021). Pair i is entry i of the first half
    and of the second, or, ``interleaved``, the entries 2i and 2i + 1."""
    if x.ndim < 2 or not isinstance(x.shape[-1], int) or x.shape[-1] % 2:
        raise ShapeError(f"rotary takes (..., positions, width) with an even width, not {format_shape(x.shape)}")
    if x.dtype.kind != "f":
        raise DtypeError(f"rotary takes floats, not {x.dtype}")
    width = x.shape[-1]
    speeds = cast(base ** (-np.arange(0, width, 2) / max(width, 1)), dtype=x.dtype.name)
    angles = cast(positions(x, axis=-2) + offset, dtype=x.dtype.name) * speeds
    c, s = cos(angles), sin(angles)
    first, second = ("..., 0::2", "..., 1::2") if interleaved else (f"..., :{width // 2}", f"..., {width // 2}:")
    a, b = index(x, key=first), index(x, key=second)
    rotated = a * c - b * s, b * c + a * s
    return reshape(stack(*rotated, axis=-1), shape=x.shape) if interleaved else concatenate(*rotated, axis=-1)


@rotary.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3, 2)))
    yield sample(rng.normal(size=(2, 4)), interleaved=True, offset=3)
