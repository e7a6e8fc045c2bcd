"""Chunks of NumPy files: rows of ``.npy`` files, one or more for each input, and whole ``.npz`` files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dataflow.data.read_content import Content, Wanted, read_content
from dataflow.data.readers.dialect import Dialect
from dataflow.data.readers.npz import array_header
from dataflow.data.readers.opening import Origin, opened
from dataflow.data.streams.shards import Chunk
from dataflow.errors import DataError, listed
from dataflow.support.conversion import first_place


def npz_chunks(files: list[Path], wanted: Wanted) -> list[Chunk]:
    """A chunk for each archive, which holds an array for each input."""
    return [Chunk(str(path), None, partial(_read_archive, path, wanted)) for path in files]


def npy_chunks(files: list[Path], wanted: Wanted, most: int) -> list[Chunk]:
    """At most so many rows of the arrays each. The files of input x are ``x.npy``, or ``x`` and anything that is no
    letter before ``.npy``, as in ``x-0001.npy``: the rows of one after the other. Files of one set of rows, such as
    ``x-0001.npy`` and ``y-0001.npy``, have as many."""
    names = [*wanted.inputs, *(name for name in wanted.also if name not in wanted.inputs)]
    if len(files) == 1 and len(wanted.inputs) == 1:
        shards = [{wanted.inputs[0]: _header(files[0])}]
    else:
        by_input = {name: [path for path in files if _is_of(path, name)] for name in names}
        by_input = {name: paths for name, paths in by_input.items() if paths}
        if not by_input:
            found = listed([path.name for path in files], 12)
            raise DataError(f"has no file for the inputs {listed(names)}, such as {names[0]}-0001.npy; it has {found}")
        counts = {name: len(paths) for name, paths in by_input.items()}
        if len({*counts.values()}) > 1:
            told = ", ".join(f"{count} for '{name}'" for name, count in counts.items())
            raise DataError(f"has different numbers of files: {told}", file=files[0].parent)
        shards = [
            {name: _header(path) for name, path in zip(by_input, paths, strict=True)}
            for paths in zip(*by_input.values(), strict=True)
        ]
    chunks = []
    for shard in shards:
        rows = {name: array.rows for name, array in shard.items()}
        first = next(iter(shard.values()))
        for name, count in rows.items():
            if count != first.rows:
                message = f"has {count} rows, and {first.path.name} beside it {first.rows}"
                raise DataError(message, file=shard[name].path)
        for start in range(0, first.rows, most):
            count = min(most, first.rows - start)
            chunks.append(Chunk(str(first.path), count, partial(_read_rows, shard, start, count)))
    return chunks


def finite_content(source: str, arrays: dict[str, np.ndarray], start: int, skip: bool) -> Content:
    """Arrays by input, the rows of a file from ``start`` on. What is no finite number is an error, or its row is left
    out if ``skip`` is true."""
    bad: Sequence[int] = ()
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not array.ndim:
            continue
        rows = array.reshape(len(array), -1)
        wrong = ~np.isfinite(rows)
        if wrong.any() and not skip:
            row, column = first_place(wrong)
            found = f"column {column + 1} of row {start + row + 1} of '{name}': a finite number is expected"
            raise DataError(f"{found}, {rows[row, column]} found", file=source)
        bad = np.union1d(np.array(bad, np.int64), np.flatnonzero(wrong.any(axis=1))).tolist()
    if len(bad):
        arrays = {name: np.delete(array, bad, axis=0) for name, array in arrays.items()}
    return Content(source, None, {}, arrays, [start + row + 1 for row in bad])


# ------------------------------------------------------------------------------------------------ internals


@dataclass(frozen=True)
class _Array:
    """An array in a file: where its rows begin, and what they are."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def rows(self) -> int:
        return self.shape[0]

    def read(self, start: int, count: int) -> np.ndarray:
        width = math.prod(self.shape[1:])
        with opened(self.path) as file:
            file.seek(self.offset + start * width * self.dtype.itemsize)
            data = bytearray(file.read(count * width * self.dtype.itemsize))
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])


def _is_of(path: Path, name: str) -> bool:
    return re.fullmatch(re.escape(name) + r"(?:[^A-Za-z].*)?\.npy", path.name, re.IGNORECASE) is not None


def _header(path: Path) -> _Array:
    with opened(path) as file:
        shape, fortran, dtype = array_header(file, str(path))
        offset = file.tell()
    if not shape:
        raise DataError("holds one number, and no rows", file=path)
    if fortran and len(shape) > 1:
        raise DataError("has its columns side by side; save it with numpy.ascontiguousarray(...)", file=path)
    if math.prod(shape) * dtype.itemsize != Origin(path).size - offset:
        raise DataError(f"its shape {list(shape)} does not fit the length of its data", file=path)
    return _Array(path, offset, shape, dtype)


def _read_rows(shard: dict[str, _Array], start: int, count: int, skip: bool) -> Content:
    arrays = {name: array.read(start, count) for name, array in shard.items()}
    return finite_content(str(next(iter(shard.values())).path), arrays, start, skip)


def _read_archive(path: Path, wanted: Wanted, skip: bool) -> Content:
    content = read_content(path, wanted, Dialect())
    return finite_content(str(path), {name: np.asarray(array) for name, array in content.arrays.items()}, 0, skip)
