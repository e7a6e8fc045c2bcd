"""Plain text for a terminal or a file: aligned tables and arrays, readable at 80 columns, without colour."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

NARROWEST = 24
"""The least room for a table's last column; with less, it stands on a line of its own."""


def width() -> int:
    """The columns of the terminal, at least 60; 80 where output goes elsewhere."""
    return max(60, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 80


def clean(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would take for a command."""
    safe = "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)
    return safe.encode("utf-8", "backslashreplace").decode()


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Aligned columns. A cell of the last column may have several lines; the others have one."""
    fixed = [max(display_width(line[i]) for line in (headers, *rows)) for i in range(len(headers) - 1)]
    start = len(indent) + sum(fixed) + 2 * len(fixed)
    below = width() - start < NARROWEST and any(cells[-1] for cells in rows)
    lines = []
    for cells in (headers, *rows):
        left = indent + "  ".join(_padded(cell, size) for cell, size in zip(cells, fixed, strict=False))
        last = cells[-1].split("\n")
        if below and cells is not headers:
            lines += [left.rstrip(), *(f"{indent}    {line}" for line in last if line)]
        else:
            gap = "  " if fixed else ""
            lines.append((left + gap + last[0]).rstrip())
            lines += [" " * start + line for line in last[1:]]
    return "\n".join(lines)


def room(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many columns a table with these cells leaves for its last column."""
    start = sum(max(display_width(line[i]) for line in (headers, *rows)) + 2 for i in range(len(headers) - 1))
    return width() - start if width() - start >= NARROWEST else width() - 4


def array_text(array: np.ndarray, columns: int, *, entries: int = 40) -> str:
    """An array as numpy shows it, within so many columns; a single number with all its digits, a large array
    shortened."""
    if array.ndim == 0:
        return str(array.item())
    return np.array2string(
        array, max_line_width=columns, precision=6, threshold=entries, edgeitems=2, suppress_small=_is_tame(array)
    )


def matrix_text(matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A matrix with a label for each row and column; too many columns for one line follow in further parts."""
    cells = [[f"{x:.6g}" for x in line] for line in matrix.tolist()]
    label = max(map(display_width, rows), default=0)
    sizes = [max([display_width(name), *(len(line[j]) for line in cells)]) for j, name in enumerate(columns)]
    parts: list[list[int]] = [[]]
    used = label
    for j, size in enumerate(sizes):
        if parts[-1] and used + 2 + size > width():
            parts.append([])
            used = label
        parts[-1].append(j)
        used += 2 + size
    texts = []
    for part in parts:
        header = " " * label + "".join("  " + _padded(columns[j], sizes[j], right=True) for j in part)
        lines = [
            _padded(name, label) + "".join("  " + line[j].rjust(sizes[j]) for j in part)
            for name, line in zip(rows, cells, strict=True)
        ]
        texts.append("\n".join([header, *lines]))
    return "\n\n".join(texts)


def listed(names: Sequence[str]) -> str:
    """``'x', 'y'``."""
    return ", ".join(f"'{name}'" for name in names)


def counted(count: int, what: str) -> str:
    """``1 example``, ``4 examples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def missing_text(missing: Sequence[str]) -> str:
    """Why a node was not computed."""
    return f"not computed: needs the input{'s' if len(missing) != 1 else ''} {listed(missing)}"


def settings_text(settings: Mapping[str, object]) -> str:
    """``sgd, learning_rate 0.1`` for an optimizer's settings, those that are off left out."""
    shown = [f"{name} {value:g}" for name, value in settings.items() if isinstance(value, int | float) and value]
    return ", ".join([str(settings["name"]), *shown])


def display_width(text: str) -> int:
    """How many columns a terminal takes for the text."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, size: int, *, right: bool = False) -> str:
    fill = " " * (size - display_width(text))
    return fill + text if right else text + fill


def _is_tame(array: np.ndarray) -> bool:
    """Whether six decimals show every number that is not zero."""
    if array.dtype.kind != "f" or not array.size:
        return True
    sizes = np.abs(array[np.isfinite(array) & (array != 0)])
    return not sizes.size or bool(sizes.min() >= 1e-4 and sizes.max() < 1e6)
