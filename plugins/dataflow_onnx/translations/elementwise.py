"""Elementwise ops."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, as_like, translates
from dataflow_onnx.narrow import NARROW, narrowed
from dataflow_onnx.tensors import dtype_of


def _unary(name: str, op: Any, until: int) -> None:
    translates(name, until=until)(lambda call: op(call.value(0)))


for _name, _op, _until in (
    *(("Abs", ops.abs, 13), ("Acos", ops.acos, 22), ("Acosh", ops.acosh, 22), ("Asin", ops.asin, 22)),
    *(("Asinh", ops.asinh, 22), ("Atan", ops.atan, 22), ("Atanh", ops.atanh, 22), ("Ceil", ops.ceil, 13)),
    *(("Cos", ops.cos, 22), ("Cosh", ops.cosh, 22), ("Erf", ops.erf, 13), ("Exp", ops.exp, 13)),
    *(("Floor", ops.floor, 13), ("HardSwish", ops.hard_swish, 22), ("IsNaN", ops.isnan, 20), ("Log", ops.log, 13)),
    *(("Mish", ops.mish, 22), ("Neg", ops.negative, 13), ("Not", ops.logical_not, 1), ("Relu", ops.relu, 14)),
    *(("Reciprocal", ops.reciprocal, 13), ("Round", ops.round, 22), ("Sigmoid", ops.sigmoid, 13)),
    *(("Sign", ops.sign, 13), ("Sin", ops.sin, 22), ("Sinh", ops.sinh, 22), ("Softplus", ops.softplus, 22)),
    *(("Softsign", ops.softsign, 22), ("Sqrt", ops.sqrt, 13), ("Tan", ops.tan, 22), ("Tanh", ops.tanh, 13)),
    ("BitwiseNot", ops.bitwise_not, 18),
):
    _unary(_name, _op, _until)


def _binary(name: str, op: Any, until: int) -> None:
    translates(name, since=7, until=until)(lambda call: op(call.value(0), call.value(1)))


for _name, _op, _until in (
    *(("Add", ops.add, 14), ("Sub", ops.subtract, 14), ("Mul", ops.multiply, 14), ("PRelu", ops.prelu, 16)),
    *(("And", ops.logical_and, 7), ("Or", ops.logical_or, 7), ("Xor", ops.logical_xor, 7), ("Equal", ops.equal, 19)),
    *(("Greater", ops.greater, 13), ("GreaterOrEqual", ops.greater_equal, 16), ("Less", ops.less, 13)),
    *(("LessOrEqual", ops.less_equal, 16), ("BitwiseAnd", ops.bitwise_and, 18), ("BitwiseOr", ops.bitwise_or, 18)),
    ("BitwiseXor", ops.bitwise_xor, 18),
):
    _binary(_name, _op, _until)


@translates("Div", since=7, until=14)
def _div(call: Call) -> Any:
    a, b = call.value(0), call.value(1)
    if a.dtype.kind == "f":
        return a / b
    return ops.floor_divide(a - ops.fmod(a, b), b)  # towards zero


@translates("Mod", until=28)
def _mod(call: Call) -> Any:
    a, b = call.value(0), call.value(1)
    if call.attribute("fmod", 0):
        return ops.fmod(a, b)
    return ops.mod(a, b)


@translates("Pow", since=7, until=15)
def _pow(call: Call) -> Any:
    a, b = call.value(0), call.value(1)
    return as_like(a**b, a)


@translates("BitShift", until=28)
def _shift(call: Call) -> Any:
    op = ops.shift_left if call.attribute("direction") == "LEFT" else ops.shift_right
    return op(call.value(0), call.value(1))


def _variadic(name: str, op: Any, until: int) -> None:
    translates(name, until=until)(lambda call: reduce(op, call.values()))


for _name, _op in (("Max", ops.maximum), ("Min", ops.minimum), ("Sum", ops.add)):
    _variadic(_name, _op, 13)


@translates("Mean", until=13)
def _mean(call: Call) -> Any:
    return reduce(ops.add, call.values()) / len(call.operands)


@translates("Identity", until=25)
def _identity(call: Call) -> Any:
    return call.value(0)


@translates("Dropout", since=7, until=22)
def _dropout(call: Call) -> Any:
    rate = call.number(1, "the ratio") if call.has(1) else call.attribute("ratio", 0.5)
    if rate and call.has(2) and call.number(2, "training_mode"):
        raise DeclinedError("Dropout in training mode draws random numbers, which is not supported")
    x = call.value(0)
    return x, ops.broadcast_to(call.constant(True, "bool"), shape=x.shape)


@translates("Where", until=16)
def _where(call: Call) -> Any:
    return ops.where(call.value(0), call.value(1), call.value(2))


@translates("Cast", since=6, until=28)
def _cast(call: Call) -> Any:
    return _converted(call, call.value(0), call.attribute("to"))


def _converted(call: Call, x: Any, number: int) -> Any:
    """The first input, x, in another type of ONNX; what is of that type already stays as it is."""
    if number not in NARROW or number == call.narrow(0):
        return ops.cast(x, dtype=dtype_of(number).name)
    saturate, mode = bool(call.attribute("saturate", 1)), call.attribute("round_mode", "up")
    return narrowed(x, number, saturate=saturate, mode=mode)


@translates("CastLike", until=25)
def _cast_like(call: Call) -> Any:
    like = call.operands[1]
    dtype = call.value(1).dtype if like is None or like.array is None else like.array.dtype
    source = call.operands[0]
    known = None if source is None or source.has_sizes else source.array
    is_known = known is not None and (source.folds or known.size == 1)  # though the numbers of the other input are not
    if call.narrow(1):
        return _converted(call, known if is_known else call.value(0), call.narrow(1))
    if is_known:
        return known.astype(dtype)
    return ops.cast(call.value(0), dtype=dtype.name)


@translates("BitCast", until=28)
def _bit_cast(call: Call) -> Any:
    return ops.bitcast(call.value(0), dtype=dtype_of(call.attribute("to")).name)


@translates("Clip", since=6, until=13)
def _clip(call: Call) -> Any:
    if call.version < 11:
        return ops.clip(call.value(0), call.attribute("min"), call.attribute("max"))
    return ops.clip(call.value(0), call.optional(1), call.optional(2))


@translates("IsInf", until=20)
def _isinf(call: Call) -> Any:
    x = call.value(0)
    up, down = call.attribute("detect_positive", 1), call.attribute("detect_negative", 1)
    infinite = ops.isinf(x)
    if up and down:
        return infinite
    return ops.logical_and(infinite, x > 0 if up else x < 0 if down else x != x)


@translates("LeakyRelu", since=6, until=16)
def _leaky(call: Call) -> Any:
    return ops.leaky_relu(call.value(0), slope=call.attribute("alpha", 0.01))


@translates("Elu", since=6, until=22)
def _elu(call: Call) -> Any:
    return ops.elu(call.value(0), alpha=call.attribute("alpha", 1.0))


@translates("Celu", until=28)
def _celu(call: Call) -> Any:
    return ops.celu(call.value(0), alpha=call.attribute("alpha", 1.0))


@translates("Selu", since=6, until=22)
def _selu(call: Call) -> Any:
    gamma, alpha = call.attribute("gamma", 1.0507010221481323), call.attribute("alpha", 1.6732631921768188)
    return ops.elu(call.value(0), alpha=alpha) * gamma


@translates("HardSigmoid", since=6, until=22)
def _hard_sigmoid(call: Call) -> Any:
    return ops.hard_sigmoid(call.value(0), slope=call.attribute("alpha", 0.2), offset=call.attribute("beta", 0.5))


@translates("ThresholdedRelu", until=22)
def _thresholded(call: Call) -> Any:
    return ops.thresholded_relu(call.value(0), alpha=call.attribute("alpha", 1.0))


@translates("Gelu", until=20)
def _gelu(call: Call) -> Any:
    return ops.gelu(call.value(0), approximate=call.attribute("approximate", "none"))


@translates("Shrink", until=28)
def _shrink(call: Call) -> Any:
    x, how = call.value(0), {"threshold": call.attribute("lambd", 0.5), "bias": call.attribute("bias", 0.0)}
    return as_like(ops.shrink(x, **how), x)


@translates("LpNormalization", until=28)
def _lp_normalization(call: Call) -> Any:
    x = call.value(0)
    size = ops.norm(x, order=call.attribute("p", 2), axis=call.attribute("axis", -1), keepdims=True)
    return ops.where(size == 0, 0, x / ops.where(size == 0, 1, size))


@translates("Swish", until=24)
def _swish(call: Call) -> Any:
    x = call.value(0)
    return x * ops.sigmoid(x * call.attribute("alpha", 1.0))


@translates("CumSum", until=14)
def _cumsum(call: Call) -> Any:
    return _cumulated(ops.cumsum, call)


@translates("CumProd", until=26)
def _cumprod(call: Call) -> Any:
    return _cumulated(ops.cumprod, call)


def _cumulated(op: Any, call: Call) -> Any:
    x, axis = call.value(0), int(call.number(1, "the axis"))
    exclusive, backwards = bool(call.attribute("exclusive", 0)), bool(call.attribute("reverse", 0))
    return as_like(op(x, axis=axis, exclusive=exclusive, reverse=backwards), x)


@translates("Constant", until=25)
def _constant(call: Call) -> np.ndarray:
    for name, dtype in (("value_float", "f4"), ("value_floats", "f4"), ("value_int", "i8"), ("value_ints", "i8")):
        if name in call.attributes:
            return np.asarray(call.attributes[name], dtype)
    if not isinstance(value := call.attribute("value"), np.ndarray):
        raise FileFormatError("Constant has no tensor as its value; texts and sparse tensors are not supported")
    return value
