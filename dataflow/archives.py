"""Reading of NumPy archives (.npz): arrays by name, from strangers.

``numpy.load`` is made for one's own files: it reads an array's header with Python's parser, and allocates what the
header says. Here a header has to be exactly of the form that NumPy writes, and its shape has to fit the length of the
data before anything is allocated.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataflow.datafiles import check_unpacked, nothing_for, opened
from dataflow.errors import DataError
from dataflow.tokens import shorten

NPZ_LIMIT = 2**30
"""The most bytes that the arrays of an archive take, unpacked."""

_HEADER_LIMIT = 10_000
_HEADER = re.compile(
    r"\{'descr': '(?P<descr>[<>|=][a-zA-Z][0-9]{0,4}(?:\[[0-9a-zA-Z]{1,8}\])?)', "
    r"'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,19}, )*(?:[0-9]{1,19},?)?)\), \} *\n"
)


def read_npz(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of these names that the archive has. No pickle; not more than ``NPZ_LIMIT``, checked before anything
    is unpacked. ``DataError`` if it has none of them, with the names that it has."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, names, path)
        except DataError as error:
            raise error.at(file=path) from None
        except (*_DAMAGED, RuntimeError, OSError) as error:
            raise DataError(f"is no NumPy archive (.npz) that can be read: {error}", file=path) from None


_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OverflowError)


def _read(archive: zipfile.ZipFile, names: Sequence[str], path: Path) -> dict[str, np.ndarray]:
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
    check_unpacked(total, path)
    if not wanted:
        raise nothing_for(names, sorted(members), "arrays")
    return {name: _member(archive, members[name], name) for name in wanted}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"array '{name}' is packed in a way that NumPy does not use")
    with archive.open(member) as file:
        start = file.read(12)
        if start[:6] != b"\x93NUMPY" or len(start) < 12:
            raise DataError(f"array '{name}' is not an array of numbers, it does not begin as a .npy file does")
        version = tuple(start[6:8])
        if version == (1, 0):
            length, header = int.from_bytes(start[8:10], "little"), start[10:]
        elif version == (2, 0):
            length, header = int.from_bytes(start[8:12], "little"), b""
        else:
            raise DataError(f"array '{name}' is not an array of numbers (format {version[0]}.{version[1]})")
        if length > _HEADER_LIMIT:
            raise DataError(f"array '{name}' has a header of {length} bytes, at most {_HEADER_LIMIT} are read")
        header += file.read(length - len(header))
        dtype, shape, fortran = _parsed(header, name)
        rest = member.file_size - (8 + (2 if version == (1, 0) else 4) + length)
        if math.prod(shape) * dtype.itemsize != rest:
            raise DataError(f"array '{name}': its shape {list(shape)} does not fit the length of its data")
        array = np.frombuffer(bytearray(file.read()), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _parsed(header: bytes, name: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """What a header says: ``{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }``."""
    text = header.decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None:
        raise DataError(f"array '{name}' is not an array of numbers, its header is {shorten(text.strip(), 80)}")
    try:
        dtype = np.dtype(match["descr"])
    except TypeError:
        raise DataError(f"array '{name}' has the dtype {match['descr']}, which there is not") from None
    if dtype.kind not in "fiub":
        raise DataError(f"array '{name}' holds {dtype}; an array of numbers is expected")
    shape = tuple(int(size) for size in match["shape"].replace(",", " ").split())
    if len(shape) > 32 or math.prod(size for size in shape if size) * dtype.itemsize >= 2**63:
        raise DataError(f"array '{name}' has a shape of {len(shape)} axes that is larger than any array")
    return dtype, shape, match["fortran"] == "True"
