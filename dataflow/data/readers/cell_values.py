"""What a cell says: a number, a truth, a text, or that something is missing. One rule for every format."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from dataflow.data.number_style import POINT, NumberStyle
from dataflow.data.raw_table import RawColumn
from dataflow.support.conversion import TooLargeError, finite
from dataflow.support.texts import shorten

MISSING = ("", "nan", "na", "n/a", "null", "none", "?", "-", "\u2013", "\u2014")
"""What a cell may say in place of a number that is missing, in any case."""
MISSING_TEXTS = ("", "nan", "na", "n/a", "null", "?")
"""What a cell may say in place of a text that is missing. "none" is a text, no garage is none, and so is a dash."""

_TRUTHS = {"false", "true"}
_PIECE = 2**14  # numbers that are looked at together
_FEW = 2**6  # those of them that are looked at first: mostly they show that not all are whole
_MANY_TEXTS = 2**16  # so many different texts of a column are looked up, so that equal ones share their memory


class Texts(dict[str, str]):
    """Equal texts as one object."""

    def __missing__(self, text: str) -> str:
        if len(self) < _MANY_TEXTS:
            self[text] = text
        return text


def read_number(text: str, style: NumberStyle = POINT) -> float | None:
    """The number that a cell says, None where it says that it is missing. A ``ValueError`` where it says neither: what
    Python takes for a number beside what people write as one is none, and a number that is too large is none, too."""
    if text.strip().lower() in MISSING:
        return None
    try:
        number = finite(style.plain(text))
    except TooLargeError:
        raise ValueError(text) from None
    return None if math.isnan(number) else number


def numbers_of_texts(texts: Sequence[str], numbers: Sequence[float | None], style: NumberStyle = POINT) -> np.ndarray:
    """The ``numbers`` that texts say, 0 where there is none: exactly, where float64 does not hold each whole one."""
    floats = np.array([0.0 if number is None else number for number in numbers])
    if not has_large_integers(floats):
        return floats
    exact = exact_integers([_exactly(text, number or 0.0, style) for text, number in zip(texts, numbers, strict=True)])
    return floats if exact is None else exact


def is_too_large(text: str, style: NumberStyle = POINT) -> bool:
    """Whether a cell says a number that no float64 holds."""
    try:
        finite(style.plain(text))
    except TooLargeError:
        return True
    except ValueError:
        pass
    return False


def text_column(texts: Sequence[str], *, found: bool = True) -> RawColumn:
    """A column of texts, where it is ``found`` from them what they are, of truths if they are no others."""
    cells = np.empty(len(texts), object)
    meaning = {text: "" if text.strip().lower() in MISSING_TEXTS else text.strip() for text in set(texts)}
    cells[:] = [meaning[text] for text in texts]
    missing = cells == ""
    said = {text.lower() for text in meaning.values() if text}
    if found and said and said <= _TRUTHS:
        truths = np.fromiter((text.lower() == "true" for text in cells), np.bool_, len(texts))
        return RawColumn(truths, missing if missing.any() else None)
    return RawColumn(cells, missing if missing.any() else None)


def number_column(values: np.ndarray, missing: np.ndarray | None, is_finite: bool = False) -> RawColumn:
    """A column of float64 or float32 numbers, which may be known to be finite, as integers where all are whole."""
    if missing is not None and not missing.any():
        missing = None
    if _is_whole(values):
        values = values.astype(np.int64)
    return RawColumn(values, missing, is_finite)


def array_column(values: np.ndarray, missing: np.ndarray | None) -> RawColumn:
    """A column of an array of numbers, in which NaN is missing, too. Float32 without gaps is kept as it is: nobody may
    change it afterwards."""
    if values.dtype.kind != "f":
        return RawColumn(values.astype({"b": np.bool_, "i": np.int64, "u": np.uint64}[values.dtype.kind]), missing)
    is_finite = len(values) > 0 and bool(np.isfinite([values.min(), values.max()]).all())  # NaN is both, if any is
    if is_finite or not (gaps := np.isnan(values)).any():
        is_kept = missing is None and values.dtype == np.float32
        return number_column(values if is_kept else values.astype(np.float64), missing, is_finite)
    numbers = values.astype(np.float64)
    numbers[gaps] = 0.0
    return number_column(numbers, gaps if missing is None else gaps | missing)


def value_column(values: Sequence[Any], kind: str | None) -> RawColumn:
    """A column of what JSON or Python holds: numbers, truths, texts, None. A ``ValueError`` with the number of the
    cell and a message where one is anything else. Texts are read as in a CSV file, if they are not just carried over.
    """
    kinds = set(map(type, values))
    plain = kinds <= {int, float, bool, str, type(None)}
    cells = list(values) if plain else [_plain(cell, row) for row, cell in enumerate(values)]
    kinds = kinds if plain else set(map(type, cells))
    if kind == "written" and str in kinds:
        kind = "text"
    if (kind != "text" and kinds <= {int, bool, type(None)}) or (kind != "text" and kinds <= {float, int, type(None)}):
        return _numbers(cells, kinds)
    if kind != "text":
        try:
            numbers_only = [_number_of(cell) for cell in cells]
        except ValueError:
            pass
        else:
            return _numbers(numbers_only, set(map(type, numbers_only)))
    return text_column([as_text(cell) for cell in cells], found=kind != "text" and kinds <= {str, type(None)})


def as_text(cell: Any) -> str:
    """A cell as text: a whole number without a point, nothing for what is missing."""
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell)) if abs(cell) < 1e15 else repr(cell)
    return str(cell)


# ------------------------------------------------------------------------------------------------ internals


def has_large_integers(values: np.ndarray) -> bool:
    """Whether all numbers are whole, and float64 does not hold each integer of their size."""
    is_large = False
    for start in range(0, len(values), _PIECE):
        part = values[start : start + _PIECE]
        with np.errstate(invalid="ignore"):
            if not (part == np.trunc(part)).all():
                return False
        is_large = is_large or max(part.max(), -part.min()) >= 2.0**53
    return is_large


def _is_whole(values: np.ndarray) -> bool:
    """Whether all numbers are integers that float64 holds exactly; -0.0 is none."""
    start, stop = 0, _FEW
    while start < len(values):
        part = values[start:stop]
        with np.errstate(invalid="ignore"):
            if not ((part == np.trunc(part)) & (np.abs(part) < 2.0**53) & ~(np.signbit(part) & (part == 0))).all():
                return False
        start, stop = stop, stop + _PIECE
    return True


def _numbers(cells: list[Any], kinds: set[type]) -> RawColumn:
    missing = np.fromiter((cell is None or cell != cell for cell in cells), np.bool_, len(cells))
    if missing.any():
        cells = [0 if gap else cell for cell, gap in zip(cells, missing.tolist(), strict=True)]
    mask = missing if missing.any() else None
    if kinds - {type(None)} == {bool}:
        return RawColumn(np.array(cells, np.bool_), mask)
    if float not in kinds or any(isinstance(cell, int) and abs(cell) >= 2**53 for cell in cells):
        whole = exact_integers(cells)
        if whole is not None:
            return RawColumn(whole, mask)
    try:
        return number_column(np.array(cells, np.float64), mask)
    except OverflowError:  # a whole number beyond float64
        return text_column([as_text(cell) for cell in cells], found=False)


def exact_integers(cells: Sequence[Any]) -> np.ndarray | None:
    """Python's numbers as int64 or uint64; None where one is not whole, or fits neither."""
    try:
        whole = [int(cell) for cell in cells]
    except (OverflowError, ValueError):
        return None
    if any(exact != cell for exact, cell in zip(whole, cells, strict=True)):
        return None
    for dtype in (np.int64, np.uint64):
        try:
            return np.array(whole, dtype)
        except OverflowError:
            continue
    return None


