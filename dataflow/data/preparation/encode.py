"""The columns of a table, filled and encoded: what each becomes in an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.data.faults import Faults
from dataflow.data.preparation import numbers_and_names as cell
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import Rules
from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError


def kept_rows(table: RawTable, rules: Rules) -> np.ndarray | None:
    """The rows that no column with ``missing = "drop"`` leaves out; ``None`` for all."""
    dropped: np.ndarray | None = None
    for name in rules.used:
        missing = table.columns[name].missing
        if missing is not None and rules.rule_for_missing(name).fill == "drop":
            dropped = missing if dropped is None else dropped | missing
    return None if dropped is None or not dropped.any() else np.flatnonzero(~dropped)


@dataclass
class Part:
    """What a column of the table becomes in an input: numbers, or the positions of ones in one-hot rows."""

    column: str
    values: np.ndarray
    labels: Sequence[str]
    is_one_hot: bool = False
    is_alone: bool = False
    """Whether it is not standardized."""

    @property
    def width(self) -> int:
        return len(self.labels)


class Encoder:
    """The columns of some rows, filled and encoded by what was learned."""

    def __init__(
        self, table: RawTable, rules: Rules, learned: Preparation, rows: np.ndarray | None, faults: Faults
    ) -> None:
        self.table, self.rules, self.learned, self.rows, self.faults = table, rules, learned, rows, faults
        self._filled: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        self._parts: dict[str, list[Part]] = {}

    def parts(self, name: str) -> list[Part]:
        """What an input is made of, in order."""
        columns = self.rules.columns[name]
        if name not in self.rules.one_hot:
            return [part for column in columns for part in self._parts_of_column(column)]
        classes = self.rules.one_hot[name]
        if type(classes) is int and classes > 1 and len(columns) == classes:  # one-hot rows already
            return [Part(column, self._finite_numbers(column), [column], is_alone=True) for column in columns]
        column = self._only_column(name)
        if type(classes) is int:
            return [self._labels(column, classes)]
        names = self.learned.input(name).names if classes is True else tuple(classes)
        return [self._categories(column, names or (), column, accept="")]

    def weights(self, column: str) -> np.ndarray:
        """The weights of the examples."""
        numbers = self._numbers(column).astype(np.float64)
        wrong = ~((numbers >= 0) & np.isfinite(numbers))
        self._add_numbers(column, "no weight", numbers, wrong, "a weight is a finite number, 0 or more, {} found")
        return numbers

    def class_cells(self, name: str) -> tuple[str, list[str]]:
        """The column that says the class, and those of its cells that are not missing."""
        column = self._only_column(name)
        cells, unfilled = self.filled(column)
        return column, (cells if unfilled is None else cells[~unfilled]).tolist()

    def filled(self, column: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The cells with the fill where one was missing, and where one is missing still, which is a fault."""
        if column not in self._filled:
            raw, rule = self.table.columns[column], self.rules.rule_for_missing(column)
            cells, missing = self._of_rows(raw.stored), self._of_rows(raw.missing)
            is_text = self.rules.holds_texts(column)
            if is_text:
                cells = cell.as_names(cells)
            fill = rule.value if rule.value is not None else self.learned.column(column).fill
            unfilled = None
            if missing is not None and fill is None and missing.any():
                unfilled = missing
                cell.add_missing(self.faults, column, self._everywhere(missing), is_text)
            if missing is not None and fill is not None and cells.dtype == object and not is_text:
                cells, wrong = self._read_numbers(column, np.where(missing, "0", cells))
                if wrong is not None and wrong.any():
                    self._add_texts(column, raw.cells, wrong)
            cells = cell.filled(cells, missing, fill)
            self._filled[column] = cells, unfilled
        return self._filled[column]

    def _only_column(self, name: str) -> str:
        columns = self.rules.columns[name]
        if len(columns) != 1:
            raise DataError(f"input '{name}' is one-hot: one column is expected, {len(columns)} found", node=name)
        return columns[0]

    def _parts_of_column(self, column: str) -> list[Part]:
        if column not in self._parts:
            self._parts[column] = self._encode(column)
        return self._parts[column]

    def _encode(self, column: str) -> list[Part]:
        rule, categories = self.rules.rule_for_missing(column), self.rules.categories.get(column)
        if categories is None:
            parts = [Part(column, self._finite_numbers(column), [column])]
        else:
            names = categories.names or self.learned.column(column).names or ()
            ignore = categories.unknown == "ignore"
            accept = cell.declared("categories", column, '{ kind = "one_hot", unknown = "ignore" }')
            part = self._categories(column, names, column, accept if categories.kind == "one_hot" else "", ignore)
            if categories.kind == "index":
                codes = np.where(part.values < 0, len(names), part.values) if ignore else part.values
                part = Part(column, codes, [column])
            parts = [part]
        if rule.indicator:
            missing = self._of_rows(self.table.columns[column].missing)
            absent = np.zeros(len(parts[0].values), np.bool_) if missing is None else missing
            parts.append(Part(column, absent, [f"{column} missing"], is_alone=True))
        return parts

    def _numbers(self, column: str) -> np.ndarray:
        cells, unfilled = self.filled(column)
        numbers, wrong = self._read_numbers(column, cells)
        if wrong is not None:
            wrong = wrong if unfilled is None else wrong & ~unfilled
            self._add_texts(column, self.table.columns[column].cells, wrong)
        return numbers

    def _finite_numbers(self, column: str) -> np.ndarray:
        """The numbers of a column; infinite ones are faults."""
        numbers, raw = self._numbers(column), self.table.columns[column]
        if raw.is_finite and numbers is raw.stored:
            return numbers
        if numbers.dtype.kind == "f" and not (finite := np.isfinite(numbers)).all():
            cell.add_infinite(self.faults, column, numbers[~finite], self._everywhere(~finite))
            numbers = np.where(finite, numbers, 0.0)
        return numbers

    def _categories(self, column: str, names: Sequence[str], label: str, accept: str, ignore: bool = False) -> Part:
        cells, unfilled = self.filled(column)
        codes = cell.codes_of(cells, names)
        if not ignore:
            unknown = codes < 0 if unfilled is None else (codes < 0) & ~unfilled
            cell.add_unknown(self.faults, column, self._cells_of(column), self._everywhere(unknown), names, accept)
        return Part(column, codes, [f"{label}={name}" for name in names], is_one_hot=True)

    def _labels(self, column: str, classes: int) -> Part:
        numbers, unfilled = self._numbers(column), self.filled(column)[1]
        with np.errstate(invalid="ignore"):
            wrong = ~((numbers >= 0) & (numbers < classes) & (numbers == np.floor(numbers)))
        if unfilled is not None:
            wrong &= ~unfilled
        expected = f"a whole number from 0 to {classes - 1} is expected (one_hot = {classes}), {{}} found"
        self._add_numbers(column, "no class", numbers, wrong, expected)
        codes = np.where(wrong, -1, numbers).astype(np.int64)
        return Part(column, codes, [f"{column}={i}" for i in range(classes)], is_one_hot=True)

    def _of_rows(self, array: Any) -> Any:
        return array if array is None or self.rows is None else array[self.rows]

    def _everywhere(self, where: np.ndarray) -> np.ndarray:
        """The same cells counted in the whole table."""
        if self.rows is None:
            return where
        whole = np.zeros(self.table.rows, np.bool_)
        whole[self.rows] = where
        return whole

    def _cells_of(self, column: str) -> np.ndarray:
        """What the column's cells are called in the whole table, filled."""
        cells, _ = self.filled(column)
        if self.rows is None:
            return cells
        whole = np.full(self.table.rows, "", dtype=object)
        whole[self.rows] = cells
        return whole

    def _read_numbers(self, column: str, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return cell.as_truths(cells) if column in self.rules.truths else cell.as_numbers(cells, self.table.style)

    def _add_texts(self, column: str, cells: np.ndarray, wrong: np.ndarray) -> None:
        expected = "true or false" if column in self.rules.truths else "a number"
        cell.add_texts(self.faults, column, cells, self._everywhere(wrong), expected)

    def _add_numbers(self, column: str, kind: str, numbers: np.ndarray, wrong: np.ndarray, text: str) -> None:
        if wrong.any():
            places = np.flatnonzero(self._everywhere(wrong)).tolist()
            shown = {row: f"{number:g}" for row, number in zip(places, numbers[wrong].tolist(), strict=True)}
            self.faults.add(column, kind, places, lambda row: text.format(shown[row]), show=shown.__getitem__)
