"""Values and Jacobians of one example, as short as they are written on a board."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflow.draw.picture.aligned import SPACE, align_rows, without_spaces
from dataflow.operations.jacobians import Jacobian, Kronecker, OnePerRow, is_identity
from dataflow.support.number_texts import number_text, without_negligible

ROWS, COLUMNS = 4, 5
"""The largest matrix that is written out."""
ENTRIES = 4
"""The most entries of a vector that are."""
DIGITS = 4


def number(value: float) -> str:
    """A number with a minus sign that is as long as a plus sign."""
    return number_text(value, DIGITS).replace("-", "−").replace("e−0", "e−").replace("e+", "e")


def value_lines(value: np.ndarray) -> list[str]:
    """A value: a number, a vector on one line, the rows of a matrix; of what is larger, its size."""
    value = without_negligible(value)
    if value.size == 1:
        return [number(value.item())]
    if value.ndim == 1:
        return [vector(value)] + ([f"{value.size:,} numbers"] if value.size > ENTRIES else [])
    if value.ndim == 2 and value.shape[0] <= ROWS and value.shape[1] <= COLUMNS:
        return matrix_lines(value)
    return [f"{times(value.shape)} numbers"]


def vector(entries: np.ndarray) -> str:
    """(0.7, −1.3); of many entries the first ones."""
    shown = [number(entry) for entry in entries[: ENTRIES if len(entries) <= ENTRIES else ENTRIES - 1]]
    return f"({', '.join(shown)}{', …' if len(entries) > ENTRIES else ''})"


def matrix_lines(matrix: np.ndarray) -> list[str]:
    """The rows, one below the other."""
    closings = ["],"] * (len(matrix) - 1) + ["]]"]
    rows = align_rows([[number(entry) for entry in row] for row in matrix], closings)
    return [f"{SPACE if i else '['}[{row}" for i, row in enumerate(rows)]


def jacobian_lines(jacobian: Jacobian) -> list[str]:
    """A factor by its structure, if it has one: I, diag(1, 0), I ⊗ (1, 1); else its numbers, or its size."""
    rows, columns = jacobian.shape
    if is_identity(jacobian):
        return ["1" if rows == 1 else "I"]
    if isinstance(jacobian, OnePerRow) and jacobian.is_square_diagonal and rows > 1:
        return [f"diag{vector(without_negligible(np.asarray(jacobian.values).reshape(-1)))}"]
    if isinstance(jacobian, Kronecker) and jacobian.size > 1:
        inner = matrix_text(without_negligible(jacobian.matrix))
        if inner is not None and jacobian.structure == "Kronecker, I ⊗ A":
            return [f"I ⊗ {inner}"]
        if inner is not None and jacobian.structure == "Kronecker, A ⊗ I":
            return [f"{inner} ⊗ I"]
    if rows <= ROWS and columns <= COLUMNS and not (rows == 1 and columns > ENTRIES):
        matrix = without_negligible(jacobian.dense())
        return matrix_lines(matrix) if rows > 1 and columns > 1 else [str(matrix_text(matrix))]
    if rows == 1 and jacobian.dense_bytes <= 8 * 2**16:
        return [vector(without_negligible(jacobian.dense()[0]))]
    return [f"{times(jacobian.shape)} matrix"]


def matrix_text(matrix: np.ndarray) -> str | None:
    """A matrix on one line; ``None`` where it is too large."""
    rows, columns = matrix.shape
    if rows > ROWS or columns > COLUMNS:
        return None
    if rows == 1 or columns == 1:
        return number(matrix.item()) if matrix.size == 1 else vector(matrix.reshape(-1)) + ("ᵀ" if columns == 1 else "")
    return one_line(matrix_lines(matrix))


def one_line(lines: Sequence[str]) -> str:
    """What stands on several lines on one."""
    return " ".join(map(without_spaces, lines))


def times(sizes: Sequence[int]) -> str:
    """2×3."""
    return "×".join(f"{size:,}" for size in sizes)


def latex_of_numbers(text: str) -> str:
    """The same for LaTeX's mathematical mode; nothing where there are words in it."""
    if text.endswith(("numbers", "matrix")):
        return ""
    spaced = text.replace(", ", ",\\ ").replace("diag", r"\operatorname{diag}")
    return "".join(_LATEX.get(character, character) for character in spaced)


_LATEX = {"−": "-", "⊗": r"\otimes ", "ᵀ": r"^{\top}", "…": r"\dots ", "·": r"\cdot ", "×": r"\times ", "→": r"\to "}
_LATEX |= {SPACE: r"\ "}
