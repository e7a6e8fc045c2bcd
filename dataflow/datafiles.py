"""Reading of data files: JSON and NumPy archives here, tables in ``dataflow.tables``.

Nothing in a data file is executed: archives are read without pickle, tables with the ``csv`` module. Each format has a
limit, so that neither a huge file nor a small one that unpacks to a huge one fills the memory.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from dataflow.errors import DataError

JSON_LIMIT = 32 * 2**20
"""The longest JSON file in bytes."""
NPZ_LIMIT = 2**30
"""The most bytes that the arrays of an archive take, unpacked."""


def read_json(path: Path) -> Any:
    """What the file holds. Not more than ``JSON_LIMIT``, no key twice in one object."""
    with opened(path) as file:
        data = file.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise DataError(
            f"is longer than {JSON_LIMIT / 2**20:g} MiB, which is the most for JSON; use .npz or .csv", file=path
        )
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8 text; save it as UTF-8", file=path, line=line) from None
    except json.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error.msg}", file=path, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise DataError("is nested too deep", file=path) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise DataError(f"cannot be read: {error}", file=path) from None
    except DataError as error:
        raise error.at(file=path) from None


def read_npz(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of these names that the archive has. No pickle; not more than ``NPZ_LIMIT``, checked before anything
    is unpacked. ``DataError`` if it has none of them, with the names that it has."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
                wanted = [name for name in names if name in members]
                if sum(members[name].file_size for name in wanted) > NPZ_LIMIT:
                    raise DataError(f"its arrays take more than {NPZ_LIMIT / 2**30:g} GiB", file=path)
                if not wanted:
                    raise nothing_for(names, sorted(members), "arrays").at(file=path)
                return {name: _member(archive, members[name], name) for name in wanted}
        except DataError as error:
            raise error.at(file=path) from None
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError, OverflowError) as error:
            raise DataError(f"is no NumPy archive (.npz) that can be read: {error}", file=path) from None


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


def nothing_for(names: Sequence[str], found: Sequence[str], what: str) -> DataError:
    """The error for a file in which no input was found."""
    listed = ", ".join(f"'{name}'" for name in found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")
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


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    """One array, after its header was held against the length of its data: NumPy itself allocates first."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"array '{name}' is not an array of numbers (format {version[0]}.{version[1]})")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.kind not in "fiub":
            raise DataError(f"array '{name}' holds {dtype}; an array of numbers is expected")
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise DataError(f"array '{name}': its shape {list(shape)} does not fit the length of its data")
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return array
