"""Counting runs: kernels on numbers that count the operations on them.

They are independent of cost rules, and so test them; and they tell the cost of code without rules, such as optimizers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import RuleError
from dataflow.operations.op import Op
from dataflow.operations.operation_cost import Cost
from dataflow.shapes import TensorSpec

Tally = Counter[str]


class Counted:
    """A number that adds each operation on it to a tally. Arrays of them go through numpy's functions."""

    __slots__ = ("tally", "value")

    def __init__(self, value: Any, tally: Tally) -> None:
        self.value = value
        self.tally = tally

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def fmod(self, other: Any) -> Counted:
        """What numpy's fmod calls on objects."""
        self.tally["divisions"] += 1
        return type(self)(np.fmod(self.value, other.value if isinstance(other, Counted) else other), self.tally)

    def __bool__(self) -> bool:
        return bool(self.value)

    __hash__ = None  # type: ignore[assignment]


class OnlyCounted(Counted):
    """A number that cannot become a plain one, on which operations would not be counted."""

    __slots__ = ()

    def __float__(self) -> float:
        raise TypeError("a number that counts was made a plain one")

    __int__ = __float__  # type: ignore[assignment]


def counted(array: Any, tally: Tally, kind: type[Counted] = Counted) -> Any:
    """The array with numbers that count in it; plain numbers and ``None`` stay."""
    if not isinstance(array, np.ndarray):
        return array
    result = np.empty(array.shape, dtype=object)
    result.reshape(-1)[:] = [kind(entry, tally) for entry in array.reshape(-1)]
    return result


def uncounted(array: Any, dtype: np.dtype) -> np.ndarray:
    """The numbers themselves again."""
    numbers = np.asarray(array)
    if numbers.dtype != object:
        return numbers.astype(dtype)
    values = [entry.value if isinstance(entry, Counted) else entry for entry in numbers.reshape(-1)]
    return np.array(values, dtype=dtype).reshape(numbers.shape)


def counting_run(
    op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any], result: TensorSpec
) -> tuple[np.ndarray, Cost]:
    """A primitive op's result, and what its kernel did for it; a ``RuleError`` where the kernel takes no objects."""
    tally: Tally = Counter()

    def run(kinds: str) -> Any:
        tally.clear()
        each = [counted(x, tally) if isinstance(x, np.ndarray) and x.dtype.kind in kinds else x for x in arguments]
        return op.function(*each, **attributes)

    try:
        with np.errstate(all="ignore"):
            try:
                outcome = run("fiub")
            except IndexError:  # whole numbers that are indices must be plain
                outcome = run("f")
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise RuleError(
            f"op '{op.name}' cannot be counted: its kernel takes no numbers that count ({error})"
        ) from error
    with np.errstate(all="ignore"):  # what counts is float64, and may be too large for float32
        return uncounted(outcome, result.dtype), Cost(**tally)


def _operator(kind: str, name: str) -> Callable[..., Any]:
    def method(self: Counted, *others: Any) -> Any:
        self.tally[kind] += 1
        operands = [other.value if isinstance(other, Counted) else other for other in others]
        outcome = getattr(type(self.value), name)(self.value, *operands)
        return outcome if kind == "comparisons" or outcome is NotImplemented else type(self)(outcome, self.tally)

    return method


def _function(name: str) -> Callable[..., Any]:
    function = getattr(np, name, None) or getattr(math, name)

    def method(self: Counted) -> Counted:
        self.tally["functions"] += 1
        return type(self)(function(self.value), self.tally)

    return method


def _uncounted(name: str) -> Callable[..., Any]:
    def method(self: Counted, *others: Any) -> Counted:
        operands = [other.value if isinstance(other, Counted) else other for other in others]
        return type(self)(getattr(np, name)(self.value, *operands), self.tally)

    return method


_OPERATORS = {
    "multiplications": ("mul", "rmul"),
    "divisions": ("truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod"),
    "additions": ("add", "radd", "sub", "rsub"),
    "comparisons": ("lt", "le", "eq", "ne", "gt", "ge"),
    "functions": ("pow", "rpow"),
    "signs": ("neg", "abs"),
}
_FUNCTIONS = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "tan", "erf", "erfc"),
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
)
_NO_ARITHMETIC = {
    "__floor__": "floor",
    "__ceil__": "ceil",
    "__trunc__": "trunc",
    "rint": "rint",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__invert__": "invert",
    "__lshift__": "left_shift",
    "__rshift__": "right_shift",
    "logical_xor": "logical_xor",
}
for _kind, _names in _OPERATORS.items():
    for _name in _names:
        setattr(Counted, f"__{_name}__", _operator(_kind, f"__{_name}__"))
for _name in _FUNCTIONS:
    setattr(Counted, _name, _function(_name))
for _method, _name in _NO_ARITHMETIC.items():
    setattr(Counted, _method, _uncounted(_name))
