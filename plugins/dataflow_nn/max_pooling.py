"""Pooling by the largest entry, and two linear ops for its derivatives, each the other's transpose."""

from __future__ import annotations

import numpy as np

from dataflow import Cost, ShapeError, TensorSpec, element_count, format_shape, primitive, sample
from dataflow_nn.channels import join_first, part_first
from dataflow_nn.max_pooling_kernels import largest_comparisons, largest_into, spread_into
from dataflow_nn.pooling_windows import (
    check_numbers,
    count_visits,
    float_dtype,
    pooled_shape,
    pooling_windows,
)
from dataflow_nn.windows import Padding, PerAxis
from dataflow_ops.joining import all_batched

ALL = slice(None)


@primitive
def max_pool(
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """The largest entry of each window over the spatial axes of x, (N, C, spatial...); windows as in average_pool.
    Padding never is the largest. Where several entries of a window are largest they share the gradient equally; where
    one is NaN, the result is."""
    x = np.asarray(x)
    return _largest(x, pooling_windows(x.shape[2:], kernel, strides, padding, dilation, ceil_mode))


@max_pool.shape
def _(x, **attributes):
    return pooled_shape("max_pool", x, attributes)


@max_pool.into
def _(out, x, **attributes):
    return largest_into(out, x, pooling_windows(x.shape[2:], **attributes))


@max_pool.cost
def _(y, x, **attributes):
    return Cost(comparisons=largest_comparisons(element_count(x.shape[:2]), pooling_windows(x.shape[2:], **attributes)))


@max_pool.vjp
def _(g, y, x, **attributes):
    return max_pool_spread(g, x, **attributes)


@max_pool.kink("where several entries of a window are largest they share the gradient equally")
def _(x, **attributes):
    return _ties(np.asarray(x), attributes) > 1


@max_pool.batch
def _(batched, x, **attributes):
    return part_first(max_pool(join_first(x), **attributes), x.shape[0])


@max_pool.samples
def _(rng):
    yield sample(rng.permutation(16).reshape(2, 1, 8) / 4 - 2, kernel=3, strides=2, padding=1)
    yield sample(
        rng.permutation(24).reshape(1, 2, 3, 4) / 4 - 3, kernel=2, dilation=(1, 2), ceil_mode=True, strides=(2, 1)
    )


@primitive
def max_pool_spread(
    g,
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """The cotangent of max_pool's x for the cotangent g of its result: each window's goes to its largest entry, or in
    equal shares to its largest entries."""
    g, x = np.asarray(g), np.asarray(x)
    window = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    windows = pooling_windows(x.shape[2:], **window)
    _check_windows(g, x, window)
    out = np.empty(x.shape, g.dtype if g.dtype.kind in "fO" else np.float64)
    for step in spread_into(out, g, x, windows):
        step()
    return out


@max_pool_spread.shape
def _(g, x, **attributes):
    _check_windows(g, x, attributes)
    return TensorSpec(x.shape, float_dtype(g))


@max_pool_spread.into
def _(out, g, x, **attributes):
    return spread_into(out, g, x, pooling_windows(x.shape[2:], **attributes))


@max_pool_spread.cost
def _(result, g, x, **attributes):
    visits, windows = count_visits(x, attributes), element_count(g.shape)
    largest = max_pool.cost_rule(g, x, **attributes)
    return largest + Cost(divisions=windows, comparisons=visits + windows, additions=visits)


@max_pool_spread.vjp(wrt="g")
def _(t, y, g, x, **attributes):
    return max_pool_gather(t, x, **attributes)


@max_pool_spread.vjp(wrt="x")
def _(t, y, g, x, **attributes):
    return None


@max_pool_spread.kink("where several entries of a window are largest they share the gradient equally")
def _(g, x, **attributes):
    x = np.asarray(x)
    return max_pool_spread(1.0 * (_ties(x, attributes) > 1), x, **attributes) != 0


@primitive
def max_pool_gather(
    t,
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """The tangent of max_pool's result for the tangent t of x: what t is at each window's largest entry, or its mean
    over the largest entries. The transpose of max_pool_spread."""
    t, x = np.asarray(t), np.asarray(x)
    window = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    windows = pooling_windows(x.shape[2:], **window)
    _check_same(t, x)
    largest = _largest(x, windows)
    total = np.zeros(largest.shape, t.dtype)
    for _, inside, at in windows.places:
        part, top = total[(ALL, ALL, *inside)], largest[(ALL, ALL, *inside)]
        part[...] = np.where(~(x[(ALL, ALL, *at)] < top), part + t[(ALL, ALL, *at)], part)
    shares = np.asarray(total / _count_ties(x, largest, windows, t.dtype))
    return np.where(largest == largest, shares, largest).astype(shares.dtype)


@max_pool_gather.shape
def _(t, x, **attributes):
    _check_same(t, x)
    return TensorSpec(pooled_shape("max_pool_gather", x, attributes), float_dtype(t))


@max_pool_gather.cost
def _(result, t, x, **attributes):
    visits, windows = count_visits(x, attributes), element_count(result.shape)
    largest = max_pool.cost_rule(result, x, **attributes)
    return largest + Cost(divisions=windows, comparisons=2 * visits + windows, additions=visits)


@max_pool_gather.vjp(wrt="t")
def _(g, y, t, x, **attributes):
    return max_pool_spread(g, x, **attributes)


@max_pool_gather.vjp(wrt="x")
def _(g, y, t, x, **attributes):
    return None


@max_pool_gather.kink("where several entries of a window are largest they share the gradient equally")
def _(t, x, **attributes):
    return _ties(np.asarray(x), attributes) > 1


def _batch_of_two(op):
    @op.batch
    def _(batched, first, x, **attributes):
        both = all_batched(batched, (first, x))
        return part_first(op(*map(join_first, both), **attributes), both[0].shape[0])


_batch_of_two(max_pool_spread)
_batch_of_two(max_pool_gather)


@max_pool_spread.samples
def _(rng):
    x = rng.permutation(16).reshape(2, 1, 8) / 4 - 2
    yield sample(rng.normal(size=(2, 1, 4)), x, kernel=3, strides=2, padding=1)


@max_pool_gather.samples
def _(rng):
    x = rng.permutation(12).reshape(1, 1, 3, 4) / 4 - 2
    yield sample(rng.normal(size=(1, 1, 3, 4)), x, kernel=2, strides=1)


def _check_windows(g, x, attributes):
    shape = pooled_shape("max_pool_spread", x, attributes)
    if g.shape != shape:
        raise ShapeError(f"g of {format_shape(g.shape)} does not have the windows of x, {format_shape(shape)}")
    check_numbers("max_pool_spread", g)


def _check_same(t, x):
    if t.shape != x.shape:
        raise ShapeError(f"t and x have one shape, not {format_shape(t.shape)} and {format_shape(x.shape)}")
    check_numbers("max_pool_gather", t)


# ------------------------------------------------------------------------------------------------ kernels


def _largest(x, windows):
    out = np.empty((*x.shape[:2], *windows.counts), x.dtype)
    for step in largest_into(out, x, windows):
        step()
    return out


def _count_ties(x, largest, windows, dtype):
    ties = np.zeros(largest.shape, dtype if dtype.kind in "fO" else np.float64)
    for _, inside, at in windows.places:
        ties[(ALL, ALL, *inside)] += ~(x[(ALL, ALL, *at)] < largest[(ALL, ALL, *inside)])  # of NaN, all
    return ties


def _ties(x, attributes):
    windows = pooling_windows(x.shape[2:], **attributes)
    return _count_ties(x, _largest(x, windows), windows, np.dtype(np.float64))
