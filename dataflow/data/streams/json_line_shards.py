"""Chunks of files of JSON lines: where their rows begin is found once, then any of them is read."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dataflow.data.read_content import Content, Wanted, read_lines
from dataflow.data.readers.opening import Origin, Piece, opened
from dataflow.data.readers.rows import LINE_LIMIT, first_names, read_json_lines
from dataflow.data.streams.file_lines import file_lines
from dataflow.data.streams.shards import Chunk
from dataflow.errors import DataError


def json_line_chunks(files: list[Path], wanted: Wanted, most: int) -> list[Chunk]:
    """At most so many rows of the files each; of a packed file, which has no middle to begin in, all. The names of the
    first ``most`` rows are the columns of all."""
    header = first_names(Origin(files[0]), most)
    chunks = []
    for path in files:
        if path.name.lower().endswith(".gz"):
            chunks.append(Chunk(str(path), None, partial(read_lines, read_json_lines, Origin(path), wanted, header)))
            continue
        chunks += [
            Chunk(str(path), piece.rows, partial(_read_piece, path, piece, wanted, header))
            for piece in _find_rows(path, most)
        ]
    return chunks


# ------------------------------------------------------------------------------------------------ internals


@dataclass(frozen=True)
class _Rows:
    """Bytes of a file that are whole lines, the number of the first, and how many of them are not blank."""

    start: int
    stop: int
    line: int
    rows: int


def _find_rows(path: Path, most: int) -> list[_Rows]:
    pieces = []
    position = start = rows = 0
    first = 1
    for lines in file_lines(path, LINE_LIMIT):
        begin = len(BOM_UTF8) if not lines.position and lines.data.startswith(BOM_UTF8) else 0
        for number, end in enumerate(lines.stops.tolist(), lines.number):
            line, begin = lines.data[begin:end], end
            rows += bool(line) and not line.isspace()
            if rows == most:
                position = lines.position + end
                pieces.append(_Rows(start, position, first, rows))
                start, first, rows = position, number + 1, 0
        position = lines.position + len(lines.data)
    if rows:
        pieces.append(_Rows(start, position, first, rows))
    if not pieces:
        raise DataError("has no rows" if position else "is empty", file=path)
    return pieces


def _read_piece(path: Path, piece: _Rows, wanted: Wanted, header: Sequence[str], skip: bool) -> Content:
    with opened(path) as file:
        file.seek(piece.start)
        data = file.read(piece.stop - piece.start)
    return read_lines(read_json_lines, Piece(None, data, piece.line - 1, str(path)), wanted, header, skip)
