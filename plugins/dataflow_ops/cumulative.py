"""What is added up or multiplied on the way along an axis, and the places along it."""

from __future__ import annotations

import numpy as np

from dataflow import DTYPES, Cost, TensorSpec, element_count, normalize_axis, primitive, sample
from dataflow.operations.engine_ops import broadcast_to, expand_dims, where
from dataflow_ops.reductions import sum_, total_dtype


@primitive
def cumsum(x, *, axis: int = -1, exclusive: bool = False, reverse: bool = False):
    """The sums of the entries up to each place along an axis, that of the place included, unless ``exclusive``;
    ``reverse`` sums from the end."""
    return _accumulate(np.add, x, axis, exclusive, reverse)


@primitive
def cumprod(x, *, axis: int = -1, exclusive: bool = False, reverse: bool = False):
    """The products of the entries up to each place along an axis, that of the place included, unless ``exclusive``;
    ``reverse`` multiplies from the end. Its derivative is exact where entries are 0, too, and takes memory for all
    pairs of places."""
    return _accumulate(np.multiply, x, axis, exclusive, reverse)


def _accumulate(ufunc, x, axis, exclusive, reverse):
    x = np.moveaxis(np.asarray(x), axis, 0)
    dtype = total_dtype(x)
    x = x[::-1] if reverse else x
    if exclusive:
        result = np.empty(x.shape, dtype)
        result[:1] = ufunc.identity
        if len(x) > 1:
            ufunc.accumulate(x[:-1], axis=0, dtype=dtype, out=result[1:])
    else:
        result = ufunc.accumulate(x, axis=0, dtype=dtype)
    return np.moveaxis(result[::-1] if reverse else result, 0, axis)


@cumsum.vjp
def _(g, y, x, *, axis, exclusive, reverse):
    return cumsum(g, axis=axis, exclusive=exclusive, reverse=not reverse)


@cumprod.vjp
def _(g, y, x, *, axis, exclusive, reverse):
    # d y[k] / d x[i] is the product of the entries before i, times that of the entries between i and k
    along = normalize_axis(axis, x.ndim)
    before = cumprod(x, axis=along, exclusive=True, reverse=reverse)
    i, k = positions(expand_dims(x, axis=along + 1), axis=along), positions(expand_dims(x, axis=along), axis=along + 1)
    behind, counts = (k < i, k <= i) if reverse else (k > i, k >= i)
    between = cumprod(
        where(behind, expand_dims(x, axis=along), 1), axis=along + 1, exclusive=exclusive, reverse=reverse
    )
    terms = where(behind if exclusive else counts, between * expand_dims(g, axis=along), 0)
    return before * sum_(terms, axis=along + 1)


@cumsum.cost
def _(y, x, *, axis, exclusive):
    return Cost(additions=_steps(x, axis, exclusive))


@cumprod.cost
def _(y, x, *, axis, exclusive):
    return Cost(multiplications=_steps(x, axis, exclusive))


def _steps(x, axis, exclusive):
    length = x.shape[normalize_axis(axis, x.ndim)]
    return element_count(x.shape) // length * max(length - 1 - exclusive, 0) if length else 0


@primitive(operation="none", shape_only=True)
def positions(x, *, axis: int = -1):
    """0, 1, 2, ... along an axis of x, as many as x has there; of size 1 along all other axes."""
    x = np.asarray(x)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return np.arange(x.shape[axis], dtype=np.int64).reshape(shape)


@positions.shape
def _(x, *, axis):
    along = normalize_axis(axis, x.ndim)
    return TensorSpec(tuple(size if i == along else 1 for i, size in enumerate(x.shape)), DTYPES["int64"])


@positions.vjp
def _(g, y, x):
    return None


@positions.batch
def _(batched, x, *, axis):
    along = normalize_axis(axis, x.ndim - 1) + 1
    return broadcast_to(
        positions(x, axis=along), shape=(x.shape[0], *(1,) * (along - 1), x.shape[along], *(1,) * (x.ndim - 1 - along))
    )


@positions.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)))
    yield sample(rng.normal(size=(2, 3)), axis=0)


def _declare_rules(cumulative):
    @cumulative.shape
    def _(x, *, axis):
        normalize_axis(axis, x.ndim)
        return TensorSpec(x.shape, total_dtype(x))

    @cumulative.batch
    def _(batched, x, *, axis, exclusive, reverse):
        return cumulative(x, axis=normalize_axis(axis, x.ndim - 1) + 1, exclusive=exclusive, reverse=reverse)

    @cumulative.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))
        yield sample(rng.normal(size=(3, 2)), axis=0, reverse=True)
        yield sample(rng.normal(size=4), exclusive=True)


_declare_rules(cumsum)
_declare_rules(cumprod)
