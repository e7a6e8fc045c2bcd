"""Chunks of Parquet and Arrow files, read by pyarrow."""

from __future__ import annotations

from functools import partial
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
    pa = import_arrow(Origin(files[0]))
    from pyarrow import dataset

    with readable(pa, Origin(files[0]), "Parquet"):
        base = str(root) if root.is_dir() else None
        whole = dataset.dataset(
            [str(path) for path in files], format="parquet", partitioning="hive", partition_base_dir=base
        )
        fragments = {Path(fragment.path): fragment for fragment in whole.get_fragments()}
    choice = Choice(wanted)
    names = chosen_names(whole.schema, choice, Origin(files[0]))
    chunks = []
    for path in files:
        origin, start = Origin(path), 0
        with readable(pa, origin, "Parquet"):
            fragment = fragments[path]
            _check_columns(names, whole.schema, fragment.physical_schema, origin)
            groups = [(group.id, group.num_rows) for group in fragment.row_groups]
        for number, rows in groups:
            read = partial(_read_group, pa, origin, fragment, whole.schema, number, names, wanted, choice.chosen, start)
            chunks.append(Chunk(origin.name, rows, read))
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
        names = chosen_names(schema, choice, origin)
        for batch, (rows, size) in enumerate(batches):
            origin.check_unpacked(size)
            for first in range(0, rows, most):
                count = min(most, rows - first)
                read = partial(
                    _read_batch, pa, origin, batch, first, count, names, wanted, choice.chosen, start + first
                )
                chunks.append(Chunk(origin.name, count, read))
            start += rows
    return chunks


# ------------------------------------------------------------------------------------------------ internals


def _check_columns(names: list[str], schema: Any, own: Any, origin: Origin) -> None:
    """The columns lie in every file; those that folders say are in none."""
    for name in names:
        if own.get_field_index(name) < 0 and f"{name}=" not in origin.name:
            raise DataError(f"has no column '{name}', which the first file of the data set has", file=origin.name)


def _read_group(
    pa: Any,
    origin: Origin,
    fragment: Any,
    schema: Any,
    number: int,
    names: list[str],
    wanted: Wanted,
    chosen: Any,
    start: int,
    _: bool,
) -> Content:
    with readable(pa, origin, "Parquet"):
        with origin.open() as raw:
            size = unpacked_bytes(raw, fragment.metadata, {*names}, origin, [number])
        origin.check_unpacked(size)
        group = fragment.subset(row_group_ids=[number])
        table = group.to_table(schema=schema, columns=names, use_threads=False)
        columns = {name: table.column(name) for name in names}
        return Content(origin.name, arrow_table(pa, columns, wanted.kinds, origin.name, start), chosen, {})


def _read_batch(
    pa: Any,
    origin: Origin,
    number: int,
    first: int,
    count: int,
    names: list[str],
    wanted: Wanted,
    chosen: Any,
    start: int,
    _: bool,
) -> Content:
    with readable(pa, origin, "Arrow"), pa.OSFile(str(origin.path)) as file:
        batch = pa.ipc.open_file(file).get_batch(number)
        batch.validate(full=True)  # offsets from a stranger
        batch = batch.slice(first, count)
        columns = {name: pa.chunked_array([batch.column(batch.schema.get_field_index(name))]) for name in names}
        return Content(origin.name, arrow_table(pa, columns, wanted.kinds, origin.name, start), chosen, {})
