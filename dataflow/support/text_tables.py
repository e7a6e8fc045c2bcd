"""Text in columns, for whatever prints a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


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
