"""What was learned, applied to a table: the arrays of the inputs.

Column by column a missing cell is filled and a category encoded; then, input by input, classes become one-hot rows,
numbers are standardized, and what is left is scaled. Faults of cells are collected, and are one error at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.data.faults import Faults
from dataflow.data.preparation import numbers_and_names as cell
from dataflow.data.preparation.encode import Encoder, Part, kept_rows
from dataflow.data.preparation.learned import LearnedInput, Preparation
from dataflow.data.preparation.rules import LEARNED_FILLS, Rules
from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError, counted
from dataflow.graph.graph import Graph
from dataflow.limits import advice, hold, memory_left
from dataflow.shapes import Size, element_count
from dataflow.support.arrays import fixed
from dataflow.support.byte_sizes import format_bytes
from dataflow.support.conversion import EntryError, misfit, to_dtype
from dataflow.support.texts import shorten

_CELL = 8  # bytes that a cell of a table counts for
_TOGETHER = 4  # columns that are written together
_PIECE = 2**13  # rows that are written at a time


@dataclass
class Prepared:
    """What a table gives a model."""

    arrays: dict[str, np.ndarray]
    """By input, in their declared dtypes and shapes."""
    rows: np.ndarray | None
    """The rows of the table that are in the arrays; ``None`` where all are."""
    weights: np.ndarray | None
    """What each of these rows weighs, where a column says so."""
    labels: dict[str, list[str]]
    """What each column of an input is called."""
    name: str | None = None
    """What messages call where it is from."""


def apply(table: RawTable, rules: Rules, learned: Preparation, graph: Graph, rows_needed: bool = True) -> Prepared:
    """The inputs that the rules have columns for. ``DataError`` with all cells that do not fit, or, if rows are needed,
    where no row is left."""
    prepared, faults = attempt(table, rules, learned, graph)
    if rows_needed and table.rows and prepared.rows is not None and not len(prepared.rows):
        raise no_row_left(None)
    faults.check()
    return prepared


def no_row_left(name: str | None, skipping: bool = False) -> DataError:
    """The error where each row of a table is left out for a missing cell, or, if rows are skipped, for a fault."""
    more = ", or one that cannot be used" if skipping else ""
    return DataError(f'every row has a missing cell in a column with missing = "drop"{more}', file=name)


def attempt(table: RawTable, rules: Rules, learned: Preparation, graph: Graph) -> tuple[Prepared, Faults]:
    """The same, with all cells that do not fit in place of an error; what the arrays have for them means nothing."""
    _check_learned(rules, learned)
    kept, faults = kept_rows(table, rules), Faults(table)
    encoder = Encoder(table, rules, learned, kept, faults)
    parts = {name: encoder.parts(name) for name in rules.columns}
    weights = None if rules.weights is None else encoder.weights(rules.weights)
    count = table.rows if kept is None else len(kept)
    for name, those in parts.items():
        _check_width(name, graph, those)
    _check_memory(graph, parts, count, table)
    arrays = {}
    for name, those in parts.items():
        dtype = graph.node_of(name).dtype
        ready = _as_read(table, those) if learned.input(name).mean is None and name not in rules.scale else None
        if ready is not None and ready.dtype == dtype:
            arrays[name] = _arranged(ready, graph, name)
            continue
        array = np.empty((count, sum(part.width for part in those)), dtype)
        _fill(array, name, those, rules, learned.input(name), kept, faults)
        arrays[name] = _arranged(fixed(array), graph, name)  # whoever keeps it needs no copy
    labels = {name: [x for part in those for x in part.labels] for name, those in parts.items()}
    return Prepared(arrays, kept, weights, labels), faults


def standardized(array: np.ndarray, learned: LearnedInput) -> np.ndarray:
    """An array that is no table's, standardized entry by entry."""
    if learned.mean is None or learned.deviation is None:
        return array
    result: np.ndarray = (array - learned.mean) / learned.deviation
    return result


# ------------------------------------------------------------------------------------------------ internals


