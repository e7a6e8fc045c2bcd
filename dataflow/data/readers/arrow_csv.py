"""The cells of plain lines of CSV by pyarrow, where it is installed: faster than by numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import numpy as np

from dataflow.data.readers.cut_lines import CutLines, Scratch
from dataflow.data.readers.decimals import Numbers
from dataflow.data.readers.opening import Origin, Piece

_WORTH = 2**23
"""The bytes of a file from which on the import of pyarrow is soon made up for."""
_GAPS = ["", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "null", "NULL", "none", "None", "?", "-"]
_BLOCK = 2**18  # bytes that are cut before they are converted, while they are in a processor's cache
_FAR = 12  # bytes of a cell from which on there are rarely two separators in eight bytes
_NONE = np.empty(0, np.intp)


class NotPlainError(Exception):
    """pyarrow may take a cell for something else than our own reading does, or finds a fault."""


def is_arrow_worth(origin: Origin) -> bool:
    """Whether pyarrow is there and the table so long that it is faster."""
    is_long = isinstance(origin, Piece) or origin.size * (5 if origin.packed else 1) > _WORTH
    return is_long and find_spec("pyarrow") is not None


class ArrowNumbers(CutLines):
    """The cells of lines that hold nothing but finite numbers, cut by numpy and read by pyarrow, which is faster than
    when pyarrow cuts them, too."""

    def __init__(self, block: bytes, separator: str, width: int, scratch: Scratch) -> None:
        """``NotPlainError`` where a line has not ``width`` cells, or the last has no end."""
        text = np.frombuffer(block, np.uint8)
        ends = np.equal(text, ord("\n"), out=scratch("ends", len(text), np.bool_))
        lines = int(np.count_nonzero(ends))
        ends |= np.equal(text, ord(separator), out=scratch("separators", len(text), np.bool_))
        super().__init__(block, far_apart(ends) if len(text) > _FAR * lines * width else np.flatnonzero(ends), width)
        self._scratch = scratch
        if not self._are_rows(lines) or (width == 1 and (block.startswith(b"\n") or b"\n\n" in block)):
            raise NotPlainError
        if not block.endswith(b"\n"):
            raise NotPlainError

    def numbers(self, positions: Sequence[int]) -> list[Numbers]:
        """As those of ``PlainCells``; none is odd. ``NotPlainError`` where a cell is no finite number, or may be none
        that nobody asks for."""
        import pyarrow as pa

        width, ends = self._width, self._ends
        if len(positions) < width and not _is_plain(self._block):
            raise NotPlainError
        # to pyarrow, each cell and each separator is a text; those that are null it does not read
        wanted = np.zeros(2 * width, np.bool_)
        wanted[[2 * position for position in positions]] = True
        valid = np.packbits(np.tile(wanted, self.rows), bitorder="little")
        bounds = self._scratch("bounds", 2 * len(ends) + 1, np.int32)
        bounds[0] = 0
        bounds[1::2] = ends
        np.add(bounds[1::2], 1, out=bounds[2::2])
        texts = pa.StringArray.from_buffers(2 * len(ends), *map(pa.py_buffer, (bounds, self._block, valid)))
        try:
            read = texts.cast(pa.float64())
        except pa.ArrowInvalid:
            raise NotPlainError from None
        self._values = np.frombuffer(read.buffers()[1], np.float64, 2 * len(ends))[::2].reshape(-1, width)
        if not np.isfinite(self._values if len(positions) == width else self._values[:, positions]).all():
            raise NotPlainError
        return [(self._values[:, position], None, _NONE) for position in positions]

    def write(self, positions: Sequence[int], place: np.ndarray) -> None:
        """Write the numbers at these positions, which were asked for, into an array of so many columns: faster than
        one by one."""
        first, count = positions[0], len(positions)
        are_neighbours = list(positions) == list(range(first, first + count))
        place[...] = self._values[:, first : first + count] if are_neighbours else self._values[:, positions]


class ArrowCells:
    """The cells of lines of text without quotes in some columns, as pyarrow cuts and reads them."""

    def __init__(
        self, block: bytes, lines: int, separator: str, decimal: str, width: int, of_numbers: Mapping[int, bool]
    ) -> None:
        """The columns at these positions, which hold numbers or texts, of so many ``lines``. ``NotPlainError`` where
        one is blank or has not ``width`` cells, and for anything that is no finite number in a column of numbers."""
        import pyarrow as pa
        from pyarrow import csv

        types = {str(i): pa.float64() if is_number else pa.string() for i, is_number in of_numbers.items()}
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                csv.ReadOptions(column_names=[str(i) for i in range(width)], block_size=_BLOCK, use_threads=False),
                csv.ParseOptions(delimiter=separator, quote_char=False),
                csv.ConvertOptions(
                    check_utf8=False,  # it is known to be
                    column_types=types,
                    include_columns=list(types),
                    null_values=_GAPS,
                    strings_can_be_null=False,
                    decimal_point=decimal,
                ),
            )
        except pa.ArrowException:
            raise NotPlainError from None
        self.rows: int = table.num_rows
        if self.rows != lines:
            raise NotPlainError
        self._columns = {int(name): table.column(name).combine_chunks() for name in table.column_names}

    def text(self, position: int, row: int) -> str:
        """What stands in a cell of a column of texts."""
        text: str = self._columns[position][row].as_py()
        return text

    def texts(self, position: int) -> list[str]:
        """What stands in the cells of a column of texts."""
        texts: list[str] = self._columns[position].to_pylist()
        return texts

    def numbers(self, positions: Sequence[int]) -> list[Numbers]:
        """As those of ``PlainCells``; none is odd. pyarrow reads numbers that are too large as infinity, which is not
        plain."""
        numbers = []
        for position in positions:
            column = self._columns[position]
            valid, data = column.buffers()  # what pyarrow itself makes numpy arrays with imports pandas
            values = np.frombuffer(data, np.float64, len(column), 8 * column.offset)
            gaps = None
            if column.null_count:
                bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
                gaps = bits[column.offset : column.offset + len(column)] == 0
                values = np.where(gaps, 0.0, values)
            if not np.isfinite(values).all():
                raise NotPlainError
            numbers.append((values, gaps, _NONE))
        return numbers


def _is_plain(block: bytes) -> bool:
    return block.isascii() and b'"' not in block and b"\r" not in block


def far_apart(ends: np.ndarray) -> np.ndarray:
    """``np.flatnonzero(ends)`` of booleans, faster where there are rarely two in eight."""
    bits = np.packbits(ends, bitorder="little")
    positions = np.flatnonzero(bits != 0)
    filled = bits[positions]
    below = filled - np.uint8(1)  # ones below the lowest bit that is set
    if (filled & below).any():
        return np.flatnonzero(ends)
    positions *= 8
    positions += np.bitwise_count(below)
    return positions
