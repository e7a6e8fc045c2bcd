"""The head of a msgpack container: its encoding, its checks, and the layout of all that follows.

The bytes are described in ``dataflow.files.msgpack.container``; nothing here touches a file.
"""

from __future__ import annotations

import codecs
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

from dataflow import shapes
from dataflow.errors import FileFormatError
from dataflow.files.msgpack.scan import decode, scan
from dataflow.limits import advice, current, most_decoded
from dataflow.support.texts import quoted

VERSION = 2
"""The newest version that is read."""
PREFIX = 64
"""Bytes before the header."""
BIN_LIMIT = 2**32 - 1
"""The longest payload of one msgpack ``bin``."""
DTYPES = {dtype.newbyteorder("<").str: dtype.newbyteorder("<") for dtype in shapes.DTYPES.values()}
AGAIN = "copy it again from where it came, or save it again"
DAMAGED = f"the file is damaged; {AGAIN}"

_MAGIC = b"\x85\xa6format\xa8dataflow\xa7version\xce"
_LENGTH, _CRC32, _HEADER = b"\xa6length\xcf", b"\xa5crc32\xce", b"\xa6header"
_ALIGNMENT = 64
_BIN_HEAD = 5
_AXES = 64
_ROW_KEYS = {"offset", "dtype", "shape", "size", "crc32", "pieces"}
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (as .npz files are)"),
    (b"\x93NUMPY", "a numpy .npy file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x80", "a pickle or another program's msgpack"),
)


@dataclass(frozen=True)
class Row:
    """A line of the tensor table; ``pieces`` are start in the file and length of each ``bin``'s payload."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int
    crc32: int
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Head:
    """What comes before the tensors: ``length`` and checksum of the header, its content, the tensor table."""

    version: int
    length: int
    crc32: int
    content: dict[str, Any]
    rows: list[Row]

    @property
    def stop(self) -> int:
        """Where the file must end."""
        return sum(self.rows[-1].pieces[-1]) if self.rows else PREFIX + self.length

    def gaps(self) -> Iterator[tuple[Row, int, bytes, int]]:
        """For each piece: its row, where the gap before it begins, the bytes of the gap, the length of the piece."""
        end = PREFIX + self.length
        for row in self.rows:
            for start, length in row.pieces:
                yield row, end, b"\xc0" * (start - end - _BIN_HEAD) + b"\xc6" + length.to_bytes(4, "big"), length
                end = start + length


def encode(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]], version: int = 1
) -> tuple[bytes, Head]:
    """The envelope as it stands in the file. ``arrays`` are of the format's dtypes and contiguous.

    Raises ``FileFormatError`` for a header or a name that the format does not allow, or that are larger than what is
    read under the limits that hold.
    """
    if "tensors" in header:
        raise FileFormatError("expected a header without the key 'tensors', which is the format's own; rename it")
    packer = msgpack.Packer()
    try:
        front = [packer.pack_map_header(len(header) + 1)]
        front += [packer.pack(key) + packer.pack(value) for key, value in header.items()]
        front += [packer.pack("tensors"), packer.pack_map_header(len(arrays))]
        lines = [_encode_row(packer, name, array) for name, array in arrays.items()]
    except (TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"the header or a name cannot be written as msgpack: {error}; convert it") from None
    length = sum(map(len, front)) + sum(len(before) + 8 + len(after) for before, after, _ in lines)
    rows, end = [], PREFIX + length
    base = _round_up(end)
    for (before, after, crc), (name, array) in zip(lines, arrays.items(), strict=True):
        row = Row(name, array.dtype, array.shape, array.nbytes, crc, _pieces(array.nbytes, end))
        rows.append(row)
        front += [before, (row.pieces[0][0] - base).to_bytes(8, "big"), after]
        end = sum(row.pieces[-1])
    data = b"".join(front)
    _check_length(length, limit := current().structure)  # what is written can be read
    scan(data, memory=most_decoded(limit, length))
    prefix = _MAGIC + version.to_bytes(4, "big") + _LENGTH + length.to_bytes(8, "big")
    crc = zlib.crc32(data, zlib.crc32(prefix))
    return prefix + _CRC32 + crc.to_bytes(4, "big") + _HEADER + data, Head(version, length, crc, {**header}, rows)


def parse_prefix(prefix: bytes, size: int, limit: int) -> tuple[int, int, int]:
    """Version, length of the header and its checksum, of a file of ``size`` bytes that begins with ``prefix``."""
    if not prefix:
        raise FileFormatError("expected a dataflow file, found an empty one; save it again")
    if not prefix.startswith(_MAGIC[: len(prefix)]):
        raise FileFormatError(f"expected a dataflow msgpack file, found {_foreign(prefix)}; name another file")
    if len(prefix) < len(_MAGIC) + 4:
        raise cut_off(PREFIX, size)
    version = int.from_bytes(prefix[len(_MAGIC) :][:4], "big")
    if version > VERSION:
        raise FileFormatError(f"needs dataflow format {version}; this reads up to {VERSION}; upgrade dataflow")
    if version < 1:
        raise FileFormatError(f"expected dataflow format 1 to {VERSION}, found {version}; {DAMAGED}")
    if len(prefix) < PREFIX:
        raise cut_off(PREFIX, size)
    if (prefix[30:38], prefix[46:53], prefix[57:]) != (_LENGTH, _CRC32, _HEADER):
        raise FileFormatError(f"expected the keys length, crc32 and header, found others; {DAMAGED}")
    length, crc = int.from_bytes(prefix[38:46], "big"), int.from_bytes(prefix[53:57], "big")
    if length > size - PREFIX:
        raise cut_off(PREFIX + length, size)
    _check_length(length, limit)
    return version, length, crc


def parse_header(prefix: bytes, data: bytes, size: int, limit: int) -> Head:
    """The header ``data`` of a file of ``size`` bytes, checked: checksum, structure, tensor table, file length."""
    version, length, crc = parse_prefix(prefix, size, limit)
    if (found := zlib.crc32(data, zlib.crc32(prefix[:46]))) != crc:
        raise FileFormatError(f"expected a header with checksum {crc:08x}, found {found:08x}; {DAMAGED}")
    content = decode(data, memory=most_decoded(limit, length))
    head = Head(version, length, crc, content, _rows(content.pop("tensors", None), PREFIX + length, size))
    if head.stop > size:
        raise cut_off(head.stop, size)
    if head.stop < size:
        message = f"expected the file to end after {head.stop} bytes, found {size - head.stop} more; remove them"
        raise FileFormatError(message)
    return head


def wrong(name: str, expected: str, found: object) -> FileFormatError:
    """The error for a tensor."""
    short = found is None or isinstance(found, int | float | str) or (isinstance(found, list) and len(found) <= _AXES)
    what = quoted(found) if short else f"a {type(found).__name__} of other content"
    return FileFormatError(f"tensor {quoted(name)}: expected {expected}, found {what}; {DAMAGED}")


def cut_off(expected: int, found: int) -> FileFormatError:
    """The error for a file of ``found`` bytes."""
    return FileFormatError(f"expected at least {expected} bytes, found {found}; the file is cut off; {AGAIN}")


def _encode_row(packer: msgpack.Packer, name: str, array: np.ndarray[Any, Any]) -> tuple[bytes, bytes, int]:
    """What stands before and after a row's offset, and the array's checksum."""
    crc = zlib.crc32(array.reshape(-1).view(np.uint8).data)
    row = {
        "dtype": array.dtype.str,
        "shape": array.shape,
        "size": array.nbytes,
        "crc32": crc,
        "pieces": len(_pieces(array.nbytes, 0)),
    }
    # A sixth pair goes in front by hand: msgpack would let the width of the offset depend on its value, and with it
    # the header's length, on which the offset depends.
    return packer.pack(name) + b"\x86" + packer.pack("offset") + b"\xcf", packer.pack(row)[1:], crc


def _rows(table: object, end: int, size: int) -> list[Row]:
    """The tensor table, each line held against the one place that the layout leaves it; ``end`` is the header's."""
    if not isinstance(table, dict):
        kind = "none" if table is None else f"a {type(table).__name__}"
        raise FileFormatError(f"expected a map 'tensors' in the header, found {kind}; {DAMAGED}")
    base = _round_up(end)
    rows = []
    for name, line in table.items():
        dtype, shape = _check_row(name, line)
        if line["size"] > size:  # before anything is counted or allocated in proportion
            raise cut_off(end + line["size"], size)
        row = Row(name, dtype, shape, line["size"], line["crc32"], _pieces(line["size"], end))
        for key, expected in ("offset", row.pieces[0][0] - base), ("pieces", len(row.pieces)):
            if line[key] != expected:
                raise wrong(name, f"{key} {expected}", line[key])
        end = sum(row.pieces[-1])
        rows.append(row)
    return rows


