"""The cells of a column as numbers or as names, and which of them are faults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from dataflow.data.faults import Faults
from dataflow.data.number_style import POINT, NumberStyle
from dataflow.data.preparation.rules import Missing, Plain
from dataflow.data.raw_table import RawTable
from dataflow.data.readers.cell_values import is_too_large, numbers_of_texts, read_number
from dataflow.data.readers.dialect import added_to_numbers, have_decimal_comma
from dataflow.errors import DataError, listed, nearest
from dataflow.support.conversion import cast, misfit
from dataflow.support.texts import shorten

_WIDE = np.dtype(np.float64)
_LEAST = float(np.iinfo(np.int64).min)
_TRUTHS = {"true": "1", "false": "0"}
_MEDIAN = '"median"'
_LEFT_EMPTY = "correct the cell, or leave it empty"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_names(cells: np.ndarray) -> np.ndarray:
    """Cells as texts: a number as the shortest one that says it, a boolean as in a file."""
    if cells.dtype == object:
        return cells
    return np.array([as_name(cell) for cell in cells.tolist()], dtype=object)


def as_name(value: Plain) -> str:
    """A category's name for a cell, or a fill, that need not be a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_numbers(cells: np.ndarray, style: NumberStyle = POINT) -> tuple[np.ndarray, np.ndarray | None]:
    """Cells as numbers, and where a text is none (0 stands there). Texts are what a column with a fault is read as."""
    if cells.dtype != object:
        return cells, None
    numbers = [number_of(text, style) for text in cells]
    wrong = np.array([number is None for number in numbers])
    return numbers_of_texts(cells.tolist(), numbers, style), wrong


