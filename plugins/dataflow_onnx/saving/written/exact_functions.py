"""Elementary functions by formulas of others: those that ONNX has not, or onnxruntime not in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dataflow_onnx.saving.calls import SavedCall, writes


@writes("erfc", single=True)
def _erfc(call: SavedCall) -> str:
    dtype = "float32" if call.narrow else call.result.dtype
    return call.out.add("Sub", call.out.constant(1, dtype), call.out.add("Erf", call.x(0, dtype)))


@writes("expm1")
def _expm1(call: SavedCall) -> str:
    return _less_one(call, call.x(0, call.result.dtype))


def _less_one(call: SavedCall, x: str) -> str:
    """e^x − 1, near 0 as 2 t / (1 − t) with t = tanh(x / 2), which keeps its digits."""
    out, dtype = call.out, call.result.dtype
    one, two = out.constant(1, dtype), out.constant(2, dtype)
    t = out.add("Tanh", out.add("Div", x, two))
    near = out.add("Div", out.add("Mul", two, t), out.add("Sub", one, t))
    return out.add("Where", out.add("Less", out.add("Abs", x), one), near, out.add("Sub", out.add("Exp", x), one))


@writes("log1p")
def _log1p(call: SavedCall) -> str:
    return _log_of_more(call, call.x(0, call.result.dtype))


def _log_of_more(call: SavedCall, x: str) -> str:
    """log(1 + x) as log(u) · x / (u − 1), with u = 1 + x as it is rounded (Goldberg, 1991)."""
    out, dtype = call.out, call.result.dtype
    one = out.constant(1, dtype)
    u = out.add("Add", one, x)
    rounded = out.add("Sub", u, one)
    small, endless = out.add("Equal", u, one), out.add("IsInf", u)
    factor = out.add("Div", x, out.add("Where", out.add("Or", small, endless), one, rounded))
    return out.add("Where", small, x, out.add("Where", endless, u, out.add("Mul", out.add("Log", u), factor)))


def _in_full(name: str, op: str) -> Callable[[Callable[[SavedCall, str, str], str]], None]:
    """A function of which onnxruntime has no kernel in float64: there as a formula of others, of x and 1."""

    def put(formula: Callable[[SavedCall, str, str], str]) -> None:
        def write(call: SavedCall) -> str:
            dtype = call.result.dtype
            x = call.x(0, dtype)
            return formula(call, x, call.out.constant(1, dtype)) if dtype == np.float64 else call.out.add(op, x)

        writes(name)(write)

    return put


@_in_full("tan", "Tan")
def _tan(call: SavedCall, x: str, one: str) -> str:
    return call.out.add("Div", call.out.add("Sin", x), call.out.add("Cos", x))


@_in_full("cosh", "Cosh")
def _cosh(call: SavedCall, x: str, one: str) -> str:
    both = [call.out.add("Exp", power) for power in (x, call.out.add("Neg", x))]
    return call.out.add("Div", call.out.add("Add", *both), call.out.add("Add", one, one))


@_in_full("sinh", "Sinh")
def _sinh(call: SavedCall, x: str, one: str) -> str:
    both = [_less_one(call, power) for power in (x, call.out.add("Neg", x))]
    return call.out.add("Div", call.out.add("Sub", *both), call.out.add("Add", one, one))


@_in_full("asinh", "Asinh")
def _asinh(call: SavedCall, x: str, one: str) -> str:
    out, size = call.out, call.out.add("Abs", x)
    square = out.add("Mul", size, size)
    rest = out.add("Div", square, out.add("Add", one, out.add("Sqrt", out.add("Add", square, one))))
    return out.add("Mul", out.add("Sign", x), _log_of_more(call, out.add("Add", size, rest)))


@_in_full("acosh", "Acosh")
def _acosh(call: SavedCall, x: str, one: str) -> str:
    out, beyond = call.out, call.out.add("Sub", x, one)
    square = out.add("Mul", beyond, out.add("Add", x, one))
    return _log_of_more(call, out.add("Add", beyond, out.add("Sqrt", square)))


@_in_full("atanh", "Atanh")
def _atanh(call: SavedCall, x: str, one: str) -> str:
    out, two = call.out, call.out.add("Add", one, one)
    quotient = out.add("Div", out.add("Mul", two, x), out.add("Sub", one, x))
    return out.add("Div", _log_of_more(call, quotient), two)
