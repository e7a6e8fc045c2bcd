"""What the columns of a table hold, as far as their cells tell: which can be inputs, which cannot and why, and what a
target is predicted as."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.data.readers.dialect import added_to_numbers
from dataflow.errors import DataError, counted, cut, printable
from dataflow.support.conversion import is_number

CATEGORIES_LIMIT = 50
"""The most different texts of a column that are taken as categories."""
LABELS_LIMIT = 20
"""The most whole numbers from 0 on that are taken as labels of classes."""
COUNTED_ROWS = 20
"""Numbers that count fewer rows than this may as well be amounts."""

Prediction = Literal["number", "two classes", "classes"]

_IDENTIFIERS = ("id", "uuid", "key", "index", "nr", "no")


@dataclass(frozen=True)
class Survey:
    """What one column holds."""

    name: str
    is_text: bool
    is_whole: bool
    """Whether it holds whole numbers."""
    values: tuple[str | float, ...]
    """The different values in order, without missing cells; empty where there are more than ``CATEGORIES_LIMIT``."""
    rarest: int
    """How many rows the rarest of ``values`` has."""
    missing: int
    """How many cells are missing."""
    left_out: str = ""
    """Why it is no input, for a comment; "" where it is one."""

    @property
    def is_label(self) -> bool:
        """Whether it holds all whole numbers from 0 to a few, as labels of classes do."""
        return self.is_whole and 2 < len(self.values) <= LABELS_LIMIT and self.values == (*range(len(self.values)),)


def survey_columns(table: RawTable, target: str) -> dict[str, Survey]:
    """Every column by name. A column that divides the rows as a target of classes does is left out: it gives the answer
    away."""
    surveys = {name: _survey(name, column) for name, column in table.columns.items()}
    if predicted_as(surveys[target], table.rows) != "number":
        groups = _groups(table.columns[target])
        for name, survey in surveys.items():
            if name != target and survey.values and _groups(table.columns[name]) == groups:
                surveys[name] = replace(survey, left_out=f"says the same as '{target}'")
    return surveys


def predicted_as(target: Survey, rows: int) -> Prediction:
    """What a model for this target predicts. ``DataError`` for a target that cannot be learned."""
    if target.missing == rows:
        raise DataError(f"the target '{target.name}' has no value in any row; choose another column")
    if len(target.values) == 1:
        constant = f"is {shown(target.values[0])} in every row that has a value"
        raise DataError(f"the target '{target.name}' {constant}: there is nothing to learn; choose another column")
    if target.is_text and target.left_out:
        raise DataError(
            f"the target '{target.name}' has {target.left_out}: they are neither numbers nor classes of several rows "
            "each; correct the cells, or choose another column"
        )
    if len(target.values) == 2 and (target.is_text or target.is_whole):
        return "two classes"
    return "classes" if target.is_text or target.is_label else "number"


def shown(value: str | float) -> str:
    """A value of a column in a message or a comment."""
    return f"'{cut(printable(value), 30)}'" if isinstance(value, str) else f"{value:g}"


def _survey(name: str, column: RawColumn) -> Survey:
    cells = column.cells if column.missing is None else column.cells[~column.missing]
    if column.is_text:
        counts = Counter(cells.tolist())
        values, rows = sorted(counts), list(counts.values())
        is_whole = False
    else:
        unique, of_each = np.unique(cells, return_counts=True)
        values, rows = unique.tolist(), of_each.tolist()
        is_whole = bool(np.all(np.floor(unique.astype(np.float64)) == unique))
    few = len(values) <= CATEGORIES_LIMIT
    return Survey(
        name=name,
        is_text=column.is_text,
        is_whole=is_whole,
        values=tuple(values) if few else (),
        rarest=min(rows, default=0) if few else 0,
        missing=len(column.cells) - len(cells),
        left_out=_why_no_input(name, cells, values, len(column.cells), column.is_text, is_whole),
    )


def _why_no_input(
    name: str, cells: np.ndarray, values: list[str | float], rows: int, is_text: bool, is_whole: bool
) -> str:
    if 2 * len(cells) < rows:
        return f"missing in {rows - len(cells)} of {counted(rows, 'row')}"
    if len(values) == 1:
        return f"{shown(values[0])} in every row that has a value"
    if is_text and (len(values) > CATEGORIES_LIMIT or 2 * len(values) > len(cells)):
        return f"{len(values)} different texts in {len(cells)} rows, {_examples(values)}"
    if is_whole and len(values) == len(cells) and _identifies(name, cells):
        return "another number in each row, as identifiers have"
    return ""


def _identifies(name: str, cells: np.ndarray) -> bool:
    """Whether different whole numbers count the rows, or their column is called as identifiers are."""
    counts = cells[0] in (0, 1) and np.array_equal(cells, np.arange(cells[0], cells[0] + len(cells)))
    if counts and len(cells) >= COUNTED_ROWS:
        return True
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
    return not words or words[-1] in _IDENTIFIERS or words[0] == "unnamed"


def _examples(values: list[str | float]) -> str:
    """The few texts that keep a column from being one of numbers, or one of many."""
    texts = [value for value in values if not is_number(str(value).replace(",", "."))]
    if 0 < 10 * len(texts) < len(values):
        return f"numbers but for {', '.join(map(shown, texts[:3]))}"
    added = " and ".join(added_to_numbers(list(map(str, texts))))
    return f"such as {shown(values[0])}{added and f', numbers but for {added}'}"


def _groups(column: RawColumn) -> list[int]:
    """The rows' groups by their value, numbered in the order in which they appear."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(cell, len(numbers)) for cell in column.cells.tolist()]
