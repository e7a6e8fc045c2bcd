"""Layers."""

from __future__ import annotations

from dataflow import DtypeError, OpError, ShapeError, broadcast_shapes, format_shape, op, sample
from dataflow.operations.engine_ops import identity, transpose
from dataflow_ops.selecting import gather


@op
def linear(x, W, b=None):
    """Affine map x @ W.T + b. x is (..., in), W is (out, in), b is (out,) or left out."""
    product = x @ transpose(W)
    return product if b is None else product + b


linear.formula(linear.function)


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


@op
def dropout(x, *, rate: float = 0.5):
    """x. In training, entries chosen by chance become 0, each with the probability rate, and all others are divided by
    1 − rate, so that the mean stays. rate is from 0 up to but not including 1."""
    return identity(x)


@dropout.shape
def _(x, *, rate):
    if not 0 <= rate < 1:
        raise OpError(f"dropout's rate is from 0 up to but not including 1, not {rate}")
    if not x.is_float:
        raise DtypeError(f"dropout takes floats, which it divides in training, not {x.dtype}; cast its input")
    return x.shape


@dropout.training
def _(random, x, *, rate):
    return x * (random(x) >= rate) / (1 - rate) if rate else identity(x)


@dropout.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), rate=0.25)


@op
def embedding(W, indices):
    """The rows of W that the indices name: W is (rows, width), the indices (...) are whole numbers, the result is
    (..., width)."""
    if W.ndim != 2:
        raise ShapeError(f"embedding takes W of (rows, width), not {format_shape(W.shape)}")
    return gather(W, indices)


@embedding.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), rng.integers(3, size=(2, 2)))
