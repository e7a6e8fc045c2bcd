"""Checks of plain data from a file: each gives the value back, or says in a ``FileFormatError`` what it should be."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, TypeVar

from dataflow.errors import FileFormatError
from dataflow.support.texts import quoted

T = TypeVar("T")

MAX_NAME = 1000
"""How many characters a name may have."""
MAX_TITLE = 200
"""How many characters the name of a model may have."""


def brief(value: Any) -> str:
    """What was found, as an error may print it."""
    if isinstance(value, dict | list):
        return f"{'a map' if isinstance(value, dict) else 'an array'} of {len(value)}"
    return quoted(value)


def check_keys(value: Any, keys: set[str], what: str, optional: Set[str] = frozenset()) -> None:
    """A map with exactly these keys, and perhaps some of the optional ones."""
    typed(value, dict, what)
    for key in sorted(keys - value.keys()):
        raise FileFormatError(f"{what}: the key '{key}' is missing")
    for key in sorted(value.keys() - keys - optional):
        raise FileFormatError(f"{what}: unknown key {brief(key)}; a newer dataflow may have written it")


def typed(value: Any, kind: type[T], what: str) -> T:
    """A value of exactly this type."""
    if type(value) is not kind:
        raise FileFormatError(f"{what} is {_KINDS[kind]}, not {brief(value)}")
    return value


def sequence(value: Any, what: str) -> list[Any]:
    """An array."""
    return typed(value, list, what)


def row_of(value: Any, length: int, what: str) -> list[Any]:
    """An array of this length."""
    if not isinstance(value, list) or len(value) != length:
        raise FileFormatError(f"{what} is an array of {length}, not {brief(value)}")
    return value


def name_of(value: Any, what: str) -> str:
    """A text that is as long as a name may be."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise FileFormatError(f"{what}: a name of 1 to {MAX_NAME} characters is expected, not {brief(value)}")
    return value


def whole(value: Any, what: str, least: int = 0) -> int:
    """A whole number."""
    if type(value) is not int or value < least:
        raise FileFormatError(f"{what} is a whole number, {least} or more, not {brief(value)}")
    return value


def map_of(value: Any, fits: Callable[[Any], bool], what: str, expected: str) -> dict[str, Any]:
    """A map whose values all fit."""
    for key, item in typed(value, dict, what).items():
        if not fits(item):
            raise FileFormatError(f"{what} of {brief(key)} is {expected}, not {brief(item)}")
    return dict(value)


def is_op_name(value: Any) -> bool:
    """Whether it may be what an op is called, or ``OP:OUTPUT``."""
    return isinstance(value, str) and len(value) <= MAX_NAME and value.replace(":", "_", 1).isidentifier()


def is_number_in_array(value: Any) -> bool:
    """Whether it is an array around a plain number, as one stands among the arguments of an op."""
    return isinstance(value, list) and len(value) == 1 and type(value[0]) in (int, float, bool)


def is_columns(value: Any) -> bool:
    """Whether a value names columns of a data file: a name or range, or a list of them."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


_KINDS: dict[type, str] = {str: "text", dict: "a map", list: "an array", bool: "true or false"}
