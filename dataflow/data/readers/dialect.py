"""How a table of text is written: its separator and its decimal sign, declared or found from its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataflow.data.number_style import THOUSANDS, plain_sign
from dataflow.errors import DataError, UndeclaredError

SEPARATORS = ",;\t|"
DECIMALS = ".,"

_WITH_COMMA = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*")
_WITH_POINT = re.compile(r"\s*[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(?:,\d{3})+\s*")
_DRESSED = re.compile(r"(?:[%€$£¥]\s*)?[+-]?(?:\d{1,3}(?:([.,' \u00a0\u202f’])\d{3})+|\d+)(?:[.,]\d+)?(?:\s*[%€$£¥])?")
_SPACED = re.compile(r"(?<=\d)[ '](?=\d{3})")
_LINES = 200


def find_separator(text: str, name: str) -> str:
    """The separator of a table that begins with this text: the one that cuts its header into the most cells, and the
    lines after it into as many. Where none does, the header may lack cells: then one that cuts it at all, and the
    lines after it alike; else a comma. A file called ``.tsv`` has tabs."""
    if name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t"
    lines = [line for line in text.split("\n", _LINES)[:_LINES] if line.strip()]
    best, most, second = "", 1, ""
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        if widths and widths[0] > most and widths.count(widths[0]) * 2 > len(widths):
            best, most = separator, widths[0]
        for width, times in Counter(widths[1:]).most_common(1):
            if not second and widths[0] > 1 and width > 1 and times * 2 > len(widths) - 1:
                second = separator
    return best or second or ","


def find_decimal(lines: Sequence[str], separator: str, thousands: str = "") -> str:
    """The decimal sign in these lines, where ``thousands`` stands between thousands. A ``DataError`` where each comma
    in a number may do so, too."""
    if thousands in DECIMALS and thousands:
        return "." if thousands == "," else ","
    if separator == ",":
        return "."
    cells = [cell.strip('"').rstrip(" %") for line in lines for cell in line.split(separator)]
    cells = [_SPACED.sub("", plain_sign(cell)) for cell in cells]
    with_comma = [cell for cell in cells if _WITH_COMMA.fullmatch(cell)]
    if not with_comma or any(_WITH_POINT.fullmatch(cell) for cell in cells):
        return "."
    if all(_THOUSANDS.fullmatch(cell) for cell in with_comma):
        shown = with_comma[0].strip()
        raise UndeclaredError(
            f"'{shown}' may be {shown.replace(',', '')} or {shown.replace(',', '.', 1)}; declare "
            'decimal = "," if the comma is the decimal sign, and thousands = "," if it is not'
        )
    return ","


def have_decimal_comma(cells: Sequence[str]) -> bool:
    """Whether all these are numbers with a comma that cannot stand for thousands in each."""
    is_comma = all(_WITH_COMMA.fullmatch(cell) for cell in cells)
    return bool(cells) and is_comma and not all(_THOUSANDS.fullmatch(cell) for cell in cells)


def added_to_numbers(cells: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What keeps these from being numbers, where that is nothing but signs: of percent, of a currency, or between
    thousands; and the key and the value that declare it, none where nothing does. Empty where something else does."""
    signs: dict[str, dict[str, Any]] = {}
    for cell in cells:
        match = _DRESSED.fullmatch(cell.strip())
        if match is None:
            return {}
        signs |= {f"'{sign}'": {"percent": True} if sign == "%" else {} for sign in cell if sign in "%€$£¥"}
        if match[1]:
            signs[f"'{match[1]}' between thousands"] = {"thousands": plain_sign(match[1])}
    return signs


@dataclass(frozen=True)
class Dialect:
    """What is declared of the way in which a CSV file is written."""

    separator: str | None = None
    """What stands between cells; found unless given."""
    decimal: str | None = None
    """What stands before decimals; found unless given."""
    thousands: str | None = None
    """What may stand between thousands."""
    percent: bool = False
    """Whether numbers may have a percent sign."""


EXPECTED = {
    "separator": "one character such as ; or a tab",
    "decimal": ". or a comma",
    "thousands": "a comma, a point, a space or an apostrophe",
}
"""What a declaration says."""


def can_be(key: str, value: object) -> bool:
    """Whether a key of a dialect may be declared so."""
    if not isinstance(value, str) or len(value) != 1:
        return False
    if key == "separator":
        return value.isascii() and not value.isalnum() and value not in '\n\r"\0+-.'
    return value in (DECIMALS if key == "decimal" else THOUSANDS)


def check_dialect(dialect: Dialect) -> None:
    """A ``DataError`` unless these can be what they are declared to be."""
    for key, expected in EXPECTED.items():
        value = getattr(dialect, key)
        if value is not None and not can_be(key, value):
            raise DataError(f"{key} is {expected}, not {value!r}")
    separator, decimal, thousands = dialect.separator, dialect.decimal, dialect.thousands
    if separator is not None and separator == decimal:
        raise DataError(f"the separator and the decimal sign are both {separator!r}")
    if thousands is not None and thousands == decimal:
        raise DataError(f"the decimal sign and what stands between thousands are both {thousands!r}")
    if not isinstance(dialect.percent, bool):
        raise DataError(f"percent is True or False, not {dialect.percent!r}")
