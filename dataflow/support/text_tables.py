"""Text in columns, and lines no wider than a terminal, for whatever prints."""

from __future__ import annotations

import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_width: ContextVar[int] = ContextVar("line_width", default=sys.maxsize)


def line_width() -> int:
    """Return how wide a line may be: without end, unless ``lines_within`` says otherwise."""
    return _width.get()


@contextmanager
def lines_within(columns: int) -> Iterator[None]:
    """While this is open, lines have at most so many columns, unless a single word is longer."""
    token = _width.set(columns)
    try:
        yield
    finally:
        _width.reset(token)


def columns_text(rows: Sequence[Sequence[str]], left: int) -> str:
    """Align rows as ``align`` does. Columns that do not fit on a line follow below, beside the first one again."""
    return "\n\n".join("\n".join(lines) for lines in column_parts(rows, left))


def column_parts(rows: Sequence[Sequence[str]], left: int) -> list[list[str]]:
    """The lines of each part of such a table, a line for each row."""
    sizes = widths(rows)
    parts: list[list[int]] = [[]]
    used = sizes[0]
    for j, size in enumerate(sizes[1:], 1):
        if parts[-1] and used + 2 + size > line_width():
            parts.append([])
            used = sizes[0]
        parts[-1].append(j)
        used += 2 + size
    return [
        align([[row[0], *(row[j] for j in part)] for row in rows], 1 + sum(j < left for j in part)) for part in parts
    ]


def fit_lines(text: str, columns: int | None = None) -> str:
    """Break lines that are too wide at their blanks; what follows is indented below. No word is cut."""
    most = line_width() if columns is None else columns
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, most))


def _fitted(line: str, most: int) -> list[str]:
    if len(line) <= most and display_width(line) <= most:
        return [line]
    below = " " * min(len(line) - len(line.lstrip()) + 4, most // 2)
    return textwrap.wrap(
        line,
        max(len(below) + 1, most - (display_width(line) - len(line))),
        subsequent_indent=below,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def align(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """A line for each row: the first ``left`` columns flush left, the others flush right, as wide as their widest
    cell."""
    sizes = widths(rows)
    return [
        "  ".join(
            pad(cell, size, right=i >= left) for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in rows
    ]


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column."""
    return [max(map(display_width, column)) for column in zip(*rows, strict=True)]


def pad(text: str, size: int, *, right: bool = False) -> str:
    """The text with blanks up to a width, before it where it stands to the right."""
    fill = " " * (size - display_width(text))
    return fill + text if right else text + fill


def display_width(text: str) -> int:
    """How many columns a terminal takes for the text."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
