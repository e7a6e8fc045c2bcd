"""The faults of a table's cells, collected, so that a user sees all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
        return AllFaults().add(self).error()

    def lines(self) -> list[str]:
        """A text for each column and kind, the first dozen of them."""
        return AllFaults().add(self).lines()

    def place(self, group: CellFaults, row: int) -> str:
        """Where a cell stands, and what it holds."""
        number = self.table.number(row)
        shown = group.show(row)
        return f"{number} {shown}" if shown else str(number)

    def single(self, group: CellFaults) -> DataError:
        """The error for a cell that is the only one."""
        kind = UndeclaredError if group.accept else DataError
        row = int(group.rows[0])
        accept = f"to accept {'that' if group.advice else 'it'}, declare {group.accept}" if group.accept else ""
        remedy = ", and ".join(filter(None, [group.advice, accept]))
        message = f"{group.describe(row)}; {remedy}" if remedy else group.describe(row)
        if self.table.places is None:
            place = f"column '{shorten(group.column)}' of {self.table.place(row)}"
            return kind(f"{place}: {message}", file=self.table.source)
        line = self.table.places[row]
        return kind(f"column '{shorten(group.column)}': {message}", file=self.table.source, line=line)


class AllFaults:
    """The faults of a table, or of the tables that are pieces of one: counted, with the first places of each column and
    kind."""

    def __init__(self) -> None:
        self.count = 0
        """How many cells have a fault."""
        self._counted: dict[tuple[str, str, str, str], _Counted] = {}
        self._files: dict[str, None] = {}
        self._single: DataError | None = None

    def add(self, faults: Faults) -> AllFaults:
        """Count those of another piece, which need not be there any longer then."""
        table = faults.table
        for group in faults.groups:
            key = group.column, group.kind, group.advice, group.accept
            one = self._counted.setdefault(key, _Counted("row" if table.places is None else "line"))
            one.places += [
                (table.source, faults.place(group, int(row))) for row in group.rows[: max(0, _PLACES - one.count)]
            ]
            if not self.count and len(group.rows) == 1:
                self._single = faults.single(group)
            one.count += len(group.rows)
            self.count += len(group.rows)
            self._files[table.source] = None
        return self

    def error(self) -> DataError:
        """One error for all of them: for a single cell with its line, else a summary."""
        if self.count == 1 and self._single is not None:
            return self._single
        kind = UndeclaredError if any(accept for *_, accept in self._counted) else DataError
        files = list(self._files)
        file = files[0] if len(files) == 1 else os.path.commonpath(files)
        return kind(f"{counted(self.count, 'cell')} cannot be used: {'; '.join(self.lines())}", file=file)

    def lines(self) -> list[str]:
        """A text for each column and kind, the first dozen of them."""
        every = list(self._counted.items())
        texts = [self._line(*key, one) for key, one in every[:_GROUPS]]
        more = every[_GROUPS:]
        if more:
            texts.append(f"{sum(one.count for _, one in more)} cells in {len(more)} more columns")
        return texts

    def _line(self, column: str, kind: str, advice: str, accept: str, one: _Counted) -> str:
        several = len(self._files) > 1
        places = [f"{place} of {os.path.basename(file)}" if several else place for file, place in one.places]
        more = ", ..." if one.count > len(places) else ""
        where = f"{plural(one.unit, one.count)} {', '.join(places)}{more}"
        verb = "are" if one.count > 1 else "is"
        text = f"{counted(one.count, 'cell')} of column '{shorten(column)}' {verb} {kind} ({where})"
        return ", ".join(filter(None, [text, advice, accept and f"accepted by {accept}"]))


# ------------------------------------------------------------------------------------------------ internals


@dataclass
class _Counted:
    """Cells of one column with one kind of fault, of all pieces."""

    unit: str
    count: int = 0
    places: list[tuple[str, str]] = field(default_factory=list)
    """The first ones, each with its file."""
