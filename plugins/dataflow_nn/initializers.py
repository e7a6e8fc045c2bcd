"""Initializers. The fan-in is the size of the last axis, as in ``linear``, unless ``fan_in_axis`` says otherwise."""

from __future__ import annotations

import math

import numpy as np

from dataflow import OpError, initializer


def _fans(shape: tuple[int, ...], fan_in_axis: int) -> tuple[int, int]:
    """Inputs to and outputs of one unit."""
    if not shape:
        raise OpError("an initializer that scales by the fan-in needs at least one axis; use 'normal' or 'uniform'")
    if not -len(shape) <= fan_in_axis < len(shape):
        raise OpError(f"fan_in_axis {fan_in_axis} is out of range for the shape {shape}")
    fan_in = shape[fan_in_axis]
    return max(1, fan_in), max(1, math.prod(shape) // max(1, fan_in))


@initializer
def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All 0."""
    return np.zeros(shape)


@initializer
def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All 1."""
    return np.ones(shape)


@initializer
def constant(rng: np.random.Generator, shape: tuple[int, ...], *, value: float) -> np.ndarray:
    """All the same value."""
    return np.full(shape, value)


@initializer
def normal(rng: np.random.Generator, shape: tuple[int, ...], *, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Normal with the given mean and standard deviation."""
    return rng.normal(mean, std, shape)


@initializer
def uniform(rng: np.random.Generator, shape: tuple[int, ...], *, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Uniform between low and high."""
    return rng.uniform(low, high, shape)


@initializer
def he_normal(rng: np.random.Generator, shape: tuple[int, ...], *, fan_in_axis: int = -1) -> np.ndarray:
    """Normal with variance 2 / fan-in, for relu (He et al., 2015, "Delving Deep into Rectifiers")."""
    return rng.normal(0, math.sqrt(2 / _fans(shape, fan_in_axis)[0]), shape)


@initializer
def he_uniform(rng: np.random.Generator, shape: tuple[int, ...], *, fan_in_axis: int = -1) -> np.ndarray:
    """Uniform with variance 2 / fan-in, for relu (He et al., 2015)."""
    bound = math.sqrt(6 / _fans(shape, fan_in_axis)[0])
    return rng.uniform(-bound, bound, shape)


@initializer
def glorot_normal(rng: np.random.Generator, shape: tuple[int, ...], *, fan_in_axis: int = -1) -> np.ndarray:
    """Normal with variance 2 / (fan-in + fan-out), for tanh (Glorot and Bengio, 2010, "Understanding the difficulty of
    training deep feedforward neural networks")."""
    return rng.normal(0, math.sqrt(2 / sum(_fans(shape, fan_in_axis))), shape)


@initializer
def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...], *, fan_in_axis: int = -1) -> np.ndarray:
    """Uniform with variance 2 / (fan-in + fan-out), for tanh (Glorot and Bengio, 2010)."""
    bound = math.sqrt(6 / sum(_fans(shape, fan_in_axis)))
    return rng.uniform(-bound, bound, shape)


@initializer
def lecun_normal(rng: np.random.Generator, shape: tuple[int, ...], *, fan_in_axis: int = -1) -> np.ndarray:
    """Normal with variance 1 / fan-in (LeCun et al., 1998, "Efficient BackProp")."""
    return rng.normal(0, math.sqrt(1 / _fans(shape, fan_in_axis)[0]), shape)


ALL = [
    zeros,
    ones,
    constant,
    normal,
    uniform,
    he_normal,
    he_uniform,
    glorot_normal,
    glorot_uniform,
    lecun_normal,
]
