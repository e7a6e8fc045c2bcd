"""The columns of a table while it is read: numbers as long as each cell is one, else texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Protocol

import numpy as np

from dataflow.data.number_style import NumberStyle
from dataflow.data.raw_table import RawColumn
from dataflow.data.readers.cell_values import (
    Texts,
    has_large_integers,
    number_column,
    numbers_of_texts,
    read_number,
    text_column,
)
from dataflow.data.readers.decimals import Numbers, PlainCells
from dataflow.support.arrays import address

TEXT, EXACT, WRITTEN = "text", "exact", "written"
"""What a column holds that is read once more, texts, or whole numbers beyond those that float64 holds; and one that is
only carried over, texts where a cell says more than its number."""
_CODE = re.compile(r"\s*[-+]?(0\d|\d{20})")
"""A number of a parcel, a place, an account: 0 stands in front, or there are more digits than whole numbers have."""


class Cells(Protocol):
    """The cells of some rows."""

    rows: int

    def text(self, position: int, row: int) -> str: ...
    def texts(self, position: int) -> list[str]: ...
    def numbers(self, positions: Sequence[int]) -> list[Numbers]: ...


class GrowingNumbers:
    """Numbers that are added in parts and stand in one array. Memory that nothing was written to is not taken."""

    def __init__(self) -> None:
        self._array, self.count = np.empty(2**12), 0
        self.expected = 0
        """How many there may be in the end: the array is made so long at once, where it would grow by and by."""

    def go_on_in(self, array: np.ndarray) -> None:
        """Keep the numbers, and those to come, in this array, as long as it has room for them."""
        array[: self.count] = self._array[: self.count]
        self._array = array

    def room(self) -> np.ndarray:
        """The array, with room for all that are expected."""
        if len(self._array) < self.expected:
            self.go_on_in(np.empty(self.expected))
        return self._array

    def add(self, part: np.ndarray) -> None:
        """Add numbers at the end, where they may stand already."""
        end = self.count + len(part)
        if end > len(self._array):
            longer = np.empty(max(end, 2 * len(self._array), self.expected))
            longer[: self.count] = self._array[: self.count]
            self._array = longer
        place = self._array[self.count : end]
        if address(place) != address(part):
            place[...] = part
        self.count = end

    def take(self) -> np.ndarray:
        """The numbers, which are not kept."""
        array, self._array = self._array[: self.count], np.empty(0)
        return array


class GrowingColumn:
    """A column while it is read."""

    def __init__(self, position: int, kind: str | None) -> None:
        self.position, self.kind = position, kind
        self.values = GrowingNumbers()
        self.gaps: list[tuple[int, np.ndarray]] = []
        self.texts: list[str] = []
        self.shared = Texts()
        self.again = False
        self.is_finite = True

    @property
    def holds_numbers(self) -> bool:
        """Whether it does so far."""
        return self.kind not in (TEXT, EXACT, WRITTEN)

    def add(self, cells: Cells, numbers: Numbers | None, style: NumberStyle) -> None:
        """Add the cells of more rows. A column that began with numbers and has a cell that is none is one of texts, and
        is read again."""
        if self.holds_numbers and numbers is not None:
            if self._add_numbers(*numbers, cells, style):
                return
            self.kind, self.again = TEXT, self.values.count > 0
        elif numbers is not None:
            self.again = True  # they were read before it was known
        if not self.again:
            shared = self.shared
            self.texts += [shared[text] for text in cells.texts(self.position)]

    def _add_numbers(
        self, values: np.ndarray, gaps: np.ndarray | None, odd: np.ndarray, cells: Cells, style: NumberStyle
    ) -> bool:
        for row in odd.tolist():
            try:
                number = read_number(cells.text(self.position, row), style)
            except ValueError:
                return False
            values[row] = 0.0 if number is None else number
            self.is_finite = self.is_finite and isfinite(values[row])
            if number is None:
                gaps = np.zeros(len(values), np.bool_) if gaps is None else gaps
                gaps[row] = True
        if gaps is not None:
            self.gaps.append((self.values.count, np.array(gaps)))
        self.values.add(values)
        return True

    def finished(self, style: NumberStyle, found: bool) -> RawColumn | str:
        """The column, or the kind that the table has to be read with once more."""
        if self.kind == TEXT:
            return TEXT if self.again else text_column(self.texts, found=found)
        if self.kind == EXACT:
            return _exact_column(self.texts, style)
        if self.kind == WRITTEN:
            return _written_column(self.texts, style)
        values = self.values.take()
        if found and has_large_integers(values):
            return EXACT
        missing = None
        if self.gaps:
            missing = np.zeros(len(values), np.bool_)
            for start, gaps in self.gaps:
                missing[start : start + len(gaps)] = gaps
        return number_column(values, missing, self.is_finite)


def _exact_column(texts: Sequence[str], style: NumberStyle) -> RawColumn:
    """A column of whole numbers beyond those that float64 holds."""
    numbers = [read_number(text, style) for text in texts]
    missing = np.array([number is None for number in numbers])
    return RawColumn(numbers_of_texts(texts, numbers, style), missing if missing.any() else None)


def _written_column(texts: Sequence[str], style: NumberStyle) -> RawColumn:
    """A column that is carried over."""
    if any(map(_CODE.match, texts)):
        return text_column(texts, found=False)
    column, rows = GrowingColumn(0, None), CutRows([[text] for text in texts], style.decimal)
    column.add(rows, rows.numbers([0])[0], style)
    found = column.finished(style, True) if column.holds_numbers else TEXT
    if isinstance(found, RawColumn):
        return found
    return _exact_column(texts, style) if found == EXACT else text_column(texts)


class CutRows:
    """Cells that are cut already."""

    def __init__(self, rows: Sequence[Sequence[str]], decimal: str) -> None:
        self._rows, self._decimal, self.rows = rows, decimal, len(rows)

    def text(self, position: int, row: int) -> str:
        return self._rows[row][position]

    def texts(self, position: int) -> list[str]:
        return [row[position] for row in self._rows]

    def numbers(self, positions: Sequence[int]) -> list[Numbers]:
        numbers = []
        for position in positions:
            text = "".join(row[position] + "\n" for row in self._rows)
            cells = PlainCells(text.encode(), "\n", self._decimal, 1)
            if cells.rows == len(self._rows):
                numbers += cells.numbers([0])
            else:  # there are line feeds in cells
                numbers.append((np.zeros(len(self._rows)), None, np.arange(len(self._rows))))
        return numbers
