"""Recurrent layers."""

from __future__ import annotations

from typing import Any

from dataflow import ops
from dataflow_onnx.call import Call, DeclinedError, translates

_ACTIVATIONS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}


def _layer(call: Call, op: Any, **how: Any) -> Any:
    """The layer, whose conventions are those of ONNX. With ``layout`` 1 examples come first."""
    direction = call.attribute("direction", "forward")
    usual = _ACTIVATIONS[call.op] * (2 if direction == "bidirectional" else 1)
    if tuple(name.capitalize() for name in call.attribute("activations", usual)) != usual:
        raise DeclinedError(f"{call.op} with other activations than {', '.join(usual)} is not supported")
    steps = call.value(0).shape[1 if call.attribute("layout", 0) else 0]
    if call.has(4) and set(call.numbers(4, "the lengths")) != {steps}:
        raise DeclinedError(f"{call.op} with a length of its own for each example is not supported")
    if call.attribute("clip") is not None or call.attribute("input_forget", 0):
        raise DeclinedError(f"{call.op} with clipping or coupled gates is not supported")
    batched = call.attribute("layout", 0)
    x, first = call.value(0), [call.optional(i) for i in ((5, 6, 7) if call.op == "LSTM" else (5,))]
    if batched:
        x = ops.transpose(x, axes=(1, 0, 2))
        first[:2] = [None if state is None else ops.transpose(state, axes=(1, 0, 2)) for state in first[:2]]
    outputs = op(x, call.value(1), call.value(2), call.optional(3), *first, direction=direction, **how)
    y, *states = (outputs[name] for name in outputs.names)
    if not batched:
        return [y, *states]
    return [ops.transpose(y, axes=(2, 0, 1, 3)), *(ops.transpose(state, axes=(1, 0, 2)) for state in states)]


@translates("RNN", since=7, until=22)
def _rnn(call: Call) -> Any:
    return _layer(call, ops.rnn)


@translates("GRU", since=7, until=22)
def _gru(call: Call) -> Any:
    return _layer(call, ops.gru, linear_before_reset=bool(call.attribute("linear_before_reset", 0)))


@translates("LSTM", since=7, until=22)
def _lstm(call: Call) -> Any:
    return _layer(call, ops.lstm)
