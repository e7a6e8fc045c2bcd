"""Data for a model: what its file declares under ``[data]``, and data that a user names.

A table gives an input its columns: those that the declaration names, else the column called like the input, else the
columns ``x0``, ``x1``, ... of an input ``x``. A NumPy archive or a JSON object gives each input an array of its name.
What happens to them on the way is said in ``dataflow.data.preparation``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.allowed_folders import allowed, data_path
from dataflow.data.columns import Columns, Patterns, named_columns
from dataflow.data.preparation.apply import Prepared, apply
from dataflow.data.preparation.learn import learn
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import (
    LEARNED_FILLS,
    Categories,
    RuleError,
    Rules,
    read_categories,
    read_missing,
    read_one_hot,
)
from dataflow.data.preparation.without_columns import apply_arrays, learn_arrays, read_arrays
from dataflow.data.raw_table import RawTable
from dataflow.data.read_content import Content, Wanted, read_content
from dataflow.data.readers.dialect import Dialect, check_dialect
from dataflow.data.readers.frames import is_frame
from dataflow.data.readers.opening import STANDARD_INPUT, Origin
from dataflow.errors import ArgumentError, DataError, UnknownInputError, nearest
from dataflow.execution.inputs import feed
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.shapes import Size, format_shape
from dataflow.support.arguments import describe
from dataflow.support.arrays import frozen

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(eq=False)
class DataSource:
    """The data that a model declares, as it was declared; ``load`` gives the arrays.

    Either ``arrays`` (nested lists or arrays by input) or a ``file`` in ``folder`` (never outside it). Without a
    folder, as when a program makes the source, the file may be anywhere.
    """

    arrays: Mapping[str, Any] | None = None
    file: Path | None = None
    columns: Patterns = field(default_factory=dict)
    """For each input the columns of the file: a name, a range ``"p0:p63"`` in the header's order with both ends, or a
    list of names and ranges."""
    one_hot: Mapping[str, int | bool | Sequence[str]] = field(default_factory=dict)
    """For inputs that are classes and become one-hot rows: how many classes there are, where they are given as whole
    numbers from 0; their names in order; or ``True`` for the names that the training rows have. What has the classes
    along its last axis already stays as it is."""
    scale: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None
    root: str | None = None
    """The folder outside the model's own in which the file lies: a request, which holds where the user grants it."""
    granted: Path | None = field(default_factory=allowed, repr=False)
    """The folder in which such a file may lie."""
    separator: str | None = None
    """What stands between the cells of a CSV file; found unless given."""
    decimal: str | None = None
    """What stands before the decimals in a CSV file; found unless given."""
    thousands: str | None = None
    """What may stand between the thousands of numbers in a CSV file."""
    percent: bool = False
    """Whether numbers in a CSV file may have a percent sign, which is left out: 12.5% is 12.5."""
    weights: str | None = None
    """The column that weighs each example's loss."""
    missing: Mapping[str, Any] = field(default_factory=dict)
    """For columns, what is done with missing cells: ``"error"`` (unless given), ``"drop"`` the row, ``"mean"``,
    ``"median"``, ``"most_frequent"``, a value, or ``{"fill": ..., "indicator": True}``."""
    categories: Mapping[str, Any] = field(default_factory=dict)
    """For columns of categories ``"one_hot"`` or ``"index"``, or ``{"kind": ..., "names": [...], "unknown":
    "ignore"}``."""
    standardize: Sequence[str] = ()
    """The inputs whose columns get the mean 0 and the deviation 1 over the training rows."""
    learned: Preparation | None = None
    """What the training rows taught."""
    origin: Any = None
    """Other data than the declared, under the same rules (see ``at``)."""
    _held: dict[str, tuple[Graph, Collection[str], Content]] = field(default_factory=dict, init=False, repr=False)
    _prepared: tuple[Graph, Prepared] | None = field(default=None, init=False, repr=False)

    def at(self, origin: Any) -> DataSource:
        """The same rules for other data: a file wherever it is, "-" for standard input, a DataFrame, or rows of Python,
        each a mapping. An input whose columns are not there is left out, so that a trained model runs without
        labels."""
        if isinstance(origin, np.ndarray | Mapping | bytes) or not (
            isinstance(origin, str | PathLike | Origin | Iterable) or is_frame(origin)
        ):
            expected = "arrays by input, a file, a DataFrame, or rows, each a mapping by column"
            raise ArgumentError(f"data is {expected}, not {describe(origin)}")
        return replace(self, arrays=None, file=None, origin=origin)

    def of(self, declared: DataSource) -> DataSource:
        """The same, with the arrays or the file that are ``declared``."""
        return replace(self, arrays=declared.arrays, file=declared.file, origin=None)

    def load(self, graph: Graph) -> dict[str, np.ndarray]:
        """Every input of ``graph`` that there is data for, in its declared dtype and shape, read-only. Read once, then
        kept. Where nothing was learned yet that has to be, all rows teach it, for these arrays alone."""
        return dict(self.prepared(graph).arrays)

    def prepared(self, graph: Graph, inputs: Collection[str] | None = None, *, rows_needed: bool = True) -> Prepared:
        """What ``load`` gives, with the rows of the table that it is from, their weights, and what columns are called.
        With ``inputs``, of these alone: faults of other columns do not count then. That missing cells leave out every
        row is an error unless no rows are needed."""
        if inputs is None and self._prepared is not None and self._prepared[0] is graph:
            return self._prepared[1]
        content = self._read(graph)
        learned = self.learned or self._learned(graph, slice(None))
        try:
            if content.table is None:
                raw = self.numbers(content, graph)
                arrays = apply_arrays(raw, graph, self.one_hot, self.standardize, self.scale, learned)
                prepared = Prepared(arrays, None, self.weights_of(content), {})
            else:
                prepared = apply(content.table, self.rules(content, graph, inputs), learned, graph, rows_needed)
            prepared.name = content.name
            _check_rows(prepared.arrays, graph)
            prepared.arrays = {name: frozen(array) for name, array in feed(graph, prepared.arrays)[0].items()}
        except DataError as error:
            self._forget()  # the file may be mended
            raise error.at(file=content.name) from None
        if inputs is None:
            self._prepared = graph, prepared
            self._forget()
        return prepared

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What the columns of each input are called, once a table was prepared."""
        return {} if self._prepared is None else self._prepared[1].labels

    def table(self, graph: Graph, also: Collection[str] = (), needed: Collection[str] | None = None) -> RawTable | None:
        """The table as it was read, with these columns besides those of the inputs; ``None`` where the data is arrays
        by input. A ``DataError`` where it has nothing for the inputs that are ``needed``, all unless given."""
        return self._read(graph, also, needed).table

    def count(self, graph: Graph, inputs: Sequence[str], also: Collection[str] = ()) -> int:
        """How many rows the table has, which is read with these columns besides those of the inputs; without a table,
        how many entries along its first axis the first of these ``inputs`` has."""
        content = self._read(graph, also)
        if content.table is not None:
            return content.table.rows
        arrays = self.numbers(content, graph)
        return next((len(arrays[name]) for name in inputs if name in arrays and arrays[name].ndim), 0)

    def cells(self, graph: Graph, name: str) -> np.ndarray:
        """The cells of a column of the table, or of the columns or the array of an input, as they were read."""
        content = self._read(graph)
        columns = content.columns.get(name, [name])
        if content.table is not None and all(column in content.table.columns for column in columns):
            cells = [content.table.columns[column].cells for column in columns]
            return cells[0] if len(cells) == 1 else np.stack(cells, axis=1)
        arrays = self.numbers(content, graph)
        if name not in arrays:
            raise DataError(f"there is no column '{name}'{nearest(name, [*content.columns, *arrays])}")
        return arrays[name]

    def columns_of(self, inputs: Iterable[str]) -> list[str]:
        """The names, ranges and patterns that are declared for these inputs."""
        declared = [self.columns[name] for name in inputs if name in self.columns]
        return [pattern for one in declared for pattern in ([one] if isinstance(one, str) else one)]

    @property
    def learns(self) -> bool:
        """Whether something is still to be learned from training rows."""
        return self.learned is None and (
            bool(self.standardize)
            or any(classes is True for classes in self.one_hot.values())
            or any(read_categories(rule).names is None for rule in self.categories.values())
            or any(read_missing(rule).fill in LEARNED_FILLS for rule in self.missing.values())
        )

    def learn(self, graph: Graph, rows: slice | np.ndarray = slice(None)) -> DataSource:
        """The declaration for a trained model: with the names that its ranges stood for, so that a table with its
        columns in another order means the same, and with what these rows taught, unless all was learned before."""
        content = self._read(graph)
        taught = replace(self, columns=named_columns(self.columns, content.columns))
        taught._held = self._held
        if self.learns:
            taught.learned = self._learned(graph, rows)
        else:
            taught._prepared = self._prepared
        return taught

    def check(self, graph: Graph) -> None:
        """A ``DataError`` if the declaration itself is wrong: unknown inputs, a number of classes that is none, a
        separator that cannot be one."""
        if self.arrays is not None and self.file is not None:
            raise DataError("data is declared as arrays and as a file; leave out one")
        check_dialect(self.dialect)
        inputs = dict.fromkeys(graph.names(INPUT))  # a file may have very many
        learned = {} if self.learned is None else self.learned.inputs
        for table in (self.arrays or {}, self.columns, self.one_hot, self.scale, self.standardize, learned):
            for name in table:
                if name not in inputs:
                    raise UnknownInputError.of(name, sorted(inputs))
        for name, classes in self.one_hot.items():
            _check_rule(f"one_hot of '{name}'", read_one_hot, classes)
            shape = graph.node_of(name).shape
            count = None if classes is True else classes if isinstance(classes, int) else len(classes)
            if not shape or (isinstance(shape[-1], int) and count is not None and shape[-1] != count):
                declared = format_shape(shape)
                raise DataError(
                    f"one_hot = {'true' if count is None else count} of '{name}' makes its last size "
                    f"{'that of the classes' if count is None else count}; its declared shape is {declared}"
                )
        for name, factor in self.scale.items():
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not abs(factor) <= _LARGEST:
                raise DataError(f"scale of '{name}' is a number, not {factor!r}")
        for column, rule in self.missing.items():
            _check_rule(f"missing of '{column}'", read_missing, rule)
        for column, rule in self.categories.items():
            _check_rule(f"categories of '{column}'", read_categories, rule)
        for name in self.standardize:
            dtype = graph.node_of(name).dtype
            if dtype.kind != "f":
                raise DataError(f"standardize makes fractions, and input '{name}' is {dtype}", node=name)

    def path(self) -> Path | None:
        """Where the declared file is. ``DataError`` if that is outside the folder, and the user did not allow it."""
        if self.file is None or self.folder is None or str(self.file) == STANDARD_INPUT:
            return None if self.file is None else Path(self.file)
        return data_path(self.file, self.folder, self.root, self.granted)

    # -------------------------------------------------------------------------------------------- internals

    @property
    def dialect(self) -> Dialect:
        """How a CSV file is written, as far as that is declared."""
        return Dialect(self.separator, self.decimal, self.thousands, self.percent)

    def _read(self, graph: Graph, also: Collection[str] = (), needed: Collection[str] | None = None) -> Content:
        held = self._held.get("content")
        if held is None or held[0] is not graph or not set(also) <= set(held[1]):
            self.check(graph)
            held = self._held["content"] = graph, also, self._read_anew(graph, also, needed)
        return held[2]

    def _forget(self) -> None:
        """Let go of what was read, where it can be read once more."""
        if isinstance(self.origin, str | PathLike | None) and str(self.origin) != STANDARD_INPUT:
            self._held.clear()

    def _read_anew(self, graph: Graph, also: Collection[str], needed: Collection[str] | None) -> Content:
        origin = self.path() if self.origin is None else self.origin
        if origin is None:
            return Content(None, None, {}, self.arrays or {})
        content = read_content(origin, replace(self.wanted(graph, also), needed=needed), self.dialect)
        if content.table is not None:
            self.check_columns(content.columns, content.name, also)
        return content

    def wanted(self, graph: Graph, also: Collection[str] = ()) -> Wanted:
        """What is looked for in a table, with these columns besides those of the inputs."""
        strict = self.origin is None
        weights = [] if self.weights is None else [self.weights]
        more, optional = [*also, *weights], [] if strict else [name for name in weights if name not in also]
        names = graph.names(INPUT)
        changed = {*self.one_hot, *self.standardize, *self.scale}
        plain = {name for name in names if name not in changed and graph.node_of(name).dtype == np.float64}
        carried = [name for name in also if name not in weights]
        return Wanted(names, self.columns, more, optional, self._columns_of_names(), strict, carried, plain)

    def check_columns(self, columns: Columns, name: str | None, also: Collection[str] = ()) -> None:
        """A ``DataError`` where something is declared of a column that no input has in the declared table."""
        if self.origin is not None:
            return
        used = {column for those in columns.values() for column in those} | {*also, *filter(None, [self.weights])}
        for key in ("missing", "categories"):
            for column in getattr(self, key):
                if column not in used:
                    message = f"{key} names the column '{column}', which no input has{nearest(column, used)}"
                    raise DataError(message, file=name)

    def _columns_of_names(self) -> list[str]:
        """The columns that hold categories or classes."""
        columns = list(self.categories)
        for name, classes in self.one_hot.items():
            if type(classes) is not int:
                columns += self.columns_of([name]) if name in self.columns else [name]
        return columns

    def rules(self, content: Content, graph: Graph, inputs: Collection[str] | None = None) -> Rules:
        """What is declared, for the columns of this table."""
        table = content.table
        return Rules(
            {name: columns for name, columns in content.columns.items() if inputs is None or name in inputs},
            {column: read_missing(rule) for column, rule in self.missing.items()},
            {column: read_categories(rule) for column, rule in self.categories.items()} | self._texts(content, graph),
            self.one_hot,
            self.standardize,
            self.scale,
            self.weights if table is not None and self.weights in table.columns else None,
            {x for name in content.columns if graph.node_of(name).dtype == np.bool_ for x in content.columns[name]},
        )

    def _texts(self, content: Content, graph: Graph) -> dict[str, Categories]:
        """The columns of texts that numbers of an input stand for, where nothing else is declared of them."""
        table = content.table
        return {
            column: Categories("index", tuple(graph.classes[name]), "ignore")
            for name, columns in content.columns.items()
            if table is not None and graph.has_texts(name) and name not in self.one_hot
            for column in columns
            if column not in self.categories and table.columns[column].is_text
        }

    def _learned(self, graph: Graph, rows: slice | np.ndarray) -> Preparation:
        """What these rows teach."""
        if not self.learns:
            return Preparation()
        content = self._read(graph)
        try:
            if content.table is None:
                return learn_arrays(self.numbers(content, graph), self.standardize, self.one_hot, rows)
            return learn(content.table, self.rules(content, graph), np.arange(content.table.rows)[rows])
        except DataError as error:
            raise error.at(file=content.name) from None

    def numbers(self, content: Content, graph: Graph) -> dict[str, np.ndarray]:
        """Arrays by input that are no table's, as numbers."""
        arrays = {name: graph.as_numbers(name, value) for name, value in content.arrays.items() if name in graph}
        changed = {*self.one_hot, *self.scale, *self.standardize}
        return read_arrays(arrays, graph, changed, nan=content.name is None)

    def weights_of(self, content: Content) -> np.ndarray | None:
        """What each example of arrays weighs."""
        weights = None if self.weights is None else content.arrays.get(self.weights)
        return None if weights is None else np.asarray(weights, np.float64)


def _check_rule(what: str, read: Callable[[Any], Any], rule: Any) -> None:
    try:
        read(rule)
    except RuleError as error:
        raise DataError(f"{what}: {error.message}") from None


def read_data(path: Any, graph: Graph, source: DataSource | None = None) -> dict[str, np.ndarray]:
    """The inputs of ``graph`` that a file has, wherever it is, or a DataFrame, or rows of Python.

    What is done to them is what ``source``, the model's own declaration, says; an input whose columns are not there is
    left out, so that a trained model runs without labels. Data that has none of the inputs is a ``DataError``, as is
    every fault, with the file and, where there is one, the line.
    """
    return (source or DataSource()).at(path).load(graph)


def _check_rows(arrays: Mapping[str, np.ndarray], graph: Graph) -> None:
    counts: dict[str, dict[str, int]] = {}
    for name, array in arrays.items():
        shape = graph.node_of(name).shape
        if shape and array.ndim and isinstance(shape[0], Size) and shape[0].as_symbol is not None:
            counts.setdefault(shape[0].as_symbol, {})[name] = len(array)
    for symbol, rows in counts.items():
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"'{name}' has {count}" for name, count in rows.items())
            raise DataError(f"the inputs have different numbers of rows (their size '{symbol}'): {listed}")
