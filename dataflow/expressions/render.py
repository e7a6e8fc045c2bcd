"""From ops back to expressions: the shortest text, with as few parentheses, that parses to the same ops.

A piece is a part that is already text. What no expression can say raises an ``ExpressionError``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import ExpressionError
from dataflow.expressions.parser import BINARY, COMPARISON, POSTFIX, POWER, PRODUCT, SIGN, SUM
from dataflow.expressions.tokens import INTEGER_LIMIT, quote
from dataflow.graph.node_names import RESERVED, normal_name
from dataflow.operations import engine_ops
from dataflow.operations.attributes import GraphAttribute
from dataflow.operations.indexing import format_key, parse_key
from dataflow.shapes import Size
from dataflow.support.texts import shorten

ARGUMENT = 0
"""The precedence of ``True``, ``False`` and ``None``, which stand only as an argument of a call."""


@dataclass(frozen=True)
class Piece:
    """A part of an expression: its text, how strongly its outermost operator binds, and how deep it is nested.

    A text of more than ``MAX_LENGTH`` characters, or nested deeper than ``MAX_DEPTH``, will not parse: give an inner
    part a name before that. ``is_number`` tells a plain number, on which operators would compute at once.
    """

    text: str
    precedence: int
    depth: int = 0
    is_number: bool = False


def piece_of_name(name: str) -> Piece:
    """A declared name; ``t:values`` is the output of an op with several, ``t['values']``."""
    name, colon, output = name.partition(":")
    if not name.isidentifier() or name in RESERVED or normal_name(name) != name:
        raise ExpressionError(f"'{shorten(name)}' cannot be used as a name in an expression")
    return Piece(name + (f"[{quote(output)}]" if colon else ""), POSTFIX)


def piece_of_number(value: float | bool | None) -> Piece:
    """A plain number, a boolean, or ``None`` where an optional input is left out."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool):
        return Piece(str(value), ARGUMENT, is_number=True)
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(f"{value} cannot be written in an expression; declare it under [constants]")
    if isinstance(value, int) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise ExpressionError("a number of more than 64 bits cannot be written in an expression")
    text = repr(value)
    return Piece(text, SIGN, 1, True) if text.startswith("-") else Piece(text, POSTFIX, is_number=True)


def piece_of_op(op: str, pieces: Sequence[Piece], attributes: Mapping[str, Any] | None = None) -> Piece:
    """An op applied to pieces: its operator where it has one, else a call with ``attributes`` by keyword.

    Only the attributes that differ from their defaults need be given.

    >>> x, W, b = map(piece_of_name, ["x", "W", "b"])
    >>> piece_of_op("add", [piece_of_op("matmul", [x, piece_of_op("transpose", [W])]), b]).text
    'x @ W.T + b'
    """
    written = dict(attributes or {})
    operands = all(piece.precedence > ARGUMENT for piece in pieces)
    first_axis = list(written) in ([], ["axis"]) and type(written.get("axis", 0)) is int and not written.get("axis", 0)
    if op == engine_ops.stack.name and pieces and operands and first_axis:
        return _bracketed("", "[", pieces, [], "]")
    # Operators on nothing but numbers would be computed when read: they are written as a call.
    if operands and not all(piece.is_number for piece in pieces):
        if op in _OPERATORS and len(pieces) == 2 and not written:
            return _binary(op, *pieces)
        if op == engine_ops.negative.name and len(pieces) == 1 and not written:
            operand = _at_least(SIGN, pieces[0])
            return Piece("-" + operand.text, SIGN, operand.depth + 1)
        if op == engine_ops.transpose.name and len(pieces) == 1 and written in ({}, {"axes": None}):
            return _postfix(pieces[0], ".T")
        if op == engine_ops.index.name and len(pieces) == 1 and list(written) == ["key"]:
            return _postfix(pieces[0], f"[{format_key(parse_key(written['key']))}]")
    op, colon, output = op.partition(":")
    if not op.isidentifier():
        raise ExpressionError(f"the op '{shorten(op)}' cannot be called in an expression")
    call = _bracketed(op, "(", pieces, list(written.items()), ")")
    return _postfix(call, f"[{quote(output)}]") if colon else call


_OPERATORS = {op.name: (text, precedence) for text, (op, precedence) in BINARY.items()}
_RIGHT = {COMPARISON: SUM, SUM: PRODUCT, PRODUCT: SIGN, POWER: SIGN}
_LEFT = {COMPARISON: SUM, SUM: SUM, PRODUCT: PRODUCT, POWER: POSTFIX}


def _binary(op: str, left: Piece, right: Piece) -> Piece:
    text, precedence = _OPERATORS[op]
    left = _at_least(_LEFT[precedence], left)
    right = _at_least(_RIGHT[precedence], right)
    depth = max(left.depth, right.depth + (precedence == POWER))
    return Piece(f"{left.text} {text} {right.text}", precedence, depth)


def _postfix(operand: Piece, text: str) -> Piece:
    operand = _at_least(POSTFIX, operand)
    return Piece(operand.text + text, POSTFIX, operand.depth)


def _at_least(precedence: int, piece: Piece) -> Piece:
    return piece if piece.precedence >= precedence else Piece(f"({piece.text})", POSTFIX, piece.depth + 1)


def _bracketed(
    name: str, opening: str, pieces: Sequence[Piece], attributes: Sequence[tuple[str, Any]], closing: str
) -> Piece:
    texts = [piece.text for piece in pieces]
    depth = max((piece.depth for piece in pieces), default=0)
    for key, value in attributes:
        if not key.isidentifier():
            raise ExpressionError(f"the attribute '{shorten(key)}' cannot be written in an expression")
        text, inner = _constant(key, value)
        texts.append(f"{key}={text}")
        depth = max(depth, inner)
    return Piece(f"{name}{opening}{', '.join(texts)}{closing}", POSTFIX, depth + 1)


def _constant(name: str, value: Any) -> tuple[str, int]:
    """The text of an attribute's value, and how deep it is nested."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, GraphAttribute):
        return quote(value.name), 0
    if isinstance(value, str | Size):
        return quote(str(value)), 0
    if value is None or isinstance(value, bool | float):
        return repr(value), 0
    if isinstance(value, int) and -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        return repr(value), 0
    if isinstance(value, tuple | list):
        inner = [_constant(name, item) for item in value]
        comma = "," if len(inner) == 1 else ""
        return f"({', '.join(text for text, _ in inner)}{comma})", 1 + max((depth for _, depth in inner), default=0)
    raise ExpressionError(f"the value of the attribute '{shorten(name)}' cannot be written in an expression")
