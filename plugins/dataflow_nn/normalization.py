"""Normalization: x less its mean, divided by its deviation, over the axes that each kind of it takes."""

from __future__ import annotations

import numpy as np

from dataflow import ShapeError, broadcast_shapes, element_count, format_shape, normalize_axis, op, sample
from dataflow.operations.engine_ops import reshape
from dataflow_nn.channels import along_channels, channels_per_group
from dataflow_nn.window_sums import window_sum
from dataflow_nn.windows import check_channels
from dataflow_ops.arithmetic import sqrt
from dataflow_ops.reductions import mean


@op
def standardize(x, *, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-5):
    """x less its mean, divided by √(variance + epsilon), both over the given axes; the variance is the mean of
    squares."""
    return _centred(x, axis) / _deviation(x, axis, epsilon)


@standardize.vjp
def _(g, y, x, *, axis, epsilon):
    shares = g - mean(g, axis=axis, keepdims=True) - y * mean(g * y, axis=axis, keepdims=True)
    return shares / _deviation(x, axis, epsilon)


@standardize.samples
def _(rng):
    yield sample(rng.normal(size=(2, 4)))
    yield sample(rng.normal(size=(3, 2, 2)), axis=(0, 2), epsilon=0.5)


def _centred(x, axis):
    return x - mean(x, axis=axis, keepdims=True)


def _deviation(x, axis, epsilon):
    centred = _centred(x, axis)
    return sqrt(mean(centred * centred, axis=axis, keepdims=True) + epsilon)


@op
def layer_norm(x, scale=None, bias=None, *, axis: int = -1, epsilon: float = 1e-5):
    """x standardized over its axes from ``axis`` to the last, · scale + bias (Ba, Kiros and Hinton, 2016, "Layer
    Normalization"). scale and bias have the sizes of those axes, or are left out."""
    standardized = standardize(x, axis=_axes_from(x, axis), epsilon=epsilon)
    return _scaled("layer_norm", standardized, scale, bias)


@layer_norm.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3, 2)), rng.normal(size=2), rng.normal(size=2))
    yield sample(rng.normal(size=(2, 3, 2)), rng.normal(size=(3, 2)), axis=1)


@op
def rms_norm(x, scale=None, *, axis: int = -1, epsilon: float = 1e-5):
    """x / √(mean of x² + epsilon), the mean over the axes from ``axis`` to the last, · scale (Zhang and Sennrich, 2019,
    "Root Mean Square Layer Normalization"). scale has the sizes of those axes, or is left out."""
    axes = _axes_from(x, axis)
    return _scaled("rms_norm", x / sqrt(mean(x * x, axis=axes, keepdims=True) + epsilon), scale, None)


@rms_norm.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=3))
    yield sample(rng.normal(size=(2, 3, 2)), axis=1)


@op
def group_norm(x, scale=None, bias=None, *, groups: int, epsilon: float = 1e-5):
    """x, (N, C, ...), standardized over each group of its channels and all axes behind, · scale + bias, which are (C,)
    or left out (Wu and He, 2018, "Group Normalization")."""
    if x.ndim < 2:
        raise ShapeError(f"group_norm takes (N, C, ...), not {format_shape(x.shape)}")
    length = channels_per_group(x.shape[1], groups) * element_count(x.shape[2:])
    standardized = standardize(reshape(x, shape=(x.shape[0], groups, length)), axis=-1, epsilon=epsilon)
    return _scaled_channels("group_norm", reshape(standardized, shape=x.shape), scale, bias)


@group_norm.samples
def _(rng):
    yield sample(rng.normal(size=(2, 4, 2)), rng.normal(size=4), rng.normal(size=4), groups=2)


@op
def instance_norm(x, scale=None, bias=None, *, epsilon: float = 1e-5):
    """x, (N, C, spatial...), standardized over its spatial axes, · scale + bias, which are (C,) or left out (Ulyanov,
    Vedaldi and Lempitsky, 2016, "Instance Normalization: The Missing Ingredient for Fast Stylization")."""
    check_channels("instance_norm", x.shape)
    standardized = standardize(x, axis=tuple(range(2, x.ndim)), epsilon=epsilon)
    return _scaled_channels("instance_norm", standardized, scale, bias)


@instance_norm.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 3)), rng.normal(size=2), rng.normal(size=2))


@op
def local_response_norm(x, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0):
    """x / (bias + alpha / size · Σ x²)^beta, the sum over ``size`` neighbouring channels of x, (N, C, ...), of which
    ⌊(size − 1) / 2⌋ are in front (Krizhevsky, Sutskever and Hinton, 2012, "ImageNet Classification with Deep
    Convolutional Neural Networks")."""
    if x.ndim < 2 or size < 1:
        raise ShapeError(f"local_response_norm takes (N, C, ...) and a size of at least 1, not {format_shape(x.shape)}")
    flat = reshape(x * x, shape=(x.shape[0], 1, x.shape[1], element_count(x.shape[2:])))
    padding = (((size - 1) // 2, size // 2), (0, 0))
    total = reshape(window_sum(flat, kernel=(size, 1), strides=1, padding=padding), shape=x.shape)
    return x / (bias + alpha / size * total) ** beta


@local_response_norm.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3, 2)), size=2, alpha=0.5)


def _axes_from(x, axis):
    return tuple(range(normalize_axis(axis, x.ndim), x.ndim))


def _scaled_channels(name, x, scale, bias):
    vectors = (("scale", scale), ("bias", bias))
    return _scaled(name, x, *(v if v is None else along_channels(name, what, v, x) for what, v in vectors))


def _scaled(name, x, scale, bias):
    for what, factor in (("scale", scale), ("bias", bias)):
        if factor is not None and not np.isscalar(factor) and broadcast_shapes(x.shape, factor.shape) != x.shape:
            raise ShapeError(
                f"{name}'s {what} of {format_shape(factor.shape)} does not fit x of {format_shape(x.shape)}"
            )
    scaled = x if scale is None else x * scale
    return scaled if bias is None else scaled + bias
