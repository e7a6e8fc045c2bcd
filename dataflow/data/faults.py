"""The faults of a table's cells, collected, so that a user sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError, UndeclaredError, counted, plural
from dataflow.support.texts import shorten

_PLACES = 5
_GROUPS = 12


@dataclass(frozen=True)
class CellFaults:
    """Cells of one column with one kind of fault."""

    column: str
    kind: str
    rows: np.ndarray
    describe: Callable[[int], str]
    show: Callable[[int], str]
    accept: str
    advice: str


class Faults:
    """The faults of the cells of one table: how many by column and kind, the first places, and what accepts each."""

    def __init__(self, table: RawTable) -> None:
        self.table = table
        self.groups: list[CellFaults] = []

    def add(
        self,
        column: str,
        kind: str,
        rows: Sequence[int] | np.ndarray,
        describe: Callable[[int], str],
        *,
        show: Callable[[int], str] = lambda row: "",
        accept: str = "",
        advice: str = "",
    ) -> None:
        """Add the cells of a ``column`` in these ``rows``, which count from 0; no rows add nothing.

        ``kind`` says what such a cell is: "missing", "not a number", "out of range", "of an unknown category".
        ``describe(row)`` is the whole message for one cell, without its place, and ``show(row)`` what stands in it, for
        the summary. ``accept`` is what to declare so that such cells are taken, as it is written in a file:
        ``missing = { year = "median" }``; ``advice`` is what to do in the table, before that or alone.
        """
        if len(rows):
            self.groups.append(CellFaults(column, kind, np.asarray(rows), describe, show, accept, advice))

    def __bool__(self) -> bool:
        return bool(self.groups)

    @property
    def rows(self) -> np.ndarray:
        """The rows that have some, in order."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *(group.rows for group in self.groups)]))

    @property
    def count(self) -> int:
        """How many cells have a fault."""
        return sum(len(group.rows) for group in self.groups)

    def check(self) -> None:
        """Raise the error, if there are faults."""
        if self.groups:
            raise self.error()

    def error(self) -> DataError:
        """One error for all of them: for a single cell with its line, else a summary."""
        kind = UndeclaredError if any(group.accept for group in self.groups) else DataError
        if self.count == 1:
            (group,) = self.groups
            row = int(group.rows[0])
            accept = f"to accept {'that' if group.advice else 'it'}, declare {group.accept}" if group.accept else ""
            remedy = ", and ".join(filter(None, [group.advice, accept]))
            message = f"{group.describe(row)}; {remedy}" if remedy else group.describe(row)
            if self.table.places is None:
                place = f"column '{shorten(group.column)}' of {self.table.place(row)}"
                return kind(f"{place}: {message}", file=self.table.source)
            line = self.table.places[row]
            return kind(f"column '{shorten(group.column)}': {message}", file=self.table.source, line=line)
        return kind(f"{counted(self.count, 'cell')} cannot be used: {'; '.join(self.lines())}", file=self.table.source)

    def lines(self) -> list[str]:
        """A text for each column and kind, the first dozen of them."""
        texts = [self._line(group) for group in self.groups[:_GROUPS]]
        more = self.groups[_GROUPS:]
        if more:
            texts.append(f"{sum(len(group.rows) for group in more)} cells in {len(more)} more columns")
        return texts

    def _line(self, group: CellFaults) -> str:
        places = [self._place(group, int(row)) for row in group.rows[:_PLACES]]
        more = ", ..." if len(group.rows) > _PLACES else ""
        unit = "row" if self.table.places is None else "line"
        where = f"{plural(unit, len(group.rows))} {', '.join(places)}{more}"
        cells = counted(len(group.rows), "cell")
        verb = "are" if len(group.rows) > 1 else "is"
        text = f"{cells} of column '{shorten(group.column)}' {verb} {group.kind} ({where})"
        return ", ".join(filter(None, [text, group.advice, group.accept and f"accepted by {group.accept}"]))

    def _place(self, group: CellFaults, row: int) -> str:
        number = self.table.number(row)
        shown = group.show(row)
        return f"{number} {shown}" if shown else str(number)
