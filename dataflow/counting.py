"""Counting runs: kernels on numbers that count what is done with them.

They know nothing of cost rules, and so test them; and they tell what code costs that has no rules, such as optimizers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.cost import Cost
from dataflow.errors import RuleError
from dataflow.op import Op
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

    def __bool__(self) -> bool:
        return bool(self.value)

    __hash__ = None  # type: ignore[assignment]


class OnlyCounted(Counted):
    """A number that does not become a plain one, with which things could be done that are not counted."""

    __slots__ = ()

    def __float__(self) -> float:
        raise TypeError("a number that counts was made a plain one")

    __int__ = __float__  # type: ignore[assignment]


def counted(array: Any, tally: Tally, kind: type[Counted] = Counted) -> Any:
    """The array with numbers that count in it; plain numbers and ``None`` stay."""
    if not isinstance(array, np.ndarray):
        return array
    found = np.empty(array.shape, dtype=object)
    found.reshape(-1)[:] = [kind(entry, tally) for entry in array.reshape(-1)]
    return found


def uncounted(array: Any, dtype: np.dtype) -> np.ndarray:
    """The numbers themselves again."""
    found = np.asarray(array)
    if found.dtype != object:
        return found.astype(dtype)
    values = [entry.value if isinstance(entry, Counted) else entry for entry in found.reshape(-1)]
    return np.array(values, dtype=dtype).reshape(found.shape)


def counting_run(
    op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any], result: TensorSpec
) -> tuple[np.ndarray, Cost]:
    """A primitive op's result, and what its kernel did for it; a ``RuleError`` where the kernel takes no objects."""
    tally: Tally = Counter()
    try:
        with np.errstate(all="ignore"):
            found = op.function(*(counted(argument, tally) for argument in arguments), **attributes)
    except (TypeError, ValueError, AttributeError) as error:
        raise RuleError(
            f"op '{op.name}' cannot be counted: its kernel takes no numbers that count ({error})"
        ) from error
    return uncounted(found, result.dtype), Cost(**tally)


def _operator(kind: str, name: str) -> Callable[..., Any]:
    def method(self: Counted, *others: Any) -> Any:
        self.tally[kind] += 1
        operands = [other.value if isinstance(other, Counted) else other for other in others]
        found = getattr(type(self.value), name)(self.value, *operands)
        return found if kind == "comparisons" or found is NotImplemented else type(self)(found, self.tally)

    return method


def _function(name: str) -> Callable[..., Any]:
    def method(self: Counted) -> Counted:
        self.tally["functions"] += 1
        return type(self)(getattr(np, name)(self.value), self.tally)

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
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
)
for _kind, _names in _OPERATORS.items():
    for _name in _names:
        setattr(Counted, f"__{_name}__", _operator(_kind, f"__{_name}__"))
for _name in _FUNCTIONS:
    setattr(Counted, _name, _function(_name))