def as_truths(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Cells as numbers, where a text may be true or false."""
    if cells.dtype != object:
        return cells, None
    return as_numbers(np.array([_TRUTHS.get(text.lower(), text) for text in cells], dtype=object))


def usable(values: np.ndarray, *unusable: np.ndarray | None) -> np.ndarray:
    """Where cells are finite numbers, or texts, and none of what is ``unusable``."""
    is_usable = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), np.bool_)
    for where in unusable:
        if where is not None:
            is_usable &= ~where
    return is_usable


def codes_of(names: np.ndarray, categories: Sequence[str]) -> np.ndarray:
    """The position of each name among the categories, −1 where it is none of them."""
    positions = {name: i for i, name in enumerate(categories)}
    return np.fromiter(map(positions.get, names, repeat(-1)), np.int64, len(names))


def declared(key: str, column: str, value: str) -> str:
    """What to declare of a column, as a file says it."""
    name = column if _BARE.fullmatch(column) else json.dumps(column, ensure_ascii=False)
    return f"{key} = {{ {name} = {value} }}"


# ------------------------------------------------------------------------------------------------ faults


def add_missing(faults: Faults, column: str, where: np.ndarray, is_text: bool) -> None:
    """Missing cells, of which nothing is declared."""
    accept = declared("missing", column, '"most_frequent"' if is_text else _MEDIAN)
    faults.add(column, "missing", np.flatnonzero(where), lambda row: "the cell is missing", accept=accept)


def add_texts(faults: Faults, column: str, cells: np.ndarray, where: np.ndarray, expected: str) -> None:
    """Texts in the place of numbers. A number that is too large is read as a text, too."""
    rows = np.flatnonzero(where)
    is_large = np.fromiter((is_too_large(str(cells[row]), faults.table.style) for row in rows), np.bool_, len(rows))

    def show(row: int) -> str:
        return repr(shorten(str(cells[row]), 40))

    faults.add(
        column,
        "too large",
        rows[is_large],
        lambda row: misfit(cells[row], _WIDE),
        show=show,
        accept=declared("missing", column, _MEDIAN),
        advice=_LEFT_EMPTY,
    )
    others = rows[~is_large]
    texts = [str(cells[row]) for row in others]
    is_comma = faults.table.style.decimal == "." and have_decimal_comma(texts)
    added = {} if is_comma else added_to_numbers(texts)
    accept = _declared_signs(added, faults.table) if added or is_comma else declared("categories", column, '"one_hot"')
    faults.add(
        column,
        f"not {expected}",
        others,
        lambda row: f"{expected} is expected, {show(row)} found",
        show=show,
        accept='decimal = ","' if is_comma and faults.table.is_csv else accept,
        advice=f"write numbers without {' and '.join(added)}"
        if added and not accept
        else "write numbers with a decimal point"
        if is_comma and not faults.table.is_csv
        else "",
    )


def _declared_signs(added: Mapping[str, Mapping[str, Any]], table: RawTable) -> str:
    """What to declare of signs that are added to numbers; "" where that is not enough."""
    keys = {key: value for declaration in added.values() for key, value in declaration.items()}
    if not table.is_csv or not all(added.values()) or keys.get("thousands") == table.style.decimal:
        return ""
    return " and ".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())


def add_infinite(faults: Faults, column: str, numbers: np.ndarray, where: np.ndarray) -> None:
    """Infinity in the place of a number: training would not take it, and what comes of it is no prediction."""
    places = np.flatnonzero(where).tolist()
    shown = dict(zip(places, numbers.tolist(), strict=True))
    faults.add(
        column,
        "not finite",
        places,
        lambda row: f"a finite number is expected, {shown[row]} found",
        show=lambda row: str(shown[row]),
        accept=declared("missing", column, _MEDIAN),
        advice=_LEFT_EMPTY,
    )


def add_unknown(
    faults: Faults, column: str, names: np.ndarray, where: np.ndarray, categories: Sequence[str], accept: str
) -> None:
    """Names that are no category."""

    def show(row: int) -> str:
        return repr(shorten(str(names[row]), 40))

    faults.add(
        column,
        "of an unknown category" if accept else f"none of {listed(categories, 12)}",
        np.flatnonzero(where),
        lambda row: f"unknown category {show(row)}{nearest(str(names[row]), categories)}",
        show=show,
        accept=accept,
    )


def fitted(faults: Faults, column: str, numbers: np.ndarray, dtype: np.dtype, rows: np.ndarray | None) -> np.ndarray:
    """Numbers in a dtype; those that do not fit it are faults. ``rows`` are those of the table that they are from."""
    result, fits = cast(numbers, dtype)
    if fits is not None and numbers.dtype.kind == "f" and dtype == np.int64:
        fits &= numbers != _LEAST  # which integers below it are rounded to; exact integers are no floats here
    if fits is None or fits.all():
        return result
    places = np.flatnonzero(~fits)
    by_row = dict(zip((places if rows is None else rows[places]).tolist(), numbers[places].tolist(), strict=True))
    faults.add(
        column,
        f"out of the range of {dtype}" if dtype.kind != "i" else f"no whole number that {dtype} holds",
        list(by_row),
        lambda row: misfit(by_row[row], dtype),
        show=lambda row: shorten(str(by_row[row]), 40),
    )
    return result


# ------------------------------------------------------------------------------------------------ missing cells


def filled(cells: np.ndarray, missing: np.ndarray | None, fill: Plain | None) -> np.ndarray:
    """Cells, which are all numbers or all texts, with the fill where one is missing."""
    if missing is None or fill is None:
        return cells
    if cells.dtype == object:
        value: Plain = as_name(fill)
    else:
        value = fill
        if isinstance(fill, float) and cells.dtype.kind in "iub" and not fill.is_integer():
            cells = cells.astype(np.float64)
    result = np.array(cells)
    result[missing] = value
    return result


def learn_fill(name: str, rule: Missing, cells: np.ndarray, usable: np.ndarray, is_text: bool) -> Plain | None:
    """What stands for a missing cell: from the ``usable`` rows, which are of the training rows those with a cell."""
    if rule.value is not None:
        if not is_text and isinstance(rule.value, str):
            hint = nearest(rule.value, ("mean", "median", "most_frequent", "drop", "error"))
            raise DataError(f"column '{name}' holds numbers, and missing fills it with '{rule.value}'{hint}")
        return rule.value
    if rule.fill not in ("mean", "median", "most_frequent"):
        return None
    if is_text and rule.fill != "most_frequent":
        raise DataError(
            f"column '{name}' holds categories, which have no {rule.fill}; use most_frequent, drop or a value"
        )
    present = cells[usable]
    if not len(present):
        raise DataError(f"column '{name}' has no cell in the training rows, and so no {rule.fill}; declare a value")
    if rule.fill == "most_frequent":
        values, counts = np.unique(present, return_counts=True)
        chosen = values[np.argmax(counts)]  # the first of those that are equally frequent
        return str(chosen) if is_text else _plain(chosen)
    with np.errstate(over="ignore"):
        number = float(np.mean(present) if rule.fill == "mean" else np.median(present))
    if not np.isfinite(number):
        raise DataError(f"column '{name}' holds numbers too large, and so no {rule.fill}; declare a value")
    return number


def _plain(number: np.generic) -> Plain:
    value: Plain = number.item()
    return value


def number_of(text: str, style: NumberStyle = POINT) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return read_number(text, style)
    except ValueError:
        return None
