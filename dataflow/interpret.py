"""Ops on arrays of anything that has arithmetic: sympy expressions, numbers of 50 digits.

An elementwise op is applied by its symbolic rule, entry by entry; an op that only moves, adds or multiplies entries by
its own kernel, on an array of objects; a composite op by its body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import RuleError
from dataflow.graph import CONSTANT, trace_op
from dataflow.op import Op, specs_of


class Interpretation:
    """``functions`` is what symbolic rules get as their first argument; ``exact`` turns a plain number into an
    entry."""

    def __init__(self, functions: Any, exact: Callable[[Any], Any], purpose: str) -> None:
        self.functions = functions
        self.exact = exact
        self.purpose = purpose

    def apply(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> np.ndarray:
        """The op on arrays of entries, plain numbers and ``None``."""
        if op.symbolic_rule is not None:
            spread = np.broadcast_arrays(*[np.asarray(argument, dtype=object) for argument in arguments])
            rows = zip(*(array.reshape(-1) for array in spread), strict=True)
            return array_of(spread[0].shape, (op.symbolic_rule(self.functions, *row, **attributes) for row in rows))
        if not op.is_primitive:
            return self._through_body(op, arguments, attributes)
        plain = (np.ndarray, int, float, type(None))
        operands = [a if isinstance(a, plain) else array_of((), [a]) for a in arguments]
        try:
            result = np.asarray(op.function(*operands, **attributes))
        except (TypeError, AttributeError, ValueError):
            raise RuleError(f"op '{op.name}' has no symbolic rule, so {self.purpose}") from None
        return self.entries(result)

    def entries(self, array: np.ndarray) -> np.ndarray:
        """Floats as exact entries; entries, integers and booleans as they are."""
        if array.dtype.kind != "f":
            return array
        return array_of(array.shape, (self.exact(entry) for entry in array.reshape(-1).tolist()))

    def _through_body(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> np.ndarray:
        plain = (np.ndarray, int, float, type(None))
        # An entry that stands by itself was a plain number of the graph, and is one again for the body.
        arguments = [a if isinstance(a, plain) else float(a) for a in arguments]
        literals = {i: a for i, a in enumerate(arguments) if type(a) in (int, float, bool)}
        stand_ins = [np.zeros(a.shape) if isinstance(a, np.ndarray) else a for a in arguments]
        trace = trace_op(op, specs_of(stand_ins), attributes, literals)
        values: dict[str, Any] = {n: a for n, a in zip(trace.inputs, arguments, strict=True) if n is not None}
        for name in trace.graph.schedule([trace.output]):
            data = trace.graph.nodes[name]
            if data["kind"] == CONSTANT:
                values[name] = self.entries(data["value"])
            elif name not in values:
                inner = trace.graph.op_of(name)
                operands = [values[a] if isinstance(a, str) else self.number(a) for a in trace.graph.arguments(name)]
                values[name] = self.apply(inner, inner.complete(operands), data["attributes"])
        result: np.ndarray = values[trace.output]
        return result

    def number(self, literal: Any) -> Any:
        """A plain number of the graph as an entry that stands by itself; ``None`` stays."""
        return self.exact(literal) if isinstance(literal, float) else literal


def array_of(shape: Sequence[int], entries: Iterable[Any]) -> np.ndarray:
    """An array of objects."""
    listed = list(entries)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array.reshape(tuple(shape))
