"""Losses. ``reduction="sum"`` is the default; ``"mean"`` divides the sum by the number of examples, the first axis."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataflow import DTYPES, ShapeError, TensorSpec, broadcast_shapes, format_shape, op, sample
from dataflow_nn.activations import log_softmax, softmax
from dataflow_ops.reductions import size, sum_
from dataflow_ops.shaping import sum_to

Reduction = Literal["sum", "mean"]


def _reduce(total, x, reduction):
    return total / size(x, axis=0) if reduction == "mean" else total


def _scale(g, x, reduction):
    return g / size(x, axis=0) if reduction == "mean" else g


def _loss_spec(name, x, y, reduction):
    if broadcast_shapes(x.shape, y.shape) != x.shape:
        raise ShapeError(
            f"{name} compares {format_shape(x.shape)} with {format_shape(y.shape)}, which would broadcast to "
            f"{format_shape(broadcast_shapes(x.shape, y.shape))}; give both one shape"
        )
    if reduction == "mean" and x.ndim == 0:
        raise ShapeError(f'{name} with reduction="mean" needs a first axis, the examples; a scalar has none')
    dtype = np.result_type(x.dtype, y.dtype)
    return TensorSpec((), dtype if dtype.kind == "f" else DTYPES["float64"])


@op
def mse(prediction, target, *, reduction: Reduction = "sum"):
    """Half the squared error, ½ Σ (prediction − target)²; "mean" divides by the number of examples, the first axis."""
    error = prediction - target
    return _reduce(0.5 * sum_(error * error), prediction, reduction)


@mse.shape
def _(prediction, target, *, reduction):
    return _loss_spec("mse", prediction, target, reduction)


@mse.vjp(wrt="prediction")
def _(g, y, prediction, target, *, reduction):
    return _scale(g, prediction, reduction) * (prediction - target)


@mse.vjp(wrt="target")
def _(g, y, prediction, target, *, reduction):
    return _fitted(_scale(g, prediction, reduction) * (target - prediction), target)


@mse.samples
def _(rng):
    yield sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))
    yield sample(rng.normal(size=(4, 3)), rng.normal(size=3), reduction="mean")
    yield sample(rng.normal(size=4), rng.normal(size=4), reduction="mean")
    yield sample(rng.normal(size=()), rng.normal(size=()))


@op
def softmax_cross_entropy(logits, labels, *, reduction: Reduction = "sum"):
    """−Σ labels · log_softmax(logits) over the last axis; labels are probabilities, such as one-hot rows."""
    return _reduce(-sum_(labels * log_softmax(logits)), logits, reduction)


@softmax_cross_entropy.shape
def _(logits, labels, *, reduction):
    if logits.ndim == 0:
        raise ShapeError("softmax_cross_entropy takes logits of (..., classes), not a scalar")
    if logits.shape[-1] == 0:
        raise ShapeError(f"softmax_cross_entropy needs at least one class, not logits of {format_shape(logits.shape)}")
    return _loss_spec("softmax_cross_entropy", logits, labels, reduction)


@softmax_cross_entropy.vjp(wrt="logits")
def _(g, y, logits, labels, *, reduction):
    if isinstance(labels, (int, float)) or labels.shape[-1:] != logits.shape[-1:]:
        weights = labels * size(logits, axis=-1)  # one label for all classes counts once for each
    else:
        weights = sum_(labels, axis=-1, keepdims=True)
    return _scale(g, logits, reduction) * (softmax(logits) * weights - labels)


@softmax_cross_entropy.vjp(wrt="labels")
def _(g, y, logits, labels, *, reduction):
    return _fitted(-_scale(g, logits, reduction) * log_softmax(logits), labels)


@softmax_cross_entropy.samples
def _(rng):
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1], size=4))
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1], size=4), reduction="mean")
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1]), reduction="mean")
    yield sample(rng.normal(size=3), rng.dirichlet([1, 1, 1]))


def _fitted(cotangent, operand):
    """Summed over the axes along which the operand was broadcast."""
    return cotangent if cotangent.shape == operand.shape else sum_to(cotangent, shape=operand.shape)
