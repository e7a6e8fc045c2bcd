"""Batch normalization: by the statistics of the minibatch in training, by running ones otherwise."""

from __future__ import annotations

from dataflow import normalize_axis, op, sample
from dataflow_nn.channels import along_channels
from dataflow_ops.arithmetic import sqrt
from dataflow_ops.reductions import mean as mean_of


@op
def batch_norm(x, scale, bias, mean, variance, *, axis: int = 1, momentum: float = 0.9, epsilon: float = 1e-5):
    """(x − mean) / √(variance + epsilon) · scale + bias, each of the four as long as x is along the axis of channels
    (Ioffe and Szegedy, 2015, "Batch Normalization").

    In training, mean and variance are those of the minibatch; the variance is the mean of squares. The parameters mean
    and variance then become momentum · old + (1 − momentum) · the minibatch's, as in ONNX's BatchNormalization.
    PyTorch's momentum is 1 − momentum, and its running variance divides by the number of entries less 1.
    """
    factor, bias, mean = _along_axis(x, axis, scale=scale / sqrt(variance + epsilon), bias=bias, mean=mean)
    return (x - mean) * factor + bias


def _along_axis(x, axis, **vectors):
    along = normalize_axis(axis, x.ndim)
    return [along_channels("batch_norm", what, vector, x, along) for what, vector in vectors.items()]


@batch_norm.training(state=("mean", "variance"))
def _(random, x, scale, bias, mean, variance, *, axis, momentum, epsilon):
    others = tuple(i for i in range(x.ndim) if i != normalize_axis(axis, x.ndim))
    new_mean = mean_of(x, axis=others)
    centred = x - _along_axis(x, axis, mean=new_mean)[0]
    new_variance = mean_of(centred * centred, axis=others)
    factor, bias = _along_axis(x, axis, scale=scale / sqrt(new_variance + epsilon), bias=bias)
    running = [momentum * old + (1 - momentum) * new for old, new in ((mean, new_mean), (variance, new_variance))]
    return centred * factor + bias, *running


@batch_norm.samples
def _(rng):
    three = [rng.normal(size=2) for _ in range(3)]
    yield sample(rng.normal(size=(3, 2, 2)), *three, rng.uniform(0.5, 2, size=2))
    yield sample(rng.normal(size=(3, 2)), *three, rng.uniform(0.5, 2, size=2), axis=-1, epsilon=0.1)
