"""Sums over windows and their transpose, which pooling by means and norms is made of. Each kernel goes over the
windows' entries one by one, for all windows at once."""

from __future__ import annotations

from functools import partial

import numpy as np

from dataflow import Cost, ShapeError, TensorSpec, format_shape, primitive, sample
from dataflow.operations.engine_ops import broadcast_to
from dataflow.shapes import Shape
from dataflow_nn.channels import join_first, part_first
from dataflow_nn.pooling_windows import check_numbers, count_visits, float_dtype, pooled_shape, pooling_windows
from dataflow_nn.windows import Padding, PerAxis, check_channels

ALL = slice(None)


@primitive
def window_sum(
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """The sum of each window over the spatial axes of x, (N, C, spatial...); windows as in average_pool."""
    x = np.asarray(x)
    windows = pooling_windows(x.shape[2:], kernel, strides, padding, dilation, ceil_mode)
    out = np.zeros((*x.shape[:2], *windows.counts), x.dtype)
    for step in _sum_steps(out, x, windows):
        step()
    return out


@window_sum.shape
def _(x, **attributes):
    check_numbers("window_sum", x)
    return pooled_shape("window_sum", x, attributes, empty=True)


@window_sum.into
def _(out, x, **attributes):
    return [partial(np.ndarray.fill, out, 0), *_sum_steps(out, x, pooling_windows(x.shape[2:], **attributes))]


@window_sum.cost
def _(y, x, **attributes):
    return Cost(additions=count_visits(x, attributes))


@window_sum.vjp
def _(g, y, x, **attributes):
    return window_spread(g, size=x.shape[2:], **attributes)


@window_sum.batch
def _(batched, x, **attributes):
    return part_first(window_sum(join_first(x), **attributes), x.shape[0])


@window_sum.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 5)), kernel=3, strides=2, padding="same_lower")
    yield sample(rng.normal(size=(1, 2, 2, 3)), kernel=(1, 2), dilation=2)


@primitive
def window_spread(
    g,
    *,
    size: Shape,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """Each window's number added to all entries that it covers, of spatial axes of that size: the transpose of
    window_sum."""
    g = np.asarray(g)
    windows = pooling_windows(size, kernel, strides, padding, dilation, ceil_mode)
    if g.shape[2:] != windows.counts:
        raise ValueError("the windows do not fit")
    out = np.zeros((*g.shape[:2], *size), g.dtype)
    for step in _spread_steps(out, g, windows):
        step()
    return out


@window_spread.shape
def _(g, *, size, **attributes):
    check_numbers("window_spread", g)
    check_channels("window_spread", g.shape)
    shape = (*g.shape[:2], *size)
    if -1 in size or pooled_shape("window_spread", TensorSpec(shape, g.dtype), attributes, empty=True) != g.shape:
        raise ShapeError(f"g of {format_shape(g.shape)} does not have the windows of sizes {format_shape(size)}")
    return shape


@window_spread.into
def _(out, g, *, size, **attributes):
    return [partial(np.ndarray.fill, out, 0), *_spread_steps(out, g, pooling_windows(size, **attributes))]


@window_spread.cost
def _(y, g, *, size, **attributes):
    return Cost(additions=count_visits(y, attributes))


@window_spread.vjp
def _(t, y, g, *, size, **attributes):
    return window_sum(t, **attributes)


@window_spread.batch
def _(batched, g, **attributes):
    return part_first(window_spread(join_first(g), **attributes), g.shape[0])


@window_spread.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 3)), size=(5,), kernel=3, strides=2, padding=1)


@primitive(operation="none", shape_only=True)
def window_size(
    x,
    *,
    kernel: PerAxis,
    strides: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
):
    """How many entries each window over the spatial axes of x covers, padding counted or not, in the dtype of x
    (float64 for integers); windows as in average_pool. Its shape is that of the windows."""
    x = np.asarray(x)
    windows = pooling_windows(x.shape[2:], kernel, strides, padding, dilation, ceil_mode)
    sizes = np.ones((), x.dtype if x.dtype.kind == "f" else np.float64)
    for axis in range(len(windows.sizes)):
        sizes = sizes[..., None] * windows.covered(axis, count_include_pad).astype(sizes.dtype)
    return sizes


@window_size.shape
def _(x, *, count_include_pad, **attributes):
    shape = pooled_shape("window_size", x, attributes, empty=count_include_pad)
    return TensorSpec(shape[2:], float_dtype(x))


@window_size.vjp
def _(g, y, x):
    return None


@window_size.batch
def _(batched, x, **attributes):
    sizes = window_size(join_first(x), **attributes)
    return broadcast_to(sizes, shape=(x.shape[0], *sizes.shape))


@window_size.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 4)), kernel=3, padding=1, strides=2, count_include_pad=False)


def _sum_steps(out, x, windows):
    for _, inside, at in windows.places:
        part = out[(ALL, ALL, *inside)]
        yield partial(np.add, part, x[(ALL, ALL, *at)], part)


def _spread_steps(out, g, windows):
    for _, inside, at in windows.places:
        part = out[(ALL, ALL, *at)]
        yield partial(np.add, part, g[(ALL, ALL, *inside)], part)
