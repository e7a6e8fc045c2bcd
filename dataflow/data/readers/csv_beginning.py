"""How a CSV file begins: the names of its columns, and from its first lines how its table is written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from dataflow.data.number_style import NumberStyle
from dataflow.data.readers.dialect import Dialect, find_decimal, find_separator
from dataflow.errors import DataError

SAMPLE = 256
"""Lines from which it is found how a table is written."""

_OPEN_QUOTE = (
    'a quote is opened here and not closed; close it, or put a cell that holds " in quotes and double it there'
)


@dataclass(frozen=True)
class Beginning:
    """What the first lines say."""

    header: list[str]
    lines: int
    """How many the header takes, and those before it that are blank."""
    separator: str
    style: NumberStyle


def read_beginning(block: bytes, dialect: Dialect, name: str) -> Beginning:
    """The beginning of a file of this ``name``, from its first lines, each with a line feed. What is declared in the
    ``dialect`` is not looked for."""
    lines = _first_lines(block)
    text = "\n".join(lines)
    separator = dialect.separator or find_separator(text, name)
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True)
    try:
        header = [cell.strip() for cell in next(filter(None, reader), [])]
    except csv.Error as error:
        raise DataError(no_row(str(error)), file=name, line=1) from None
    if not any(header):
        raise DataError("is empty; a CSV file begins with a row that names its columns", file=name)
    decimal, thousands = dialect.decimal or "", dialect.thousands or ""
    if not decimal:
        try:
            decimal = find_decimal(lines[reader.line_num :], separator, thousands)
        except DataError as error:
            raise error.at(file=name) from None
    return Beginning(header, reader.line_num, separator, NumberStyle(decimal, thousands, dialect.percent))


def enough_lines(read: Iterator[bytes], most: int) -> bytes:
    """So much of a text as holds the lines that ``read_beginning`` looks at, or ``most`` bytes of longer ones."""
    begin = next(read, b"")
    while len(begin) < most and begin.count(b"\n") <= SAMPLE and (more := next(read, b"")):
        begin += more
    return begin


def no_row(reason: str) -> str:
    """What is said where Python's reader takes something for no CSV: mostly a quote that is not closed."""
    return _OPEN_QUOTE if reason == "unexpected end of data" else f"this is no row of a CSV file: {reason}"


def with_open_quote(message: str) -> str:
    """The same with what is to be done about the quote that causes it."""
    return f"{message}; {_OPEN_QUOTE}"


# ------------------------------------------------------------------------------------------------ internals


def _first_lines(block: bytes) -> list[str]:
    end = -1
    for _ in range(SAMPLE):
        if (end := block.find(b"\n", end + 1)) < 0:
            end = len(block) - 1
            break
    return block[: end + 1].decode().split("\n")
