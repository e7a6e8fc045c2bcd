"""Results on their way out: numbers in JSON, and outputs written to CSV, JSON and NumPy files, a row for each
example."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.errors import FileFormatError, MissingExtraError
from dataflow.execution.inputs import example_axis
from dataflow.graph.graph import Graph
from dataflow.support.atomic import replace_file

ENDINGS = (".csv", ".json", ".npz")
PARQUET = ".parquet"


def plain_numbers(value: Any) -> Any:
    """An array or a number as plain data for JSON: nested lists, with "nan", "inf" and "-inf" for what is not finite.

    Every finite float comes out as the shortest text that reads back as the same float64.
    """
    array = np.asarray(value)
    nested = array.tolist()
    return nested if array.dtype.kind != "f" or bool(np.isfinite(array).all()) else _spelled(nested)


def plain_document(document: Any) -> Any:
    """What a file holds as plain data, with arrays in it or without, so that JSON can take all of it."""
    if isinstance(document, Mapping):
        return {key: plain_document(value) for key, value in document.items()}
    if isinstance(document, list):
        return [plain_document(value) for value in document]
    return plain_numbers(document) if isinstance(document, float | np.ndarray) else document


def dump(document: Any) -> str:
    """A JSON document in ASCII, of plain data; numbers have to have gone through ``plain_numbers``."""
    return json.dumps(document, allow_nan=False)


def check_ending(path: Path) -> None:
    """A ``FileFormatError`` unless results can be written to a file of that name."""
    if path.suffix.lower() not in ENDINGS:
        raise FileFormatError(
            f"results are written to files that end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}", file=path
        )


def write_outputs(path: Path, outputs: Mapping[str, np.ndarray], graph: Graph) -> int:
    """Write outputs to a file, by its ending, and return the number of rows: one for each example of the batch.

    In CSV an output takes a column for each of its entries in row-major order, ``yhat0``, ``yhat1``, ... (``yhat`` if
    it is one); in JSON each row is an object. An output that belongs to no example stands in every row; in ``.npz``
    each output is one array. What is written can be read back as data. If no output has examples, there is one row.
    """
    check_ending(path)
    axes = {name: example_axis(graph, name) for name in outputs}
    arrays = {
        name: array if axes[name] is None else np.moveaxis(array, axes[name] or 0, 0) for name, array in outputs.items()
    }
    count = next((len(arrays[name]) for name in arrays if axes[name] is not None), 1)

    def row(name: str, example: int) -> np.ndarray:
        return np.asarray(arrays[name] if axes[name] is None else arrays[name][example])

    def csv_rows() -> list[list[Any]]:
        inner = {name: array.shape if axes[name] is None else array.shape[1:] for name, array in arrays.items()}
        header = [label for name in arrays for label in _columns(name, math.prod(inner[name]))]
        return [header, *([x for name in arrays for x in row(name, i).reshape(-1).tolist()] for i in range(count))]

    def json_rows() -> list[dict[str, Any]]:
        return [{name: plain_numbers(row(name, i)) for name in arrays} for i in range(count)]

    _write(path, csv_rows, json_rows, arrays)
    return count


def check_table_ending(path: Path) -> None:
    """A ``FileFormatError`` unless a table can be written to a file of that name, with what is installed."""
    ending = path.suffix.lower()
    if ending not in (*ENDINGS, PARQUET):
        raise FileFormatError(f"tables are written to files that end in {', '.join(ENDINGS)} or {PARQUET}", file=path)
    if ending == PARQUET:
        try:
            import pyarrow as pa  # noqa: F401
        except ImportError:
            raise MissingExtraError('Parquet needs pyarrow: pip install "dataflow-autodiff[data]"') from None


def write_table(
    path: Path,
    columns: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray] | None = None,
    types: Mapping[str, np.dtype] | None = None,
) -> None:
    """Write columns of cells, of which some may be None, which is an empty cell: as CSV, as JSON with an object for
    each row, or as Parquet. A NumPy archive holds ``arrays`` in their place, if they are given, of any number of axes.
    ``types`` says of columns what their cells are, as far as that is known: Parquet says so of empty cells, too.
    """
    check_table_ending(path)
    if path.suffix.lower() == PARQUET:
        write_pieces(path, [columns], types or {})
        return
    cells = {name: column.tolist() for name, column in columns.items()}
    rows = list(zip(*cells.values(), strict=True))
    _write(
        path,
        lambda: [list(cells), *map(list, rows)],
        lambda: table_rows(columns),
        _plain_arrays(columns if arrays is None else arrays),
    )


def check_stream_ending(path: Path) -> None:
    """A ``FileFormatError`` unless a table can be written piece by piece to a file of that name."""
    check_table_ending(path)
    if path.suffix.lower() == ".npz":
        raise FileFormatError(f"a stream is written to files that end in .csv, .json or {PARQUET}", file=path)


def write_pieces(path: Path, pieces: Iterable[Mapping[str, np.ndarray]], types: Mapping[str, np.dtype]) -> None:
    """Write a table whose columns come in pieces, each of the same columns: what ``write_table`` writes of all at
    once, but for the groups of rows of Parquet. The file is there when all is written. ``types`` says of columns what
    their cells are, as far as that is known."""
    check_stream_ending(path)
    write = {".csv": _csv_pieces, ".json": _json_pieces}.get(path.suffix.lower())
    replace_file(path, _parquet_pieces(pieces, types) if write is None else write(pieces), sync=False)


def table_rows(columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The rows of a table as plain data for JSON."""
    cells = [[None if cell is None else _plain_cell(cell) for cell in column] for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]


