"""Products, variances, norms and logarithms of sums over axes, and where the largest and the smallest entry are."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from dataflow import (
    DTYPES,
    Cost,
    TensorSpec,
    element_count,
    normalize_axes,
    normalize_axis,
    op,
    primitive,
    sample,
)
from dataflow.operations.engine_ops import abs_, log, reshape, transpose, where
from dataflow_ops.arithmetic import exp, sqrt
from dataflow_ops.cumulative import cumprod
from dataflow_ops.reductions import (
    Axes,
    check_any,
    declare_total,
    few_samples,
    max_,
    mean,
    reduced_shape,
    size,
    spread,
    sum_,
)
from dataflow_ops.rounding import sign


@primitive
def prod(x, *, axis: Axes = None, keepdims: bool = False):
    """The product over the given axes, or over all. Its derivative is exact where entries are 0, too."""
    return np.prod(np.asarray(x, order="C"), axis=axis, keepdims=keepdims)  # one order of factors, wherever x lies


declare_total(prod)


@prod.cost
def _(y, x):
    return Cost(multiplications=max(element_count(x.shape) - element_count(y.shape), 0))


@prod.vjp
def _(g, y, x, *, axis, keepdims):
    # what an entry is multiplied by: the product of those before it, times the product of those behind it
    axes = normalize_axes(axis, x.ndim)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    last = transpose(x, axes=order)
    row = reshape(
        last, shape=(*(x.shape[i] for i in order[: x.ndim - len(axes)]), element_count([x.shape[i] for i in axes]))
    )
    others = cumprod(row, exclusive=True) * cumprod(row, exclusive=True, reverse=True)
    back = tuple(order.index(i) for i in range(x.ndim))
    return spread(g, x, axis, keepdims) * transpose(reshape(others, shape=last.shape), axes=back)


@op
def sum_square(x, *, axis: Axes = None, keepdims: bool = False):
    """The sum of the squares over the given axes, or over all."""
    return sum_(x * x, axis=axis, keepdims=keepdims)


sum_square.formula(sum_square.function)


@sum_square.vjp
def _(g, y, x, *, axis, keepdims):
    return 2 * x * spread(g, x, axis, keepdims)


@op
def log_sum(x, *, axis: Axes = None, keepdims: bool = False):
    """The logarithm of the sum over the given axes, or over all."""
    return log(sum_(x, axis=axis, keepdims=keepdims))


log_sum.formula(log_sum.function)


@log_sum.vjp
def _(g, y, x, *, axis, keepdims):
    return spread(g / sum_(x, axis=axis, keepdims=keepdims), x, axis, keepdims)


@op
def logsumexp(x, *, axis: Axes = None, keepdims: bool = False):
    """log Σ eˣ over the given axes, or over all; the largest x is subtracted first, which changes nothing but
    overflow. Its derivative is the softmax."""
    top = max_(x, axis=axis, keepdims=True)
    top = where(abs_(top) == math.inf, 0, top)
    total = log(sum_(exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else sum_(total, axis=axis)


@logsumexp.formula
def _(x, *, axis, keepdims):
    return log(sum_(exp(x), axis=axis, keepdims=keepdims))


@logsumexp.vjp
def _(g, y, x, *, axis, keepdims):
    y = where(y == -math.inf, 0, y)  # all x are −∞: exp(x) is 0, and −∞ − −∞ is not
    return spread(g, x, axis, keepdims) * exp(x - spread(y, x, axis, keepdims))


@op
def norm(x, *, order: Literal[1, 2] = 2, axis: Axes = None, keepdims: bool = False):
    """The norm over the given axes, or over all: of order 1 the sum of absolute values, of order 2 the root of the sum
    of squares. Where it is 0 its derivatives are 0."""
    if order == 1:
        return sum_(abs_(x), axis=axis, keepdims=keepdims)
    return sqrt(sum_(x * x, axis=axis, keepdims=keepdims))


norm.formula(norm.function)


@norm.vjp
def _(g, y, x, *, order, axis, keepdims):
    if order == 1:
        return spread(g, x, axis, keepdims) * sign(x)
    return spread(where(y == 0, 0, g / where(y == 0, 1, y)), x, axis, keepdims) * x


@norm.kink("where an absolute value of order 1, or the norm of order 2, is 0, the derivatives are taken as 0")
def _(x, *, order, axis, keepdims):
    return sum_(x == 0, axis=axis, keepdims=keepdims) > 0 if order == 1 else norm(x, axis=axis, keepdims=keepdims) == 0


@op
def var(x, *, axis: Axes = None, correction: int = 0, keepdims: bool = False):
    """The variance over the given axes, or over all: the mean of (x − mean)², or their sum divided by the number of
    elements less ``correction``."""
    squares = sum_square(x - mean(x, axis=axis, keepdims=True), axis=axis, keepdims=keepdims)
    return squares / (size(x, axis=axis) - correction)


var.formula(var.function)


@var.vjp
def _(g, y, x, *, axis, correction, keepdims):
    scaled = g * (2 / (size(x, axis=axis) - correction))
    return spread(scaled, x, axis, keepdims) * (x - mean(x, axis=axis, keepdims=True))


@op
def std(x, *, axis: Axes = None, correction: int = 0, keepdims: bool = False):
    """The standard deviation over the given axes, or over all: the root of var. Where it is 0 its derivatives are
    0."""
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


std.formula(std.function)


@std.vjp
def _(g, y, x, *, axis, correction, keepdims):
    scaled = where(y == 0, 0, g / where(y == 0, 1, y)) / (size(x, axis=axis) - correction)
    return spread(scaled, x, axis, keepdims) * (x - mean(x, axis=axis, keepdims=True))


@std.kink("where all entries are equal the derivatives are taken as 0")
def _(x, *, axis, correction, keepdims):
    return std(x, axis=axis, correction=correction, keepdims=keepdims) == 0


for _reduction in (prod, sum_square, logsumexp):
    _reduction.samples(few_samples)


@log_sum.samples
def _(rng):
    yield sample(rng.uniform(0.5, 2, size=(3, 4)))
    yield sample(rng.uniform(0.5, 2, size=(2, 3)), axis=1, keepdims=True)


@norm.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)))
    yield sample(rng.normal(size=(3, 4)), order=1, axis=0)


for _moment in (var, std):

    @_moment.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)), axis=-1)
        yield sample(rng.normal(size=(3, 2)), correction=1, keepdims=True)


@primitive(hides_nan=True)
def argmax(x, *, axis: int = -1, keepdims: bool = False):
    """The place of the largest entry along an axis, of the first of equal ones; NaN counts as largest. It has no
    derivative."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims), np.int64)


@primitive(hides_nan=True)
def argmin(x, *, axis: int = -1, keepdims: bool = False):
    """The place of the smallest entry along an axis, of the first of equal ones; NaN counts as smallest. It has no
    derivative."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims), np.int64)


def _declare_rules(place, word):
    @place.shape
    def _(x, *, axis, keepdims):
        check_any(word, x, axis)
        return TensorSpec(reduced_shape(x, axis, keepdims), DTYPES["int64"])

    @place.cost
    def _(y, x):
        return Cost(comparisons=element_count(x.shape) - element_count(y.shape))

    @place.batch
    def _(batched, x, *, axis, keepdims):
        return place(x, axis=normalize_axis(axis, x.ndim - 1) + 1, keepdims=keepdims)

    @place.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 4)))
        yield sample(rng.normal(size=(3, 2)), axis=0, keepdims=True)


_declare_rules(argmax, "largest")
_declare_rules(argmin, "smallest")
