"""Losses. ``reduction="sum"`` is the default; ``"mean"`` divides the sum by the number of examples, the first axis. The
mean over no examples is NaN, and its derivatives are 0, as no example adds to it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataflow import DTYPES, DtypeError, ShapeError, TensorSpec, broadcast_shapes, format_shape, op, sample
from dataflow.operations.engine_ops import abs_, cast, log, sum_to, where
from dataflow_nn.activations import log_softmax, sigmoid, softmax
from dataflow_ops.arithmetic import exp, maximum
from dataflow_ops.reductions import size, sum_

Reduction = Literal["sum", "mean"]


def reduce(total, x, reduction):
    """The total, or its mean over the examples of x."""
    if total.dtype.kind != "f":
        total = cast(total, dtype="float64")
    if reduction == "sum":
        return total
    count = size(x, axis=0)
    return total / (count if count.dtype == total.dtype else cast(count, dtype=total.dtype.name))


def as_float(x, *beside):
    """x, if it is of whole numbers or a plain number, in the dtype of floats that a loss of it and what stands beside
    it has."""
    if not isinstance(x, (int, float)) and x.dtype.kind == "f":
        return x
    dtype = np.result_type(*(y if isinstance(y, (int, float)) else y.dtype for y in (x, *beside)))
    return cast(x, dtype=dtype.name if dtype.kind == "f" else "float64")


def scale(g, x, reduction):
    """The cotangent of the total for that of what reduce gives."""
    return g / size(x, axis=0, least=1) if reduction == "mean" else g


def loss_spec(name, x, y, reduction):
    """Of a loss that compares x with y, which broadcasts to it."""
    if x.dtype == bool:
        raise DtypeError(f"{name} takes numbers first, not booleans; cast them, as in cast(x, dtype='float64')")
    if broadcast_shapes(x.shape, y.shape) != x.shape:
        raise ShapeError(
            f"{name} compares {format_shape(x.shape)} with {format_shape(y.shape)}, which would broadcast to "
            f"{format_shape(broadcast_shapes(x.shape, y.shape))}; give both one shape"
        )
    if reduction == "mean" and x.ndim == 0:
        raise ShapeError(f'{name} with reduction="mean" needs a first axis, the examples; a scalar has none')
    dtype = np.result_type(x.dtype, y.dtype)
    return TensorSpec((), dtype if dtype.kind == "f" else DTYPES["float64"])


@op(compares="numbers")
def mse(prediction, target, *, reduction: Reduction = "sum"):
    """Half the squared error, ½ Σ (prediction − target)²; "mean" divides by the number of examples, the first axis."""
    error = prediction - target
    return reduce(0.5 * sum_(error * error), prediction, reduction)


mse.formula(mse.function)


@mse.shape
def _(prediction, target, *, reduction):
    return loss_spec("mse", prediction, target, reduction)


@mse.vjp(wrt="prediction")
def _(g, y, prediction, target, *, reduction):
    return scale(g, prediction, reduction) * (prediction - target)


@mse.vjp(wrt="target")
def _(g, y, prediction, target, *, reduction):
    return fitted(scale(g, prediction, reduction) * (target - prediction), target)


@mse.samples
def _(rng):
    yield sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))
    yield sample(rng.normal(size=(4, 3)), rng.normal(size=3), reduction="mean")
    yield sample(rng.normal(size=4), rng.normal(size=4), reduction="mean")
    yield sample(rng.normal(size=()), rng.normal(size=()))


@op(compares="classes")
def softmax_cross_entropy(logits, labels, *, reduction: Reduction = "sum"):
    """−Σ labels · log_softmax(logits) over the last axis; labels are probabilities, such as one-hot rows. A class that
    cannot be, whose logit is −∞, adds nothing where its label is 0."""
    return reduce(-sum_(weighted(labels, log_softmax(logits))), logits, reduction)


@softmax_cross_entropy.formula
def _(logits, labels, *, reduction):
    return reduce(-sum_(labels * log_softmax(logits)), logits, reduction)


@softmax_cross_entropy.shape
def _(logits, labels, *, reduction):
    if logits.ndim == 0:
        raise ShapeError("softmax_cross_entropy takes logits of (..., classes), not a scalar")
    if logits.shape[-1] == 0:
        raise ShapeError(f"softmax_cross_entropy needs at least one class, not logits of {format_shape(logits.shape)}")
    if logits.shape[-1] == 1:
        raise ShapeError(
            f"softmax_cross_entropy with logits of {format_shape(logits.shape)}: a softmax over one column is always "
            f"1; use two columns, or sigmoid_cross_entropy for labels of 0 and 1 in one column"
        )
    return loss_spec("softmax_cross_entropy", logits, labels, reduction)


@softmax_cross_entropy.vjp(wrt="logits")
def _(g, y, logits, labels, *, reduction):
    if isinstance(labels, (int, float)) or labels.shape[-1:] != logits.shape[-1:]:
        weights = labels * size(logits, axis=-1)  # one label for all classes counts once for each
    else:
        weights = sum_(labels, axis=-1, keepdims=True)
    return scale(g, logits, reduction) * (softmax(logits) * weights - labels)


@softmax_cross_entropy.vjp(wrt="labels")
def _(g, y, logits, labels, *, reduction):
    return fitted(-scale(g, logits, reduction) * log_softmax(logits), labels)


@softmax_cross_entropy.samples
def _(rng):
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1], size=4))
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1], size=4), reduction="mean")
    yield sample(rng.normal(size=(4, 3)), rng.dirichlet([1, 1, 1]), reduction="mean")
    yield sample(rng.normal(size=3), rng.dirichlet([1, 1, 1]))


@op(compares="binary")
def sigmoid_cross_entropy(logits, labels, *, reduction: Reduction = "sum"):
    """−Σ labels · log p + (1 − labels) · log(1 − p) with p = sigmoid(logits), exact for large logits too; labels are
    probabilities of "yes", such as 0 and 1, each for itself."""
    logits = as_float(logits, labels)
    if not isinstance(labels, (int, float)) and labels.dtype == bool:
        labels = cast(labels, dtype=logits.dtype.name)  # 1 - labels would be whole numbers, which widen float32
    beside = _log_of_one_more(exp(-abs_(logits)))
    yes, no = maximum(-logits, 0) + beside, maximum(logits, 0) + beside
    return reduce(sum_(weighted(labels, yes) + weighted(1 - labels, no)), logits, reduction)


@sigmoid_cross_entropy.formula
def _(logits, labels, *, reduction):
    p = sigmoid(logits)
    return reduce(-sum_(labels * log(p) + (1 - labels) * log(1 - p)), logits, reduction)


@sigmoid_cross_entropy.shape
def _(logits, labels, *, reduction):
    return loss_spec("sigmoid_cross_entropy", logits, labels, reduction)


@sigmoid_cross_entropy.vjp(wrt="logits")
def _(g, y, logits, labels, *, reduction):
    return scale(g, logits, reduction) * (sigmoid(logits) - labels)


@sigmoid_cross_entropy.vjp(wrt="labels")
def _(g, y, logits, labels, *, reduction):
    return fitted(-scale(g, logits, reduction) * logits, labels)


@sigmoid_cross_entropy.samples
def _(rng):
    yield sample(rng.normal(size=(4, 1)), rng.random((4, 1)))
    yield sample(3 * rng.normal(size=(4, 3)), rng.random((4, 3)), reduction="mean")
    yield sample(rng.normal(size=(4, 3)), rng.random(3), reduction="mean")
    yield sample(rng.normal(size=()), rng.random())


def weighted(weights, logarithms):
    """The product, which is 0 where the weight is 0, and not 0 · ∞; in the dtype of both, also where the logarithms are
    one plain number."""
    return weights * where(weights != 0, logarithms, weights)


def _log_of_one_more(x):
    """log(1 + x), as exact near 0 as x is (Goldberg, 1991, "What every computer scientist should know about
    floating-point arithmetic", theorem 4)."""
    more = 1 + x
    lost = more == 1
    return where(lost, x, log(more) * x / where(lost, 1, more - 1))


def fitted(cotangent, operand):
    """Summed over the axes along which the operand was broadcast."""
    shape = getattr(operand, "shape", ())
    return cotangent if cotangent.shape == shape else sum_to(cotangent, shape=shape)
