"""Elementwise ops."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from onnx import TensorProto

from dataflow_onnx.narrow import cast_of
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_onnx.tensors import TYPES

_SMALL = ("bool", "int8", "int16", "uint8", "uint16")


def computed_in(dtype: Any) -> np.dtype[Any]:
    """The dtype in which onnxruntime computes: it has few kernels for small whole numbers."""
    return np.dtype("int32") if np.dtype(dtype).name in _SMALL else np.dtype(dtype)


def _common(call: SavedCall) -> np.dtype[Any]:
    return np.result_type(*(call.spec(i).dtype for i in range(len(call.arguments))))


def _unary(name: str, op: str, single: bool = False) -> None:
    def write(call: SavedCall) -> str:
        dtype = computed_in(call.result.dtype)
        if dtype.kind != "f" and (op not in _OF_NUMBERS or (op == "Relu" and dtype != np.int32)):
            raise UnwritableError("of whole numbers")
        return call.to_result(call.out.add(op, call.x(0, dtype)), dtype)

    writes(name, single=single)(write)


_OF_NUMBERS = ("Abs", "Identity", "Neg", "Relu", "Sign")


for _name, _op in (
    *(("abs", "Abs"), ("cos", "Cos"), ("dropout", "Identity"), ("exp", "Exp"), ("identity", "Identity")),
    *(("log", "Log"), ("negative", "Neg"), ("reciprocal", "Reciprocal"), ("relu", "Relu"), ("sigmoid", "Sigmoid")),
    *(("sign", "Sign"), ("sin", "Sin"), ("sqrt", "Sqrt"), ("tanh", "Tanh")),
):
    _unary(_name, _op)
for _name, _op in (
    *(("acos", "Acos"), ("asin", "Asin"), ("atan", "Atan"), ("erf", "Erf"), ("softplus", "Softplus")),
    *(("softsign", "Softsign"), ("mish", "Mish"), ("hard_swish", "HardSwish")),
):
    _unary(_name, _op, single=True)


def _rounding(name: str, op: str) -> None:
    def write(call: SavedCall) -> str:
        value = call.x(0, call.result.dtype)
        return call.out.add(op, value) if call.result.dtype.kind == "f" else value

    writes(name)(write)


for _name, _op in (("ceil", "Ceil"), ("floor", "Floor"), ("round", "Round")):
    _rounding(_name, _op)


@writes("bitwise_not")
def _bitwise_not(call: SavedCall) -> str:
    return call.out.add("Not" if call.result.dtype.kind == "b" else "BitwiseNot", call.x())


def _tests(name: str, op: str) -> None:
    def write(call: SavedCall) -> str:
        if call.spec().dtype.kind != "f":
            raise UnwritableError("of whole numbers")
        return call.out.add(op, call.x())

    writes(name)(write)


for _name, _op in (("isnan", "IsNaN"), ("isinf", "IsInf")):
    _tests(_name, _op)


def _binary(name: str, op: str) -> None:
    def write(call: SavedCall) -> str:
        dtype = computed_in(call.result.dtype)
        return call.to_result(reduce(lambda a, b: call.out.add(op, a, b), call.all(dtype)), dtype)

    writes(name)(write)


for _name, _op in (
    *(("add", "Add"), ("subtract", "Sub"), ("multiply", "Mul"), ("divide", "Div"), ("maximum", "Max")),
    *(("minimum", "Min"), ("power", "Pow")),
):
    _binary(_name, _op)


def _bitwise(name: str, op: str, of_bools: str) -> None:
    def write(call: SavedCall) -> str:
        return call.out.add(of_bools if call.result.dtype.kind == "b" else op, *call.all())

    writes(name)(write)


for _word in ("And", "Or", "Xor"):
    _bitwise(f"bitwise_{_word.lower()}", f"Bitwise{_word}", _word)


def _comparison(name: str, op: str, inverted: bool = False) -> None:
    def write(call: SavedCall) -> str:
        found = call.out.add(op, *call.all(computed_in(_common(call))))
        return call.out.add("Not", found) if inverted else found

    writes(name)(write)


for _name, _op in (("equal", "Equal"), ("greater", "Greater"), ("greater_equal", "GreaterOrEqual"), ("less", "Less")):
    _comparison(_name, _op)
_comparison("less_equal", "LessOrEqual")
_comparison("not_equal", "Equal", inverted=True)


def _logical(name: str, op: str) -> None:
    writes(name)(lambda call: call.out.add(op, *call.all("bool")))


for _name, _op in (("logical_and", "And"), ("logical_or", "Or"), ("logical_xor", "Xor"), ("logical_not", "Not")):
    _logical(_name, _op)


@writes("cast")
def _cast(call: SavedCall) -> str:
    return call.to_result(call.x(), call.spec().dtype)


@writes("bitcast")
def _bitcast(call: SavedCall) -> str:
    if call.result.dtype == call.spec().dtype or call.spec().dtype.kind == "b":
        return call.to_result(call.x(), call.spec().dtype)
    call.out.since.add(26)
    return call.out.add("BitCast", call.x(), to=TYPES[call.result.dtype.name])


@writes("round_to")
def _round_to(call: SavedCall) -> str:
    """A cast to the narrow type and back. Only those of 8 bits can do other than saturate, or do as their type does."""
    found = cast_of(call.attributes)
    if found is None or call.spec().dtype.name != "float32":
        raise UnwritableError("to a type that it has not")
    number, saturate = found
    return call.out.cast_through(call.x(), number, call.result.dtype, saturate=None if saturate else 0)


@writes("round_to_power")
def _round_to_power(call: SavedCall) -> str:
    if call.spec().dtype.name != "float32":
        raise UnwritableError("to a type that it has not")
    kind = TensorProto.FLOAT8E8M0
    return call.out.cast_through(call.x(), kind, call.result.dtype, round_mode=call["mode"])


@writes("trunc")
def _trunc(call: SavedCall) -> str:
    if call.spec().dtype.kind != "f":
        return call.x(0, call.result.dtype)
    x = call.x()
    return call.out.add("Mul", call.out.add("Sign", x), call.out.add("Floor", call.out.add("Abs", x)))


def _toward(call: SavedCall, a: str, b: str, rest: str, zero: str) -> str:
    """Where a remainder that has the sign of a should have that of b."""
    out = call.out
    wrong = out.add("Xor", out.add("Less", rest, zero), out.add("Less", b, zero))
    return out.add("And", out.add("Not", out.add("Equal", rest, zero)), wrong)


@writes("fmod")
def _fmod(call: SavedCall) -> str:
    return call.out.add("Mod", *call.all(), fmod=1)


@writes("mod")
def _mod(call: SavedCall) -> str:
    out, dtype = call.out, computed_in(call.result.dtype)
    a, b = call.all(dtype)
    if dtype.kind != "f":
        return call.to_result(out.add("Mod", a, b), dtype)
    rest = out.add("Mod", a, b, fmod=1)
    return out.add("Where", _toward(call, a, b, rest, out.constant(0, dtype)), out.add("Add", rest, b), rest)


@writes("floor_divide")
def _floor_divide(call: SavedCall) -> str:
    out, dtype = call.out, computed_in(call.result.dtype)
    a, b = call.all(dtype)
    quotient = out.add("Div", a, b)
    if dtype.kind == "f":
        return out.add("Floor", quotient)
    if dtype.kind == "i":
        rest = out.add("Sub", a, out.add("Mul", quotient, b))
        one = out.cast(_toward(call, a, b, rest, out.constant(0, dtype)), dtype)
        quotient = out.add("Sub", quotient, one)
    return call.to_result(quotient, dtype)


@writes("shift_left")
def _shift_left(call: SavedCall) -> str:
    bits = [call.out.cast(value, "uint64") for value in call.all()]
    return call.out.cast(call.out.add("BitShift", *bits, direction="LEFT"), call.result.dtype)


@writes("shift_right")
def _shift_right(call: SavedCall) -> str:
    """Of a negative number its bits are inverted before and after."""
    out, dtype = call.out, call.result.dtype
    a, b = (out.cast(value, "int64") for value in call.all())
    below = out.add("Less", a, out.constant(0, "int64"))
    bits = out.cast(out.add("Where", below, out.add("BitwiseNot", a), a), "uint64")
    shifted = out.cast(out.add("BitShift", bits, out.cast(b, "uint64"), direction="RIGHT"), "int64")
    return out.cast(out.add("Where", below, out.add("BitwiseNot", shifted), shifted), dtype)


@writes("where")
def _where(call: SavedCall) -> str:
    dtype = computed_in(call.result.dtype)
    return call.to_result(call.out.add("Where", call.x(0, "bool"), call.x(1, dtype), call.x(2, dtype)), dtype)


@writes("masked")
def _masked(call: SavedCall) -> str:
    out, dtype = call.out, computed_in(call.result.dtype)
    kept = out.add("Where", call.x(1, "bool"), call.x(0, dtype), out.constant(0, dtype))
    if call.spec(2).dtype.kind != "f":
        zero = out.add("Mul", call.x(2, dtype), out.constant(0, dtype))
        return call.to_result(out.add("Add", kept, zero), dtype)  # to the shape of all three
    return out.add("Where", out.add("IsNaN", call.x(2)), call.x(2, dtype), kept)


@writes("clip")
def _clip(call: SavedCall) -> str:
    if any(call.has(i) and call.spec(i).shape != () for i in (1, 2)) or call.result.dtype.name in _SMALL:
        raise UnwritableError("limits that are no numbers")
    dtype = call.result.dtype
    return call.out.add("Clip", call.x(0, dtype), call.optional(1, dtype), call.optional(2, dtype))


@writes("gelu", single=True)
def _gelu(call: SavedCall) -> str:
    return call.out.add("Gelu", call.x(), approximate=call["approximate"])


def _with_attributes(name: str, op: str, single: bool = False, **attributes: str) -> None:
    """An activation whose attributes are called otherwise in ONNX."""

    def write(call: SavedCall) -> str:
        if call.result.dtype.kind != "f" or (op == "Celu" and call.result.dtype.name == "float16"):
            raise UnwritableError("of these numbers")
        given = {theirs: float(call[ours]) for theirs, ours in attributes.items()}
        return call.out.add(op, call.x(0, call.result.dtype), **given)

    writes(name, single=single)(write)


_with_attributes("leaky_relu", "LeakyRelu", single=True, alpha="slope")
_with_attributes("elu", "Elu", single=True, alpha="alpha")
_with_attributes("celu", "Celu", single=True, alpha="alpha")
_with_attributes("hard_sigmoid", "HardSigmoid", single=True, alpha="slope", beta="offset")
_with_attributes("thresholded_relu", "ThresholdedRelu", single=True, alpha="alpha")
_with_attributes("shrink", "Shrink", single=True, lambd="threshold", bias="bias")


@writes("selu", single=True)
def _selu(call: SavedCall) -> str:
    return call.out.add("Selu", call.x())