def _number_of(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    number = read_number(cell)
    return None if number is None else _exactly(cell, number)


def _exactly(text: str, number: float, style: NumberStyle = POINT) -> float | int:
    """The ``number`` that a text says, as an integer where it is whole and float64 may not hold it; with whatever point
    or exponent it is written."""
    if not 2.0**53 <= abs(number) < math.inf:
        return number
    exact = Decimal(style.plain(text))
    return int(exact) if exact == int(exact) else number


def _plain(cell: Any, row: int) -> Any:
    """A cell of whatever kind as a number, a truth, a text or None."""
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell if not isinstance(cell, np.generic) else cell.item()
    if isinstance(cell, np.generic) and cell.dtype.kind in "biuf":
        return cell.item()
    if isinstance(cell, numbers.Real) or type(cell).__name__ == "Decimal":
        number = float(cell)
        return int(cell) if 2.0**53 <= abs(number) < math.inf and cell == int(cell) else number
    if type(cell).__name__ in ("NAType", "NaTType"):  # what pandas puts where something is missing
        return None
    if type(cell).__module__ in ("datetime", "pandas", "pandas._libs.tslibs.timestamps", "uuid"):
        return str(cell)
    raise ValueError(row, f"a number or a text is expected, {shorten(repr(cell))} found")
