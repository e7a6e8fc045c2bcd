"""Chunks of Parquet and Arrow files, read by pyarrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataflow.data.read_content import Choice, Content, Wanted
from dataflow.data.readers.arrow import announced, arrow_table, chosen_names, import_arrow, readable, unpacked_bytes
from dataflow.data.readers.opening import Origin
from dataflow.data.streams.shards import Chunk
from dataflow.errors import DataError

_MAGIC = b"ARROW1"


def parquet_chunks(files: list[Path], root: Path, wanted: Wanted) -> list[Chunk]:
    """The row groups of a data set of Parquet files. The folders that they lie in may say a column, as in
    ``year=2024``."""
    first = Origin(files[0])
    pa = import_arrow(first)
    from pyarrow import dataset

    with readable(pa, first, "Parquet"):
        base = str(root) if root.is_dir() else None
        whole = dataset.dataset(list(map(str, files)), format="parquet", partitioning="hive", partition_base_dir=base)
        fragments = {Path(fragment.path): fragment for fragment in whole.get_fragments()}
    choice = Choice(wanted)
    names = chosen_names(whole.schema, choice, first)
    chunks = []
    for path in files:
        file, start = _File(pa, Origin(path), names, wanted, choice.chosen), 0
        with readable(pa, file.origin, "Parquet"):
            fragment = fragments[path]
            file.check_columns(fragment.physical_schema)
            groups = [(group.id, group.num_rows) for group in fragment.row_groups]
        for number, rows in groups:
            chunks.append(Chunk(file.origin.name, rows, _Group(file, fragment, whole.schema, number, start)))
            start += rows
    return chunks


def arrow_chunks(files: list[Path], wanted: Wanted, most: int) -> list[Chunk]:
    """At most so many rows of a batch of Arrow files each."""
    chunks = []
    for path in files:
        origin, start = Origin(path), 0
        pa = import_arrow(origin)
        with readable(pa, origin, "Arrow"), pa.memory_map(str(path)) as mapped:
            data = mapped.read_buffer()
            if not data.slice(0, len(_MAGIC)).equals(pa.py_buffer(_MAGIC)):
                message = "holds a stream of Arrow, in which nothing can be found; write a file (pyarrow.ipc.new_file)"
                raise DataError(message, file=path)
            batches = list(announced(pa, data.slice(8)))
            schema = pa.ipc.open_file(mapped).schema
            del data
        choice = Choice(wanted)
        file = _File(pa, origin, chosen_names(schema, choice, origin), wanted, choice.chosen)
        for batch, (rows, size) in enumerate(batches):
            origin.check_unpacked(size)
            for first in range(0, rows, most):
                count = min(most, rows - first)
                chunks.append(Chunk(origin.name, count, _Batch(file, batch, first, count, start + first)))
            start += rows
    return chunks


# ------------------------------------------------------------------------------------------------ internals


@dataclass(frozen=True, eq=False)
class _File:
    """A file, and its columns that are wanted."""

    pa: Any
    origin: Origin
    names: list[str]
    wanted: Wanted
    chosen: Mapping[str, list[str]]

    def check_columns(self, schema: Any) -> None:
        """Every file has the columns; those that folders say are in none."""
        for name in self.names:
            if schema.get_field_index(name) < 0 and f"{name}=" not in self.origin.name:
                message = f"has no column '{name}', which the first file of the data set has"
                raise DataError(message, file=self.origin.name)

    def content(self, columns: Mapping[str, Any], start: int) -> Content:
        """Some rows of the file, from number ``start`` on."""
        name = self.origin.name
        return Content(name, arrow_table(self.pa, columns, self.wanted.kinds, name, start), self.chosen, {})


@dataclass(eq=False)
class _Group:
    file: _File
    fragment: Any
    schema: Any
    number: int
    start: int
    is_checked: bool = False

    def __call__(self, skip: bool) -> Content:
        file = self.file
        with readable(file.pa, file.origin, "Parquet"):
            if not self.is_checked:
                with file.origin.open() as raw:
                    size = unpacked_bytes(raw, self.fragment.metadata, {*file.names}, file.origin, [self.number])
                file.origin.check_unpacked(size)
                self.is_checked = True
            group = self.fragment.subset(row_group_ids=[self.number])
            table = group.to_table(schema=self.schema, columns=file.names, use_threads=False)
            return file.content({name: table.column(name) for name in file.names}, self.start)


@dataclass(frozen=True, eq=False)
class _Batch:
    file: _File
    number: int
    first: int
    count: int
    start: int

    def __call__(self, skip: bool) -> Content:
        file = self.file
        with readable(file.pa, file.origin, "Arrow"), file.pa.OSFile(str(file.origin.path)) as opened:
            batch = file.pa.ipc.open_file(opened).get_batch(self.number)
            batch.validate(full=True)  # offsets from a stranger
            batch = batch.slice(self.first, self.count)
            columns = {name: batch.column(batch.schema.get_field_index(name)) for name in file.names}
            return file.content({name: file.pa.chunked_array([cells]) for name, cells in columns.items()}, self.start)
