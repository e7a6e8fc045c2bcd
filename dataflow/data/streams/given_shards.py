"""Chunks that a program gives: rows, or tables and arrays of many rows, one after the other or by their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np

from dataflow.data.read_content import Content, Wanted, read_content
from dataflow.data.readers.dialect import Dialect
from dataflow.data.readers.frames import is_frame
from dataflow.data.streams.array_shards import finite_content
from dataflow.data.streams.shards import Shards
from dataflow.errors import ArgumentError, DataError
from dataflow.support.arguments import describe


class GivenShards(Shards):
    """What an iterable gives each time it is gone through, or a function that makes an iterator each time it is called:
    rows (mappings by column), which are taken together to chunks of ``most`` rows, or chunks: DataFrames, tables of
    pyarrow, or mappings of arrays by input. A sequence of chunks is read by number, in any order."""

    def __init__(self, given: Any, wanted: Wanted, most: int) -> None:
        if hasattr(given, "__next__"):
            raise ArgumentError(
                f"{describe(given)} can be gone through once, and a stream is read in each epoch; give a function "
                "that makes it, or an object with __iter__"
            )
        self._given, self._wanted, self._most = given, wanted, most
        first = next(self._all(), None)
        if first is None:
            raise DataError("the stream has no rows")
        self._has_rows = not _is_chunk(first)
        self.can_jump = not self._has_rows and hasattr(given, "__getitem__") and hasattr(given, "__len__")

    def sizes(self) -> None:
        return None

    def read(self, order: Iterable[int] | None, skip: bool = False) -> Iterator[tuple[int, Content]]:
        if order is not None and self.can_jump:
            for number in order:
                yield number, self._content(number, self._given[number], skip)
            return
        wanted = None if order is None else iter(order)
        sought = None if wanted is None else next(wanted, None)
        for number, chunk in enumerate(self._chunks()):
            if wanted is None:
                yield number, self._content(number, chunk, skip)
            elif sought is None:
                return
            elif number == sought:
                yield number, self._content(number, chunk, skip)
                sought = next(wanted, None)

    def digest(self) -> None:
        return None

    # -------------------------------------------------------------------------------------------- internals

    def _all(self) -> Iterator[Any]:
        given: Any = self._given() if callable(self._given) else self._given
        return iter(given)

    def _chunks(self) -> Iterator[Any]:
        if not self._has_rows:
            yield from self._all()
            return
        rows = self._all()
        for first in rows:
            yield list(chain([first], islice(rows, self._most - 1)))

    def _content(self, number: int, chunk: Any, skip: bool) -> Content:
        name = f"chunk {number + 1} of the stream"
        if isinstance(chunk, Mapping):
            return finite_content(name, {key: np.asarray(value) for key, value in chunk.items()}, 0, skip)
        if not is_frame(chunk) and not self._has_rows:
            expected = "a DataFrame, a table of pyarrow or arrays by input"
            raise DataError(f"a chunk is {expected}, not {describe(chunk)}", file=name)
        try:
            content = read_content(chunk, self._wanted, Dialect())
        except DataError as error:
            error.file = name
            raise
        assert content.table is not None
        table = type(content.table)(content.table.columns, None, name, start=number * self._most * self._has_rows)
        return Content(name, table, content.columns, {})


def _is_chunk(item: Any) -> bool:
    """Whether it holds many rows."""
    if isinstance(item, Mapping):
        return any(np.ndim(value) > 0 for value in item.values() if not isinstance(value, str))
    return is_frame(item)
