"""Plain text for a terminal or a file: aligned tables and arrays, readable at 80 columns, without colour."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import counted, printable
from dataflow.execution import forward
from dataflow.support.number_texts import current_format, number_text, without_negligible
from dataflow.support.text_tables import align, columns_text, fit_lines, line_width, pad, widths
from dataflow.support.texts import shorten

NARROWEST = 24
"""The least room for a table's last column; with less, it stands on a line of its own."""


def width() -> int:
    """Return the columns of the terminal, or those that ``COLUMNS`` asks for, at least 60; else 80."""
    return _columns() if _has_width() else 80


def command_width() -> int:
    """Return how wide the lines of a command may be: as the terminal, or as ``COLUMNS`` says; where there is neither,
    as wide as they are, for programs and files."""
    return width() if _has_width() else sys.maxsize


def _columns() -> int:
    return max(60, shutil.get_terminal_size().columns)


def _has_width() -> bool:
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()


def clean(text: object) -> str:
    """Put a text on one line, without anything that a terminal takes for a command."""
    return printable(str(text))


def clean_lines(text: str) -> str:
    """Clean each line of a text."""
    return "\n".join(map(printable, text.split("\n")))


def message_text(text: str) -> str:
    """Break a message on a terminal between words; elsewhere it is one line, for programs."""
    return fit_lines(text, _columns()) if sys.stderr.isatty() else text


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align rows in columns. Only cells of the last column may have several lines."""
    start = _last_column(headers, rows)
    if start > line_width() + 2 and not any("\n" in cells[-1] for cells in rows):
        return columns_text([headers, *rows], len(headers))
    below = line_width() - start < NARROWEST and any(cells[-1] for cells in rows)
    texts = align([cells[:-1] for cells in (headers, *rows)], len(headers))
    lines = []
    for cells, left in zip((headers, *rows), texts, strict=True):
        last = fit_lines(cells[-1], max(NARROWEST, line_width() - (4 if below else start))).split("\n")
        if below and cells is not headers:
            lines += [left.rstrip(), *(f"    {line}" for line in last if line)]
        else:
            lines += [(pad(left, start) + last[0]).rstrip(), *(" " * start + line for line in last[1:])]
    return "\n".join(lines)


def left_out(count: int, what: str, advice: str = "--json has all") -> str:
    """The line below a table that says how many more there are; nothing where all are in the table."""
    return f"\n... and {counted(count, f'more {what}')}; {advice}" if count > 0 else ""


def room(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the columns that a table with these cells leaves for its last one."""
    left = line_width() - _last_column(headers, rows)
    return left if left >= NARROWEST else line_width() - 4


def _last_column(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Where the last column begins."""
    return sum(size + 2 for size in widths([cells[:-1] for cells in (headers, *rows)]))


SCALAR_DIGITS = 8
"""Of a number alone; what differs after these is mostly rounding."""
ENTRIES = 40
"""The most of an array that is written out."""


def array_text(array: np.ndarray, columns: int) -> str:
    """Format an array as numpy does, at most ``columns`` wide, a large one shortened. No small number makes all
    others have exponents."""
    if array.ndim == 0:
        return number_text(array.item(), SCALAR_DIGITS)
    shown = without_negligible(array)
    layout: dict[str, Any] = {"max_line_width": columns, "threshold": ENTRIES, "edgeitems": 2}
    if current_format().is_plain and _is_tame(shown):
        return np.array2string(shown, precision=6, suppress_small=True, **layout)
    size = max((len(number_text(entry)) for entry in _shown_entries(shown)), default=0)
    return np.array2string(shown, formatter={"float_kind": lambda entry: number_text(entry).rjust(size)}, **layout)


def named_text(array: np.ndarray, text_of: Callable[[int], str], columns: int) -> str:
    """Format whole numbers as the texts that they stand for, as many as ``array_text`` shows."""
    formatter: Any = {"int": lambda number: f"'{clean(shorten(text_of(int(number)), 40))}'"}
    return np.array2string(array, max_line_width=columns, threshold=ENTRIES, edgeitems=2, formatter=formatter)


def matrix_text(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Format a matrix with a label for each row and column; columns that do not fit on a line follow below."""
    shown = without_negligible(matrix)
    cells = [["", *columns]]
    cells += [[name, *map(number_text, line)] for name, line in zip(rows, shown.tolist(), strict=True)]
    return columns_text(cells, 1)


def missing_text(missing: Sequence[str]) -> str:
    """Say why a node was not computed."""
    return f"not computed: needs {forward.missing_text(missing)}"


def settings_text(settings: Mapping[str, object]) -> str:
    """Format an optimizer's settings without those that are off: ``sgd, learning_rate 0.1``."""
    shown = [
        f"{name} {number_text(value)}" for name, value in settings.items() if isinstance(value, int | float) and value
    ]
    return ", ".join([str(settings["name"]), *shown])


def _shown_entries(array: np.ndarray) -> Iterable[Any]:
    """The entries that numpy shows of an array: of a large one, two at each end of an axis."""
    if array.size > ENTRIES:
        for axis, count in enumerate(array.shape):
            if count > 4:
                array = array.take([0, 1, -2, -1], axis)
    return array.reshape(-1)


def _is_tame(array: np.ndarray) -> bool:
    """Whether six decimals show every number that is not zero."""
    if array.dtype.kind != "f" or not array.size:
        return True
    sizes = np.abs(array[np.isfinite(array) & (array != 0)])
    return not sizes.size or bool(sizes.min() >= 1e-4 and sizes.max() < 1e6)
