"""The constants of an expression: a call's attributes, and what stands in an index."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dataflow.errors import ExpressionError, ShapeError
from dataflow.expressions.tokens import INTEGER_LIMIT, Cursor, Token
from dataflow.operations.indexing import Item, Key
from dataflow.shapes import Size, parse_dim
from dataflow.support.texts import shorten


def read_attributes(cursor: Cursor, depth: int) -> dict[str, Any]:
    """``axis=0, shape=(2, "n")`` up to the call's closing bracket, which is left to be read.

    Values are numbers, strings, booleans, ``None``, the names of ``cursor.constants``, and tuples of them, which lists
    become too. ``depth`` is how deep the call is nested.
    """
    attributes: dict[str, Any] = {}
    while not cursor.at(")"):
        name = cursor.token
        if name.kind != "name" or cursor.tokens[cursor.position + 1].text != "=":
            cursor.fail(name, "another attribute or ')'", "; inputs come before the attributes")
        if name.text in attributes:
            raise ExpressionError(f"attribute '{shorten(name.text)}' is given twice", column=name.column)
        cursor.advance()
        cursor.advance()
        attributes[name.text] = fill_sizes(_read_value(cursor, depth), cursor.constants)
        if cursor.at(","):
            cursor.advance()
        elif not cursor.at(")"):
            hint = "; an attribute's value is a constant" if cursor.token.kind != "end" else ""
            cursor.fail(cursor.token, "',' or ')'", hint)
    return attributes


def fill_sizes(value: Any, constants: Mapping[str, Any]) -> Any:
    """The value of an attribute, in whose lists sizes such as ``"4*width"`` have the numbers that names stand for.

    >>> fill_sizes((2, "n*heads", "heads"), {"heads": 3})
    (2, '3*n', 3)
    """
    numbers = {name: item for name, item in constants.items() if type(item) is int}
    return _filled(value, numbers) if numbers and isinstance(value, tuple | list) else value


def _filled(value: Any, numbers: Mapping[str, int]) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_filled(item, numbers) for item in value)
    if not isinstance(value, str):
        return value
    try:
        size = parse_dim(value)
    except ShapeError:
        return value
    if not isinstance(size, Size) or size.names.isdisjoint(numbers):
        return value
    filled = size.substitute(numbers)
    return str(filled) if isinstance(filled, Size) else filled


def read_key(cursor: Cursor) -> Key:
    """``0, 1:3, ..., newaxis`` up to the closing bracket, which is left to be read; always a tuple."""
    items: list[Item] = []
    start = cursor.token
    while not (items and cursor.at("]")):
        token = cursor.token
        items.append(_read_item(cursor))
        if items.count(Ellipsis) > 1:
            raise ExpressionError("an index has at most one '...'", column=token.column)
        if cursor.at(","):
            cursor.advance()
        elif not cursor.at("]"):
            hint = "; an index is constant" if cursor.token.kind != "end" else ""
            cursor.fail(cursor.token, f"',' or ']' for the index at column {start.column}", hint)
    return tuple(items)


def read_output(cursor: Cursor) -> str:
    """``"values"`` up to the closing bracket, which is left to be read: the name of an output."""
    name = str(cursor.advance().value)
    if not cursor.at("]"):
        cursor.fail(cursor.token, "']' after the name of an output")
    return name


_WORDS = {
    "true": True,
    "false": False,
    "True": True,
    "False": False,
    "None": None,
    "inf": math.inf,
    "nan": math.nan,
}


def _read_value(cursor: Cursor, depth: int) -> Any:
    token = cursor.token
    if cursor.at("-", "+"):
        cursor.advance()
        if cursor.token.kind != "number" and cursor.token.text != "inf":
            cursor.fail(cursor.token, "a number")
        return _signed(cursor, token)
    if cursor.at("(", "["):
        return _read_tuple(cursor, depth + 1)
    if token.kind == "number":
        return _signed(cursor)
    if token.kind == "string":
        return cursor.advance().value
    if token.kind == "name" and token.text in cursor.constants:
        return cursor.constants[cursor.advance().text]
    if token.kind == "name" and token.text in _WORDS:
        return _WORDS[cursor.advance().text]
    hint = "; text stands in quotes, and inputs go by their place, not by keyword" if token.kind == "name" else ""
    return cursor.fail(token, "a constant (a number, a string, true, false, None or a list)", hint)


def _read_tuple(cursor: Cursor, depth: int) -> Any:
    opening = cursor.advance()
    cursor.check_depth(depth, opening)
    closing = ")" if opening.text == "(" else "]"
    items: list[Any] = []
    comma = False
    while not cursor.at(closing):
        items.append(_read_value(cursor, depth))
        comma = cursor.at(",")
        if comma:
            cursor.advance()
        elif not cursor.at(closing):
            hint = f" to close the '{opening.text}' at column {opening.column}"
            cursor.fail(cursor.token, f"',' or '{closing}'{hint}")
    cursor.advance()
    return items[0] if closing == ")" and len(items) == 1 and not comma else tuple(items)


def _read_item(cursor: Cursor) -> Item:
    token = cursor.token
    if cursor.at("..."):
        cursor.advance()
        return Ellipsis
    if token.kind == "name" and token.text in ("newaxis", "None"):
        cursor.advance()
        return None
    bounds: list[int | None] = [None]
    while True:
        if not cursor.at(":", ",", "]"):
            bounds[-1] = _read_integer(cursor)
        if not cursor.at(":") or len(bounds) == 3:
            break
        cursor.advance()
        bounds.append(None)
    if len(bounds) == 1:
        return _read_integer(cursor) if bounds[0] is None else bounds[0]
    if bounds[-1] == 0 and len(bounds) == 3:
        raise ExpressionError("the step of a slice is not 0", column=token.column)
    return slice(*bounds)


def _read_integer(cursor: Cursor) -> int:
    sign = cursor.advance() if cursor.at("-", "+") else None
    token = cursor.token
    if token.kind != "number" or not isinstance(token.value, int):
        cursor.fail(token, "an integer, a slice such as 1:3, '...' or newaxis", "; an index is constant")
    value: int = _signed(cursor, sign)
    if abs(value) >= 10**18:
        raise ExpressionError("an index has at most 18 digits", column=token.column)
    return value


def _signed(cursor: Cursor, sign: Token | None = None) -> Any:
    token = cursor.advance()
    value: Any = math.inf if token.kind == "name" else token.value
    if sign is not None and sign.text == "-":
        return -value
    if isinstance(value, int) and value >= INTEGER_LIMIT:
        message = f"the number {shorten(token.text)} has more than 64 bits; write it as a float, 1e30"
        raise ExpressionError(message, column=token.column)
    return value
