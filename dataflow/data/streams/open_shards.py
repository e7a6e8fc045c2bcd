"""The chunks of a source of data, whatever kind it is."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dataflow.data.read_content import Wanted
from dataflow.data.readers.frames import is_frame
from dataflow.data.readers.opening import STANDARD_INPUT
from dataflow.data.source import DataSource
from dataflow.data.streams.array_shards import npy_chunks, npz_chunks
from dataflow.data.streams.arrow_shards import arrow_chunks, parquet_chunks
from dataflow.data.streams.csv_shards import csv_chunks
from dataflow.data.streams.given_shards import GivenShards
from dataflow.data.streams.json_line_shards import json_line_chunks
from dataflow.data.streams.shards import FileShards, Shards, files_of, kind_of
from dataflow.errors import DataError
from dataflow.limits import grant, size_of


def open_shards(source: DataSource, wanted: Wanted, chunk_rows: int) -> Shards:
    """The chunks of the data that a source names: files, or what a program gives."""
    origin = source.path() if source.origin is None else source.origin
    if origin is None or is_frame(origin):
        raise DataError("the data is in memory already; leave out stream")
    if not isinstance(origin, str | PathLike):
        return GivenShards(origin, wanted, chunk_rows)
    if str(origin) == STANDARD_INPUT:
        raise DataError("standard input can be read once, and a stream is read once for each epoch; write a file")
    place = Path(origin)
    files = files_of(place)
    if source.origin is None and source.folder is not None:
        for file in files:
            if not file.resolve().is_relative_to(place.resolve()):
                message = "leads out of the folder that the model's file names; put the file there, or use --data"
                raise DataError(message, file=file)
    grant(sum(map(size_of, files)))
    kind = kind_of(files[0])
    if kind == "parquet":
        chunks = parquet_chunks(files, place, wanted)
    elif kind == "arrow":
        chunks = arrow_chunks(files, wanted, chunk_rows)
    elif kind == "csv":
        chunks = csv_chunks(files, wanted, source.dialect, chunk_rows)
    elif kind == "jsonl":
        chunks = json_line_chunks(files, wanted, chunk_rows)
    elif kind == "npy":
        chunks = npy_chunks(files, wanted, chunk_rows)
    else:
        chunks = npz_chunks(files, wanted)
    if not chunks:
        raise DataError("has no rows", file=place)
    return FileShards(chunks, files)
