"""Reading of tables: CSV, as columns of numbers that know where they came from."""

from __future__ import annotations

import csv
import gzip
import zlib
from array import array as numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import numpy as np

from dataflow.datafiles import UNPACKED_FREE, check_unpacked, opened
from dataflow.errors import DataError

CSV_LIMIT = 256 * 2**20
"""The longest CSV file in bytes, unpacked."""
LINE_LIMIT = 4 * 2**20
"""The longest row of a CSV file in bytes."""
BLANK_LIMIT = 100_000
"""The most blank lines of a CSV file."""

_CHUNK = 4096  # rows that are held as text at a time

Choose = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Table:
    """For each input an array with a row for each example, and from which columns and lines of the file it came."""

    arrays: Mapping[str, np.ndarray]
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]
    """The line of each row; empty where the format has none."""


def read_csv(path: Path, choose: Choose, kinds: Mapping[str, str]) -> Table:
    """The columns that ``choose`` picks for each input, given the header's names. ``kinds`` says what an input holds:
    ``"f"`` decimals, ``"i"`` whole numbers, ``"b"`` true or false.

    The file is UTF-8 text, packed with gzip where its name ends in ``.gz``; its first row names the columns, commas
    separate them, quotes are doubled within quotes. Blank lines are skipped. ``DataError`` with file and line for a
    cell that is empty, NaN or no number of its kind, for a row that is shorter or longer than the header, for text
    that is not UTF-8, and past ``CSV_LIMIT`` and ``LINE_LIMIT``.
    """
    with opened(path) as file:
        source = _Lines(file, path)
        try:
            return _parse(source, choose, kinds, path)
        except csv.Error as error:
            raise DataError(f"this is no row of a CSV file: {error}", file=path, line=source.number) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"cannot be unpacked: {error}; the file is damaged or not packed with gzip", file=path
            ) from None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None


class _Lines:
    """The lines of a file as text, with limits."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        self.number = 0
        self.row = 0  # bytes of the row that is being read, which a quoted cell may spread over lines
        self.total = 0
        self.blank = 0
        self.packed = path.name.lower().endswith(".gz")

    def __iter__(self) -> Iterator[str]:
        while line := self.file.readline(LINE_LIMIT + 1):
            self.number += 1
            self.row += len(line)
            self.total += len(line)
            if self.row > LINE_LIMIT:
                raise self.error(f"a row is longer than {LINE_LIMIT / 2**20:g} MiB")
            if self.total > CSV_LIMIT:
                raise self.error(f"is longer than {CSV_LIMIT / 2**20:g} MiB (unpacked), the most for CSV; use .npz")
            if self.packed and self.total > UNPACKED_FREE:
                check_unpacked(self.total, self.path)
            if len(line) < 3 and not line.strip():
                self.blank += 1
                if self.blank > BLANK_LIMIT:
                    raise self.error(f"has more than {BLANK_LIMIT} blank lines")
            try:
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                found = line[error.start]
                raise self.error(f"is not UTF-8 text (byte {found:#04x} in this line); save it as UTF-8") from None

    def error(self, message: str) -> DataError:
        return DataError(message, file=self.path, line=self.number)


def _parse(source: _Lines, choose: Choose, kinds: Mapping[str, str], path: Path) -> Table:
    reader = csv.reader(source, strict=True)
    rows = _rows(reader, source)
    _, header = next(rows, (0, []))
    header = [cell.strip() for cell in header]
    if not any(header):
        raise DataError("is empty; a CSV file begins with a row that names its columns", file=path)
    try:
        columns = choose(header)
    except DataError as error:
        if all(_is_number(cell) for cell in header):
            error.message += " (the first row should name the columns; it holds numbers)"
        elif len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            error.message += " (columns are separated by commas)"
        raise error.at(file=path, line=1) from None
    for names in columns.values():
        for column in names:
            if header.count(column) > 1:
                raise DataError(f"column '{column}' stands there {header.count(column)} times", file=path, line=1)
    places = {name: [header.index(column) for column in names] for name, names in columns.items()}
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    lines = numbers("q")
    while chunk := list(islice(rows, _CHUNK)):
        for line, row in chunk:
            if len(row) != len(header):
                raise DataError(f"the row has {len(row)} cells, the header {len(header)}", file=path, line=line)
        lines.extend(line for line, _ in chunk)
        for name, indices in places.items():
            pieces[name].append(_converted(chunk, indices, header, kinds[name], path))
    if not lines:
        raise DataError("has a header and no rows", file=path)
    return Table({name: np.concatenate(arrays) for name, arrays in pieces.items()}, columns, lines)


def _rows(reader: Any, source: _Lines) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        source.row = 0
        if row:
            yield reader.line_num, row


def _converted(
    chunk: Sequence[tuple[int, list[str]]], indices: Sequence[int], header: Sequence[str], kind: str, path: Path
) -> np.ndarray:
    convert: Callable[[str], Any] = {"i": _whole, "b": _truth}.get(kind, float)
    dtype = {"i": np.int64, "b": np.bool_}.get(kind, np.float64)
    pick: Callable[[list[str]], Sequence[str]] = itemgetter(*indices)
    if len(indices) == 1:
        only = indices[0]
        picked: list[Sequence[str]] = [(row[only],) for _, row in chunk]
    else:
        picked = [pick(row) for _, row in chunk]
    try:
        # Python's float takes "1_000" for a thousand, which a table hardly means.
        if not any("_" in cells for cells in map("".join, picked)):
            array: np.ndarray = np.array([list(map(convert, cells)) for cells in picked], dtype)
            if not (array != array).any():
                return array
    except (ValueError, OverflowError):
        pass
    for (line, _), cells in zip(chunk, picked, strict=True):
        for index, cell in zip(indices, cells, strict=True):
            _check_cell(cell, convert, f"column '{header[index]}'", path, line)
    raise DataError(f"a whole number is too large for {dtype.__name__}", file=path, line=chunk[0][0])


def _check_cell(cell: str, convert: Callable[[str], Any], where: str, path: Path, line: int) -> None:
    if not cell.strip() or cell.strip().lower() in ("nan", "na", "n/a", "null", "none", "?"):
        shown = f" ({cell.strip()!r})" if cell.strip() else ""
        raise DataError(f"{where}: the cell is missing{shown}; fill it in or leave out the row", file=path, line=line)
    expected = "a whole number" if convert is _whole else "true or false" if convert is _truth else "a number"
    try:
        if "_" in cell:
            raise ValueError
        if isinstance(value := convert(cell), int) and not -(2**63) <= value < 2**63:
            raise ValueError
    except (ValueError, OverflowError):
        text = cell if len(cell) <= 40 else cell[:40] + "..."
        raise DataError(f"{where}: {expected} is expected, {text!r} found", file=path, line=line) from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)


def _truth(text: str) -> bool:
    known = {"0": False, "1": True, "false": False, "true": True}
    if text.strip().lower() not in known:
        raise ValueError(text)
    return known[text.strip().lower()]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
