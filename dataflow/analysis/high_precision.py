"""A second evaluation, independent of numpy's functions and of every derivative rule: mpmath, with 50 digits.

An op's value comes from the rule that writes it in symbols, taken with mpmath's functions; a derivative is a central
difference whose step is so small, and whose arithmetic is so exact, that all 16 digits of a float64 are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dataflow.analysis.interpret import Interpretation
from dataflow.errors import DataflowError, MissingExtraError, RuleError
from dataflow.graph.cost import cost_of
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP, concrete_attributes
from dataflow.limits import spend
from dataflow.operations.operands import literals_of, with_literals
from dataflow.shapes import TensorSpec, substitute

DIGITS = 50
STEP = "1e-16"
"""The step of the central difference: its own error is about its square, 10⁻³², the rounding error 10⁻⁵⁰ / 10⁻¹⁶."""


class Precise:
    """A graph evaluated with 50 digits. Arrays are numpy arrays of mpmath numbers."""

    def __init__(self, graph: Graph, of: str, known: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
        self._functions = _functions()
        self._entries = Interpretation(
            self._functions, self._functions.mpmath.mpf, "it cannot be evaluated with 50 digits"
        )
        self.graph = graph
        self.of = of
        self.sizes = sizes
        self._order = graph.schedule([of])
        needed = set(self._order)
        self._known = {name: self._entries.entries(array) for name, array in known.items() if name in needed}
        self.work = sum(self._steps_of(name) for name in self._order if graph.node_of(name).kind == OP)
        """The steps of work of an evaluation."""

    def _steps_of(self, name: str) -> int:
        """The steps of work: an operation with 50 digits is half of one, a function five."""
        op, node = self.graph.op_of(name), self.graph.node_of(name)
        arguments = op.complete(self.graph.arguments(name))
        literals = literals_of(arguments)
        specs = with_literals([self._spec(x) if isinstance(x, str) else None for x in arguments], literals)
        try:
            cost = cost_of(op, specs, concrete_attributes(op, node, self.sizes), literals)
        except DataflowError:  # it says no cost, or has an error of its own
            return 10
        return 10 + cost.operations // 2 + 5 * cost.functions

    def _spec(self, name: str) -> TensorSpec:
        return TensorSpec(substitute(self.graph.node_of(name).shape, self.sizes), self.graph.node_of(name).dtype)

    def value(self, changed: Mapping[str, np.ndarray] | None = None) -> Any:
        """``sum(of)``, with some nodes' values replaced."""
        return np.sum(self._values(changed or {})[self.of])

    def slope(self, name: str, direction: np.ndarray) -> Any:
        """The derivative of ``sum(of)`` along a direction in the shape of ``name``, which may be any node."""
        mpmath = self._functions.mpmath
        if name not in self._order:
            return mpmath.mpf(0)
        with mpmath.workdps(DIGITS):
            start = self._values({})[name]
            step = mpmath.mpf(STEP)
            entries = self._entries.entries(direction)
            # the sum of two arrays of one number is a number, no array
            moved = [np.asarray(start + sign * step * entries, dtype=object) for sign in (1, -1)]
            up, down = (self.value({name: values}) for values in moved)
            return (up - down) / (2 * step)

    def _values(self, changed: Mapping[str, np.ndarray]) -> dict[str, Any]:
        with self._functions.mpmath.workdps(DIGITS):
            spend(self.work, self.of)
            return self._entries.values(self.graph, self._order, {**self._known, **changed}, self.sizes)


class _Functions:
    """What symbolic rules ask of sympy, with numbers of 50 digits in place of symbols."""

    def __init__(self, mpmath: Any) -> None:
        self.mpmath = mpmath
        self.exp, self.log, self.sqrt = mpmath.exp, mpmath.log, mpmath.sqrt
        self.sin, self.cos, self.tanh = mpmath.sin, mpmath.cos, mpmath.tanh
        self.Abs: Callable[[Any], Any] = abs
        self.ceiling = mpmath.ceil
        self.Max: Callable[..., Any] = max
        self.Min: Callable[..., Any] = min

    Eq = staticmethod(lambda a, b: a == b)
    Ne = staticmethod(lambda a, b: a != b)
    Lt = staticmethod(lambda a, b: a < b)
    Le = staticmethod(lambda a, b: a <= b)
    Gt = staticmethod(lambda a, b: a > b)
    Ge = staticmethod(lambda a, b: a >= b)

    @staticmethod
    def Piecewise(*pieces: tuple[Any, Any]) -> Any:
        return next(value for value, condition in pieces if condition)

    def __getattr__(self, name: str) -> Any:
        """Other functions by mpmath's name for them, which is mostly sympy's in lower case."""
        for candidate in (name, name.lower()):
            if not candidate.startswith("_") and hasattr(self.mpmath, candidate):
                return getattr(self.mpmath, candidate)
        raise RuleError(f"a symbolic rule asks for '{name}', which mpmath lacks")


def _functions() -> _Functions:
    try:
        import mpmath
    except ImportError:
        raise MissingExtraError(
            'an evaluation with 50 digits needs mpmath: pip install "dataflow-autodiff[symbolic]"'
        ) from None
    return _Functions(mpmath)
