"""Numbers from outside as arrays of a dtype: one rule for every way in.

A number fits a dtype or it is an error that says where it stands. A float dtype rounds to the nearest number that it
has (whole numbers beyond 2^53, too), as numpy does; a finite number that would become infinite does not fit. An integer
dtype takes whole numbers in its range, written as integers or as floats. ``bool`` takes true, false, 0 and 1. Infinity
given as infinity is a number. NaN is one, too, but in a data file, where it stands for what is missing.
"""

from __future__ import annotations

import math
import operator
import re
from typing import Any

import numpy as np

from dataflow.errors import DataError, DataflowError, TrainingError, counted
from dataflow.support.arrays import masked_types
from dataflow.support.texts import quoted, shorten

LARGE_NUMBER = re.compile(r"[eE]\+?[0-9_]{3}|[0-9]{300}")
"""Found in every text that writes a number too large for float64, and in few others."""

_TEXTS = ("nan", "inf", "-inf")
_DEEPEST = 32


class EntryError(DataError):
    """An entry that is no number, or does not fit. ``index`` says which; the message does not, until it is placed."""

    def __init__(self, message: str, index: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.index = index

    def named(self, name: str) -> EntryError:
        """The error with the place of the entry: ``'x' at [3, 1]: ...``."""
        return self.placed(f"'{name}'" + (f" at {list(self.index)}" if self.index else ""))

    def placed(self, place: str) -> EntryError:
        """The error with a place in these words."""
        self.message = f"{place}: {self.message}"
        return self


def convert(value: Any, dtype: np.dtype, *, texts: bool = False, nan: bool = True) -> np.ndarray:
    """``value`` (a number, nested lists, anything that numpy makes an array of) as an array of ``dtype``. It is not
    copied where it is one already. An ``EntryError`` where an entry does not fit."""
    if type(value) is np.ndarray and value.dtype == dtype and nan and dtype.kind in "fiub":
        return value
    array = to_array(value, texts=texts, nan=nan)
    if dtype.kind in "iu" and array.dtype.kind == "f" and isinstance(value, list | tuple):
        with np.errstate(invalid="ignore"):
            if (np.abs(array) >= 2.0**53).any():  # numpy has rounded whole numbers that stand beside floats
                array = np.array(_without_texts(value), dtype=object)
    return to_dtype(array, dtype)


def numbers(name: str, value: Any) -> np.ndarray:
    """``to_array`` of what JSON holds, with the name in its errors."""
    try:
        return to_array(value, texts=True)
    except EntryError as error:
        raise error.named(name) from None


def to_array(value: Any, *, texts: bool = False, nan: bool = True) -> np.ndarray:
    """``value`` as an array of numbers: of floats, integers or booleans, or of objects where some are too large.

    With ``texts``, "nan", "inf" and "-inf" are numbers, as in dataflow's own JSON. Without ``nan``, NaN is missing.
    """
    _check_masks(value)
    try:
        array = np.asarray(value)
    except (MemoryError, DataflowError):
        raise
    except Exception as error:  # noqa: BLE001 — ragged lists, and whatever an object's own __array__ raises
        if not isinstance(value, list | tuple):
            reason = shorten(str(error).partition("\n")[0], 200)
            raise EntryError(f"a {type(value).__name__} cannot be read as an array: {reason}") from None
        check_nested(value, texts=texts)
        raise EntryError("an array of numbers with rows of one length is expected") from None
    if array.dtype.kind in "OUST":
        nested = value if isinstance(value, list | tuple) else array.tolist()
        check_nested(nested, texts=texts)
        array = np.array(_without_texts(nested) if texts else nested, dtype=object)
        if array.size and all(isinstance(number, float) for number in array.flat):
            array = array.astype(np.float64)
    elif array.dtype.name == "bfloat16":  # of ml_dtypes: each is a float32
        array = array.astype(np.float32)
    elif array.dtype.kind not in "fiub":
        raise EntryError(f"an array of numbers is expected, {array.dtype} found")
    if not nan and array.dtype.kind in "fO":
        _refuse(array == array, array, missing("nan"))
    return array


def to_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An array of numbers as one of ``dtype``, the same one where it is that already; an ``EntryError`` for the first
    entry that does not fit."""
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "O":
        return _from_objects(array, dtype)
    result, fits = cast(array, dtype)
    if fits is not None:
        _refuse(fits, array, dtype)
    return result


def cast(array: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray | None]:
    """The array in another dtype, and which of its entries fit that; ``None`` where every number does."""
    with np.errstate(all="ignore"):
        result = array.astype(dtype, copy=False)
        if array.dtype.kind == "b" or np.can_cast(array.dtype, dtype, "safe"):
            return result, None
        if dtype.kind == "b":
            return result, (array == 0) | (array == 1)
        if dtype.kind == "f":
            finite = np.isfinite(result)
            return result, None if finite.all() else finite | ~np.isfinite(array)
        wide = array.astype(np.float64) if array.dtype == np.float16 else array
        limits = np.iinfo(dtype)
        if wide.dtype.kind == "f":
            return result, (wide == np.trunc(wide)) & (wide >= float(limits.min)) & (wide < limits.max + 1.0)
        return result, (wide >= int(limits.min)) & (wide <= int(limits.max))


def misfit(number: object, dtype: np.dtype) -> str:
    """What to say of a number that does not fit."""
    try:
        shown = shorten(str(number))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        shown = "a number of thousands of digits"
    return f"{shown} does not fit {dtype}, which holds {_holds(dtype)}"


def missing(shown: str) -> str:
    """What to say of a cell that holds no number."""
    return f"the cell is missing{shown and f' ({shown})'}; fill it in or leave out the row"


class TooLargeError(Exception):
    """A number that no float64 can hold; the text of it."""


def finite(text: str) -> float:
    """The number that a text writes; a ``TooLargeError`` where Python would make an infinity of its digits."""
    number = float(text)
    if math.isinf(number) and not text.lower().endswith(("inf", "infinity")):
        raise TooLargeError(text)
    return number


def is_number(text: str) -> bool:
    """Whether Python reads the text as a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_real(value: object) -> bool:
    """Whether it is a number of Python or numpy, and no truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_nested(value: Any, *, texts: bool = False) -> None:
    """An ``EntryError`` for the first entry of nested lists that is no number, and where rows differ in length."""
    _nested_shape(value, (), texts)


# ------------------------------------------------------------------------------------------------ options


def whole(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """``value`` as an int from ``least`` to ``most``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TrainingError(f"{name} is a whole number, not {quoted(value)}") from None
    if not least <= number <= most or isinstance(value, bool):
        bounds = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise TrainingError(f"{name} is a whole number, {bounds}, not {quoted(value)}")
    return number


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool. No other value counts as one: the text "false" would be true."""
    if not isinstance(value, bool | np.bool_):
        raise TrainingError(f"{name} is True or False, not {quoted(value)}")
    return bool(value)


def share(name: str, value: Any) -> float:
    """``value`` as a float from 0 up to, not including, 1."""
    if not is_real(value) or not 0 <= value < 1:
        raise TrainingError(f"{name} is a share from 0 up to, not including, 1; it is {quoted(value)}")
    return float(value)


# ------------------------------------------------------------------------------------------------ internals


def _holds(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "true and false, or 1 and 0"
    if dtype.kind == "f":
        return f"numbers up to {float(np.finfo(dtype).max):.8g}"
    limits = np.iinfo(dtype)
    return f"whole numbers from {limits.min} to {limits.max}"


def _refuse(fits: Any, array: np.ndarray, why: np.dtype | str) -> None:
    """An error for the first entry that does not fit: for its dtype, or with a message."""
    if not np.all(fits):
        index = first_place(~np.asarray(fits, np.bool_))
        raise EntryError(why if isinstance(why, str) else misfit(array[index], why), index)


def first_place(where: np.ndarray) -> tuple[int, ...]:
    """The index of the first entry that is true."""
    return tuple(int(i) for i in np.argwhere(where)[0])


def _from_objects(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Entry by entry, with Python's exact integers."""
    result = np.zeros(array.shape, dtype)
    for index, number in np.ndenumerate(array):
        try:
            one = np.asarray(float(number) if dtype.kind == "f" else number)
            fits = one.dtype.kind != "O"  # else it is an integer of more than 64 bits
            result[index] = to_dtype(one, dtype) if fits else 0
        except (EntryError, OverflowError):
            fits = False
        if not fits:
            raise EntryError(misfit(number, dtype), index)
    return result


def _check_masks(value: Any) -> None:
    """Refuse masked arrays with masked cells, in lists, too: numpy reads what lies under the mask."""
    masked = masked_types()
    pending: list[tuple[tuple[int, ...], Any]] = [((), value)]
    while pending:
        index, item = pending.pop()
        if isinstance(item, masked):
            hidden = np.ma.getmaskarray(item)
            if hidden.any():
                raise EntryError(missing("masked"), (*index, *first_place(hidden)))
        elif isinstance(item, list | tuple):
            if len(index) >= _DEEPEST:
                raise EntryError(f"lists are nested more than {_DEEPEST} deep")
            kinds = set(map(type, item))
            if any(issubclass(kind, (list, tuple, *masked)) for kind in kinds):
                pending += [((*index, i), item[i]) for i in reversed(range(len(item)))]


def _nested_shape(value: Any, index: tuple[int, ...], texts: bool) -> tuple[int, ...]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        _check_leaf(value, index, texts)
        return ()
    first: tuple[int, ...] | None = None
    for i, item in enumerate(value):
        shape = _nested_shape(item, (*index, i), texts)
        if first is None:
            first = shape
        elif shape != first:
            message = f"this {_described(shape)}, the first {_described(first)}; rows have one length"
            raise EntryError(message, (*index, i))
    return (len(value), *(first or ()))


def _check_leaf(value: Any, index: tuple[int, ...], texts: bool) -> None:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        raise EntryError(missing("null" if value is None else type(value).__name__.removesuffix("Type")), index)
    if isinstance(value, int | float | np.number | np.bool_) and not isinstance(value, np.complexfloating):
        return
    if not (texts and isinstance(value, str) and value in _TEXTS):
        try:
            shown = repr(value)
        except Exception:  # noqa: BLE001 — whatever an object's own __repr__ raises
            shown = f"a {type(value).__name__}"
        raise EntryError(f"a number is expected, {shorten(shown)} found", index)


def _described(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"has {counted(shape[0], 'entry')}" if shape else "is a number"
    return f"has the shape {list(shape)}"


def _without_texts(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_texts(item) for item in value]
    return float(value) if isinstance(value, str) else value
