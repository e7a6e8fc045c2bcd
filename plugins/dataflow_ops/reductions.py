"""Sums, means and maxima over axes."""

from __future__ import annotations

from functools import partial

import numpy as np

from dataflow import (
    DTYPES,
    Cost,
    ShapeError,
    TensorSpec,
    element_count,
    format_shape,
    normalize_axes,
    op,
    primitive,
    sample,
)
from dataflow_ops.arithmetic import where
from dataflow_ops.comparison import cast
from dataflow_ops.kernels import total_into
from dataflow_ops.shaping import broadcast_to, expand_dims

Axes = int | tuple[int, ...] | None


def _reduced(x, axis, keepdims):
    axes = normalize_axes(axis, x.ndim)
    if keepdims:
        return tuple(1 if i in axes else size for i, size in enumerate(x.shape))
    return tuple(size for i, size in enumerate(x.shape) if i not in axes)


def _spread(g, x, axis, keepdims):
    """A reduction's result, or its cotangent, repeated to the shape of ``x``."""
    return broadcast_to(g if keepdims else _unreduced(g, x, axis), shape=x.shape)


def _unreduced(g, x, axis):
    """The axes that were summed away, put back with size 1."""
    axes = normalize_axes(axis, x.ndim)
    return expand_dims(g, axis=axes) if axes else g


def _batched_axes(x, axis):
    return tuple(i + 1 for i in normalize_axes(axis, x.ndim - 1))


def _reduction_samples(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), axis=0)
    yield sample(rng.normal(size=(2, 3, 4)), axis=(0, -1))
    yield sample(rng.normal(size=(2, 3, 4)), axis=1, keepdims=True)
    yield sample(rng.normal(size=()))


@primitive(name="sum", structure="sum", reduces=np.add)
def sum_(x, *, axis: Axes = None, keepdims: bool = False):
    """The sum over the given axes, or over all."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@sum_.shape
def _(x, *, axis, keepdims):
    dtype = DTYPES["int64"] if x.dtype.kind in "bi" else x.dtype
    return TensorSpec(_reduced(x, axis, keepdims), dtype)


@sum_.into
def _(out, x, *, axis, keepdims):
    return total_into(out, x, normalize_axes(axis, x.ndim))


@sum_.vjp
def _(g, y, x, *, axis, keepdims):
    return _spread(g, x, axis, keepdims)


@sum_.batch
def _(batched, x, *, axis, keepdims):
    return sum_(x, axis=_batched_axes(x, axis), keepdims=keepdims)


sum_.samples(_reduction_samples)


@op
def mean(x, *, axis: Axes = None, keepdims: bool = False):
    """The mean over the given axes, or over all."""
    return sum_(x, axis=axis, keepdims=keepdims) / size(x, axis=axis)


mean.samples(_reduction_samples)


@primitive(name="max", reduces=np.maximum)
def max_(x, *, axis: Axes = None, keepdims: bool = False):
    """The largest element over the given axes, or over all. Where several are largest they share the gradient
    equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


@max_.shape
def _(x, *, axis, keepdims):
    if any(x.shape[i] == 0 for i in normalize_axes(axis, x.ndim)):
        raise ShapeError(f"the largest element of no elements is not defined: shape {format_shape(x.shape)}")
    return _reduced(x, axis, keepdims)


@max_.cost
def _(y, x):
    return Cost(comparisons=element_count(x.shape) - element_count(y.shape))


@max_.into
def _(out, x, *, axis, keepdims):
    axes = normalize_axes(axis, x.ndim)
    return partial(np.maximum.reduce, x, axes[0] if len(axes) == 1 else axes, None, out, keepdims)


@max_.vjp
def _(g, y, x, *, axis, keepdims):
    largest = x == _spread(y, x, axis, keepdims)
    ties = sum_(cast(largest, dtype=x.dtype.name), axis=axis, keepdims=True)
    return where(largest, (g if keepdims else _unreduced(g, x, axis)) / ties, 0)


@max_.kink("where several elements are largest they share the gradient equally")
def _(x, *, axis, keepdims):
    return sum_(x == max_(x, axis=axis, keepdims=True), axis=axis, keepdims=keepdims) > 1


@max_.batch
def _(batched, x, *, axis, keepdims):
    return max_(x, axis=_batched_axes(x, axis), keepdims=keepdims)


max_.samples(_reduction_samples)


@primitive(operation="none", shape_only=True)
def size(x, *, axis: Axes = None):
    """How many elements x has along the given axes, or in all, in the dtype of x (float64 for integers)."""
    x = np.asarray(x)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return np.asarray(element_count([x.shape[i] for i in axes]), x.dtype if x.dtype.kind == "f" else np.float64)


@size.shape
def _(x, *, axis):
    normalize_axes(axis, x.ndim)
    return TensorSpec((), x.dtype if x.is_float else DTYPES["float64"])


@size.vjp
def _(g, y, x):
    return None


@size.batch
def _(batched, x, *, axis):
    return broadcast_to(size(x, axis=_batched_axes(x, axis)), shape=x.shape[:1])


@size.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), axis=0)
