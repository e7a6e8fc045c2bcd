"""The msgpack container: a header and tensors in one file that any msgpack reader reads and that can be mapped.

The file is a stream of msgpack objects: one map, the envelope, then each tensor as ``bin``. All else is filler, the
byte 0xc0 (nil), so that a reader of the stream sees the envelope, and then nils and ``bin`` objects. (A reader may
have a limit of its own that must be above the largest tensor: ``max_buffer_size`` of Python's ``msgpack.Unpacker``.)

The envelope is encoded in exactly this way::

    byte  0   85                                a map of five pairs
    byte  1   a6 "format"   a8 "dataflow"
    byte 17   a7 "version"  ce uint32           version of the format, 1 or 2; bytes 0 to 25 never change
    byte 30   a6 "length"   cf uint64           length of the encoded header in bytes
    byte 46   a5 "crc32"    ce uint32           checksum of bytes 0 to 45 and the encoded header, in this order
    byte 57   a6 "header"
    byte 64   the header, a map; it ends at byte E = 64 + length

msgpack's integers are big-endian; what a tensor holds is little-endian. Checksums are the CRC-32 of zlib.

The header holds what the writer of the file put there, and under the key ``tensors`` a map from each tensor's name, in
the order of the file, to exactly

- ``offset``: where its payload begins, counted in bytes from E rounded up to a multiple of 64 (always a uint64, so that
  the header's length does not depend on it)
- ``dtype``: ``"<f4"``, ``"<f8"``, ``"<i4"``, ``"<i8"`` or ``"|b1"``
- ``shape``: an array of sizes; none for a single number. At most 64, and their product, zeros left out, times the size
  of an element is below 2^63
- ``size``: its length in bytes, which is the product of the shape times the size of an element
- ``crc32``: checksum of its bytes, in row-major order
- ``pieces``: the number of ``bin`` objects it takes: 1 up to 2^32 - 1 bytes; beyond, all but the last are that long.

Where each piece lies follows from the header: after what precedes it (the envelope or another piece) comes as little
filler as possible, at most 63 bytes, then ``c6`` and the length as uint32 (also if a shorter form of ``bin`` would do),
then the payload, which begins on a multiple of 64 bytes from the start of the file. ``offset`` says the same and must
agree. The file ends with the last payload, or with the envelope if there are no tensors. A bool is the byte 0 or 1.

Limits: the header is a map whose keys are text, each once in its map; values are maps, arrays, text in UTF-8, integers
of 64 bits, floats (NaN and infinity too), booleans and nil; at most 64 levels, the header itself counted; no ``bin``,
no extension types, no timestamps. The encoded header takes at most 64 MiB unless the reader raises the limit, and
decoded at most two and a half times the limit plus twice its own length. Shape, dtype and size are held against each
other and against the length of the file before anything is allocated. The same header and tensors, in the same order,
give the same bytes.

A file whose ``version`` is newer than a reader knows is refused with a message that names that version; all older
versions are read.
"""

from __future__ import annotations

import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from dataflow.errors import FileFormatError
from dataflow.files.msgpack.envelope import (
    DAMAGED,
    DTYPES,
    PREFIX,
    Head,
    Row,
    encode,
    parse_header,
    parse_prefix,
    wrong,
)
from dataflow.files.reading import reading
from dataflow.limits import current
from dataflow.support.arrays import fixed
from dataflow.support.atomic import replace_file
from dataflow.support.texts import quoted

Array = np.ndarray[Any, np.dtype[Any]]
Path = str | os.PathLike[str]

