"""Reading of NumPy archives (.npz), arrays by name, and of single arrays (.npy), from strangers.

``numpy.load`` is made for one's own files: it allocates what an array's header says. Here the shape has to fit the
length of the data before anything is allocated.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np

from dataflow.data.readers.opening import Origin, nothing_for
from dataflow.errors import DataError, counted
from dataflow.support.texts import shorten

NPZ_LIMIT = 2**30
"""The most bytes that the arrays of an archive take, unpacked."""

_HEADER_LIMIT = 10_000
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(origin: Origin, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of these names that the archive has. No pickle; not more than ``NPZ_LIMIT``, checked before anything
    is unpacked. ``DataError`` if it has none of them, with the names that it has."""
    path = origin.name
    with origin.open() as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, names, origin)
        except DataError as error:
            raise error.at(file=path) from None
        except (*_DAMAGED, RuntimeError, OSError) as error:
            raise DataError(f"is no NumPy archive (.npz) that can be read: {error}", file=path) from None


_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OverflowError)


def read_npy(origin: Origin) -> np.ndarray:
    """The array of numbers in an ``.npy`` file. It is not longer than ``NPZ_LIMIT``."""
    with origin.open() as file:
        try:
            data = file.read(NPZ_LIMIT + 1)
            if len(data) > NPZ_LIMIT:
                raise DataError(f"is longer than {NPZ_LIMIT / 2**30:g} GiB")
            return _array(io.BytesIO(data), len(data), "the array")
        except DataError as error:
            raise error.at(file=origin.name) from None
        except (*_DAMAGED, OSError) as error:
            raise DataError(f"is no NumPy array (.npy) that can be read: {error}", file=origin.name) from None


def _read(archive: zipfile.ZipFile, names: Sequence[str], origin: Origin) -> dict[str, np.ndarray]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members and name in names:
            raise DataError(f"holds the array '{name}' twice")
        members[name] = member
    wanted = [name for name in names if name in members]
    total = sum(members[name].file_size for name in wanted)
    if total > NPZ_LIMIT:
        raise DataError(f"its arrays take more than {NPZ_LIMIT / 2**30:g} GiB")
    origin.check_unpacked(total)
    if not wanted:
        raise nothing_for(names, sorted(members), "arrays")
    return {name: _member(archive, members[name], name) for name in wanted}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"array '{name}' is packed in a way that NumPy does not use")
    with archive.open(member) as file:
        return _array(file, member.file_size, f"array '{name}'")


def _array(file: IO[bytes], size: int, name: str) -> np.ndarray:
    shape, fortran, dtype = array_header(file, name)
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise DataError(f"{name}: its shape {list(shape)} does not fit the length of its data")
    array = np.frombuffer(bytearray(file.read()), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def array_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype, by NumPy's own reader: a header is a literal of bounded length, nothing of it is run."""
    try:
        read = _READERS[np.lib.format.read_magic(file)]
        with warnings.catch_warnings(action="ignore"):  # of a literal that Python finds odd
            shape, fortran, dtype = read(file, max_header_size=_HEADER_LIMIT)
    except _DAMAGED[:2]:
        raise
    except Exception:  # noqa: BLE001 — whatever Python's parser raises at a literal from a stranger
        what = f"{name} is not an array of numbers, its header is none that numpy.savez writes"
        raise DataError(f"{what}; save it again") from None
    if dtype.kind not in "fiub":
        raise DataError(f"{name} holds {shorten(str(dtype))}; an array of numbers is expected")
    sizes = [size for size in shape if size]
    if any(type(size) is not int for size in shape):  # True passes NumPy's own check
        raise DataError(f"{name} has a shape that is not of whole numbers")
    if len(shape) > 32 or min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize >= 2**63:
        raise DataError(f"{name} has a shape of {counted(len(shape), 'axis')} that no array has")
    return shape, fortran, dtype
