"""Reading of Parquet and Arrow files by pyarrow, from strangers: what a file would take in memory is added up before
any of it is unpacked."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from dataflow.data.raw_table import Choose, RawColumn, RawTable
from dataflow.data.readers.cell_values import array_column, value_column
from dataflow.data.readers.opening import Origin, chosen_of
from dataflow.data.readers.parquet_pages import PAGES_LIMIT, unpacked_size
from dataflow.errors import DataError
from dataflow.support.texts import shorten

COLUMNS_LIMIT = 2**17
"""The most columns of a file."""

_BATCH = 2**16
_ENTRY = 8  # bytes of a cell, once it is read
_MAGIC = b"ARROW1"


def read_parquet(origin: Origin, choose: Choose, kinds: Mapping[str, str]) -> RawTable:
    """The columns that ``choose`` picks of a Parquet file."""
    pa = import_arrow(origin)
    import pyarrow.parquet as parquet

    with origin.open() as raw, readable(pa, origin, "Parquet"):
        source = pa.PythonFile(raw, mode="r")
        file = parquet.ParquetFile(source)
        schema, metadata = file.schema_arrow, file.metadata
        names = chosen_names(schema, choose, origin)
        origin.check_unpacked(
            metadata.num_rows * _ENTRY * len(names) + unpacked_bytes(raw, metadata, set(names), origin)
        )
        texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
        file = parquet.ParquetFile(source, read_dictionary=texts)
        table = _Growing(names, metadata.num_rows)
        for batch in file.iter_batches(_BATCH, columns=names):
            table.add(batch, origin)
        return table.finished(pa, kinds, origin)


def read_arrow(origin: Origin, choose: Choose, kinds: Mapping[str, str]) -> RawTable:
    """The columns that ``choose`` picks of an Arrow file, or an Arrow stream."""
    pa = import_arrow(origin)
    with origin.open() as raw:
        data = raw.read()
    if data.startswith(_MAGIC):
        data = data[8:]  # the file holds a stream, and after that a table of contents
    with readable(pa, origin, "Arrow"):
        announcements = list(announced(pa, data))
        rows, size = (sum(numbers) for numbers in zip(*announcements, strict=True)) if announcements else (0, 0)
        reader = pa.ipc.open_stream(data)
        names = chosen_names(reader.schema, choose, origin)
        origin.check_unpacked(size + rows * _ENTRY * len(reader.schema))
        table = _Growing(names, rows)
        for batch in reader:
            batch.validate(full=True)  # offsets from a stranger
            table.add(batch, origin)
        return table.finished(pa, kinds, origin)


def arrow_table(pa: Any, columns: Mapping[str, Any], kinds: Mapping[str, str], source: str, start: int = 0) -> RawTable:
    """Columns of pyarrow by name, as the rows of a file from ``start`` on."""
    raw = {}
    for name, column in columns.items():
        try:
            raw[name.strip()] = arrow_column(pa, column, kinds.get(name.strip()))
        except ValueError as error:
            if isinstance(error, pa.ArrowException):
                raise
            raise DataError(f"column '{shorten(name)}': {error.args[-1]}", file=source) from None
    return RawTable(raw, None, source, start=start)


def arrow_column(pa: Any, column: Any, kind: str | None) -> RawColumn:
    """A column of pyarrow. A ``ValueError`` with a message where it holds something else than cells."""
    types = pa.types
    if types.is_string(column.type) or types.is_large_string(column.type):
        column = column.dictionary_encode()
    if types.is_dictionary(column.type):
        return _of_dictionary(pa, column, kind)
    if types.is_null(column.type):
        return RawColumn(np.zeros(len(column)), np.ones(len(column), np.bool_))
    if types.is_temporal(column.type):
        return arrow_column(pa, column.cast(pa.string()), kind)
    if types.is_decimal(column.type):
        if column.type.scale == 0 and column.type.precision <= 18:
            column = column.cast(pa.int64())
        else:  # as texts, because pyarrow's own way to floats is off by a last bit now and then
            column = column.cast(pa.string()).cast(pa.float64())
    if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)):
        raise ValueError(f"a column of numbers or texts is expected, {shorten(str(column.type))} found")
    if kind == "text":
        return _of_dictionary(pa, column.dictionary_encode(), kind)
    missing = np.asarray(column.is_null()) if column.null_count else None
    values = np.asarray(column.fill_null(0) if column.null_count else column)
    return array_column(values, missing)


# ------------------------------------------------------------------------------------------------ internals


class readable:  # noqa: N801 — reads as a statement
    """Errors of pyarrow as ours."""

    def __init__(self, pa: Any, origin: Origin, what: str) -> None:
        self._errors = (pa.ArrowException, OSError, MemoryError, struct.error, ValueError, KeyError, IndexError)
        self._origin, self._what = origin, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and not isinstance(error, DataError) and isinstance(error, self._errors):
            reason = shorten(str(error).partition("\n")[0], 150)
            raise DataError(f"is no {self._what} file that can be read: {reason}", file=self._origin.name) from None


def import_arrow(origin: Origin) -> Any:
    """The package pyarrow. A ``DataError`` where it is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ImportError:
        raise DataError(
            "needs the package pyarrow, which is not installed; install it with: pip install 'dataflow-autodiff[data]'",
            file=origin.name,
        ) from None
    return pa


