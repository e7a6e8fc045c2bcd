"""Reading of data files: JSON here, tables in ``dataflow.tables``, NumPy archives in ``dataflow.archives``.

Nothing in a data file is executed. Each format has a limit, so that neither a huge file nor a small one that unpacks to
a huge one fills the memory.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from dataflow.errors import DataError
from dataflow.limits import advice, current
from dataflow.tokens import shorten

JSON_LIMIT = 32 * 2**20
"""The longest JSON file in bytes."""


UNPACKED_FREE = 16 * 2**20
"""So many bytes may come out of a packed file whatever its size."""

JSON_MEMORY = 256 * 2**20
"""About how many bytes of memory a JSON file may take when it is read."""

# What Python takes for what is behind each mark.
_JSON_COSTS = {b"[": 72, b"{": 72, b",": 8, b":": 100, b'"': 32, b".": 24, b"e": 24, b"E": 24}


def read_json(path: Path) -> Any:
    """What the file holds. Not more than ``JSON_LIMIT``, no key twice in one object."""
    with opened(path) as file:
        data = file.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise DataError(
            f"is longer than {JSON_LIMIT / 2**20:g} MiB, which is the most for JSON; use .npz or .csv", file=path
        )
    if (cost := sum(each * data.count(mark) for mark, each in _JSON_COSTS.items())) > JSON_MEMORY:
        raise DataError(f"would take about {cost >> 20} MiB of memory; use .npz or .csv", file=path)
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8 text; save it as UTF-8", file=path, line=line) from None
    except json.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error.msg}", file=path, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise DataError("is nested too deep", file=path) from None
    except ValueError:  # Python advises to change its own limit
        raise DataError("has a whole number of thousands of digits; write it as a float, 1e30", file=path) from None
    except DataError as error:
        raise error.at(file=path) from None


def numbers(name: str, value: Any) -> np.ndarray:
    """A nested list as an array of numbers. The texts "nan", "inf" and "-inf" are numbers, as they are in dataflow's
    own JSON. ``DataError`` with the place, such as ``x[3][1]``, for a missing or unconvertible entry and for rows of
    different lengths."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "fiub":
            return array
    except (ValueError, OverflowError):
        pass
    _check_nested(value, name, 0)
    return np.asarray(_with_numbers(value), dtype=np.float64)


def opened(path: Path) -> IO[bytes]:
    """The open file, unpacked on the fly if its name says so."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise DataError(
                f"is {'a folder' if stat.S_ISDIR(mode) else 'no ordinary file'}; name a data file", file=path
            )
        return cast(IO[bytes], gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else open(path, "rb")
    except FileNotFoundError:
        raise DataError("there is no such file; check the name", file=path) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None


def check_unpacked(size: int, path: Path) -> None:
    """A ``DataError`` if a packed file unpacks to more than its own size allows."""
    times, own = current().unpacked, os.stat(path).st_size
    if size > UNPACKED_FREE + times * own:
        message = f"unpacks to more than {UNPACKED_FREE >> 20} MiB and {times} times its own size"
        raise DataError(message + advice("unpacked", -(-(size - UNPACKED_FREE) // max(own, 1))), file=path)


def nothing_for(names: Sequence[str], found: Sequence[str], what: str) -> DataError:
    """The error for a file in which no input was found."""
    listed = ", ".join(f"'{shorten(name)}'" for name in found[:12]) + (
        f" and {len(found) - 12} more" if len(found) > 12 else ""
    )
    wanted = ", ".join(f"'{name}'" for name in names)
    return DataError(f"has nothing for the inputs {wanted}; its {what} are {listed or 'none'}")


# ------------------------------------------------------------------------------------------------ internals


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"the key '{twice}' stands twice in one object")
    return result


def _check_nested(value: Any, place: str, depth: int) -> tuple[int, ...]:
    """The shape of a nested list; an error for what is no number, and where it is ragged."""
    if isinstance(value, np.ndarray):
        raise DataError(f"'{place}' takes an array of numbers, not of {value.dtype}")
    if not isinstance(value, list | tuple):
        if value is None:
            raise DataError(f"{place} is missing")
        if not isinstance(value, int | float) and value not in ("nan", "inf", "-inf"):
            text = repr(value)
            raise DataError(f"{place}: a number is expected, {text if len(text) <= 40 else text[:40] + '...'} found")
        if isinstance(value, int) and not -(2**1023) < value < 2**1023:
            raise DataError(f"{place}: the number is too large")
        return ()
    if depth == 32:
        raise DataError(f"{place} is nested more than 32 deep")
    shapes = [_check_nested(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise DataError(
                f"{place}[{i}] {_described(shape)}, {place}[0] {_described(shapes[0])}; rows have one length"
            )
    return (len(shapes), *(shapes[0] if shapes else ()))


def _described(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"has {shape[0]} {'entry' if shape[0] == 1 else 'entries'}" if shape else "is a number"
    return f"has the shape {list(shape)}"


def _with_numbers(value: Any) -> Any:
    return [_with_numbers(item) for item in value] if isinstance(value, list | tuple) else float(value)
