"""Chunks of CSV files: where their lines begin is found once, then any of them is read by the reader of CSV files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dataflow.data.read_content import Choice, Content, Wanted
from dataflow.data.readers.csv import read_csv
from dataflow.data.readers.dialect import Dialect, find_decimal, find_separator
from dataflow.data.readers.opening import Origin, Piece, opened, utf16
from dataflow.data.streams.shards import Chunk
from dataflow.errors import DataError

_BLOCK = 2**22  # bytes that are looked through at once
_SAMPLE = 2**18  # bytes from which it is found how a table is written
_NEWLINE, _QUOTE, _RETURN = b'\n"\r'


def csv_chunks(files: list[Path], wanted: Wanted, dialect: Dialect, most: int) -> list[Chunk]:
    """At most so many lines of the files each; of a packed file, which has no middle to begin in, all."""
    chunks = []
    for path in files:
        if path.name.lower().endswith(".gz"):
            chunks.append(Chunk(str(path), None, partial(_read, Origin(path), wanted, dialect)))
            continue
        found = _find_lines(path, most)
        written = _written(path, found.header, dialect)
        for piece in found.pieces:
            read = partial(_read_piece, path, found.header, piece, wanted, written)
            chunks.append(Chunk(str(path), piece.rows, read))
    return chunks


# ------------------------------------------------------------------------------------------------ internals


@dataclass(frozen=True)
class _Piece:
    """Bytes of a file that are whole lines, the number of the first, and how many of them are not empty."""

    start: int
    stop: int
    line: int
    rows: int


@dataclass(frozen=True)
class _Lines:
    header: bytes
    pieces: list[_Piece]


def _find_lines(path: Path, most: int) -> _Lines:
    """The header, and pieces of at most so many rows. A line ends where it does outside of quotes."""
    header, pieces = b"", []
    position = start = 0
    line, first, rows = 1, 1, 0
    is_quoted = False
    last = 0  # where the line begins that is looked at
    with opened(path) as file:
        while block := file.read(_BLOCK):
            if not position and utf16(block):
                raise DataError("is no UTF-8 text; save it as UTF-8", file=path)
            marks = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero(marks == _NEWLINE)
            all_ends = ends
            quotes = np.flatnonzero(marks == _QUOTE)
            if is_quoted or len(quotes):
                before = np.searchsorted(quotes, ends) + is_quoted
                ends = ends[before % 2 == 0]
                is_quoted = bool((len(quotes) + is_quoted) % 2)
            begins = np.concatenate([[last - position], ends[:-1] + 1]) if len(ends) else ends
            lengths = ends - begins
            one = np.flatnonzero(lengths == 1)
            is_empty = lengths == 0
            is_empty[one[[marks[begins[i]] == _RETURN if begins[i] >= 0 else False for i in one.tolist()]]] = True
            numbers = line + np.searchsorted(all_ends, ends)  # of the newline that ends each
            line += len(all_ends)
            taken = 0
            if not header and not is_empty.all():
                taken = int(np.argmin(is_empty)) + 1
                start = position + int(ends[taken - 1]) + 1
                first = int(numbers[taken - 1]) + 1
                with opened(path) as again:
                    header = again.read(start)
            elif not header:
                taken = len(ends)
            filled = np.flatnonzero(~is_empty[taken:]) + taken
            while rows + len(filled) >= most:
                cut = filled[most - rows - 1]
                stop = position + int(ends[cut]) + 1
                pieces.append(_Piece(start, stop, first, most))
                start, first, rows, filled = stop, int(numbers[cut]) + 1, 0, filled[most - rows :]
            rows += len(filled)
            if len(ends):
                last = position + int(ends[-1]) + 1
            position += len(block)
    if not header:
        raise DataError("has a header and no rows" if position else "is empty", file=path)
    if position > last:  # the last line has no end
        rows += 1
    if rows:
        pieces.append(_Piece(start, position, first, rows))
    return _Lines(header, pieces)


def _written(path: Path, header: bytes, dialect: Dialect) -> Dialect:
    """How the file is written, from its beginning."""
    with opened(path) as file:
        begin = file.read(len(header) + _SAMPLE)
    begin = begin[: begin.rfind(b"\n") + 1] or begin
    text = begin.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    separator = dialect.separator or find_separator(text, str(path))
    decimal = dialect.decimal
    if decimal is None:
        lines = text.split("\n")[header.count(b"\n") :]
        try:
            decimal = find_decimal(lines, separator, dialect.thousands or "")
        except DataError as error:
            raise error.at(file=path) from None
    return replace(dialect, separator=separator, decimal=decimal)


def _read_piece(path: Path, header: bytes, piece: _Piece, wanted: Wanted, dialect: Dialect, skip: bool) -> Content:
    with opened(path) as file:
        file.seek(piece.start)
        data = file.read(piece.stop - piece.start)
    origin = Piece(None, header + data, piece.line - 1 - header.count(b"\n"), str(path))
    return _read(origin, wanted, dialect, skip)


def _read(origin: Origin, wanted: Wanted, dialect: Dialect, skip: bool) -> Content:
    choice, skipped = Choice(wanted), list[int]()
    table = read_csv(origin, choice, wanted.kinds, dialect, skipped if skip else None)
    return Content(origin.name, table, choice.chosen, {}, skipped)
