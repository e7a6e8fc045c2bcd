"""Where the lines of a text file begin and end, in the file, in whichever of the three ways they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataflow.data.readers.opening import opened, utf16
from dataflow.errors import DataError

_BLOCK = 2**22  # bytes that are looked through at once
_LINE_FEED, _RETURN = b"\n\r"


class FileLines(NamedTuple):
    """Whole lines that follow each other, with their ends."""

    position: int
    """Where they begin in the file."""
    number: int
    """The number of the first, from 1."""
    data: bytes
    stops: np.ndarray
    """Where each ends in ``data``, behind what ends it. The last line of a file may have nothing that does."""


def file_lines(path: Path, line_limit: int) -> Iterator[FileLines]:
    """All lines of a file. ``DataError`` where one is longer than ``line_limit`` bytes or so, and where the text is
    UTF-16 or UTF-32: then bytes are no characters."""
    position, number, rest = 0, 1, b""
    with opened(path) as file:
        while block := file.read(_BLOCK):
            data = rest + block
            if not position and (found := utf16(data)) is not None:
                raise DataError(f"is {found} text, which is not read piece by piece; save it as UTF-8", file=path)
            stops = _stops(data)
            end = int(stops[-1]) if len(stops) else 0
            rest = data[end:]
            if end:
                yield FileLines(position, number, data[:end], stops)
                position, number = position + end, number + len(stops)
            if len(rest) > line_limit:
                raise DataError(f"a row is longer than {line_limit >> 20} MiB", file=path, line=number)
    if rest:
        yield FileLines(position, number, rest, np.array([len(rest)]))


def _stops(data: bytes) -> np.ndarray:
    """Where lines end. A carriage return that comes last may be half of an end."""
    text = np.frombuffer(data, np.uint8)
    is_end = text == _LINE_FEED
    if b"\r" in data:
        returns = np.flatnonzero(text[:-1] == _RETURN)
        is_end[returns[text[returns + 1] != _LINE_FEED]] = True
    return np.flatnonzero(is_end) + 1