def declared_later(what: str, name: str) -> DataError:
    """The error for a declaration of which nothing was learned."""
    return DataError(f"{what} '{name}' was declared after what is kept was learned; remove that, and train anew")


def _check_learned(rules: Rules, learned: Preparation) -> None:
    """What was learned has to be of these rules, which may have changed since."""
    for name in rules.columns:
        if rules.one_hot.get(name) is True and learned.input(name).names is None:
            raise declared_later("one_hot of", name)
        if name in rules.standardize and name not in rules.one_hot and learned.input(name).mean is None:
            raise declared_later("standardize of", name)
    for column in rules.used:
        categories, known = rules.categories.get(column), learned.column(column)
        if categories is not None and categories.names is None and known.names is None:
            raise declared_later("categories of", column)
        if rules.rule_for_missing(column).fill in LEARNED_FILLS and known.fill is None:
            raise declared_later("missing of", column)


def _check_width(name: str, graph: Graph, parts: Sequence[Part]) -> None:
    shape = graph.node_of(name).shape
    expected, width = element_count(shape[1:]), sum(part.width for part in parts)
    if shape and not isinstance(expected, Size) and expected != width:
        text = counted(expected, "column")
        labels = [label for part in parts for label in part.labels[:7]]
        listed = ", ".join(shorten(label, 60) for label in labels[:6]) + (", ..." if width > 6 else "")
        raise DataError(f"input '{name}' has {text}, {width} found ({listed})", node=name)


def _check_memory(graph: Graph, parts: Mapping[str, Sequence[Part]], count: int, table: RawTable) -> None:
    """Refuse arrays that are made from little: one-hot rows of many categories, columns that are listed many times."""
    sizes = {
        name: count * sum(part.width for part in parts[name]) * graph.node_of(name).dtype.itemsize for name in parts
    }
    size = sum(sizes.values()) - _CELL * table.rows * len(table.columns)
    most = memory_left()
    if size > most:
        largest = max(sizes, key=sizes.__getitem__)
        width = sum(part.width for part in parts[largest])
        raise DataError(
            f"the inputs would take {format_bytes(sum(sizes.values()))} together, the largest, '{largest}' with "
            f"{counted(width, 'column')}, {format_bytes(sizes[largest])}; there may be {format_bytes(most)}"
            + advice("memory", size)
        )
    hold(max(size, 0), "")


def _as_read(table: RawTable, parts: Sequence[Part]) -> np.ndarray | None:
    """The array in which the columns were read, where an input is made of them as they are."""
    array = table.arrays.get(tuple(part.column for part in parts))
    is_same = all(not part.is_one_hot and part.values is table.columns[part.column].stored for part in parts)
    return array if is_same else None


def _fill(
    array: np.ndarray,
    name: str,
    parts: Sequence[Part],
    rules: Rules,
    learned: LearnedInput,
    rows: np.ndarray | None,
    faults: Faults,
) -> None:
    factor = float(rules.scale[name]) if name in rules.scale else None
    if learned.mean is not None and learned.mean.size != array.shape[1]:
        what = f"what was learned of input '{name}' is for {counted(learned.mean.size, 'column')}"
        raise DataError(f"{what}, {array.shape[1]} found", node=name)
    position = 0
    columns: list[_Column] = []
    for part in parts:
        if part.is_one_hot:
            _fill_one_hot(array[:, position : position + part.width], part, name, factor)
        else:
            column = _Column(position, part.values, *_standard(part, learned, position), factor)
            if not column.fits(array.dtype):
                column = _Column(position, _checked(part, column, array.dtype, rows, faults))
            columns.append(column)
        position += part.width
        if len(columns) == _TOGETHER:
            _write(array, columns)
    _write(array, columns)


