"""What was learned from the training rows of a table: plain data, which never changes and goes into trained files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.data.preparation.rules import Plain, RuleError, read_names
from dataflow.support.conversion import EntryError, to_array


@dataclass(frozen=True)
class LearnedColumn:
    """Of a column: what stands for a missing cell, and the categories in order."""

    fill: Plain | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class LearnedInput:
    """Of an input: the names of its classes in order, and what its numbers are standardized by, entry by entry. A
    column that is left alone has the mean 0 and the deviation 1."""

    names: tuple[str, ...] | None = None
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """All that was learned, by column and by input."""

    columns: Mapping[str, LearnedColumn] = field(default_factory=dict)
    inputs: Mapping[str, LearnedInput] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.columns or self.inputs)

    def column(self, name: str) -> LearnedColumn:
        """What was learned of a column."""
        return self.columns.get(name, _NO_COLUMN)

    def input(self, name: str) -> LearnedInput:
        """What was learned of an input."""
        return self.inputs.get(name, _NO_INPUT)

    def undo(self, name: str, values: np.ndarray) -> np.ndarray:
        """Standardized numbers of an input back in the table's unit."""
        learned = self.input(name)
        if learned.mean is None or learned.deviation is None:
            return values
        deviation, mean = learned.deviation, learned.mean
        if mean.size == math.prod(values.shape[1:]):  # columns of a table may fill several axes
            deviation, mean = deviation.reshape(values.shape[1:]), mean.reshape(values.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            original: np.ndarray = values * deviation + mean
        return original

    def plain(self) -> dict[str, Any]:
        """The same as tables, lists, texts and numbers, for files and for readers."""
        columns = {
            name: _without_none({"fill": learned.fill, "names": _list(learned.names)})
            for name, learned in self.columns.items()
        }
        inputs = {
            name: _without_none(
                {
                    "names": _list(learned.names),
                    "mean": None if learned.mean is None else learned.mean.tolist(),
                    "deviation": None if learned.deviation is None else learned.deviation.tolist(),
                }
            )
            for name, learned in self.inputs.items()
        }
        return {key: table for key, table in (("columns", columns), ("inputs", inputs)) if table}

    @classmethod
    def of_plain(cls, given: Any) -> Preparation:
        """What ``plain`` gave; a ``RuleError`` says where it is something else."""
        tables = _table(given, ("columns", "inputs"))
        columns = {name: _column(name, item) for name, item in _named(tables, "columns")}
        inputs = {name: _input(name, item) for name, item in _named(tables, "inputs")}
        return cls(columns, inputs)


_NO_COLUMN, _NO_INPUT = LearnedColumn(), LearnedInput()


def _list(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _table(given: Any, known: tuple[str, ...], *keys: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise RuleError("what was learned is a table", *keys)
    for key in given:
        if key not in known:
            raise RuleError(f"unknown key '{key}'; what was learned has {', '.join(known)}", *keys, key)
    return given


def _named(tables: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    given = tables.get(key, {})
    if not isinstance(given, Mapping):
        raise RuleError("what was learned is a table", key)
    return list(given.items())


def _column(name: str, item: Any) -> LearnedColumn:
    keys = ("columns", name)
    given = _table(item, ("fill", "names"), *keys)
    fill = given.get("fill")
    if fill is not None and (type(fill) not in (bool, int, float, str) or fill != fill):
        raise RuleError("a fill is a number, a text or a boolean", *keys, "fill")
    names = given.get("names")
    return LearnedColumn(fill, None if names is None else read_names(names, *keys, "names"))


def _input(name: str, item: Any) -> LearnedInput:
    keys = ("inputs", name)
    given = _table(item, ("names", "mean", "deviation"), *keys)
    names = given.get("names")
    mean, deviation = (_numbers(given[key], *keys, key) if key in given else None for key in ("mean", "deviation"))
    if (mean is None) != (deviation is None) or (
        mean is not None and deviation is not None and mean.shape != deviation.shape
    ):
        raise RuleError("mean and deviation have one shape", *keys)
    if deviation is not None and not (deviation > 0).all():
        raise RuleError("deviations are above 0", *keys, "deviation")
    return LearnedInput(None if names is None else read_names(names, *keys, "names"), mean, deviation)


def _numbers(value: Any, *keys: str) -> np.ndarray:
    try:
        array = to_array(value)
    except EntryError as error:
        raise RuleError(f"numbers are expected: {error.message}", *keys, *error.index) from None
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise RuleError("finite numbers are expected", *keys)
    return numbers
