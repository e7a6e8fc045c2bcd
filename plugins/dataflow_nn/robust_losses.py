"""Losses of numbers beside the squared error, and of distributions and margins."""

from __future__ import annotations

import numpy as np

from dataflow import OpError, op, sample
from dataflow.operations.engine_ops import abs_, cast, log, masked, where
from dataflow_nn.losses import Reduction, as_float, fitted, loss_spec, reduce, scale
from dataflow_ops.arithmetic import exp, maximum, minimum
from dataflow_ops.reductions import sum_


@op(compares="numbers")
def huber(prediction, target, *, delta: float = 1.0, reduction: Reduction = "sum"):
    """Σ ½ e² where |e| is at most delta, else delta (|e| − ½ delta), with e = prediction − target (Huber, 1964)."""
    size = abs_(prediction - target)
    near = minimum(size, delta)
    return reduce(sum_(near * (size - 0.5 * near)), prediction, reduction)


@huber.vjp(wrt="prediction")
def _(g, y, prediction, target, *, delta, reduction):
    return scale(g, prediction, reduction) * _limited(prediction - target, delta)


@huber.vjp(wrt="target")
def _(g, y, prediction, target, *, delta, reduction):
    return fitted(-scale(g, prediction, reduction) * _limited(prediction - target, delta), target)


@op(compares="numbers")
def smooth_l1(prediction, target, *, beta: float = 1.0, reduction: Reduction = "sum"):
    """Σ ½ e²/beta where |e| is below beta, else |e| − ½ beta, with e = prediction − target: huber divided by its
    delta (Girshick, 2015)."""
    size = abs_(prediction - target)
    near = minimum(size, beta)
    return reduce(sum_(near * (size - 0.5 * near)) / beta, prediction, reduction)


@smooth_l1.vjp(wrt="prediction")
def _(g, y, prediction, target, *, beta, reduction):
    return scale(g, prediction, reduction) / beta * _limited(prediction - target, beta)


@smooth_l1.vjp(wrt="target")
def _(g, y, prediction, target, *, beta, reduction):
    return fitted(-scale(g, prediction, reduction) / beta * _limited(prediction - target, beta), target)


def _limited(error, limit):
    return maximum(minimum(error, limit), -limit)


@op
def kl_divergence(log_prediction, target, *, log_target: bool = False, reduction: Reduction = "sum"):
    """Σ target · (log target − log_prediction), the Kullback-Leibler divergence of a distribution from the target. The
    prediction is given as logarithms, the target as probabilities, or as logarithms too with ``log_target``. What has
    the probability 0 adds nothing, and its derivative is taken as 0."""
    log_prediction, target = as_float(log_prediction, target), as_float(target, log_prediction)
    share = exp(target) if log_target else target
    possible = share != 0
    logs = target if log_target else log(where(possible, share, 1))
    return reduce(sum_(share * where(possible, logs - log_prediction, 0)), log_prediction, reduction)


@op(chooses=True)
def hinge(prediction, target, *, reduction: Reduction = "sum"):
    """Σ max(0, 1 − target · prediction); the targets are −1 and 1. At the margin, where the product is 1, the
    derivative is 0."""
    return reduce(sum_(maximum(1 - target * prediction, 0)), prediction, reduction)


@hinge.vjp(wrt="prediction")
def _(g, y, prediction, target, *, reduction):
    margin = target * prediction
    return -scale(g, prediction, reduction) * masked(target, margin < 1, margin)


@hinge.vjp(wrt="target")
def _(g, y, prediction, target, *, reduction):
    margin = target * prediction
    return fitted(-scale(g, prediction, reduction) * masked(prediction, margin < 1, margin), target)


@hinge.kink("at the margin the derivative is taken as 0")
def _(prediction, target):
    return sum_(cast(target * prediction == 1, dtype="int64")) > 0


def _declare_shape(loss):
    @loss.shape
    def _(prediction, target, *, reduction, **more):
        for name in ("delta", "beta"):
            if not more.get(name, 1) > 0:
                raise OpError(f"{loss.name}: {name} lies above 0, not at {more[name]}")
        return loss_spec(loss.name, prediction, target, reduction)


for _loss in (huber, smooth_l1, kl_divergence, hinge):
    _declare_shape(_loss)

for _loss in (huber, smooth_l1):

    @_loss.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
        yield sample(2 * rng.normal(size=(2, 3)), rng.normal(size=3), reduction="mean")


@kl_divergence.samples
def _(rng):
    logs = np.log(rng.dirichlet([1, 1, 1], size=(2, 2)))
    yield sample(logs[0], np.exp(logs[1]), reduction="mean")
    yield sample(logs[0], logs[1], log_target=True)


@hinge.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), rng.choice([-1.0, 1.0], size=(3, 2)), reduction="mean")
