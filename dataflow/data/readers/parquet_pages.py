"""What the pages of a Parquet file say that they unpack to. The table of contents at its end says it, too, but whoever
unpacks a page believes the page: a short file may have pages of 2 GiB."""

from __future__ import annotations

from typing import IO

PAGES_LIMIT = 2**18
"""The most pages that are read of a file."""

_DEPTH = 8  # of structures in a page's header
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_UNPACKED, _PACKED = 2, 3  # the numbers of the fields


def unpacked_size(file: IO[bytes], start: int, length: int) -> tuple[int, int]:
    """The bytes of a column's pages once they are unpacked, and how many pages there are, from the headers before each
    page: they are structures in Thrift's compact protocol, as parquet-format describes them. A ``ValueError`` for
    anything else than whole pages from ``start`` on."""
    position, end = start, start + length
    size = pages = 0
    while position < end and pages <= PAGES_LIMIT:
        file.seek(position)
        sizes = _Header(file).numbers()
        position = file.tell() + sizes[_PACKED]
        if position > end or min(sizes.values()) < 0:
            raise ValueError("a page reaches beyond its column")
        size += sizes[_UNPACKED]
        pages += 1
    return size, pages


class _Header:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def numbers(self) -> dict[int, int]:
        """The two sizes, by the number of their field."""
        sizes: dict[int, int] = {}
        field = 0
        while kind := (head := self._byte()) & 15:
            field = field + (head >> 4) if head >> 4 else self._integer()
            if field in (_UNPACKED, _PACKED):
                sizes[field] = self._integer()
            else:
                self._skip(kind, _DEPTH)
        if len(sizes) < 2:
            raise ValueError("a page has no size")
        return sizes

    def _byte(self) -> int:
        data = self._file.read(1)
        if not data:
            raise ValueError("a page ends too early")
        return data[0]

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("a number in a page's header is too long")

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _STRUCT and depth:
            while inner := (head := self._byte()) & 15:
                if not head >> 4:
                    self._varint()
                self._skip(inner, depth - 1)
        elif kind == _BINARY:
            self._file.seek(self._varint(), 1)
        elif kind == _DOUBLE:
            self._file.seek(8, 1)
        elif kind == _BYTE:
            self._byte()
        elif kind not in (_TRUE, _FALSE) and kind < _DOUBLE:
            self._varint()
        elif kind not in (_TRUE, _FALSE):  # no page has lists or maps in its header
            raise ValueError("a page's header holds what none does")
