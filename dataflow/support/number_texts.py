"""Numbers as people read them: in a terminal, a picture, LaTeX, a page.

How many digits they have, and whether what is too small to be told from rounding is written as 0, holds for all that is
written inside a ``number_format``. JSON documents and files of results are exact, and are not written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

NEGLIGIBLE = 1e-12
"""A number below this part of its array's largest is written as 0."""
MOST_DIGITS = 17
"""No float64 has more."""
NOTE = "numbers below 1e-12 of their array's largest are written as 0; --exact writes them as they are"


@dataclass
class NumberFormat:
    """How numbers are written."""

    digits: int | None = None
    """The most significant digits of a number; what suits its place unless given."""
    exact: bool = False
    """Nothing is written as 0 that is not 0, and unless ``digits`` are given, numbers have all their digits."""
    hides: bool = False
    """Whether a number was written as 0 that is not 0."""

    @property
    def is_plain(self) -> bool:
        """Whether the user has not asked for anything."""
        return self.digits is None and not self.exact


@contextmanager
def number_format(digits: int | None = None, *, exact: bool = False) -> Iterator[NumberFormat]:
    """Write the numbers inside in this way."""
    with _entered(NumberFormat(digits, exact)) as form:
        yield form


@contextmanager
def watched_numbers() -> Iterator[NumberFormat]:
    """Write the numbers inside as those outside; whether any was hidden is told here, and not outside."""
    form = current_format()
    with _entered(NumberFormat(form.digits, form.exact)) as watched:
        yield watched


def current_format() -> NumberFormat:
    """How numbers are written here."""
    return _format.get() or NumberFormat()


def number_text(value: Any, digits: int | None = 6) -> str:
    """Write one number: a float with at most ``digits`` significant digits (``None``: with all) unless the user says
    otherwise, anything else as it is."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    form = current_format()
    if not form.is_plain:
        digits = form.digits
    number = float(value) + 0.0  # no -0
    return repr(number) if digits is None else f"{number:.{digits}g}"


def without_point(number: Any) -> Any:
    """A whole number that is a float as an integer; anything else as it is."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def without_negligible(array: np.ndarray) -> np.ndarray:
    """The array with 0 for what is below 1e-12 of its largest number, unless the user wants numbers as they are."""
    form = current_format()
    if form.exact or array.dtype.kind != "f" or array.size < 2:
        return array
    sizes = np.abs(array)
    negligible = (sizes < NEGLIGIBLE * sizes.max(initial=0, where=np.isfinite(array))) & (array != 0)
    if not negligible.any():
        return array
    form.hides = True
    return np.where(negligible, array.dtype.type(0), array)


def number_texts(array: np.ndarray, digits: int | None = 6) -> list[str]:
    """Write the entries of an array, row by row."""
    return [number_text(entry, digits) for entry in without_negligible(array).reshape(-1).tolist()]


_format: ContextVar[NumberFormat | None] = ContextVar("number format", default=None)


@contextmanager
def _entered(form: NumberFormat) -> Iterator[NumberFormat]:
    token = _format.set(form)
    try:
        yield form
    finally:
        _format.reset(token)