READ_WHOLE = 2**28
"""Files of up to so many bytes are read unless a caller says otherwise."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Container:
    """What a file holds: the header without its tensor table, and the tensors in the order of the file.

    The arrays are read-only.
    """

    header: dict[str, Any]
    tensors: dict[str, Array]
    version: int
    check_unchanged: Callable[[], None] | None = None
    """Of a mapped file: a ``FileFormatError`` if it is not what it was any more."""


@dataclass(frozen=True)
class Report:
    """A file whose checksums were all found right: bytes in all, and the checksums themselves."""

    version: int
    size: int
    tensors: dict[str, int]


def write_container(
    path: Path, header: Mapping[str, Any], tensors: Mapping[str, Array], *, version: int = 1, sync: bool = True
) -> None:
    """Write a file that ``read_container`` gives back bit for bit; the old file stays whole until the new one is.

    Tensors are floats of 16 to 64 bits, integers of 8 to 64 or bool in any byte order and layout; they are stored in
    row-major order, little-endian. The key ``tensors`` of the header is the format's own. Raises ``FileFormatError`` if
    the file cannot be written or the header or a tensor holds what the format does not; the old file is then as it was.
    """
    try:
        chunks = _encoded(header, tensors, version)
    except FileFormatError as error:
        error.at(file=path)
        raise
    replace_file(path, chunks, sync=sync)


def container_bytes(header: Mapping[str, Any], tensors: Mapping[str, Array], version: int = 1) -> bytes:
    """What ``write_container`` writes."""
    return b"".join(_encoded(header, tensors, version))


def parse_container(data: bytes) -> Container:
    """What ``read_container`` reads from a file that holds ``data``."""
    file = io.BytesIO(data)
    head = _read_head(file, len(data), None)
    return Container(head.content, {row.name: _tensor(file, row, None) for row in head.rows}, head.version)


def read_container(path: Path, *, mapped: bool | Literal["auto"] = "auto", limit: int | None = None) -> Container:
    """The header and tensors of a file.

    The tensors are read and every checksum is checked. With ``mapped``, and with "auto" if the file is longer than
    ``READ_WHOLE``, they are mapped into memory instead, which takes no time whatever their size, and only the header's
    checksum is checked; what cannot be mapped (a tensor of several pieces) is read. A mapped file must not be written
    to or cut off while its arrays are in use, which ``Container.check_unchanged`` notices; replacing it, as
    ``write_container`` does, is safe. ``limit`` bounds the header's length in bytes, and so its structure's memory; it
    is that of ``dataflow.limits`` unless given.

    Raises ``FileFormatError`` for a file that is not there, cannot be read, or is not exactly as the format demands.
    """
    with reading(path) as (file, size):
        head = _read_head(file, size, limit)
        mapping = _map(file, size) if mapped is True or (mapped == "auto" and size > READ_WHOLE) else None
        check = None if mapping is None else partial(_check_unchanged, path, mapping, _state(os.fstat(file.fileno())))
        tensors = {row.name: _tensor(file, row, mapping) for row in head.rows}
        return Container(head.content, tensors, head.version, check)


def verify_container(path: Path, *, limit: int | None = None) -> Report:
    """Check everything that ``read_container`` checks and every checksum, in little memory; raises the same error."""
    with reading(path) as (file, size):
        head = _read_head(file, size, limit)
        for row in head.rows:
            crc = 0
            for start, length in row.pieces:
                file.seek(start)
                for done in range(0, length, _CHUNK):
                    chunk = _read(file, min(_CHUNK, length - done))
                    crc = zlib.crc32(chunk, crc)
                    if row.dtype == np.bool_:
                        _check_bools(row.name, np.frombuffer(chunk, np.uint8))
            _check_crc(row, crc)
        return Report(head.version, size, {row.name: row.crc32 for row in head.rows})


def _encoded(header: Mapping[str, Any], tensors: Mapping[str, Array], version: int = 1) -> Iterator[bytes | memoryview]:
    arrays = {name: _storable(name, array) for name, array in tensors.items()}
    data, head = encode(header, arrays, version)
    return _chunks(data, head, arrays)


def _storable(name: str, array: Array) -> Array:
    """The array as it goes into the file: little-endian and contiguous; itself where it is already."""
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in DTYPES:
        known = ", ".join(dtype.name for dtype in DTYPES.values())
        raise FileFormatError(f"expected tensor {quoted(name)} to be {known}, found {array.dtype}; convert it")
    array = np.asarray(array, dtype=dtype, order="C")
    return np.asarray(array.view(np.uint8) != 0) if dtype == np.bool_ else array


def _bytes(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _chunks(data: bytes, head: Head, arrays: Mapping[str, Array]) -> Iterator[bytes | memoryview]:
    yield data
    written: dict[str, int] = {}
    for row, _, gap, length in head.gaps():
        start = written.get(row.name, 0)
        written[row.name] = start + length
        yield gap
        yield _bytes(arrays[row.name])[start : start + length]


def _read_head(file: io.FileIO | io.BytesIO, size: int, limit: int | None) -> Head:
    """Everything but the tensors' content, checked, the filler and the heads of the bins included."""
    limit = current().structure if limit is None else limit
    prefix = bytes(_read(file, min(size, PREFIX)))
    _, length, _ = parse_prefix(prefix, size, limit)
    head = parse_header(prefix, bytes(_read(file, length)), size, limit)
    for row, position, gap, _ in head.gaps():
        file.seek(position)
        if _read(file, len(gap)) != gap:
            raise wrong(row.name, f"filler and a bin from byte {position} on", "something else")
    return head


def _read(file: io.FileIO | io.BytesIO, length: int) -> bytearray:
    buffer = bytearray(length)
    _fill(file, memoryview(buffer))
    return buffer


def _fill(file: io.FileIO | io.BytesIO, view: memoryview) -> None:
    """Fill ``view`` from where the file stands."""
    while view:
        count = file.readinto(view)
        if not count:
            raise FileFormatError(f"expected {len(view)} bytes more, found the end; {DAMAGED}")
        view = view[count:]


def _map(file: io.FileIO, size: int) -> mmap.mmap | None:
    """The file in memory; None where it must be read, as on some network file systems."""
    try:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError:
        return None


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _check_unchanged(path: Path, mapping: mmap.mmap, before: tuple[int, ...]) -> None:
    """Whether the mapped file has its length, and, if it still has its name, its time of change."""
    try:
        now = _state(os.stat(path))
    except OSError:
        now = ()
    if mapping.size() != before[2] or (now[:2] == before[:2] and now != before):
        message = "was changed on disk while its arrays are in use; load it again, with mmap=False if it changes often"
        raise FileFormatError(message, file=path)


def _tensor(file: io.FileIO | io.BytesIO, row: Row, mapping: mmap.mmap | None) -> Array:
    if mapping is not None and len(row.pieces) == 1 and row.size:
        start, size = row.pieces[0]
        array = np.frombuffer(mapping, row.dtype, size // row.dtype.itemsize, start).reshape(row.shape)
    else:
        array = np.empty(row.shape, row.dtype)
        rest = _bytes(array)
        for start, length in row.pieces:
            file.seek(start)
            _fill(file, rest[:length])
            rest = rest[length:]
        _check_crc(row, zlib.crc32(_bytes(array)))
    if row.dtype == np.bool_:
        _check_bools(row.name, array.view(np.uint8))
    return fixed(array)


def _check_crc(row: Row, crc: int) -> None:
    if crc != row.crc32:
        raise wrong(row.name, f"checksum {row.crc32:08x}", f"{crc:08x}")


def _check_bools(name: str, values: Array) -> None:
    """In mapped files as well, for numpy takes for granted that other bytes are never there."""
    if values.size and values.max() > 1:
        raise wrong(name, "bools to be the byte 0 or 1", int(values.max()))
