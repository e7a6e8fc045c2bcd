"""Numbers of a matrix under each other, in any of the usual fonts."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow.draw.layout.text_metrics import text_width

SPACE = "\u00a0"
"""A space that is kept. In the usual fonts a digit is as wide as two, and a point or a comma as one."""
_UNIT = text_width(SPACE, 1.0)


def align_rows(rows: Sequence[Sequence[str]], closings: Sequence[str]) -> list[str]:
    """Each row on a line, its cells with commas between them and what closes it. Spaces are added so that the points
    of each column stand under each other, and all lines are as wide."""
    columns = list(zip(*rows, strict=True))
    lines = [""] * len(rows)
    for number, column in enumerate(columns, 1):
        ends = closings if number == len(columns) else [", "] * len(rows)
        lines = [line + cell for line, cell in zip(lines, _align(column, ends), strict=True)]
    return lines


def without_spaces(text: str) -> str:
    """The text as it is read aloud."""
    return text.replace(SPACE, "")


def _align(column: Sequence[str], ends: Sequence[str]) -> list[str]:
    before = [_spaces(cell.partition(".")[0]) for cell in column]
    left = [max(before) - own for own in before]
    cells = [cell + end for cell, end in zip(column, ends, strict=True)]
    widths = [_spaces(cell) + more for cell, more in zip(cells, left, strict=True)]
    return [
        SPACE * round(more) + cell + SPACE * round(max(widths) - width)
        for cell, more, width in zip(cells, left, widths, strict=True)
    ]


def _spaces(text: str) -> float:
    """How many spaces are as wide."""
    return text_width(text, 1.0) / _UNIT