def chosen_names(schema: Any, choose: Choose, origin: Origin) -> list[str]:
    """The names of the columns that ``choose`` picks, as the file has them."""
    names = list(schema.names)
    if len(names) > COLUMNS_LIMIT:
        raise DataError(f"has more than {COLUMNS_LIMIT} columns", file=origin.name)
    chosen = chosen_of(choose, [name.strip() for name in names], origin.name)  # as in CSV
    return [name for name in names if name.strip() in chosen]


def unpacked_bytes(
    raw: IO[bytes], metadata: Any, names: Collection[str], origin: Origin, groups: Iterable[int] | None = None
) -> int:
    """The bytes that the pages of these columns take once they are unpacked, in all row groups or in some: what the
    pages say, which may be more than the file says of them."""
    size = pages = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups) if groups is None else groups):
        for column in (group.column(i) for i in range(group.num_columns)):
            path = column.path_in_schema
            if path not in names and path.partition(".")[0] not in names:
                continue
            if not column.num_values:  # pyarrow reads none of its pages, and writes no place of a first one
                continue
            start, dictionary = column.data_page_offset, column.dictionary_page_offset
            start = dictionary if dictionary is not None and 0 < dictionary < start else start
            length = max(column.total_compressed_size, 0)
            if not 0 < start <= origin.size - length:
                raise ValueError(f"column '{shorten(path)}' reaches beyond the end of the file")
            its_size, its_pages = unpacked_size(raw, start, length)
            size += max(its_size, column.total_uncompressed_size)
            pages += its_pages
            if pages > PAGES_LIMIT:
                raise DataError(f"has more than {PAGES_LIMIT} pages", file=origin.name)
    return size


class _Growing:
    """A table to which batches are added."""

    def __init__(self, names: list[str], rows: int) -> None:
        self.names, self.announced, self.rows = names, rows, 0
        self.parts: dict[str, list[Any]] = {name: [] for name in names}

    def add(self, batch: Any, origin: Origin) -> None:
        self.rows += batch.num_rows
        if self.rows > self.announced:
            raise DataError("has more rows than it says", file=origin.name)
        for name in self.names:
            self.parts[name].append(batch.column(batch.schema.get_field_index(name)))

    def finished(self, pa: Any, kinds: Mapping[str, str], origin: Origin) -> RawTable:
        if not self.rows:
            raise DataError("has no rows", file=origin.name)
        return arrow_table(
            pa, {name: pa.chunked_array(self.parts.pop(name)) for name in self.names}, kinds, origin.name
        )


def _of_dictionary(pa: Any, column: Any, kind: str | None) -> RawColumn:
    """Each different cell is read once, and shared by all rows that have it."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # of no or several chunks, as some versions give it
            column = pa.concat_arrays(column.chunks)
    values = column.dictionary.to_pylist()
    distinct = value_column([*values, None], kind)
    codes = np.asarray(column.indices.fill_null(len(values))).astype(np.int64)
    missing = None if distinct.missing is None else distinct.missing[codes]
    return RawColumn(distinct.cells[codes], missing if missing is not None and missing.any() else None)


def announced(pa: Any, data: Any) -> Iterator[tuple[int, int]]:
    """Of each batch of an Arrow stream the rows that it has, and the bytes that it takes once it is unpacked, with the
    dictionaries before it."""
    size = 0
    for message in pa.ipc.MessageReader.open_stream(data):
        if message.type not in ("record batch", "dictionary"):
            continue
        fields = _Flat(message.metadata.to_pybytes())
        batch = fields.table(fields.root, 2)
        is_dictionary = message.type == "dictionary"
        if is_dictionary:
            batch = fields.table(batch, 1)
        body = message.body
        size += body.size
        if fields.has(batch, 3):
            for offset, length in fields.pairs(batch, 2):
                if length >= 8:
                    size += max(struct.unpack("<q", body.slice(offset, 8).to_pybytes())[0], 0)
        if not is_dictionary:
            yield fields.number(batch, 0), size
            size = 0


class _Flat:
    """The few fields that are needed of a FlatBuffers message: the format is described at flatbuffers.dev."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.root = self._at("<I", 0)

    def _at(self, form: str, place: int) -> int:
        if place < 0:
            raise struct.error("a place before the beginning")
        value: int = struct.unpack_from(form, self._data, place)[0]
        return value

    def _field(self, table: int, index: int) -> int:
        vtable = table - self._at("<i", table)
        if 4 + 2 * index >= self._at("<H", vtable):
            return 0
        offset = self._at("<H", vtable + 4 + 2 * index)
        return table + offset if offset else 0

    def has(self, table: int, index: int) -> bool:
        """Whether the table has the field."""
        return self._field(table, index) > 0

    def table(self, table: int, index: int) -> int:
        """Where the table in a field is."""
        place = self._field(table, index)
        return place + self._at("<I", place)

    def number(self, table: int, index: int) -> int:
        """A number of 64 bits; 0 where it is left out."""
        place = self._field(table, index)
        return max(self._at("<q", place), 0) if place else 0

    def pairs(self, table: int, index: int) -> Iterator[tuple[int, int]]:
        """A list of pairs of such numbers."""
        place = self.table(table, index)
        for i in range(self._at("<I", place)):
            yield self._at("<q", place + 4 + 16 * i), self._at("<q", place + 12 + 16 * i)
