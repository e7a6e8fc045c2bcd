"""Reading of CSV and TSV: columns of numbers and texts.

A table is read in blocks of whole lines. Lines without quotes are cut, and their numbers read, by pyarrow or by
arithmetic on whole arrays, some blocks at once in threads; from the first quote after the header on, Python's ``csv``
cuts the rest. What a column holds is found from its cells: a column that began with numbers and turns out to hold texts
has the table read once more.
"""

from __future__ import annotations

import csv
from array import array as integers
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from dataflow.backends.threads import map_ahead
from dataflow.data.raw_table import Choose, RawColumn, RawTable
from dataflow.data.readers.arrow_csv import ArrowCells, ArrowNumbers, NotPlainError, is_arrow_worth
from dataflow.data.readers.csv_beginning import enough_lines, no_row, read_beginning, with_open_quote
from dataflow.data.readers.cut_lines import Scratch
from dataflow.data.readers.decimals import Numbers, PlainCells
from dataflow.data.readers.dialect import Dialect, check_dialect
from dataflow.data.readers.growing_columns import EXACT, TEXT, Cells, CutRows, GrowingColumn
from dataflow.data.readers.number_blocks import NumberBlocks
from dataflow.data.readers.opening import Origin, repeated
from dataflow.data.readers.text_lines import TextLines
from dataflow.errors import DataError, counted
from dataflow.support.arrays import address, fixed, keep_freed_memory
from dataflow.support.conversion import is_number

CSV_LIMIT = 2**30
"""The longest CSV file in bytes, unpacked."""
LINE_LIMIT = 4 * 2**20
"""The longest row of a CSV file in bytes."""
BLANK_LIMIT = 100_000
"""The most blank lines of a CSV file."""

_BLOCK = 2**20  # bytes that pyarrow reads at once
_SMALL = 2**21  # bytes that are read at once without it
_FIRST = 2**18  # bytes that show what the columns hold, before threads read the rest
_CHUNK = 4096  # rows that are held as text at a time


def read_csv(
    origin: Origin,
    choose: Choose,
    kinds: Mapping[str, str],
    dialect: Dialect,
    skipped: list[int] | None = None,
    together: Callable[[], Collection[Sequence[str]]] = tuple,
) -> RawTable:
    """The columns that ``choose`` picks, given the header's names.

    The file is UTF-8 text, or has a byte order mark; its first row names the columns, quotes are doubled within quotes.
    Lines end in any of the three ways; blank ones are skipped. ``DataError`` with file and line for a row that is
    shorter or longer than the header, for text that is not UTF-8, and past ``CSV_LIMIT`` and ``LINE_LIMIT``.
    With ``skipped``, rows of another length are left out, and their lines are added to it. ``together`` gives, once the
    columns are chosen, those that are best read into one array.
    """
    check_dialect(dialect)
    known: dict[str, str] = {}
    while True:
        table = _Table(origin, choose, kinds, known, dialect, lenient=skipped is not None)
        try:
            table.read(together)
        except csv.Error as error:
            raise table.error_of_csv(str(error)) from None
        columns = table.columns()
        again = {name: kind for name, kind in columns.items() if isinstance(kind, str)}
        if not again:
            if skipped is not None:
                skipped += [line for line, _ in table.ragged]
            whole = {name: column for name, column in columns.items() if isinstance(column, RawColumn)}
            arrays = table.arrays(whole)
            return RawTable(whole, table.places(), origin.name, table.style, is_csv=True, arrays=arrays)
        known |= again


