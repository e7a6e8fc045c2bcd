"""Pooling over the spatial axes of (N, C, spatial...): the mean of each window, its norm, and all in one window."""

from __future__ import annotations

import numpy as np

from dataflow import op, sample
from dataflow.operations.engine_ops import abs_, masked
from dataflow_nn.window_sums import window_size, window_spread, window_sum
from dataflow_nn.windows import Padding, PerAxis, check_channels
from dataflow_ops.reductions import max_, mean


@op
def average_pool(
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
):
    """The mean of each window over the spatial axes of x, (N, C, spatial...). kernel is the window's size, one number
    or one for each axis; strides are as large unless they are given. padding is as in conv, and counts as zeros with
    count_include_pad, else not at all. With ceil_mode a last window may reach over the end; what lies behind the
    padding never counts."""
    window = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    return window_sum(x, **window) / window_size(x, **window, count_include_pad=count_include_pad)


@average_pool.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 5)), kernel=3, strides=2, padding=1)
    yield sample(
        rng.normal(size=(1, 2, 3, 4)), kernel=2, padding=((0, 1), (1, 0)), ceil_mode=True, count_include_pad=True
    )


@op
def lp_pool(
    x,
    *,
    kernel: PerAxis,
    p: float = 2.0,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """The p-norm of each window, (Σ |x|^p)^(1/p), over the spatial axes of x, (N, C, spatial...); windows as in
    average_pool. Where all of a window is 0, its derivatives are taken as 0."""
    window = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    return window_sum(abs_(x) ** p, **window) ** (1 / p)


@lp_pool.vjp
def _(g, y, x, *, p, **attributes):
    # |y| + 1 where y is 0, so that no quotient is NaN there
    share = masked(g * (y + (y == 0)) ** (1 - p), y != 0, y)
    size = abs_(x) + (x == 0)
    slope = masked(size ** (p - 1), x > 0, x) - masked(size ** (p - 1), x < 0, x)
    return slope * window_spread(share, size=x.shape[2:], **attributes)


@lp_pool.kink("where all of a window is 0, the derivatives are taken as 0; with p = 1, those of each entry that is 0")
def _(x, *, p, **attributes):
    empty = window_sum(1.0 * (np.asarray(x) != 0), **attributes) == 0
    return empty | (window_sum(1.0 * (np.asarray(x) == 0), **attributes) > 0) if p == 1 else empty


@lp_pool.samples
def _(rng):
    yield sample(rng.uniform(0.2, 2, size=(2, 1, 4)) * rng.choice([-1, 1], size=(2, 1, 4)), kernel=2, strides=1)
    yield sample(rng.uniform(0.2, 2, size=(1, 2, 2, 3)), kernel=2, p=3.0, padding=((0, 0), (1, 0)))


@op
def global_average_pool(x):
    """The mean over all spatial axes of x, (N, C, spatial...), which keep the size 1."""
    check_channels("global_average_pool", x.shape)
    return mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@global_average_pool.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 3, 2)))


@op
def global_max_pool(x):
    """The largest entry over all spatial axes of x, (N, C, spatial...), which keep the size 1. Where several are
    largest they share the gradient equally."""
    check_channels("global_max_pool", x.shape)
    return max_(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@global_max_pool.kink("where several entries are largest they share the gradient equally")
def _(x):
    x = np.asarray(x)
    axes = tuple(range(2, x.ndim))
    return (x == x.max(axis=axes, keepdims=True)).sum(axis=axes, keepdims=True) > 1


@global_max_pool.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 3, 2)))
