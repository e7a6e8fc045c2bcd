"""What the derivatives of ops need whose shapes depend on values."""

from __future__ import annotations

import numpy as np

from dataflow.errors import ShapeError
from dataflow.operations.declare_ops import primitive
from dataflow.operations.op_rules import sample
from dataflow.shapes import TensorSpec, format_shape, made_names


@primitive(structure="selection", view="always")
def shaped_like(x, like):
    """x as it is, whose shape is that of ``like`` once values are known: two calls may make a size that is the same."""
    if np.shape(x) != np.shape(like):  # either may be a plain number
        raise ShapeError(f"the shapes {format_shape(np.shape(x))} and {format_shape(np.shape(like))} are not the same")
    return x


@shaped_like.shape
def _(x, like):
    sizes = zip(x.shape, like.shape, strict=False)
    if len(x.shape) != len(like.shape) or any(a != b and not made_names([a, b]) for a, b in sizes):
        raise ShapeError(f"{format_shape(x.shape)} is not shaped like {format_shape(like.shape)}")
    return TensorSpec(like.shape, x.dtype)


@shaped_like.vjp
def _(g, y, x, like):
    return shaped_like(g, x), None


@shaped_like.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), np.zeros((2, 3), bool))