@dataclass(frozen=True, eq=False)
class _Column:
    """Numbers that go into a column of an array, and what is done to them before."""

    position: int
    values: np.ndarray
    mean: float | None = None
    deviation: float | None = None
    factor: float | None = None

    @property
    def change(self) -> str:
        """What is done to the numbers, for a message; nothing where they stay as they are."""
        done = ["standardized"] if self.mean is not None else []
        done += [f"multiplied by scale = {self.factor:g}"] if self.factor is not None else []
        return " and ".join(done)

    def changed(self, values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Some of the numbers as they go into the array. ``place`` has room for as many."""
        if self.mean is not None and self.deviation is not None:
            values = np.subtract(values, self.mean, out=place, dtype=np.float64)
            values = np.divide(values, self.deviation, out=place)
        if self.factor is not None:
            values = np.multiply(values, self.factor, out=place, dtype=np.float64)
        return values

    def fits(self, dtype: np.dtype) -> bool:
        """Whether all numbers are known to fit the dtype once they are changed. Of floats it is enough that the least
        and the largest do: whatever is done keeps the order of numbers, or turns it round."""
        is_changed, values = bool(self.change), self.values
        if not is_changed and values.dtype.kind != "O" and np.can_cast(values.dtype, dtype, "safe"):
            return True
        if dtype.kind != "f" or values.dtype.kind not in "biuf" or not len(values):
            return False
        ends = np.array([values.min(), values.max()])
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self.changed(ends, np.empty(2)).astype(dtype)).all())


def _standard(part: Part, learned: LearnedInput, position: int) -> tuple[float | None, float | None]:
    """What is taken from the numbers, and what they are divided by."""
    if learned.mean is None or learned.deviation is None or part.is_alone:
        return None, None
    return learned.mean.reshape(-1)[position], learned.deviation.reshape(-1)[position]


def _write(array: np.ndarray, columns: list[_Column]) -> None:
    """Write columns into an array, some rows at a time, so that what is written lies side by side in the cache."""
    place = np.empty(min(_PIECE, len(array)))
    with np.errstate(all="ignore"):
        for start in range(0, len(array), _PIECE):
            rows = slice(start, start + _PIECE)
            for column in columns:
                values = column.values[rows]
                array[rows, column.position] = column.changed(values, place[: len(values)])
    columns.clear()


def _checked(part: Part, column: _Column, dtype: np.dtype, rows: np.ndarray | None, faults: Faults) -> np.ndarray:
    """The changed numbers in the dtype; those that do not fit it are faults."""
    numbers = column.values
    if column.change:
        with np.errstate(all="ignore"):
            numbers = column.changed(numbers, np.empty(len(numbers)))
        _check_finite(part, numbers, column.change, rows, faults)
    return cell.fitted(faults, part.column, numbers, dtype, rows)


def _fill_one_hot(array: np.ndarray, part: Part, name: str, factor: float | None) -> None:
    array[...] = 0
    places = np.flatnonzero(part.values >= 0)
    try:
        one = to_dtype(np.array([1 if factor is None else factor]), array.dtype)[0]
    except EntryError as error:
        raise DataError(f"input '{name}', scaled: {error.message}", node=name) from None
    array[places, part.values[places]] = one


def _check_finite(part: Part, numbers: np.ndarray, change: str, rows: np.ndarray | None, faults: Faults) -> None:
    finite = np.isfinite(numbers)
    if finite.all():
        return
    lost = np.isfinite(part.values) & ~finite
    if lost.any():
        places = np.flatnonzero(lost)
        table_rows = (places if rows is None else rows[places]).tolist()
        cells = dict(zip(table_rows, part.values[places].tolist(), strict=True))
        faults.add(
            part.column,
            f"too large once {change}",
            table_rows,
            lambda row: f"{misfit(cells[row], numbers.dtype)}, after it is {change}",
            show=lambda row: f"{cells[row]:g}",
        )
        numbers[lost] = 0


def _arranged(array: np.ndarray, graph: Graph, name: str) -> np.ndarray:
    """The columns in the axes that the input declares after the first."""
    shape = graph.node_of(name).shape
    if not shape:
        return array.reshape(()) if array.size == 1 else array
    inner = shape[1:]
    if all(isinstance(size, int) for size in inner):
        return array.reshape(len(array), *(int(size) for size in inner if isinstance(size, int)))
    return array
