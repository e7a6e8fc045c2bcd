"""Expressions such as ``"relu(x @ W1 + b1)"``: read, never executed, and turned into nodes of a graph.

The grammar stands in ``parser``, the way back from ops to text in ``render``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from dataflow.errors import DataflowError, ExpressionError, OpError, nearest
from dataflow.expressions.parser import Silent, parse
from dataflow.expressions.tokens import INTEGER_LIMIT, KEYWORDS
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.operations import engine_ops
from dataflow.operations.indexing import Key, format_key
from dataflow.operations.op import Op
from dataflow.operations.outputs import Outputs, several_outputs
from dataflow.registry import registry
from dataflow.support.texts import shorten

Number: TypeAlias = int | float
Result: TypeAlias = Value | Outputs | int | float | None
Scope: TypeAlias = Callable[[str], Value | Outputs] | Mapping[str, Value | Outputs]

NUMBERS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
"""Names that stand for numbers unless something of that name is declared."""


def build(
    text: str,
    graph: Graph,
    scope: Scope,
    calls: Mapping[str, Callable[..., Value]] | None = None,
    constants: Mapping[str, Any] | None = None,
    graphs: Callable[[Op, Mapping[str, Any]], Mapping[str, Any]] | None = None,
    *,
    parses: bool = False,
) -> Value | Outputs | Number:
    """Add the nodes of an expression to ``graph`` and return the value of the whole: plain numbers give a number, a
    call of an op with several outputs gives them all.

    ``scope`` gives the value of a name; as a function it raises KeyError for a name that is not declared, and any
    ``DataflowError`` that it raises itself passes unchanged. ``calls`` holds what can be called besides ops, such as
    blocks, as ``calls[name](*inputs, **attributes)``; ``constants`` what names stand for in attributes, and
    ``graphs`` puts the graphs into them that they name. An expression that does not parse adds no nodes; ``parses``
    where that was seen to already. Every ``DataflowError`` from here has its ``column``.
    """
    if not parses:
        parse(text, Silent(), constants)
    result = parse(text, _Nodes(graph, scope, calls or {}, graphs), constants)
    assert result is not None
    return result


def fold(op: Op, left: Number, right: Number) -> Number:
    """The operator of two plain numbers, as in Python, but of bounded cost; else an ``ExpressionError``.

    >>> fold(engine_ops.multiply, 2, 3)
    6
    """
    if op not in _ARITHMETIC:
        raise ExpressionError(f"op '{op.name}' needs an array, and both sides are plain numbers")
    if op is engine_ops.power and isinstance(left, int) and isinstance(right, int) and abs(left) > 1 and right > 64:
        raise ExpressionError(_TOO_LARGE)
    try:
        result: Any = _ARITHMETIC[op](left, right)
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    except OverflowError:
        raise ExpressionError("the result is beyond float64") from None
    if isinstance(result, complex):
        raise ExpressionError("a fractional power of a negative number is not a real number")
    if isinstance(result, float) and not math.isfinite(result):
        raise ExpressionError("the result is beyond float64")
    if isinstance(result, int) and abs(result) > INTEGER_LIMIT:
        raise ExpressionError(_TOO_LARGE)
    number: Number = result
    return number


_TOO_LARGE = "the result has more than 64 bits; write one of the numbers as a float, 2.0"
_ARITHMETIC: dict[Op, Callable[[Any, Any], Any]] = {
    engine_ops.add: lambda left, right: left + right,
    engine_ops.subtract: lambda left, right: left - right,
    engine_ops.multiply: lambda left, right: left * right,
    engine_ops.divide: lambda left, right: left / right,
    engine_ops.power: lambda left, right: left**right,
    engine_ops.equal: lambda left, right: left == right,
    engine_ops.not_equal: lambda left, right: left != right,
    engine_ops.less: lambda left, right: left < right,
    engine_ops.less_equal: lambda left, right: left <= right,
    engine_ops.greater: lambda left, right: left > right,
    engine_ops.greater_equal: lambda left, right: left >= right,
}


class _Nodes:
    """The actions that add nodes."""

    def __init__(
        self,
        graph: Graph,
        scope: Scope,
        calls: Mapping[str, Callable[..., Value]],
        graphs: Callable[[Op, Mapping[str, Any]], Mapping[str, Any]] | None,
    ) -> None:
        self.graph = graph
        self.scope = scope
        self.calls = calls
        self.graphs = graphs

    def name(self, text: str, column: int) -> Result:
        try:
            return self.scope[text] if isinstance(self.scope, Mapping) else self.scope(text)
        except KeyError:
            pass
        if text in NUMBERS:
            return NUMBERS[text]
        known = list(self.scope) if isinstance(self.scope, Mapping) else []
        if text in registry.all_ops() or text in self.calls:
            raise ExpressionError(f"'{text}' is called with its inputs: {text}(...)", column=column)
        raise ExpressionError(f"unknown name '{shorten(text)}'{nearest(text, known)}", column=column)

    def number(self, value: Number, column: int) -> Result:
        return value

    def literal(self, value: bool | None, column: int) -> Result:
        return value

    def negative(self, operand: Result, column: int) -> Result:
        if isinstance(operand, int | float):
            return -operand
        return self.apply(engine_ops.negative, [operand], {}, column)

    def binary(self, op: Op, left: Result, right: Result, column: int) -> Result:
        if isinstance(left, int | float) and isinstance(right, int | float):
            try:
                return fold(op, left, right)
            except ExpressionError as error:
                error.column = column
                raise
        return self.apply(op, [left, right], {}, column)

    def transpose(self, operand: Result, column: int) -> Result:
        return self.apply(engine_ops.transpose, [self.array(operand, ".T", column)], {}, column)

    def index(self, operand: Result, key: Key, column: int) -> Result:
        if isinstance(operand, Outputs) and len(key) == 1 and isinstance(key[0], int) and key[0] < len(operand):
            return self.output(operand, operand.names[key[0]], column)
        array = self.array(operand, "an index", column)
        return self.apply(engine_ops.index, [array], {"key": format_key(key)}, column)

    def output(self, operand: Result, name: str, column: int) -> Result:
        if not isinstance(operand, Outputs):
            raise ExpressionError(f"only an op with several outputs has one called '{shorten(name)}'", column=column)
        try:
            value: Value = operand[name]
        except DataflowError as error:
            _place(error, column)
            raise
        return value

    def stack(self, items: Sequence[Result], column: int) -> Result:
        return self.apply(engine_ops.stack, items, {}, column)

    def call(self, name: str, arguments: Sequence[Result], keywords: Mapping[str, Any], column: int) -> Result:
        if name not in self.calls:
            return self.apply(self.op(name, column), arguments, keywords, column)
        try:
            return self.calls[name](*arguments, **keywords)
        except DataflowError as error:
            _place(error, column)
            raise

    def array(self, operand: Result, what: str, column: int) -> Value:
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Outputs):
            message = several_outputs(f"{what} needs one array, and this", operand.names, lambda name: f"['{name}']")
            raise ExpressionError(message, column=column)
        raise ExpressionError(f"{what} needs an array, and {operand} is a plain number", column=column)

    def apply(self, op: Op, arguments: Sequence[Result], attributes: Mapping[str, Any], column: int) -> Value | Outputs:
        for argument in arguments:
            if isinstance(argument, int) and not -INTEGER_LIMIT <= argument < INTEGER_LIMIT:
                raise ExpressionError(f"the number {argument} has more than 64 bits", column=column)
        try:
            if op.graph_attributes and self.graphs is not None:
                attributes = self.graphs(op, attributes)
            if op.has_outputs:
                return self.graph.apply_outputs(op, arguments, attributes)
            return self.graph.apply(op, arguments, attributes)
        except DataflowError as error:
            _place(error, column)
            raise

    def op(self, name: str, column: int) -> Op:
        try:
            return registry.lookup(name)
        except OpError:
            raise self.unknown_op(name, column) from None

    def unknown_op(self, name: str, column: int) -> OpError:
        if name in KEYWORDS:
            message = f"unknown op '{name}'; {KEYWORDS[name]}"
        elif isinstance(self.scope, Mapping) and name in self.scope:
            message = f"'{shorten(name)}' is a value, not an op; a product is written with *"
        else:
            known = [*registry.all_ops(), *self.calls]
            hint = registry.registry().where_it_is(name) or nearest(name, known)
            message = f"unknown op '{shorten(name)}'{hint}"
        return OpError(message, column=column)


def _place(error: DataflowError, column: int) -> None:
    """Give the error its column, unless it has a place already."""
    if error.column is None and error.line is None:
        error.column = column