def _plain_cell(cell: Any) -> Any:
    return cell if isinstance(cell, str) else plain_numbers(cell)


def _plain_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of numbers, where None is NaN, or of texts, where it is empty."""
    return {name: _plain_array(array) if array.dtype == object else array for name, array in arrays.items()}


def _plain_array(array: np.ndarray) -> np.ndarray:
    cells = array.reshape(-1).tolist()
    if any(isinstance(cell, str) for cell in cells):
        plain = np.array(["" if cell is None else str(cell) for cell in cells], np.str_)
    else:
        plain = np.array([np.nan if cell is None else cell for cell in cells])
    return plain.reshape(array.shape)


def write_matrix(
    path: Path, matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], document: Mapping[str, Any]
) -> None:
    """Write a labelled matrix: in CSV with a column of row labels and a line of column labels, in JSON as ``document``
    with the matrix under ``jacobian``, in ``.npz`` as the array ``jacobian``."""
    _write(
        path,
        lambda: [["", *columns], *([label, *line] for label, line in zip(rows, matrix.tolist(), strict=True))],
        lambda: {**document, "jacobian": plain_numbers(matrix)},
        {"jacobian": matrix},
    )


def labels(name: str, shape: Sequence[int]) -> list[str]:
    """A label for each entry of an array in row-major order: ``W1[0,1]``, or the name alone for a number."""
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, place))}]" for place in product(*map(range, shape))]


# ------------------------------------------------------------------------------------------------ internals


def _csv_pieces(pieces: Iterable[Mapping[str, np.ndarray]]) -> Iterator[bytes]:
    for number, columns in enumerate(pieces):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not number:
            writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        yield text.getvalue().encode()


def _json_pieces(pieces: Iterable[Mapping[str, np.ndarray]]) -> Iterator[bytes]:
    before = "["
    for columns in pieces:
        if rows := table_rows(columns):
            yield (before + dump(rows)[1:-1]).encode()
            before = ", "
    yield b"[]\n" if before == "[" else b"]\n"


def _parquet_pieces(pieces: Iterable[Mapping[str, np.ndarray]], types: Mapping[str, np.dtype]) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = _Written()
    writer = None
    kinds = {"f": pa.float64(), "i": pa.int64(), "u": pa.uint64(), "b": pa.bool_(), "O": pa.string()}
    for columns in pieces:
        cells = {name: column.tolist() for name, column in columns.items()}
        if writer is None:
            known = {name: kinds[types[name].kind] for name in cells if name in types}
            found = pa.table(cells).schema
            schema = pa.schema([(name, known.get(name, found.field(name).type)) for name in cells])
            writer = pq.ParquetWriter(written, schema)
        writer.write_table(pa.table(cells, schema=writer.schema))
        yield written.taken()
    if writer is not None:
        writer.close()
        yield written.taken()


class _Written(io.RawIOBase):
    """A file whose bytes are taken while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._count = bytearray(), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._count

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._bytes += data
        self._count += size
        return size

    def taken(self) -> bytes:
        """What was written since the last call."""
        taken, self._bytes = bytes(self._bytes), bytearray()
        return taken


def _write(
    path: Path, rows: Callable[[], list[list[Any]]], document: Callable[[], Any], arrays: Mapping[str, np.ndarray]
) -> None:
    check_ending(path)
    ending = path.suffix.lower()
    if ending == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows())
        content = text.getvalue().encode()
    elif ending == ".json":
        content = (dump(document()) + "\n").encode()
    else:
        content = _archive(arrays)
    replace_file(path, [content], sync=False)


def _archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A NumPy archive; not ``np.savez``, to which arrays called ``file`` cannot be given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # a fixed date, so that the same results give the same bytes
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _columns(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{i}" for i in range(count)]


def _spelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
