"""The op ``soft_step`` and the optimizer ``soft_step_descent``, a plugin of dataflow."""

import sys

from dataflow import Optimizer, hookimpl, op, ops_in, sample
from dataflow.ops import sqrt


@op
def soft_step(x, *, width: float = 1.0):
    """x / sqrt(width² + x²), elementwise: from −1 to 1, and steepest at 0."""
    return x / sqrt(width * width + x * x)


@soft_step.vjp
def _(g, y, x, *, width):
    root = sqrt(width * width + x * x)
    return g * width * width / (root * root * root)


@soft_step.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)))
    yield sample(rng.normal(size=4), width=0.5)


class SoftStepDescent(Optimizer):
    """Descent along a mean of the gradients so far, in which old ones fade."""

    name = "soft_step_descent"
    state_names = ("mean",)

    def __init__(self, *, learning_rate: float = 0.1, decay: float = 0.9):
        self.learning_rate = learning_rate
        self.decay = decay

    def update(self, parameters, gradients, state, step):
        mean = state["mean"]  # what is kept from update to update stands in the state, and is changed in place
        mean *= self.decay
        mean += (1 - self.decay) * gradients
        parameters -= self.learning_rate * mean


@hookimpl
def register_ops():
    return ops_in(sys.modules[__name__])


@hookimpl
def register_optimizers():
    return [SoftStepDescent]
