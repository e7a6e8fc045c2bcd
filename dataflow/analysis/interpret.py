"""Ops on arrays of anything that has arithmetic: sympy expressions, numbers of 50 digits.

An elementwise op is applied by its symbolic rule, entry by entry; an op that only moves, adds or multiplies entries by
its own kernel, on an array of objects; a composite op by its body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import RuleError
from dataflow.graph.graph import trace_op
from dataflow.graph.node import Node, concrete_attributes
from dataflow.graph.node_graph import NodeGraph
from dataflow.graph.walk import constant_of, walk
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of, specs_of


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
        stand_ins = [np.zeros(a.shape, _dtype_of(a)) if isinstance(a, np.ndarray) else a for a in arguments]
        trace = trace_op(op, specs_of(stand_ins), attributes, literals_of(arguments))
        return self.values(trace.graph, trace.order, trace.by_input(arguments))[trace.output]

    def values(
        self,
        graph: NodeGraph,
        order: Iterable[str],
        known: Mapping[str, Any],
        sizes: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """What stands for each node of ``order``; with ``sizes``, symbolic sizes become numbers on the way."""

        def apply(_: str, op: Op, node: Node, arguments: Sequence[Any]) -> np.ndarray:
            attributes = node.attributes if sizes is None else concrete_attributes(op, node, sizes)
            return self.apply(op, arguments, attributes)

        def leaf(name: str, node: Node) -> np.ndarray:
            return self.entries(constant_of(name, node))

        return walk(graph, order, known, apply, leaf, self.number)

    def number(self, literal: Any) -> Any:
        """A plain number of the graph as an entry that stands by itself; ``None`` stays."""
        return self.exact(literal) if isinstance(literal, float) else literal


def array_of(shape: Sequence[int], entries: Iterable[Any]) -> np.ndarray:
    """An array of objects."""
    listed = list(entries)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array.reshape(tuple(shape))


def _dtype_of(array: np.ndarray) -> np.dtype:
    """What a composite's body takes an array for: objects are floats, unless all are whole numbers, such as indices."""
    if array.dtype != object:
        return array.dtype
    whole = array.size and all(isinstance(entry, (int, np.integer)) for entry in array.reshape(-1))
    return np.dtype(np.int64 if whole else np.float64)
