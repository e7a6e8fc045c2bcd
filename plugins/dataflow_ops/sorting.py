"""Entries in order."""

from __future__ import annotations

import numpy as np

from dataflow import DTYPES, Cost, TensorSpec, element_count, normalize_axis, op, primitive, sample
from dataflow_ops.gathering import gather_elements


@primitive(hides_nan=True)
def argsort(x, *, axis: int = -1, descending: bool = False):
    """The places of the entries along an axis in ascending or descending order; equal ones stay in their order, and NaN
    counts as largest. It has no derivative."""
    keys = np.asarray(x)
    keys = keys.astype(np.float64) if keys.dtype == object else keys
    if not descending:
        return np.argsort(keys, axis=axis, kind="stable").astype(np.int64)
    # in reverse order, from the last place on, so that equal ones stay in their order
    order = np.flip(np.argsort(np.flip(keys, axis), axis=axis, kind="stable"), axis)
    return (keys.shape[axis] - 1 - order).astype(np.int64)


@argsort.shape
def _(x, *, axis):
    normalize_axis(axis, x.ndim)
    return TensorSpec(x.shape, DTYPES["int64"])


@argsort.cost(exact=False)
def _(y, x, *, axis):
    size = x.shape[axis]
    return Cost(comparisons=element_count(x.shape) * max(size - 1, 0).bit_length())


@argsort.batch
def _(batched, x, *, axis, descending):
    return argsort(x, axis=normalize_axis(axis, x.ndim - 1) + 1, descending=descending)


@op(hides_nan=True)
def sort(x, *, axis: int = -1, descending: bool = False):
    """The entries along an axis in ascending or descending order; NaN counts as largest. At ties each entry keeps the
    gradient of its place."""
    return gather_elements(x, argsort(x, axis=axis, descending=descending), axis=axis)


@sort.kink("where entries are equal, each has the gradient of its own place in their order")
def _(x, *, axis, descending):
    return _tied(sort(x, axis=axis, descending=descending), axis)


def _tied(ordered, axis):
    """Where an entry equals one beside it."""
    last = np.moveaxis(np.asarray(ordered), axis, -1)
    same = last[..., 1:] == last[..., :-1]
    none = np.zeros((*last.shape[:-1], 1), bool)
    return np.moveaxis(np.concatenate([same, none], -1) | np.concatenate([none, same], -1), -1, axis)


for _ordering in (argsort, sort):

    @_ordering.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))
        yield sample(rng.normal(size=(3, 2)), axis=0, descending=True)
