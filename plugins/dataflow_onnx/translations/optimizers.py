"""Steps of optimizers, of the domain ``ai.onnx.preview.training``: for several tensors, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, as_like, translates

Step = Callable[..., list[Any]]


def _for_each(call: Call, states: int, step: Step) -> list[Any]:
    """All new tensors, then all new states of a kind: inputs are all tensors, their gradients, and their states."""
    rate, count, *rest = call.values()
    kinds = 2 + states
    if not rest or len(rest) % kinds:
        raise FileFormatError(f"{call.op} has {len(rest)} tensors, which are no {kinds} for each that is changed")
    each = len(rest) // kinds
    results = [step(rate, count, *rest[i::each]) for i in range(each)]
    return [as_like(result[kind], rest[i]) for kind in range(1 + states) for i, result in enumerate(results)]


def _regularized(call: Call, x: Any, gradient: Any) -> Any:
    return call.attribute("norm_coefficient", 0.0) * x + gradient


@translates("Adagrad", until=1)
def _adagrad(call: Call) -> Any:
    decay, epsilon = call.attribute("decay_factor", 0.0), call.attribute("epsilon", 1e-6)

    def step(rate: Any, count: Any, x: Any, gradient: Any, squares: Any) -> list[Any]:
        gradient = _regularized(call, x, gradient)
        squares = squares + gradient * gradient
        slowed = rate / (1 + ops.cast(count, dtype=x.dtype.name) * decay)
        return [x - slowed * gradient / (ops.sqrt(squares) + epsilon), squares]

    return _for_each(call, 1, step)


@translates("Adam", until=1)
def _adam(call: Call) -> Any:
    alpha, beta = call.attribute("alpha", 0.9), call.attribute("beta", 0.999)
    epsilon, shrink = call.attribute("epsilon", 1e-6), call.attribute("norm_coefficient_post", 0.0)

    def step(rate: Any, count: Any, x: Any, gradient: Any, mean: Any, squares: Any) -> list[Any]:
        gradient = _regularized(call, x, gradient)
        mean = alpha * mean + (1 - alpha) * gradient
        squares = beta * squares + (1 - beta) * gradient * gradient
        power = ops.cast(count, dtype=x.dtype.name)
        scale = ops.sqrt(1 - beta**power) / (1 - alpha**power)
        adjusted = ops.where(count > 0, rate * scale, rate)
        new = x - adjusted * mean / (ops.sqrt(squares) + epsilon)
        return [(1 - shrink) * new, mean, squares]

    return _for_each(call, 2, step)


@translates("Momentum", until=1)
def _momentum(call: Call) -> Any:
    alpha, beta, nesterov = call.attribute("alpha"), call.attribute("beta"), call.attribute("mode") == "nesterov"

    def step(rate: Any, count: Any, x: Any, gradient: Any, momentum: Any) -> list[Any]:
        gradient = _regularized(call, x, gradient)
        momentum = alpha * momentum + ops.where(count > 0, beta, 1.0) * gradient
        return [x - rate * (gradient + alpha * momentum if nesterov else momentum), momentum]

    return _for_each(call, 1, step)