class _Table:
    """One reading of a table."""

    def __init__(
        self,
        origin: Origin,
        choose: Choose,
        kinds: Mapping[str, str],
        known: Mapping[str, str],
        dialect: Dialect,
        lenient: bool,
    ) -> None:
        self.lines = TextLines(origin, line_limit=LINE_LIMIT, limit=CSV_LIMIT, instead="the most for CSV; use .npz")
        self.origin, self.choose, self.lenient = origin, choose, lenient
        self._kinds, self._known = kinds, known
        self.kinds: dict[str, str] = {}
        """What columns hold, as it is said once they are chosen, or known from an earlier reading."""
        self.dialect = dialect
        self.line = 1 + origin.before
        self.arrow = self.only_numbers = False
        self.quoted: tuple[int, bytes] | None = None
        self.blank = 0
        self.quote: int | None = None
        self.ragged: list[tuple[int, int]] = []
        self.ranges: list[range] = []
        self.scratch = Scratch()
        self.memory: list[tuple[tuple[str, ...], np.ndarray]] = []

    def read(self, together: Callable[[], Collection[Sequence[str]]]) -> None:
        """Read all rows."""
        arrow = is_arrow_worth(self.origin)
        if self.origin.size > _SMALL:
            keep_freed_memory()
        read = self.lines.read(_BLOCK if arrow else _SMALL, _FIRST)
        first = enough_lines(read, LINE_LIMIT)
        blocks = self.lines.checked(chain([first], read))
        begin = self._begin(next(blocks, b""))
        self._choose_columns()
        self.first = self.line
        end = begin.find(b"\n", _FIRST) + 1 or len(begin)
        count = begin.count(b"\n", 0, end)
        parts = [
            _Lines(self.line, count, begin[:end]),
            _Lines(self.line + count, begin.count(b"\n", end), begin[end:]),
        ]
        numbered: Iterator[_Lines] = chain(parts, self._numbered(blocks))
        plain = self._plain(numbered)
        for lines in islice(plain, 1):
            self._add_block(self._cut(lines))
            self._expect_rows(len(lines.text), together())
        self.arrow = arrow and bool(self.wanted)
        self.only_numbers = self.style.decimal == "." and all(x.holds_numbers for x in self.wanted.values())
        if self.arrow and self.only_numbers and self.quoted is None and first.endswith(b"\n"):
            self.lines.number = parts[1].first
            numbered = self._numbered(self.lines.checked(self._add_numbers(chain([begin[end:]], read))))
            plain = self._plain(numbered)
        for block in map_ahead(self._cut, plain):
            self._add_block(block)
        if self.quoted is not None:
            self.line, rest = self.quoted
            self._add_rows(self._quoted(rest, (lines.text for lines in numbered)))
        if self.ragged and not self.lenient:
            raise self._ragged_error()
        if not self.ranges and not self.ragged:
            raise DataError("has a header and no rows", file=self.origin.name)

    def columns(self) -> dict[str, RawColumn | str]:
        """By name, each column, or the kind that the table has to be read with once more."""
        return {
            name: column.finished(self.style, self.kinds.get(name) not in (TEXT, EXACT))
            for name, column in self.wanted.items()
        }

    def places(self) -> Sequence[int]:
        """The line of each row."""
        if len(self.ranges) == 1:
            return self.ranges[0]
        places = integers("q")
        for lines in self.ranges:
            places.extend(lines)
        return places

    def arrays(self, columns: Mapping[str, RawColumn]) -> dict[tuple[str, ...], np.ndarray]:
        """The columns that stand in one array in the end, where they were read into it."""
        arrays = {}
        for names, memory in self.memory:
            cells = [columns[name].cells for name in names]
            if all(_is_same(those, memory[: len(those), i]) for i, those in enumerate(cells)):
                arrays[names] = fixed(memory)[: len(cells[0])]
        return arrays

    # ------------------------------------------------------------------------------------------ the header

    def _begin(self, block: bytes) -> bytes:
        """Read the header from the first block, and find how the table is written; return what follows."""
        begin = read_beginning(block, self.dialect, self.origin.name)
        self.header, self.separator, self.style = begin.header, begin.separator, begin.style
        self.line += begin.lines
        end = 0
        for _ in range(begin.lines):
            end = block.find(b"\n", end) + 1
        return block[end:]

    def _choose_columns(self) -> None:
        header = self.header
        try:
            chosen = set(self.choose(header))
            self.kinds = {**self._kinds, **self._known}
        except DataError as error:
            if all(is_number(cell) for cell in header):
                error.message += " (the first row should name the columns; it holds numbers)"
            raise error.at(file=self.origin.name, line=1) from None
        counts = Counter(header)
        for column in header:
            if column in chosen and counts[column] > 1:
                raise repeated(column, counts[column]).at(file=self.origin.name, line=1)
        self.wanted = {name: GrowingColumn(i, self.kinds.get(name)) for i, name in enumerate(header) if name in chosen}

    # ------------------------------------------------------------------------------------------ rows

    def _numbered(self, blocks: Iterable[bytes]) -> Iterator[_Lines]:
        return (_Lines(self.lines.number, self.lines.count, block) for block in blocks)

    def _add_numbers(self, read: Iterator[bytes]) -> Iterator[bytes]:
        """Add the rows of blocks that nobody has looked at yet, as long as they hold nothing but numbers; what follows
        comes back. Faults, quotes and other ends of lines are no numbers either."""
        width = len(self.header)

        def cut(block: bytes) -> ArrowNumbers:
            if len(block) > LINE_LIMIT:
                raise NotPlainError
            return ArrowNumbers(block, self.separator, width, self.scratch)

        alone = self.wanted.keys() - {name for names, _ in self.memory for name in names}
        places = [([self.wanted[name].position for name in names], memory) for names, memory in self.memory]
        places += [([self.wanted[name].position], self.wanted[name].values.room()[:, np.newaxis]) for name in alone]
        row = next(iter(self.wanted.values())).values.count
        blocks = NumberBlocks(filter(None, read), cut, places, row)
        rest = blocks.write()
        for column in self.wanted.values():
            column.values.count = blocks.row
        first = self.lines.number
        self.lines.number += blocks.row - row
        self._add_places(range(first, self.lines.number))
        return rest

    def _plain(self, numbered: Iterable[_Lines]) -> Iterator[_Lines]:
        """The blocks before the first quote."""
        for lines in numbered:
            if b'"' in lines.text:
                self.quoted = lines.first, lines.text
                return
            if lines.text:
                yield lines

    def _cut(self, lines: _Lines) -> _Block:
        """Read lines without quotes. This runs in threads, and changes nothing."""
        line, count, block = lines
        width = len(self.header)
        of_numbers = {column.position: column.holds_numbers for column in self.wanted.values()}
        positions = [position for position, is_number in of_numbers.items() if is_number]
        cells: Cells
        if self.arrow and self.only_numbers:
            try:
                cells = ArrowNumbers(block, self.separator, width, self.scratch)
                return self._block(lines, cells, positions)
            except NotPlainError:
                self.only_numbers = False  # what is not plain is so in most blocks
        if self.arrow:
            try:
                cells = ArrowCells(block, count, self.separator, self.style.decimal, width, of_numbers)
                return self._block(lines, cells, positions)
            except NotPlainError:
                self.arrow = False
        plain = PlainCells(block, self.separator, self.style.decimal, width, self.scratch)
        if not plain.is_table() or (width == 1 and b"\n\n" in b"\n" + block):
            return _Block(line, block, None, {})
        return self._block(lines, plain, positions)

    def _block(self, lines: _Lines, cells: Cells, positions: Sequence[int]) -> _Block:
        """A block with the numbers at these positions. Where there is memory for them, they are written there: mostly a
        line is a row, so that it is known where."""
        numbers = dict(zip(positions, cells.numbers(positions), strict=True))
        start = lines.first - self.first
        end = start + cells.rows
        for names, memory in self.memory:
            there = [self.wanted[name].position for name in names]
            if end > len(memory) or not numbers.keys() >= set(there):
                continue
            place = memory[start:end]
            if isinstance(cells, ArrowNumbers):
                cells.write(there, place)
            for i, position in enumerate(there):
                values, gaps, odd = numbers[position]
                if not isinstance(cells, ArrowNumbers):
                    place[:, i] = values
                numbers[position] = place[:, i], gaps, odd
        return _Block(lines.first, lines.text, cells, numbers)

    def _expect_rows(self, size: int, together: Iterable[Sequence[str]]) -> None:
        """Make room for the rows that the file has if all are as long as those read so far, of this ``size``, and for
        some more."""
        if self.origin.packed:
            return
        for column in self.wanted.values():
            count = column.values.count
            # a file may take less than its text in UTF-8
            column.values.expected = int(1.1 * count * max(self.origin.size / size, 1))
        placed: set[str] = set()
        for names in map(tuple, together):
            columns = [self.wanted[name] for name in names]
            expected = columns[0].values.expected if columns else 0
            is_new = len({*placed, *names}) == len(placed) + len(names)
            if expected and is_new and all(column.holds_numbers for column in columns):
                memory = np.empty((expected, len(columns)))
                for i, column in enumerate(columns):
                    column.values.go_on_in(memory[:, i])
                self.memory.append((names, memory))
                placed.update(names)

    def _add_block(self, block: _Block) -> None:
        self.line = block.line
        if block.cells is not None:
            self._add_cells(block.cells, block.numbers, [range(self.line, self.line + block.cells.rows)])
        else:
            lines = enumerate(block.text.decode().split("\n")[:-1], self.line)
            self._add_rows((number, line.split(self.separator)) for number, line in lines if not self._is_blank(line))

    def _add_cells(self, cells: Cells, numbers: Mapping[int, Numbers], places: Iterable[range]) -> None:
        for lines in places:
            self._add_places(lines)
        for column in self.wanted.values():
            column.add(cells, numbers.get(column.position), self.style)

    def _add_places(self, lines: range) -> None:
        if self.ranges and self.ranges[-1].stop == lines.start:
            lines = range(self.ranges.pop().start, lines.stop)
        if lines:
            self.ranges.append(lines)

    def _add_rows(self, rows: Iterable[tuple[int, list[str]]]) -> None:
        """Add rows with the line of each. Those of another length than the header are kept for the error."""
        width = len(self.header)
        numbered = iter(rows)
        while chunk := list(islice(numbered, _CHUNK)):
            self.ragged += [(line, len(row)) for line, row in chunk if len(row) != width]
            if self.lenient:
                chunk = [(line, row) for line, row in chunk if len(row) == width]
            if chunk and (self.lenient or not self.ragged):
                places = (range(line, line + 1) for line, _ in chunk)
                cells = CutRows([row for _, row in chunk], self.style.decimal)
                positions = [column.position for column in self.wanted.values() if column.holds_numbers]
                self._add_cells(cells, dict(zip(positions, cells.numbers(positions), strict=True)), places)

    def _quoted(self, block: bytes, blocks: Iterator[bytes]) -> Iterator[tuple[int, list[str]]]:
        """The rows of this block and of those after it, where some have quotes."""
        first, length = self.line, 0
        self.quote = None

        def lines() -> Iterator[str]:
            nonlocal length
            for text in chain([block], blocks):
                for line in text.decode().split("\n")[:-1]:
                    length += len(line) + 1
                    if length > LINE_LIMIT:
                        raise self._too_long()
                    self._is_blank(line)
                    if '"' in line:
                        self.quote = self._open_quote(line)
                    yield line + "\n"
                    self.line += 1

        reader = csv.reader(lines(), delimiter=self.separator, strict=True)
        for row in reader:
            length, self.quote = 0, None
            if row:
                yield first + reader.line_num - 1, row

    def _open_quote(self, line: str) -> int | None:
        """The line where the quote was opened that is open at the end of this one."""
        quotes = line.replace('""', "").count('"')
        is_open = (self.quote is not None) != bool(quotes % 2)
        return (self.line if quotes else self.quote) if is_open else None

    def _is_blank(self, line: str) -> bool:
        if len(line) < 3 and not line.strip():
            self.blank += 1
            if self.blank > BLANK_LIMIT:
                raise self.lines.error(f"has more than {BLANK_LIMIT} blank lines", self.line)
        return not line

    def _too_long(self) -> DataError:
        if self.quote is None:
            return self.lines.too_long(self.line)
        error = self.lines.too_long(self.quote)
        error.message = with_open_quote(error.message)
        return error

    def error_of_csv(self, reason: str) -> DataError:
        """The error for what the reader of CSV does not take: mostly a quote that is not closed, at the line where it
        stands."""
        if reason.startswith("field larger") and self.quote is not None:
            message = with_open_quote(f"a cell is longer than {csv.field_size_limit()} characters")
            return self.lines.error(message, self.quote)
        is_open = reason == "unexpected end of data" and self.quote is not None
        return self.lines.error(no_row(reason), self.quote if is_open else self.line)

    def _ragged_error(self) -> DataError:
        """All rows of another length than the header's."""
        width = len(self.header)
        line, cells = self.ragged[0]
        lengths = {cells for _, cells in self.ragged}
        separator = "a tab" if self.separator == "\t" else f"'{self.separator}'"
        longer = f"; put a cell that holds {separator} in quotes" if max(lengths) > width else ""
        shorter = f"; leave missing cells empty, with each {separator} in its place" if min(lengths) < width else ""
        advice = longer + shorter
        if len(self.ragged) == 1:
            return self.lines.error(f"the row has {cells} cells, the header {width}{advice}", line)
        places = ", ".join(f"{line} ({counted(cells, 'cell')})" for line, cells in self.ragged[:5])
        more = ", ..." if len(self.ragged) > 5 else ""
        rows = f"{len(self.ragged)} rows have another number of cells than the header, which has {width}"
        return DataError(f"{rows} (lines {places}{more}){advice}", file=self.origin.name)


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same memory."""
    return one.dtype == other.dtype and address(one) == address(other) and one.strides == other.strides


class _Lines(NamedTuple):
    """A block of whole lines: the number of the first, how many they are, and what they say."""

    first: int
    length: int
    text: bytes


class _Block(NamedTuple):
    """Lines without quotes: the number of the first, and the cells, with the numbers of the columns that hold some at
    these positions; no cells where the lines are no table, or have blank ones among them."""

    line: int
    text: bytes
    cells: Cells | None
    numbers: Mapping[int, Numbers]
