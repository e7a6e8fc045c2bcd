"""Data for a model: what its file declares under ``[data]``, and files that a user names.

A table (CSV, or a JSON list of row objects) gives an input its columns: those that the declaration names, else the
column called like the input, else the columns ``x0``, ``x1``, ... of an input ``x``. A NumPy archive or a JSON object
gives each input an array of its name. Then ``one_hot`` turns whole numbers into rows of a single 1, and ``scale``
multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from dataflow.archives import read_npz
from dataflow.datafiles import nothing_for, numbers, read_json
from dataflow.errors import DataError, nearest
from dataflow.feeding import as_input
from dataflow.graph import INPUT, Graph
from dataflow.shapes import Shape, Size, bind, element_count, format_shape
from dataflow.tables import Table, read_csv

ENDINGS = (".csv", ".csv.gz", ".npz", ".json")
CLASSES_LIMIT = 2**20
"""The most classes of a one-hot input."""
ENTRIES_LIMIT = 2**24
"""The most entries of a one-hot input."""

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(eq=False)
class DataSource:
    """The data that a model declares, as it was declared; ``load`` gives the arrays.

    Either ``arrays`` (nested lists or arrays by input) or a ``file`` in ``folder`` (never outside it). Without a
    folder, as when a program makes the source, the file may be anywhere.
    """

    arrays: Mapping[str, Any] | None = None
    file: Path | None = None
    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """For each input the columns of the file: a name, a range ``"p0:p63"`` in the header's order with both ends, or a
    list of names and ranges."""
    one_hot: Mapping[str, int] = field(default_factory=dict)
    """The number of classes of inputs that are given as whole numbers from 0 and become one-hot rows. What has the
    classes along its last axis already stays as it is."""
    scale: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None
    _loaded: tuple[Graph, dict[str, np.ndarray]] | None = field(default=None, init=False, repr=False)

    def load(self, graph: Graph) -> dict[str, np.ndarray]:
        """Every input of ``graph`` that there is data for, in its declared dtype and shape. Read once, then kept."""
        if self._loaded is None or self._loaded[0] is not graph:
            self._loaded = graph, self._read(graph)
        return dict(self._loaded[1])

    def check(self, graph: Graph) -> None:
        """A ``DataError`` if the declaration itself is wrong: unknown inputs, a number of classes that is none."""
        if self.arrays is not None and self.file is not None:
            raise DataError("data is declared as arrays and as a file; leave out one")
        inputs = dict.fromkeys(graph.names(INPUT))  # a file may have very many
        for table in (self.arrays or {}, self.columns, self.one_hot, self.scale):
            for name in table:
                if name not in inputs:
                    raise DataError(f"there is no input '{name}'{nearest(str(name), inputs)}")
        for name, classes in self.one_hot.items():
            if type(classes) is not int or not 1 <= classes <= CLASSES_LIMIT:
                expected = f"a number of classes from 1 to {CLASSES_LIMIT}"
                raise DataError(f"one_hot of '{name}' is {expected}, not {classes!r}")
            shape = graph.nodes[name]["shape"]
            if not shape or (isinstance(shape[-1], int) and shape[-1] != classes):
                declared = format_shape(shape)
                raise DataError(
                    f"one_hot = {classes} of '{name}' makes its last size {classes}; its declared shape is {declared}"
                )
        for name, factor in self.scale.items():
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not abs(factor) <= _LARGEST:
                raise DataError(f"scale of '{name}' is a number, not {factor!r}")

    def path(self) -> Path | None:
        """Where the declared file is. ``DataError`` if that is outside the folder."""
        if self.file is None or self.folder is None:
            return None if self.file is None else Path(self.file)
        text = str(self.file)
        ways = (PurePosixPath(text), PureWindowsPath(text))
        joined = Path(self.folder) / text
        try:
            outside = not joined.resolve().is_relative_to(Path(self.folder).resolve())
        except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
            outside = True
        if outside or any(way.is_absolute() or way.drive or way.root or ".." in way.parts for way in ways):
            raise DataError(
                f"the data file {text!r} lies outside the folder of its model; put it there, or name it with --data"
            )
        return joined

    def _read(self, graph: Graph) -> dict[str, np.ndarray]:
        self.check(graph)
        path = self.path()
        if path is not None:
            return _read_file(path, graph, self, strict=True)
        raw = {name: numbers(name, value) for name, value in (self.arrays or {}).items()}
        return _finished(raw, graph, self, None)


def read_data(path: str | Path, graph: Graph, source: DataSource | None = None) -> dict[str, np.ndarray]:
    """The inputs of ``graph`` that the file has: ``.csv``, ``.csv.gz``, ``.npz`` or ``.json``, wherever it is.

    Columns, classes and scales are those that ``source``, the model's own declaration, says; an input whose columns are
    not there is left out, so that a trained model runs without labels. A file that has none of the inputs is a
    ``DataError``, as is every fault, with the file and, where there is one, the line.
    """
    source = source or DataSource()
    source.check(graph)
    return _read_file(Path(path), graph, source, strict=False)


def _read_file(path: Path, graph: Graph, source: DataSource, strict: bool) -> dict[str, np.ndarray]:
    inputs = graph.names(INPUT)
    ending = path.name.lower()
    table: Table | None = None

    def choose(header: Sequence[str]) -> dict[str, list[str]]:
        return _chosen_columns(header, inputs, source.columns, strict)

    if ending.endswith((".csv", ".csv.gz")):
        kinds = {name: "f" if name in source.scale else graph.nodes[name]["dtype"].kind for name in inputs}
        table = read_csv(path, choose, {**kinds, **dict.fromkeys(source.one_hot, "f")})
        raw = dict(table.arrays)
    elif ending.endswith(".npz"):
        raw = read_npz(path, inputs)
    elif ending.endswith(".json"):
        content = read_json(path)
        try:
            if isinstance(content, list):
                table = _from_rows(content, choose)
                raw = dict(table.arrays)
            elif isinstance(content, dict):
                raw = {name: numbers(name, content[name]) for name in inputs if name in content}
                if not raw:
                    raise nothing_for(inputs, list(content), "keys")
            else:
                raise DataError("is a JSON object of arrays by input, or a list of row objects; something else found")
        except DataError as error:
            raise error.at(file=path) from None
    else:
        raise DataError(f"data files end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}", file=path)
    try:
        return _finished(raw, graph, source, table)
    except DataError as error:
        raise error.at(file=path) from None


def _from_rows(content: list[Any], choose: Any) -> Table:
    """A list of row objects, all with the keys of the first."""
    if not content or not all(isinstance(row, dict) for row in content):
        raise DataError('is a list of row objects, such as [{"x": 1, "y": 0}]' if content else "has no rows")
    header = list(content[0])
    for i, row in enumerate(content):
        if row.keys() != content[0].keys():
            odd = min(row.keys() ^ content[0].keys())
            raise DataError(f"row {i} {'has' if odd in row else 'lacks'} '{odd}', unlike row 0")
    columns = choose(header)
    arrays = {}
    for name, names in columns.items():
        if len(names) == 1:
            arrays[name] = numbers(names[0], [row[names[0]] for row in content])
        else:
            arrays[name] = np.stack([numbers(key, [row[key] for row in content]) for key in names], axis=-1)
    return Table(arrays, columns, ())


# ------------------------------------------------------------------------------------------------ columns


def _chosen_columns(
    header: Sequence[str], inputs: Sequence[str], declared: Mapping[str, str | Sequence[str]], strict: bool
) -> dict[str, list[str]]:
    chosen = {}
    for name in inputs:
        if name in declared:
            patterns = [declared[name]] if isinstance(declared[name], str) else list(declared[name])
            ends = [end for pattern in patterns for end in _ends(str(pattern), header)]
            if strict or any(end in header for end in ends):
                chosen[name] = [column for pattern in patterns for column in _expanded(str(pattern), header)]
                continue
        if name in header:
            chosen[name] = [name]
        elif f"{name}0" in header:
            known = set(header)
            count = next(i for i in range(len(header) + 1) if f"{name}{i}" not in known)
            chosen[name] = [f"{name}{i}" for i in range(count)]
    if not chosen:
        raise nothing_for(inputs, header, "columns")
    return chosen


def _ends(pattern: str, header: Sequence[str]) -> list[str]:
    """The names in a pattern: one, or the two ends of a range."""
    parts = [part.strip() for part in pattern.split(":")]
    return parts if len(parts) == 2 and pattern not in header else [pattern]


def _expanded(pattern: str, header: Sequence[str]) -> list[str]:
    ends = _ends(pattern, header)
    for end in ends:
        if end not in header:
            raise DataError(f"there is no column '{end}'{nearest(end, header)}")
    if len(ends) == 1:
        return ends
    first, last = header.index(ends[0]), header.index(ends[1])
    if first > last:
        raise DataError(f"the range '{pattern}' runs backwards: '{ends[1]}' stands before '{ends[0]}'")
    return list(header[first : last + 1])


# ------------------------------------------------------------------------------------------ to the declared shapes


def _finished(
    raw: Mapping[str, np.ndarray], graph: Graph, source: DataSource, table: Table | None
) -> dict[str, np.ndarray]:
    """Arrays of the declared shapes and dtypes, and of one number of rows."""
    arrays = {}
    for name, array in raw.items():
        shape: Shape = graph.nodes[name]["shape"]
        if name in source.one_hot:
            array = _one_hot(name, array, source.one_hot[name], len(shape), table)
        if table is not None:
            array = _arranged(name, array, shape, table.columns[name])
        if name in source.scale:
            array = array * float(source.scale[name])
        arrays[name] = as_input(graph, name, array)
    _check_rows(arrays, graph)
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        problem = bind(graph.nodes[name]["shape"], array.shape, sizes)
        if problem is not None:
            raise DataError(f"input '{name}': {problem}", node=name)
    return arrays


def _one_hot(name: str, array: np.ndarray, classes: int, ndim: int, table: Table | None) -> np.ndarray:
    if array.ndim == ndim and array.shape[-1:] == (classes,) and (classes > 1 or table is None):
        return array
    labels = array[..., 0] if array.ndim == ndim and array.shape[-1:] == (1,) else array
    if labels.ndim != ndim - 1:
        found = f"the shape {format_shape(array.shape)}"
        raise DataError(
            f"input '{name}' is one-hot: one column of labels from 0 to {classes - 1} is expected, {found} found"
        )
    if labels.size * classes > ENTRIES_LIMIT:
        raise DataError(f"input '{name}' would have {labels.size * classes} one-hot entries, at most {ENTRIES_LIMIT}")
    with np.errstate(invalid="ignore"):
        wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"{name}[{', '.join(map(str, place))}]"
        line = None
        if table is not None:
            where = f"column '{table.columns[name][0]}'" + ("" if table.lines else f" of row {place[0]}")
            line = table.lines[place[0]] if table.lines else None
        expected = f"a whole number from 0 to {classes - 1} is expected (one_hot = {classes})"
        raise DataError(f"{where}: {expected}, {labels[place]:g} found", line=line)
    hot = np.zeros((*labels.shape, classes), np.bool_)
    np.put_along_axis(hot, labels.astype(np.int64)[..., None], True, axis=-1)
    return hot


def _arranged(name: str, array: np.ndarray, shape: Shape, columns: Sequence[str]) -> np.ndarray:
    """The columns of a table in the axes that the input declares after the first."""
    found = int(np.prod(array.shape[1:], dtype=object)) if array.ndim > 1 else 1
    if not shape and array.size == 1:
        return array.reshape(())
    expected = element_count(shape[1:])
    if not shape or isinstance(expected, Size):
        return array
    if expected != found:
        text = "1 column" if expected == 1 else f"{expected} columns"
        listed = ", ".join(columns[:6]) + (", ..." if len(columns) > 6 else "")
        raise DataError(f"input '{name}' has {text}, {found} found ({listed})", node=name)
    return array.reshape(len(array), *(int(size) for size in shape[1:] if isinstance(size, int)))


def _check_rows(arrays: Mapping[str, np.ndarray], graph: Graph) -> None:
    counts: dict[str, dict[str, int]] = {}
    for name, array in arrays.items():
        shape = graph.nodes[name]["shape"]
        if shape and array.ndim and isinstance(shape[0], Size) and shape[0].as_symbol is not None:
            counts.setdefault(shape[0].as_symbol, {})[name] = len(array)
    for symbol, rows in counts.items():
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"'{name}' has {count}" for name, count in rows.items())
            raise DataError(f"the inputs have different numbers of rows (their size '{symbol}'): {listed}")
