"""A table as it was read: columns of numbers or texts by name, before anything is prepared for an input."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dataflow.data.number_style import POINT, NumberStyle

Choose = Callable[[Sequence[str]], Collection[str]]
"""Given all names of a table, those that are wanted."""


@dataclass(frozen=True, eq=False)
class RawColumn:
    """A column of a table. It holds numbers where each cell that is not missing is one, else texts."""

    stored: np.ndarray
    """The cells; numbers may be float32, as a file has them, where none is missing."""
    missing: np.ndarray | None = None
    """Booleans, where a cell is missing; None where none is. A missing number is 0 in ``cells``, a missing text ""."""
    is_finite: bool = False
    """Whether its numbers are known to be finite."""

    @cached_property
    def cells(self) -> np.ndarray:
        """One axis: numbers (bool, int64, uint64, float64) or texts (an object array of str)."""
        return self.stored.astype(np.float64) if self.stored.dtype == np.float32 else self.stored

    @property
    def is_text(self) -> bool:
        """Whether the cells are texts."""
        return self.stored.dtype == object


@dataclass(frozen=True, eq=False)
class RawTable:
    """The columns that were asked for, all of one length, and where they came from."""

    columns: Mapping[str, RawColumn]
    """By name, in the table's order."""
    places: Sequence[int] | None
    """The line of each row where the format has lines, else None: rows count from 1 then."""
    source: str
    """What a message calls the table: the path of its file, "standard input", "the DataFrame"."""
    style: NumberStyle = POINT
    """How numbers are written in texts."""
    is_csv: bool = False
    """Whether that can be declared."""
    start: int = 0
    """The rows of the file before these, where the table is a piece of one and ``places`` are not given."""
    arrays: Mapping[tuple[str, ...], np.ndarray] = field(default_factory=dict)
    """By their names, columns whose cells stand in one float64 array, row by row; read-only."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return next((len(column.stored) for column in self.columns.values()), 0)

    def place(self, row: int) -> str:
        """Where a row stands: "line 12" or "row 11"."""
        return f"{'row' if self.places is None else 'line'} {self.number(row)}"

    def number(self, row: int) -> int:
        """The number of a row in its file, from 1, or its line."""
        return self.start + row + 1 if self.places is None else self.places[row]
