"""Optimizers: update rules on flat vectors."""

from __future__ import annotations

from collections.abc import Mapping

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
        self.learning_rate = _at_least_zero("sgd", "learning_rate", learning_rate)
        self.momentum = _below_one("sgd", "momentum", momentum)
        self.nesterov = nesterov
        self.weight_decay = _at_least_zero("sgd", "weight_decay", weight_decay)
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
        np.multiply(gradients, self.learning_rate, gradients)
        np.subtract(parameters, gradients, parameters)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, "Adam: A Method for Stochastic Optimization"), with decoupled weight decay (Loshchilov
    and Hutter, 2019, "Decoupled Weight Decay Regularization")."""

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
        self.learning_rate = _at_least_zero("adam", "learning_rate", learning_rate)
        self.beta1 = _below_one("adam", "beta1", beta1)
        self.beta2 = _below_one("adam", "beta2", beta2)
        self.epsilon = _at_least_zero("adam", "epsilon", epsilon)
        self.weight_decay = _at_least_zero("adam", "weight_decay", weight_decay)

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


def _at_least_zero(owner: str, name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise OpError(f"optimizer '{owner}': {name} is a number ≥ 0, not {value}")
    return value


def _below_one(owner: str, name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise OpError(f"optimizer '{owner}': {name} lies from 0 up to, not including, 1; it is {value}")
    return value