def _check_row(name: str, line: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Check one line of the table by itself: types, and that shape, dtype and size agree."""
    if not isinstance(line, dict) or line.keys() != _ROW_KEYS:
        raise wrong(name, "exactly the keys " + ", ".join(sorted(_ROW_KEYS)), line)
    dtype, shape = line["dtype"], line["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise wrong(name, "dtype " + " or ".join(DTYPES), dtype)
    if not isinstance(shape, list) or len(shape) > _AXES or not all(_is_size(length) for length in shape):
        raise wrong(name, f"a shape of at most {_AXES} sizes", shape)
    for key in ("offset", "size", "crc32", "pieces"):
        if not _is_size(line[key]):
            raise wrong(name, f"{key} to be a whole number, 0 or more", line[key])
    # In Python's integers: numpy's product of [2**32, 2**32] is 0. Zeros are left out as numpy refuses
    # [0, 2**62, 2**62] all the same.
    item = DTYPES[dtype].itemsize
    if math.prod(length for length in shape if length) * item >= 2**63:
        raise wrong(name, "a shape of less than 2^63 bytes", shape)
    if line["size"] != math.prod(shape) * item:
        raise wrong(name, f"size {math.prod(shape) * item}", line["size"])
    return DTYPES[dtype], tuple(shape)


def _pieces(size: int, end: int) -> tuple[tuple[int, int], ...]:
    """Start and length of the pieces of a tensor of ``size`` bytes that follows what ends at ``end``."""
    pieces = []
    for done in range(0, max(size, 1), BIN_LIMIT):
        start, length = _round_up(end + _BIN_HEAD), min(size - done, BIN_LIMIT)
        pieces.append((start, length))
        end = start + length
    return tuple(pieces)


def _round_up(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 0


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        raise FileFormatError(
            f"expected a header of at most {limit / 2**20:g} MiB, found {length / 2**20:.1f} MiB"
            + advice("structure", length)
        )


def _foreign(prefix: bytes) -> str:
    """What a file is that begins with ``prefix`` and is no container."""
    for magic, kind in _FOREIGN:
        if prefix.startswith(magic):
            return kind
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(prefix)
    except UnicodeDecodeError:
        text = "\0"
    if all(char in "\t\r\n" or char >= " " for char in text):
        return "text (a model in TOML has a name that ends in .toml)"
    return "other binary data (perhaps another program's msgpack)"
