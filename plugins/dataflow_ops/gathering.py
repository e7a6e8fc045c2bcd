"""Entries taken from places that other values name, and put there. A negative index counts from the end."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataflow import (
    Cost,
    ShapeError,
    TensorSpec,
    element_count,
    format_shape,
    normalize_axis,
    primitive,
    sample,
)
from dataflow.operations.engine_ops import cast, masked, reshape, where
from dataflow.operations.jacobians import OnePerRow
from dataflow_ops.cumulative import cumsum
from dataflow_ops.joining import all_batched
from dataflow_ops.shaping import check_whole

Combine = Literal["replace", "add", "multiply", "minimum", "maximum"]
_UFUNCS = {"add": np.add, "multiply": np.multiply, "minimum": np.minimum, "maximum": np.maximum}


# ------------------------------------------------------------------------------------------------ along one axis


@primitive(structure="selection")
def gather_elements(x, indices, *, axis: int = -1, wrap: bool = True):
    """Of x the entries at the indices along an axis: for the last axis y[i, j] = x[i, indices[i, j]]. The indices are
    whole numbers; they have as many axes as x, and along the other axes at most its size. The result has their shape.
    Without ``wrap`` a negative index is an error."""
    if not wrap and (least := np.min(_whole(indices), initial=0)) < 0:
        raise IndexError(f"index {least} is negative")
    return np.asarray(x)[_along_axis(indices, axis, np.shape(x))]


@primitive
def scatter_elements(x, indices, updates, *, axis: int = -1, combine: Combine = "replace"):
    """x with the updates put to the indices along an axis: for the last axis y[i, indices[i, j]] = updates[i, j]. What
    is there is replaced, by the last of several updates, or combined with each of them. The updates have the shape of
    the indices, which are as for gather_elements."""
    return _combined(x, _along_axis(indices, axis, np.shape(x)), np.shape(indices), updates, combine)


def _along_axis(indices, axis, shape):
    """The key of the entries at the indices along an axis."""
    indices = _whole(indices)
    if indices.ndim != len(shape):
        raise ValueError("the indices have other axes")
    along = axis % indices.ndim
    _check_range(indices, shape[along], along)
    key = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    key[along] = indices
    return tuple(key)


def _whole(indices):
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iuO":
        raise TypeError("indices are whole numbers")
    return indices.astype(np.int64, copy=False)


def _check_range(indices, size, axis):
    wrong = (indices < -size) | (indices >= size)
    if wrong.any():
        raise IndexError(f"index {indices[wrong].flat[0]} is out of range for axis {axis} of size {size}")


def _combined(x, key, shape, updates, combine):
    if np.shape(updates) != shape:
        raise ValueError("the updates have another shape")
    dtype = np.result_type(x, updates)
    result = np.array(x, dtype)
    if combine == "replace":
        result[key] = updates
    else:
        _UFUNCS[combine].at(result, key, np.asarray(updates).astype(dtype, copy=False))
    return result


def _check_elements(name, x, indices, axis):
    check_whole(name, "indices", indices)
    along = normalize_axis(axis, x.ndim)
    fits = indices.ndim == x.ndim and all(
        i == along or a == b or (isinstance(a, int) and isinstance(b, int) and a <= b)
        for i, (a, b) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{name} takes indices with the axes of x, along all but axis {along} at most of its size, not "
            f"{format_shape(indices.shape)} for {format_shape(x.shape)}"
        )
    _check_any(x.shape[along], indices.shape, along)


def _check_any(size, shape, axis):
    if size == 0 and 0 not in shape:
        raise ShapeError(f"axis {axis} has no entries to which the indices of {format_shape(shape)} could point")


@gather_elements.shape
def _(x, indices, *, axis):
    _check_elements("gather_elements", x, indices, axis)
    return TensorSpec(indices.shape, x.dtype)


@gather_elements.vjp
def _(g, y, x, indices, *, axis):
    return scatter_elements(where(False, x, 0), indices, g, axis=axis, combine="add"), None


@gather_elements.batch
def _(batched, x, indices, *, axis, wrap):
    ndim = x.ndim - batched[0]
    return gather_elements(*all_batched(batched, [x, indices]), axis=normalize_axis(axis, ndim) + 1, wrap=wrap)


@gather_elements.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.integers(-3, 3, size=(2, 2)))
    yield sample(rng.normal(size=(3, 2)), rng.integers(3, size=(4, 1)), axis=0)


@scatter_elements.shape
def _(x, indices, updates, *, axis):
    _check_elements("scatter_elements", x, indices, axis)
    return _scattered("scatter_elements", x, updates, indices.shape)


@scatter_elements.batch
def _(batched, x, indices, updates, *, axis, combine):
    ndim = x.ndim - batched[0]
    whole = all_batched(batched, [x, indices, updates])
    return scatter_elements(*whole, axis=normalize_axis(axis, ndim) + 1, combine=combine)


@scatter_elements.samples
def _(rng):
    places = np.array([[0, 2], [2, 1]])
    yield sample(rng.normal(size=(2, 3)), places, rng.normal(size=(2, 2)))
    yield sample(rng.normal(size=(3, 2)), rng.integers(3, size=(4, 2)), rng.normal(size=(4, 2)), axis=0, combine="add")
    yield sample(rng.normal(size=(1, 3)), np.array([[0, 1, 1]]), rng.uniform(0.5, 2, size=(1, 3)), combine="multiply")
    yield sample(rng.normal(size=(1, 3)), np.array([[0, 1, 1]]), rng.normal(size=(1, 3)), combine="maximum")


# ------------------------------------------------------------------------------------------------ along several axes


@primitive(structure="selection")
def gather_nd(x, indices, *, batch_dims: int = 0):
    """The pieces of x at the places that the rows of the indices name: y[i] = x[indices[i, 0], indices[i, 1], ...]. The
    indices are whole numbers of (..., k), k at most the number of x's axes; what axes of x are left follow behind. The
    first ``batch_dims`` axes are common to x and the indices."""
    x, indices = _named(x, indices, batch_dims)
    return x[_at_places(indices, batch_dims, x.shape)]


@primitive
def scatter_nd(x, indices, updates, *, batch_dims: int = 0, combine: Combine = "replace"):
    """x with the updates put to the places that the rows of the indices name: y[indices[i, 0], indices[i, 1], ...] =
    updates[i]. What is there is replaced, by the last of several updates, or combined with each of them. The indices
    are as for gather_nd, whose result is what the updates look like."""
    whole, indices = _named(x, indices, batch_dims)
    pieces = (*indices.shape[:-1], *whole.shape[batch_dims + indices.shape[-1] :])
    return _combined(whole, _at_places(indices, batch_dims, whole.shape), pieces, updates, combine).reshape(np.shape(x))


def _named(x, indices, batch_dims):
    """x, with an axis of one entry for indices that name none: numpy would take x once, not for each of them."""
    x, indices = np.asarray(x), np.asarray(indices)
    if indices.shape[-1]:
        return x, indices
    return np.expand_dims(x, batch_dims), np.zeros((*indices.shape[:-1], 1), np.int64)


def _at_places(indices, batch_dims, shape):
    """The key of the pieces at the places."""
    indices = _whole(indices)
    columns = [indices[..., j] for j in range(indices.shape[-1])]
    for j, column in enumerate(columns):
        _check_range(column, shape[batch_dims + j], batch_dims + j)
    grid = np.ogrid[tuple(slice(size) for size in indices.shape[:-1])][:batch_dims] if batch_dims else []
    return (*(np.broadcast_to(line, indices.shape[:-1]) for line in grid), *columns, Ellipsis)


def _piece_shape(name, x, indices, batch_dims):
    """The shape of the pieces at the places."""
    check_whole(name, "indices", indices)
    depth = indices.shape[-1] if indices.ndim else None
    fits = isinstance(depth, int) and 0 <= batch_dims < indices.ndim and batch_dims + depth <= x.ndim
    if not fits or indices.shape[:batch_dims] != x.shape[:batch_dims]:
        raise ShapeError(
            f"{name} takes indices of (..., k), k at most the number of the other axes of x, and the first "
            f"{batch_dims} axes of both equal, not {format_shape(indices.shape)} for {format_shape(x.shape)}"
        )
    for axis in range(batch_dims, batch_dims + depth):
        _check_any(x.shape[axis], indices.shape, axis)
    return (*indices.shape[:-1], *x.shape[batch_dims + depth :])


@gather_nd.shape
def _(x, indices, *, batch_dims):
    return TensorSpec(_piece_shape("gather_nd", x, indices, batch_dims), x.dtype)


@gather_nd.vjp
def _(g, y, x, indices, *, batch_dims):
    return scatter_nd(where(False, x, 0), indices, g, batch_dims=batch_dims, combine="add"), None


@gather_nd.batch
def _(batched, x, indices, *, batch_dims):
    if batched == (False, True) and batch_dims == 0:
        return gather_nd(x, indices)
    return gather_nd(*all_batched(batched, [x, indices]), batch_dims=batch_dims + 1)


@gather_nd.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.integers(-2, 2, size=(4, 2)))
    yield sample(rng.normal(size=(3, 2)), rng.integers(3, size=(2, 1)))
    yield sample(rng.normal(size=(2, 3)), rng.integers(3, size=(2, 1)), batch_dims=1)
    yield sample(rng.normal(size=3), np.zeros((2, 0), int))


@scatter_nd.shape
def _(x, indices, updates, *, batch_dims):
    return _scattered("scatter_nd", x, updates, _piece_shape("scatter_nd", x, indices, batch_dims))


@scatter_nd.batch
def _(batched, x, indices, updates, *, batch_dims, combine):
    return scatter_nd(*all_batched(batched, [x, indices, updates]), batch_dims=batch_dims + 1, combine=combine)


@scatter_nd.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), np.array([[2], [0]]), rng.normal(size=(2, 2)))
    yield sample(rng.normal(size=(2, 3)), rng.integers(2, size=(4, 2)), rng.normal(size=4), combine="add")
    yield sample(rng.normal(size=(1, 3)), np.array([[0, 1]]), rng.normal(size=1), combine="minimum")
    yield sample(rng.normal(size=3), np.zeros((2, 0), int), rng.normal(size=(2, 3)), combine="add")


# ------------------------------------------------------------------------------------------------ what both share


def _scattered(name, x, updates, expected):
    if updates.shape != expected:
        raise ShapeError(f"{name} takes updates of {format_shape(expected)} here, not {format_shape(updates.shape)}")
    return TensorSpec(x.shape, np.result_type(x.dtype, updates.dtype))


def _declare_rules(scatter, take):
    """The derivatives of a scattering op; ``take`` reads where it writes."""

    @scatter.cost
    def _(y, x, indices, updates, *, combine):
        count = element_count(updates.shape)
        kind = {"add": "additions", "multiply": "multiplications", "minimum": "comparisons", "maximum": "comparisons"}
        return Cost(**{kind[combine]: count}) if combine in kind else Cost()

    @scatter.vjp
    def _(g, y, x, indices, updates, *, combine, **where_to):
        def put(base, values, how):
            return scatter(base, indices, values, combine=how, **where_to)

        def taken(whole):
            return take(whole, indices, **where_to)

        if combine == "add":
            return g, None, taken(g)
        if combine == "replace":
            # of several updates for one place the last one stays
            number = cumsum(reshape(cast(where(False, updates, 1), dtype="int64"), shape=(-1,)))
            number = reshape(number, shape=updates.shape)
            stays = taken(put(cast(where(False, x, 0), dtype="int64"), number, "replace")) == number
            return put(g, where(False, updates, 0), "replace"), None, where(stays, taken(g), 0)
        if combine == "multiply":
            # the product of the other factors, of which some may be 0
            zeros = put(cast(x == 0, dtype=x.dtype.name), cast(updates == 0, dtype=x.dtype.name), "add")
            product = put(where(x == 0, 1, x), where(updates == 0, 1, updates), "multiply")
            return (
                g * _others(x, zeros, product),
                None,
                taken(g) * _others(updates, taken(zeros), taken(product)),
            )
        # the largest, or the smallest, share the gradient
        own, others = x == y, updates == taken(y)
        ties = put(cast(own, dtype=y.dtype.name), cast(others, dtype=y.dtype.name), "add")
        shared = g / where(ties == 0, 1, ties)
        return masked(shared, own, y), None, masked(taken(shared), others, taken(y))

    @scatter.kink("where several are largest, or smallest, they share the gradient equally")
    def _(x, indices, updates, *, combine, **where_to):
        if combine not in ("minimum", "maximum"):
            return x != x
        y = scatter(x, indices, updates, combine=combine, **where_to)
        equal = cast(updates == take(y, indices, **where_to), dtype="int64")
        return scatter(cast(x == y, dtype="int64"), indices, equal, combine="add", **where_to) > 1


def _others(factor, zeros, product):
    """What a factor is multiplied by, from the number of factors that are 0 and the product of the others."""
    rest = where(zeros == 0, product / where(factor == 0, 1, factor), 0)
    return where(factor == 0, where(zeros == 1, product, 0), rest)


_declare_rules(scatter_elements, gather_elements)
_declare_rules(scatter_nd, gather_nd)


@gather_elements.local(wrt="x")
def _(y, x, indices, *, axis):
    return _selected(gather_elements(_numbered(x), indices, axis=axis), x)


@gather_nd.local(wrt="x")
def _(y, x, indices, *, batch_dims):
    return _selected(gather_nd(_numbered(x), indices, batch_dims=batch_dims), x)


def _numbered(x):
    return np.arange(x.size).reshape(x.shape)


def _selected(numbers, x):
    return OnePerRow(np.ones(numbers.size), numbers.reshape(-1), x.size, plain=True)
