"""Optimizers: update rules on flat vectors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from dataflow import OpError, Optimizer


class SGD(Optimizer):
    """Gradient descent, w ← w − ε·∇f, with momentum (Polyak, 1964), Nesterov's variant, and weight decay (an added
    λ·w)."""

    name = "sgd"
    state_names = ("velocity",)

    def __init__(
        self, *, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.learning_rate = _at_least_zero(self, "learning_rate", learning_rate)
        self.momentum = _below_one(self, "momentum", momentum)
        self.nesterov = nesterov
        self.weight_decay = _at_least_zero(self, "weight_decay", weight_decay)
        if nesterov and not momentum:
            raise OpError("optimizer 'sgd': nesterov needs a momentum above 0")

    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        if self.weight_decay:
            gradients += self.weight_decay * parameters
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += gradients
            if self.nesterov:
                gradients += self.momentum * velocity
            else:
                gradients[...] = velocity
        rate: float | np.ndarray = self.learning_rate
        if type(rate) is float and type(gradients) is np.ndarray:  # a backend may trace the rule
            rate = _as_array(rate, gradients.dtype)
        np.multiply(gradients, rate, gradients)
        np.subtract(parameters, gradients, parameters)


@lru_cache(maxsize=64)
def _as_array(number: float, dtype: np.dtype) -> np.ndarray:
    """A number as an array, which numpy takes in half the time."""
    array = np.array(number, dtype)
    array.flags.writeable = False
    return array


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, "Adam: A Method for Stochastic Optimization"), with decoupled weight decay (Loshchilov
    and Hutter, 2019, "Decoupled Weight Decay Regularization"), as adamw has it."""

    name = "adam"
    state_names = ("mean", "square")

    def __init__(
        self,
        *,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = _at_least_zero(self, "learning_rate", learning_rate)
        self.beta1 = _below_one(self, "beta1", beta1)
        self.beta2 = _below_one(self, "beta2", beta2)
        self.epsilon = _at_least_zero(self, "epsilon", epsilon)
        self.weight_decay = _at_least_zero(self, "weight_decay", weight_decay)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        mean, square = state["mean"], state["square"]
        mean *= self.beta1
        mean += (1 - self.beta1) * gradients
        square *= self.beta2
        square += (1 - self.beta2) * gradients * gradients
        if self.weight_decay:
            parameters *= 1 - self.learning_rate * self.weight_decay
        unbiased = np.sqrt(square / (1 - self.beta2**step))
        unbiased += self.epsilon
        parameters -= self.learning_rate / (1 - self.beta1**step) * mean / unbiased


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, "Decoupled Weight Decay Regularization"): before
    each step, w ← w − ε·λ·w. It is adam with a weight decay unless told otherwise."""

    name = "adamw"

    def __init__(
        self,
        *,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay
        )


class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares (Tieleman and Hinton, 2012, lecture 6.5 of
    "Neural Networks for Machine Learning"), with momentum, and weight decay (an added λ·w)."""

    name = "rmsprop"
    state_names = ("square", "velocity")

    def __init__(
        self,
        *,
        learning_rate: float = 0.01,
        decay: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = _at_least_zero(self, "learning_rate", learning_rate)
        self.decay = _below_one(self, "decay", decay)
        self.epsilon = _at_least_zero(self, "epsilon", epsilon)
        self.momentum = _below_one(self, "momentum", momentum)
        self.weight_decay = _at_least_zero(self, "weight_decay", weight_decay)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        square, velocity = state["square"], state["velocity"]
        if self.weight_decay:
            gradients += self.weight_decay * parameters
        square *= self.decay
        square += (1 - self.decay) * gradients * gradients
        gradients /= np.sqrt(square) + self.epsilon
        if self.momentum:
            velocity *= self.momentum
            velocity += gradients
            gradients[...] = velocity
        parameters -= self.learning_rate * gradients


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of their squares so far (Duchi, Hazan and Singer, 2011, "Adaptive
    Subgradient Methods for Online Learning and Stochastic Optimization"), with weight decay (an added λ·w)."""

    name = "adagrad"
    state_names = ("square",)

    def __init__(self, *, learning_rate: float = 0.01, epsilon: float = 1e-10, weight_decay: float = 0.0) -> None:
        self.learning_rate = _at_least_zero(self, "learning_rate", learning_rate)
        self.epsilon = _at_least_zero(self, "epsilon", epsilon)
        self.weight_decay = _at_least_zero(self, "weight_decay", weight_decay)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        square = state["square"]
        if self.weight_decay:
            gradients += self.weight_decay * parameters
        square += gradients * gradients
        parameters -= self.learning_rate * gradients / (np.sqrt(square) + self.epsilon)


class Lion(Optimizer):
    """The sign of an interpolation between momentum and gradient (Chen et al., 2023, "Symbolic Discovery of
    Optimization Algorithms", Algorithm 2), with decoupled weight decay. Its learning rate is 3 to 10 times smaller than
    adamw's, and its weight decay as much larger."""

    name = "lion"
    state_names = ("mean",)

    def __init__(
        self, *, learning_rate: float = 0.0001, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0
    ) -> None:
        self.learning_rate = _at_least_zero(self, "learning_rate", learning_rate)
        self.beta1 = _below_one(self, "beta1", beta1)
        self.beta2 = _below_one(self, "beta2", beta2)
        self.weight_decay = _at_least_zero(self, "weight_decay", weight_decay)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        mean = state["mean"]
        if self.weight_decay:
            parameters *= 1 - self.learning_rate * self.weight_decay
        parameters -= self.learning_rate * np.sign(self.beta1 * mean + (1 - self.beta1) * gradients)
        mean *= self.beta2
        mean += (1 - self.beta2) * gradients


ALL: list[type[Optimizer]] = [SGD, Adam, AdamW, RMSprop, Adagrad, Lion]


def _at_least_zero(owner: Optimizer, name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise OpError(f"optimizer '{owner.name}': {name} is a number ≥ 0, not {value}")
    return value


def _below_one(owner: Optimizer, name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise OpError(f"optimizer '{owner.name}': {name} lies from 0 up to, not including, 1; it is {value}")
    return value
