"""Layers."""

from __future__ import annotations

from dataflow import ShapeError, broadcast_shapes, format_shape, op, sample
from dataflow_ops.linalg import transpose


@op
def linear(x, W, b=None):
    """Affine map x @ W.T + b. x is (..., in), W is (out, in), b is (out,) or left out."""
    product = x @ transpose(W)
    return product if b is None else product + b


@linear.shape
def _(x, W, b):
    if W.ndim != 2 or x.ndim < 1 or x.shape[-1] != W.shape[1]:
        raise ShapeError(
            f"linear takes x of (..., in) and W of (out, in), not {format_shape(x.shape)} and {format_shape(W.shape)}"
        )
    shape = (*x.shape[:-1], W.shape[0])
    if b is not None and broadcast_shapes(shape, b.shape) != shape:
        raise ShapeError(f"linear's bias {format_shape(b.shape)} does not broadcast to {format_shape(shape)}")
    return shape


@linear.samples
def _(rng):
    yield sample(rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=2))
    yield sample(rng.normal(size=(5, 3)), rng.normal(size=(2, 3)))
    yield sample(rng.normal(size=3), rng.normal(size=(2, 3)), rng.normal(size=2))
    yield sample(rng.normal(size=(4, 5, 3)), rng.normal(size=(2, 3)), rng.normal(size=2))
