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
from dataflow.operations.engine_ops import broadcast_to, cast, expand_dims, masked
from dataflow.operations.engine_ops.into_kernels import total_into

Axes = int | tuple[int, ...] | None


def reduced_shape(x, axis, keepdims):
    """The shape of x without the given axes, or with size 1 there."""
    axes = normalize_axes(axis, x.ndim)
    if keepdims:
        return tuple(1 if i in axes else size for i, size in enumerate(x.shape))
    return tuple(size for i, size in enumerate(x.shape) if i not in axes)


def total_dtype(x):
    """The dtype of sums and products of the entries: whole numbers give such of 64 bits, as numpy's do."""
    wide = {"b": DTYPES["int64"], "i": DTYPES["int64"], "u": DTYPES["uint64"]}
    return wide.get(x.dtype.kind, x.dtype)


def spread(g, x, axis, keepdims):
    """A reduction's result, or its cotangent, repeated to the shape of ``x``."""
    return broadcast_to(g if keepdims else unreduced(g, x, axis), shape=x.shape)


def unreduced(g, x, axis):
    """The axes that were summed away, put back with size 1."""
    axes = normalize_axes(axis, x.ndim)
    return expand_dims(g, axis=axes) if axes else g


def batched_axes(x, axis):
    """The axes of one set, as axes of an x with a new first axis."""
    return tuple(i + 1 for i in normalize_axes(axis, x.ndim - 1))


def check_any(word, x, axis):
    """A ``ShapeError`` where there are no elements over the axes."""
    if any(x.shape[i] == 0 for i in normalize_axes(axis, x.ndim)):
        raise ShapeError(f"the {word} element of no elements is not defined: shape {format_shape(x.shape)}")


def _reduction_samples(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), axis=0)
    yield sample(rng.normal(size=(2, 3, 4)), axis=(0, -1))
    yield sample(rng.normal(size=(2, 3, 4)), axis=1, keepdims=True)
    yield sample(rng.normal(size=()))


def few_samples(rng):
    """For the general tests: over all axes, over two, and over one that is kept."""
    yield sample(rng.normal(size=(2, 3)))
    yield sample(rng.normal(size=(2, 3, 2)), axis=(0, -1))
    yield sample(rng.normal(size=(2, 3)), axis=1, keepdims=True)


@primitive(name="sum", structure="sum", reduces=np.add)
def sum_(x, *, axis: Axes = None, keepdims: bool = False):
    """The sum over the given axes, or over all."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@sum_.into
def _(out, x, *, axis, keepdims):
    return total_into(out, x, normalize_axes(axis, x.ndim))


@sum_.vjp
def _(g, y, x, *, axis, keepdims):
    return spread(g, x, axis, keepdims)


sum_.samples(_reduction_samples)


def declare_total(total):
    """The rules that sums and products share."""

    @total.shape
    def _(x, *, axis, keepdims):
        return TensorSpec(reduced_shape(x, axis, keepdims), total_dtype(x))

    _declare_batch(total)


def _declare_batch(reduction):
    @reduction.batch
    def _(batched, x, *, axis, keepdims):
        return reduction(x, axis=batched_axes(x, axis), keepdims=keepdims)


declare_total(sum_)


@op
def mean(x, *, axis: Axes = None, keepdims: bool = False):
    """The mean over the given axes, or over all. Over no elements it is NaN, and its derivatives are 0."""
    return sum_(x, axis=axis, keepdims=keepdims) / size(x, axis=axis)


mean.formula(mean.function)


@mean.vjp
def _(g, y, x, *, axis, keepdims):
    return spread(g / size(x, axis=axis, least=1), x, axis, keepdims)


mean.samples(_reduction_samples)


@primitive(name="max", reduces=np.maximum)
def max_(x, *, axis: Axes = None, keepdims: bool = False):
    """The largest element over the given axes, or over all. Where several are largest they share the gradient
    equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


@primitive(name="min", reduces=np.minimum)
def min_(x, *, axis: Axes = None, keepdims: bool = False):
    """The smallest element over the given axes, or over all. Where several are smallest they share the gradient
    equally."""
    return np.min(x, axis=axis, keepdims=keepdims)


def _declare_rules(extremum, word):
    @extremum.shape
    def _(x, *, axis, keepdims):
        check_any(word, x, axis)
        return reduced_shape(x, axis, keepdims)

    @extremum.cost
    def _(y, x):
        return Cost(comparisons=element_count(x.shape) - element_count(y.shape))

    @extremum.into
    def _(out, x, *, axis, keepdims):
        axes = normalize_axes(axis, x.ndim)
        return partial(extremum.reduces.reduce, x, axes[0] if len(axes) == 1 else axes, None, out, keepdims)

    @extremum.vjp
    def _(g, y, x, *, axis, keepdims):
        top = spread(y, x, axis, keepdims)
        ties = sum_(cast(x == top, dtype=x.dtype.name), axis=axis, keepdims=True)
        return masked((g if keepdims else unreduced(g, x, axis)) / ties, x == top, top)

    @extremum.kink(f"where several elements are {word} they share the gradient equally")
    def _(x, *, axis, keepdims):
        return sum_(x == extremum(x, axis=axis, keepdims=True), axis=axis, keepdims=keepdims) > 1

    _declare_batch(extremum)


_declare_rules(max_, "largest")
_declare_rules(min_, "smallest")
max_.samples(_reduction_samples)
min_.samples(few_samples)


@primitive(operation="none", shape_only=True)
def size(x, *, axis: Axes = None, least: int = 0):
    """How many elements x has along the given axes, or in all, but ``least`` at least, in the dtype of x (float64 for
    integers)."""
    x = np.asarray(x)
    count = max(least, _count(x, axis))
    return np.asarray(count, x.dtype if x.dtype.kind == "f" else np.float64)


@size.formula
def _(x, *, axis):
    return _count(x, axis)


def _count(x, axis):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return element_count([x.shape[i] for i in axes])


@size.shape
def _(x, *, axis, least):
    normalize_axes(axis, x.ndim)
    return TensorSpec((), x.dtype if x.is_float else DTYPES["float64"])


@size.vjp
def _(g, y, x):
    return None


@size.batch
def _(batched, x, *, axis, least):
    return broadcast_to(size(x, axis=batched_axes(x, axis), least=least), shape=x.shape[:1])


@size.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), axis=0)
    yield sample(rng.normal(size=(3, 4)), axis=0, least=5)
