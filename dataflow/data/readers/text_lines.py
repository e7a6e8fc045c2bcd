"""The lines of a text file, in blocks of whole lines, with limits."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from dataflow.data.readers.opening import UNPACKED_FREE, Origin, utf16
from dataflow.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


_PIECE = 2**16  # bytes that are looked at together, while they are in a processor's cache


class TextLines:
    """The text of a file as UTF-8, each line ended by a line feed, however the file writes it."""

    def __init__(self, origin: Origin, *, line_limit: int, limit: int, instead: str) -> None:
        self.origin = origin
        self.line_limit, self.limit = line_limit, limit
        self.instead = instead
        self.number = 1 + origin.before
        self.count = 0
        self.total = 0

    def blocks(self, size: int) -> Iterator[bytes]:
        """Blocks of about ``size`` bytes; ``number`` is the line that the last one begins with, ``count`` how many it
        has."""
        return self.checked(self.read(size))

    def read(self, size: int, first: int = 0) -> Iterator[bytes]:
        """The text as it stands in the file, as UTF-8: first ``first`` bytes or so, then ``size`` at a time. Of a file
        that is not packed each block ends with a line, unless its lines are long."""
        for data in self._decoded(size, first):
            self.total += len(data)
            if self.total > self.limit:
                message = f"is longer than {self.limit / 2**20:g} MiB (unpacked), {self.instead}"
                raise DataError(message, file=self.origin.name)
            yield data

    def checked(self, read: Iterable[bytes]) -> Iterator[bytes]:
        """What was ``read``, as ``blocks`` gives it."""
        rest = b""
        for data in _with_line_feeds(read):
            if end := data.rfind(b"\n") + 1:
                block = b"".join((rest, memoryview(data)[:end])) if rest or end < len(data) else data
                rest = data[end:]
                self.count = line_count(block)
                yield self._checked(block)
                self.number += self.count
            else:
                rest += data
            if len(rest) > self.line_limit:
                raise self.too_long()
        if rest:
            self.count = 1
            yield self._checked(rest + b"\n")
            self.number += 1

    def error(self, message: str, line: int | None = None) -> DataError:
        """An error at a line, that of the block unless given."""
        return DataError(message, file=self.origin.name, line=self.number if line is None else line)

    def too_long(self, line: int | None = None) -> DataError:
        """The error for a line that is too long."""
        return self.error(f"a row is longer than {self.line_limit / 2**20:g} MiB", line)

    def _checked(self, block: bytes) -> bytes:
        start = 0
        while len(block) - start > self.line_limit:
            end = block.rfind(b"\n", start, start + self.line_limit)
            if end < start:
                raise self.too_long(self.number + block.count(b"\n", 0, start))
            start = end + 1
        if not block.isascii():
            try:
                block.decode()
            except UnicodeDecodeError as error:
                line = self.number + block.count(b"\n", 0, error.start)
                shown = f"byte {block[error.start]:#04x} in this line"
                raise self.error(f"is not UTF-8 text ({shown}); save it as UTF-8", line) from None
        return block

    def _decoded(self, size: int, first: int) -> Iterator[bytes]:
        blocks = self._read(size, first)
        begin = next(blocks, b"")
        mark, encoding = next(((mark, name) for mark, name in _MARKS if begin.startswith(mark)), (b"", "utf-8"))
        begin = begin[len(mark) :]
        if encoding == "utf-8":
            if (found := utf16(begin)) is not None:
                raise self.error(f"is {found} text without a byte order mark; save it as UTF-8")
            yield begin
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            yield decoder.decode(begin).encode()
            for block in blocks:
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:  # of lone surrogates, too
            raise self.error(f"begins as {encoding[:6].upper()} text does and is none; save it as UTF-8") from None

    def _read(self, size: int, first: int) -> Iterator[bytes]:
        origin = self.origin
        total, wanted = 0, first or size
        with origin.open() as file:
            try:
                while data := file.read(wanted) if origin.packed else read_lines(file, wanted, self.line_limit):
                    total, wanted = total + len(data), size
                    if origin.packed and total > UNPACKED_FREE:
                        origin.check_unpacked(total)
                    yield data
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(
                    f"cannot be unpacked: {error}; the file is damaged or not packed with gzip", file=origin.name
                ) from None
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror or error}", file=origin.name) from None


def read_lines(file: IO[bytes], size: int, line_limit: int) -> bytes:
    """About so many bytes, to the end of a line where one is near enough: then nobody has to move the rest of it."""
    start = file.tell()
    file.seek(start + size)
    end = start + size + len(file.readline(line_limit))
    file.seek(start)
    return file.read(end - start)


def _with_line_feeds(read: Iterable[bytes]) -> Iterator[bytes]:
    held = b""  # a carriage return whose line feed may follow
    for data in read:
        data = held + data if held else data
        held = b"\r" if data.endswith(b"\r") else b""
        if b"\r" in data:
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield data
    if held:
        yield b"\n"


def line_count(block: bytes) -> int:
    """How many line feeds there are: numpy counts faster than ``bytes.count`` where they are many."""
    text = np.frombuffer(block, np.uint8)
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return sum(int(np.count_nonzero(piece == ord("\n"))) for piece in pieces)
