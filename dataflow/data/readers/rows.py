"""Tables of rows that are mappings: JSON lists of objects, JSON lines, and whatever a program gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from dataflow.data.raw_table import Choose, RawTable
from dataflow.data.readers.cell_values import Texts, value_column
from dataflow.data.readers.json_files import parse_json
from dataflow.data.readers.opening import Origin, chosen_of
from dataflow.data.readers.text_lines import TextLines
from dataflow.errors import DataError
from dataflow.limits import advice, memory_left
from dataflow.support.byte_sizes import format_bytes
from dataflow.support.texts import shorten

LINES_LIMIT = 2**28
"""The longest file of JSON lines in bytes, unpacked."""
LINE_LIMIT = 4 * 2**20
"""The longest line of such a file in bytes."""
COLUMNS_LIMIT = 2**17
"""The most columns of such tables."""

_BLOCK = 2**20
_CELLS = {int, float, bool, str, type(None)}  # what JSON has in a cell of a table
_SPACES = " \t\n\r\v\f"  # those of which bytes say that they are spaces
_GAP = 17  # bytes of a missing cell: in a list, as a number, and as missing


def read_rows(
    rows: Iterable[Any],
    choose: Choose,
    kinds: Mapping[str, str],
    source: str,
    places: Sequence[int] | None = None,
    header: Sequence[str] = (),
) -> RawTable:
    """The columns that ``choose`` picks of all names that the rows have, and of those in ``header``, which come first.
    A name that a row lacks is a missing cell.

    ``DataError`` where a row is no mapping from names, or a cell is neither a number, a text nor missing.
    """
    columns: dict[str, list[Any]] = {name: [] for name in header}
    count = gaps = 0
    shared = Texts()

    def fill(column: list[Any], length: int) -> None:
        nonlocal gaps
        gaps += max(length - len(column), 0)
        if (size := _GAP * gaps) > (most := memory_left()):  # a short file may make very many
            message = f"its missing cells would take {format_bytes(size)}; there may be {format_bytes(most)}"
            raise DataError(message + advice("memory", 2 * size), file=source)
        column += [None] * (length - len(column))

    for count, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise _error(f"a row is a mapping from names to cells, {shorten(repr(row))} found", count, source, places)
        for name, cell in row.items():
            column = columns.get(name)
            if column is None:
                if not isinstance(name, str):
                    raise _error(f"the name of a column is a text, not {name!r}", count, source, places)
                if len(columns) == COLUMNS_LIMIT:
                    raise _error(f"there are more than {COLUMNS_LIMIT} columns", count, source, places)
                columns[name] = column = []
            if len(column) < count - 1:
                fill(column, count - 1)
            column.append(shared[cell] if type(cell) is str else cell)
    if not count and not header:
        raise DataError("has no rows", file=source)
    labels = {name: name.strip() for name in columns}  # as in CSV
    chosen = chosen_of(choose, list(labels.values()), source)
    table = {}
    for name in [name for name, label in labels.items() if label in chosen]:
        cells = columns.pop(name)
        fill(cells, count)
        try:
            table[labels[name]] = value_column(cells, kinds.get(labels[name]))
        except ValueError as error:
            row, message = error.args
            raise _error(f"column '{shorten(name)}': {message}", row + 1, source, places) from None
    return RawTable(table, places, source)


def read_json_lines(
    origin: Origin,
    choose: Choose,
    kinds: Mapping[str, str],
    header: Sequence[str] = (),
    skipped: list[int] | None = None,
) -> RawTable:
    """A table with a JSON object on each line; blank lines are skipped. ``header`` are names that it has besides those
    of its rows. Into ``skipped``, if it is given, go the lines that are no rows, which are an error otherwise."""
    places: list[int] = []

    def rows() -> Iterator[Any]:
        for number, line in _lines(origin):
            try:
                row = parse_json(line)
            except DataError as error:
                if skipped is None:
                    raise DataError(error.message, file=origin.name, line=number, column=error.column) from None
                row = None
            if skipped is not None and not (isinstance(row, dict) and _CELLS.issuperset(map(type, row.values()))):
                skipped.append(number)
                continue
            places.append(number)
            yield row

    return read_rows(rows(), choose, kinds, origin.name, places, header)


def first_names(origin: Origin, most: int) -> list[str]:
    """The names that the first rows of a file of JSON lines have, so many of them at most; what is no row has none."""
    names: dict[str, None] = {}
    for _, line in islice(_lines(origin), most):
        with suppress(DataError):
            row = parse_json(line)
            names.update(dict.fromkeys(row if isinstance(row, dict) else ()))
    return list(names)


def _lines(origin: Origin) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    lines = TextLines(origin, line_limit=LINE_LIMIT, limit=LINES_LIMIT, instead="the most for JSON lines; use .parquet")
    for block in lines.blocks(_BLOCK):
        for number, line in enumerate(block.decode().split("\n"), lines.number):
            if line.strip(_SPACES):
                yield number, line


def _error(message: str, row: int, source: str, places: Sequence[int] | None) -> DataError:
    if places is None:
        return DataError(f"row {row}: {message}", file=source)
    return DataError(message, file=source, line=places[row - 1])
