"""Matrix products and transposition."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dataflow.errors import ShapeError
from dataflow.operations.declare_ops import primitive
from dataflow.operations.engine_ops.shaping import expand_dims, index, reshape, sum_to
from dataflow.operations.jacobians import Dense, Kronecker
from dataflow.operations.op_rules import sample
from dataflow.operations.operation_cost import Cost
from dataflow.shapes import broadcast_shapes, element_count, format_shape, normalize_axis


@primitive
def matmul(a, b):
    """Matrix product a @ b, as numpy's: vectors at either end are allowed, axes before the last two broadcast."""
    return np.matmul(a, b)


@matmul.shape
def _(a, b):
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"matmul takes vectors and matrices, not {format_shape(a.shape)} @ {format_shape(b.shape)}; "
            f"a scalar factor is written with *"
        )
    inner_a, inner_b = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0]
    if inner_a != inner_b:
        raise ShapeError(
            f"{format_shape(a.shape)} @ {format_shape(b.shape)} does not fit: "
            f"{inner_a} columns meet {inner_b} rows; the order of a product matters"
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))


@matmul.cost
def _(y, a, b):
    results, terms = element_count(y.shape), a.shape[-1]
    return Cost(multiplications=results * terms, additions=results * max(terms - 1, 0))


@matmul.vjp(wrt="a")
def _(g, y, a, b):
    left, right, product = _as_matrices(g, a, b)
    return _as_shape_of(product @ _swapped(right), left, a)


@matmul.vjp(wrt="b")
def _(g, y, a, b):
    left, right, product = _as_matrices(g, a, b)
    return _as_shape_of(_swapped(left) @ product, right, b)


@matmul.batch
def _(batched, a, b):
    ndim_a, ndim_b = a.ndim - batched[0], b.ndim - batched[1]
    if batched == (True, False) and ndim_b <= 2:
        # one product of all rows, rather than one for each set
        rows = reshape(a, shape=(element_count(a.shape[:-1]), a.shape[-1])) if ndim_a > 1 else a
        product = rows @ b
        return reshape(product, shape=(*a.shape[:-1], *b.shape[1:])) if ndim_a > 1 else product
    if batched == (False, True) and ndim_b == 1 and ndim_a == 2:
        return b @ transpose(a)
    # a vector becomes a row or a column, and all get as many axes as the widest
    left = expand_dims(a, axis=-2) if ndim_a == 1 else a
    right = expand_dims(b, axis=-1) if ndim_b == 1 else b
    widest = max(ndim_a, ndim_b, 2)
    left = _widened(left, max(ndim_a, 2), widest, batched[0])
    right = _widened(right, max(ndim_b, 2), widest, batched[1])
    product = left @ right
    if ndim_a == 1:
        product = index(product, key="..., 0, :")
    return index(product, key="..., 0") if ndim_b == 1 else product


@matmul.into
def _(out, a, b):
    if a.ndim > 2 and b.ndim <= 2 and a.flags.c_contiguous:
        # one product of all rows, rather than one for each matrix
        rows = math.prod(a.shape[:-1])
        a, out = a.reshape(rows, a.shape[-1]), out.reshape(rows, *b.shape[1:])
    # dot starts sooner, but takes a matrix of one entry for a number, and 0 times infinity for 0
    starts_sooner = a.ndim <= 2 and b.ndim <= 2 and a.size != 1 and b.size != 1
    return partial(np.dot if starts_sooner else np.matmul, a, b, out)


@matmul.local(wrt="a")
def _(y, a, b):
    if b.ndim > 2:
        return None
    columns = b.T if b.ndim == 2 else b[None, :]
    return Dense(columns) if a.ndim == 1 else Kronecker(columns, math.prod(a.shape[:-1]), (True, True))


@matmul.local(wrt="b")
def _(y, a, b):
    if b.ndim > 2:
        return None
    rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    return Dense(rows) if b.ndim == 1 else Kronecker(rows, b.shape[1], (False, False))


@matmul.samples
def _(rng):
    for left, right in (
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((3,), (5, 3, 2)),
        ((2, 3), (5, 3, 2)),
        ((5, 2, 3), (3,)),
    ):
        yield sample(rng.normal(size=left), rng.normal(size=right))


def _widened(matrix, ndim, widest, batched):
    missing = widest - ndim
    return expand_dims(matrix, axis=tuple(range(1, 1 + missing))) if batched and missing else matrix


def _as_matrices(g, a, b):
    # A vector at the left is a row, one at the right a column; the product gets those axes back.
    left = expand_dims(a, axis=0) if a.ndim == 1 else a
    right = expand_dims(b, axis=1) if b.ndim == 1 else b
    if b.ndim == 1:
        g = expand_dims(g, axis=-1)
    if a.ndim == 1:
        g = expand_dims(g, axis=-2)
    return left, right, g


def _swapped(matrix):
    axes = tuple(range(matrix.ndim))
    return transpose(matrix) if matrix.ndim == 2 else transpose(matrix, axes=(*axes[:-2], axes[-1], axes[-2]))


def _as_shape_of(cotangent, matrix, operand):
    if cotangent.shape != matrix.shape:
        cotangent = sum_to(cotangent, shape=matrix.shape)
    return cotangent if operand.shape == matrix.shape else reshape(cotangent, shape=operand.shape)


@primitive(structure="selection", view="always")
def transpose(x, *, axes: tuple[int, ...] | None = None):
    """x with its axes in the given order, or in reverse order: ``x.T``."""
    return np.transpose(x, axes)


@transpose.shape
def _(x, *, axes):
    return tuple(x.shape[axis] for axis in _order(axes, x.ndim))


@transpose.vjp
def _(g, y, x, *, axes):
    if axes is None:
        return transpose(g)
    order = _order(axes, x.ndim)
    return transpose(g, axes=tuple(order.index(axis) for axis in range(x.ndim)))


@transpose.batch
def _(batched, x, *, axes):
    return transpose(x, axes=(0, *(axis + 1 for axis in _order(axes, x.ndim - 1))))


@transpose.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)))
    yield sample(rng.normal(size=(2, 3, 4)))
    yield sample(rng.normal(size=(2, 3, 4)), axes=(1, -1, 0))
    yield sample(rng.normal(size=()))


def _order(axes, ndim):
    if axes is None:
        return tuple(range(ndim))[::-1]
    order = tuple(normalize_axis(axis, ndim) for axis in axes)
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"axes {list(axes)} are not an order of the {ndim} axes 0 to {ndim - 1}")
    return order
