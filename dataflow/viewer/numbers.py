"""Numbers for the page: matrices cut down to what a page can hold, and short texts for the boxes of the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.operations.jacobians import Jacobian
from dataflow.support.number_texts import number_text, without_negligible

DIGITS = 9
"""Significant digits of a number in the page."""
SHORT = 4
"""Significant digits of a number in a box of the graph, and how many numbers fit into one."""

LONGEST = 34
"""Characters in a box."""


def matrix(source: np.ndarray | Jacobian, side: int) -> dict[str, Any]:
    """Plain data of an array: ``shape``, the indices of the ``rows`` and ``columns`` that are kept (at most ``side`` of
    each: the first, and the last), and their ``cells`` row by row. Of more than two axes, all but the last are rows; a
    vector is one row. Where something is left out, ``range`` has the least and the greatest of what is finite.
    """
    rows, columns = _sides(source.shape)
    down, across = _kept(rows, side), _kept(columns, side)
    left_out = len(down) < rows or len(across) < columns
    result: dict[str, Any] = {"shape": list(source.shape)}
    if isinstance(source, Jacobian):
        picked = without_negligible(_rows(source, down))
    else:
        whole = without_negligible(source).reshape(rows, columns)
        picked = whole[down]
        if left_out:
            result["range"] = _range(whole)
    result |= {"rows": down, "columns": across} if left_out else {}
    result["cells"] = [plain(_rounded(x)) for x in picked[:, across].reshape(-1).tolist()]
    return result


def entries(shape: Sequence[int], side: int) -> int:
    """Count the cells that ``matrix`` keeps."""
    rows, columns = _sides(shape)
    return min(rows, side) * min(columns, side)


def plain(value: Any) -> Any:
    """Convert a number for JSON: rounded, a whole float as an integer, a number that is not finite as a word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 10**DIGITS else rounded


def short(value: np.ndarray) -> str:
    """Format an array for a box: one number, a few in brackets, or their count and bounds."""
    value = without_negligible(value)
    if value.size == 1:
        return _text(value.reshape(-1)[0])
    if value.size == 0:
        return "[] (empty)"
    if value.size <= SHORT and value.ndim <= 2:
        rows = value if value.ndim == 2 and 1 not in value.shape else value.reshape(1, -1)
        texts = ["[" + ", ".join(_text(x) for x in row) + "]" for row in rows]
        text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        if len(text) <= LONGEST:
            return text
    sizes = "×".join(map(str, value.shape))
    low, high = _range(value)
    if low is None:
        return f"{sizes}, none finite"
    return f"{sizes}: {_text(low)} … {_text(high)}"


def _text(value: Any) -> str:
    return number_text(value, SHORT)


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    if not shape:
        return 1, 1
    return math.prod(shape[:-1]), shape[-1]


def _kept(count: int, side: int) -> list[int]:
    return list(range(count)) if count <= side else [*range(side - 1), count - 1]


def _rows(jacobian: Jacobian, down: Sequence[int]) -> np.ndarray:
    """Some rows of a Jacobian that may be too large to be built."""
    if len(down) == jacobian.shape[0]:
        return jacobian.dense()
    chosen = np.zeros((len(down), jacobian.shape[0]))
    chosen[np.arange(len(down)), down] = 1
    with np.errstate(all="ignore"):
        return np.asarray(jacobian.left(chosen))


def _range(values: np.ndarray) -> list[Any]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    return (
        [None, None] if finite.size == 0 else [plain(_rounded(bound.item())) for bound in (finite.min(), finite.max())]
    )


def _rounded(value: Any) -> Any:
    """A number with as many digits as the user asks for."""
    return float(number_text(value, DIGITS)) if isinstance(value, float) else value
