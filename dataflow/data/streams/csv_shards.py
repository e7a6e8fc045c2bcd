"""Chunks of CSV files: where their rows begin is found once, then any of them is read by the reader of CSV files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dataflow.data.read_content import Content, Wanted, read_lines
from dataflow.data.readers.csv import CSV_LIMIT, LINE_LIMIT, read_csv
from dataflow.data.readers.csv_beginning import Beginning, enough_lines, read_beginning
from dataflow.data.readers.dialect import Dialect, check_dialect
from dataflow.data.readers.opening import Origin, Piece, opened
from dataflow.data.readers.text_lines import TextLines
from dataflow.data.streams.file_lines import file_lines
from dataflow.data.streams.shards import Chunk
from dataflow.errors import DataError

_FIRST = 2**18  # bytes that show how a table is written
_LONGEST = 4 * LINE_LIMIT  # bytes; no row that is read has more, of four bytes for each character
_QUOTE = ord('"')
_CLOSING = re.compile(rb'[^"]*(?:""[^"]*)*"(?!")')  # the rest of a cell in quotes


def csv_chunks(files: list[Path], wanted: Wanted, dialect: Dialect, most: int) -> list[Chunk]:
    """At most so many rows of the files each; of a packed file, which has no middle to begin in, all."""
    check_dialect(dialect)
    chunks = []
    for path in files:
        if path.name.lower().endswith(".gz"):
            chunks.append(Chunk(str(path), None, partial(read_lines, read_csv, Origin(path), wanted, dialect)))
            continue
        begin = _beginning(path, dialect)
        written = replace(dialect, separator=begin.separator, decimal=begin.style.decimal)
        pieces = _find_pieces(path, begin, most)
        if not pieces:
            raise DataError("has a header and no rows", file=path)
        for piece in pieces:
            read = partial(_read_piece, path, begin.lines, piece, wanted, written)
            chunks.append(Chunk(str(path), piece.rows, read))
    return chunks


# ------------------------------------------------------------------------------------------------ internals


@dataclass(frozen=True)
class _Piece:
    """Bytes of a file that are whole rows, the number of the first line, how many rows there are, and where the header
    ends."""

    start: int
    stop: int
    line: int
    rows: int
    header: int


def _beginning(path: Path, dialect: Dialect) -> Beginning:
    lines = TextLines(Origin(path), line_limit=LINE_LIMIT, limit=CSV_LIMIT, instead="")
    return read_beginning(enough_lines(lines.blocks(_FIRST), LINE_LIMIT), dialect, str(path))


def _find_pieces(path: Path, begin: Beginning, most: int) -> list[_Piece]:
    """Pieces of at most so many rows."""
    pieces: list[_Piece] = []
    start = stop = header = rows = position = 0
    first = begin.lines + 1
    is_quoted = False
    for lines in file_lines(path, LINE_LIMIT):
        above = min(max(begin.lines + 1 - lines.number, 0), len(lines.stops))  # lines of the header
        begins, stops = np.concatenate([[0], lines.stops[:-1]])[above:], lines.stops[above:]
        if above:
            start = stop = header = lines.position + int(lines.stops[above - 1])
        if not len(stops):
            continue
        is_outside = _end_outside(lines.data, begins, stops, is_quoted, begin.separator)
        text = np.frombuffer(lines.data, np.uint8)
        is_blank = np.isin(text[begins], (10, 13))
        is_blank[1:] &= is_outside[:-1]
        is_blank[0] &= not is_quoted
        is_quoted = not is_outside[-1]
        ends = np.flatnonzero(is_outside & ~is_blank)  # of rows
        while rows + len(ends) >= most:
            last = int(ends[most - rows - 1])
            stop = lines.position + int(stops[last])
            pieces.append(_Piece(start, stop, first, most, header))
            start, first, ends, rows = stop, lines.number + above + last + 1, ends[most - rows :], 0
        rows += len(ends)
        if is_outside.any():
            stop = lines.position + int(stops[np.flatnonzero(is_outside)[-1]])
        position = lines.position + len(lines.data)
        if position - stop > _LONGEST:  # a row that has no end: where it is read, that is told
            break
    if is_quoted:
        rows, stop = rows + 1, position
    if rows:
        pieces.append(_Piece(start, stop, first, rows, header))
    return pieces


def _end_outside(data: bytes, begins: np.ndarray, stops: np.ndarray, is_quoted: bool, separator: str) -> np.ndarray:
    """Whether each line ends outside of quotes, where the first begins within some or not."""
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text[begins[0] :] == _QUOTE) + begins[0]
    # Every second quote opens a cell, if it stands where one may be opened or is doubled: none stands within a cell.
    before = text[np.maximum(quotes[int(is_quoted) :: 2] - 1, 0)]
    if np.isin(before, (10, 13, _QUOTE, ord(separator))).all():
        outside: np.ndarray = (np.searchsorted(quotes, stops) + is_quoted) % 2 == 0
        return outside
    lines = zip(begins.tolist(), stops.tolist(), strict=True)
    return np.fromiter(_follow(data, lines, is_quoted, separator.encode() + b'"'), np.bool_, len(stops))


def _follow(data: bytes, lines: Iterable[tuple[int, int]], is_quoted: bool, opening: bytes) -> Iterator[bool]:
    """The same line by line, where quotes stand within cells, too: there they are what they look like."""
    for begin, stop in lines:
        position = begin
        while True:
            if is_quoted:
                if (closing := _CLOSING.match(data, position, stop)) is None:
                    break
                position = closing.end()
            elif position == begin and data.startswith(b'"', begin):
                position += 1
            elif (found := data.find(opening, position, stop)) >= 0:
                position = found + len(opening)
            else:
                break
            is_quoted = not is_quoted
        yield not is_quoted


def _read_piece(path: Path, lines: int, piece: _Piece, wanted: Wanted, dialect: Dialect, skip: bool) -> Content:
    with opened(path) as file:
        header = file.read(piece.header)
        file.seek(piece.start)
        data = file.read(piece.stop - piece.start)
    return read_lines(read_csv, Piece(None, header + data, piece.line - 1 - lines, str(path)), wanted, dialect, skip)
