"""Ops whose results have shapes that depend on values."""

from __future__ import annotations

import math

import numpy as np

from dataflow import Cost, ShapeError, element_count, format_shape, op, primitive, sample
from dataflow.limits import hold
from dataflow.operations.engine_ops import index, reshape, sum_to
from dataflow.shapes import TensorSpec, made_size, normalize_axis
from dataflow_ops.selecting import gather

_INT = np.dtype("int64")


@primitive(hides_nan=True)
def nonzero(x):
    """Where the entries are that are not 0: a column of indices for each, a row for each axis of x, in row-major order.
    How many there are depends on values."""
    return np.array(np.nonzero(np.atleast_1d(x)), _INT)


@nonzero.shape
def _(x):
    return TensorSpec((max(len(x.shape), 1), made_size("nonzero")), _INT)


@nonzero.cost(exact=False)
def _(y, x):
    return Cost(comparisons=element_count(x.shape))


@nonzero.samples
def _(rng):
    yield sample(rng.integers(0, 2, size=(2, 3)))
    yield sample(np.array([True, False, True]))


@op(hides_nan=True)
def compress(x, condition, *, axis: int | None = None):
    """The entries of x along an axis for which the condition, a row of booleans, is true; without an axis, of all
    entries in row-major order. How many there are depends on values."""
    if len(condition.shape) != 1:
        raise ShapeError(f"compress takes a condition of one axis, not {format_shape(condition.shape)}")
    x, axis = (reshape(x, shape=(-1,)), 0) if axis is None else (x, axis)
    most, count = x.shape[normalize_axis(axis, len(x.shape))], condition.shape[0]
    if isinstance(most, int) and isinstance(count, int) and count > most:
        raise ShapeError(f"compress takes a condition of at most {most} entries here, not {count}")
    return gather(x, index(nonzero(condition), key="0"), axis=axis)


@compress.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), np.array([True, False, True]), axis=0)
    yield sample(rng.normal(size=(2, 2)), np.array([False, True, True, False]))


@primitive(hides_nan=True)
def arange(start, stop, step):
    """start, start + step, ... up to stop, which is left out: a row. How many there are depends on values."""
    dtype = np.result_type(*(np.asarray(x).dtype for x in (start, stop, step)))
    start, stop, step = (np.asarray(x).reshape(()).item() for x in (start, stop, step))
    if step == 0:
        raise ShapeError("arange takes a step that is not 0")
    count = max(0, math.ceil((stop - start) / step))
    hold(count * dtype.itemsize, "arange")
    hold(-count * dtype.itemsize, "")
    return (start + np.arange(count) * step).astype(dtype)


@arange.shape
def _(start, stop, step):
    for name, spec in (("start", start), ("stop", stop), ("step", step)):
        if any(size != 1 for size in spec.shape):
            raise ShapeError(f"arange takes single numbers; {name} has the shape {format_shape(spec.shape)}")
    return TensorSpec((made_size("arange"),), np.result_type(start.dtype, stop.dtype, step.dtype))


@arange.vjp
def _(g, y, start, stop, step):
    by_step = sum_to(g * ((y - reshape(start, shape=())) / reshape(step, shape=())), shape=())
    return reshape(sum_to(g, shape=()), shape=start.shape), None, reshape(by_step, shape=step.shape)


@arange.cost(exact=False)
def _(y, start, stop, step):
    return Cost(divisions=1)


@arange.samples
def _(rng):
    yield sample(np.array(0.1), np.array(4.0), np.array(1.4))
    yield sample(np.array(7), np.array(1), np.array(-2))


@primitive(outputs=("indices", "inverse", "counts"), hides_nan=True)
def unique_indices(x, *, axis: int | None = None, sorted: bool = True):
    """Where in x each entry, or each row along an axis, that differs from all before it stands first; for each entry
    which of these it is; and how often each occurs. They are sorted by what they are, or else by where they stand."""
    _, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first, kind="stable")
        ranks = np.empty_like(order)
        ranks[order] = np.arange(len(order))
        first, inverse, counts = first[order], ranks[inverse], counts[order]
    return first.astype(_INT), inverse.astype(_INT), counts.astype(_INT)


@unique_indices.shape
def _(x, *, axis):
    along = None if axis is None else normalize_axis(axis, len(x.shape))
    own = TensorSpec((made_size(f"unique_{along}"),), _INT)
    return own, TensorSpec((element_count(x.shape) if along is None else x.shape[along],), _INT), own


@unique_indices.cost(exact=False)
def _(y, x):
    count = element_count(x.shape)
    return Cost(comparisons=count * max(1, int(count).bit_length()))


@unique_indices.samples
def _(rng):
    yield sample(np.array([2.0, 1.0, 2.0, 3.0]))
    yield sample(np.array([[2, 1], [2, 1], [0, 1]]), axis=0, sorted=False)


@op(outputs=("values", "indices", "inverse", "counts"), hides_nan=True)
def unique(x, *, axis: int | None = None, sorted: bool = True):
    """Each entry once, or each row along an axis: the values, where each stands first, for each entry of x which of the
    values it is, and how often each occurs. How many there are depends on values.

    Without an axis x is taken in row-major order. The values are sorted, or stand in the order in which they occur."""
    indices, inverse, counts = unique_indices(x, axis=axis, sorted=sorted)
    flat, along = (reshape(x, shape=(-1,)), 0) if axis is None else (x, axis)
    return gather(flat, indices, axis=along), indices, inverse, counts


@unique.kink("where entries are equal, the derivative is that of the first")
def _(x, *, axis):
    several = unique_indices(x, axis=axis)["counts"] > 1
    return several, False, False, False


@unique.samples
def _(rng):
    yield sample(np.array([3, 1, 3, 0]))
    yield sample(np.array([[2, 1], [2, 1], [0, 1]]), axis=0, sorted=False)
