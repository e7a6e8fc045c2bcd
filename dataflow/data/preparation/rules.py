"""What ``[data]`` declares of the way from a table's columns to inputs: plain data, checked and given names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataflow.errors import DataError, nearest
from dataflow.support.texts import quoted, shorten

CLASSES_LIMIT = 2**20
"""The most classes of a one-hot input, and categories of a column."""
LEARNED_FILLS = ("mean", "median", "most_frequent")
"""What may stand for a missing cell and comes from the training rows."""
FILLS = ("error", "drop", *LEARNED_FILLS)
"""What ``missing`` says of a column by a name; any other text, number or boolean is the value itself."""
KINDS = ("one_hot", "index")
UNKNOWN = ("error", "ignore")

Plain = bool | int | float | str


class RuleError(DataError):
    """A declaration that is none. ``keys`` lead from it to what is wrong in it."""

    def __init__(self, message: str, *keys: str | int) -> None:
        super().__init__(message)
        self.keys = keys


@dataclass(frozen=True)
class Missing:
    """What is done with the missing cells of a column."""

    fill: Plain = "error"
    indicator: bool = False
    """Whether a column follows that is 1 where the cell was missing, else 0."""

    @property
    def value(self) -> Plain | None:
        """The value that was declared itself."""
        return None if self.fill in FILLS and isinstance(self.fill, str) else self.fill


@dataclass(frozen=True)
class Categories:
    """How a column of categories becomes numbers."""

    kind: str
    names: tuple[str, ...] | None = None
    """The categories in their order, where that is declared."""
    unknown: str = "error"
    """What becomes of another name: an error, or zeros; of an index the number behind the last, which no file can
    declare."""


@dataclass(frozen=True)
class Rules:
    """All that is declared, for the columns that each input has in one table."""

    columns: Mapping[str, Sequence[str]]
    """Of each input that the table is read for."""
    missing: Mapping[str, Missing] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)
    one_hot: Mapping[str, Any] = field(default_factory=dict)
    """By input: a number of classes, their names, or ``True`` for those of the training rows."""
    standardize: Collection[str] = ()
    scale: Mapping[str, float] = field(default_factory=dict)
    weights: str | None = None
    truths: Collection[str] = ()
    """The columns that are booleans."""

    @property
    def used(self) -> list[str]:
        """Every column that an input has, and that of the weights, once."""
        own = [self.weights] if self.weights is not None else []
        return list(dict.fromkeys([*(column for names in self.columns.values() for column in names), *own]))

    def has_classes(self, name: str) -> bool:
        """Whether an input is given as names of classes."""
        return name in self.one_hot and type(self.one_hot[name]) is not int

    def holds_texts(self, column: str) -> bool:
        """Whether a column's cells are names, whatever they look like, and not numbers."""
        return column in self.categories or any(
            column in names for name, names in self.columns.items() if self.has_classes(name)
        )

    def rule_for_missing(self, column: str) -> Missing:
        """What is done with the column's missing cells."""
        return self.missing.get(column, Missing())


def read_missing(value: Any) -> Missing:
    """What ``missing`` says of a column: a fill, or ``{ fill = ..., indicator = true }``."""
    given = value if isinstance(value, Mapping) else {"fill": value}
    _check_keys(given, ("fill", "indicator"), "fill")
    fill, indicator = given["fill"], given.get("indicator", False)
    if type(fill) not in (bool, int, float, str) or (isinstance(fill, float) and not abs(fill) < float("inf")):
        raise RuleError(f"a fill is one of {', '.join(FILLS)}, or a value (text, finite number or boolean)", "fill")
    if type(indicator) is not bool:
        raise RuleError("indicator is true or false", "indicator")
    if indicator and fill in ("error", "drop"):
        raise RuleError(f"indicator says where a cell was filled, and fill = '{fill}' fills none", "indicator")
    return Missing(fill, indicator)


def read_categories(value: Any) -> Categories:
    """What ``categories`` says of a column: a kind, or ``{ kind = ..., names = [...], unknown = "ignore" }``."""
    given = value if isinstance(value, Mapping) else {"kind": value}
    _check_keys(given, ("kind", "names", "unknown"), "kind")
    kind, unknown = given["kind"], given.get("unknown", "error")
    _check_choice("kind", kind, KINDS)
    _check_choice("unknown", unknown, UNKNOWN)
    if kind == "index" and unknown == "ignore":
        raise RuleError('unknown = "ignore" gives zeros, and an index has none; use kind = "one_hot"', "unknown")
    names = given.get("names")
    return Categories(kind, None if names is None else read_names(names, "names"), unknown)


def read_names(value: Any, *keys: str) -> tuple[str, ...]:
    """Names of categories or classes, in order."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= CLASSES_LIMIT:
        raise RuleError("names are a list of texts", *keys)
    seen: set[str] = set()
    for i, name in enumerate(value):
        if not isinstance(name, str):
            raise RuleError(f"a name is a text, not {quoted(name)}", *keys, i)
        if name in seen:
            raise RuleError(f"the name '{shorten(name, 60)}' is listed twice", *keys, i)
        seen.add(name)
    return tuple(value)


def read_one_hot(value: Any) -> int | bool | tuple[str, ...]:
    """What ``one_hot`` says of an input: a number of classes, their names, or true."""
    if value is True or (type(value) is int and 1 <= value <= CLASSES_LIMIT):
        return value
    if isinstance(value, list | tuple):
        return read_names(value)
    raise RuleError(f"a number of classes from 1 to {CLASSES_LIMIT}, their names in order, or true is expected")


def _check_keys(given: Mapping[Any, Any], known: Sequence[str], needed: str) -> None:
    for key in given:
        if key not in known:
            raise RuleError(f"unknown key '{shorten(str(key), 60)}'{nearest(str(key), known)}", key)
    if needed not in given:
        raise RuleError(f"the key '{needed}' is missing")


def _check_choice(key: str, value: Any, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise RuleError(f"{key} is {' or '.join(known)}, not {quoted(value)}", key)
