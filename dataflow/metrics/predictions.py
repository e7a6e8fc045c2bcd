"""What a model predicts, as people read it: numbers in the unit of their table, classes by name, probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from dataflow.errors import DataError, counted
from dataflow.metrics.compared import probabilities
from dataflow.metrics.comparisons import Comparison, Undo
from dataflow.support.texts import shorten


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Mapping[str, np.ndarray]):
    """For each output of the model an array with a row for each row of the data.

    Where an output predicts classes, the array holds their names, or their numbers where they have no names, and
    ``probabilities`` has the share of each, along a last axis that is in the order of ``classes``; so does an output of
    numbers that ``classes`` has names for. A row of the table
    that was left out is NaN, or None in place of a name. ``carried`` are the columns that were asked for.
    """

    outputs: Mapping[str, np.ndarray]
    count: int
    """How many rows there are."""
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    classes: Mapping[str, list[str]] = field(default_factory=dict)
    carried: Mapping[str, np.ndarray] = field(default_factory=dict)
    left_out: np.ndarray | None = None
    """Booleans, which rows of the table were left out; None where none was."""
    whole: frozenset[str] = frozenset()
    """The outputs that belong to no row."""

    def __getitem__(self, name: str) -> np.ndarray:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __repr__(self) -> str:
        return f"<predictions of {', '.join(self.outputs)} for {counted(self.count, 'row')}>"

    def columns(self) -> dict[str, np.ndarray]:
        """One-dimensional arrays by name: the columns that are carried over, then for each output its values, and the
        probability of each class. What is left out is None."""
        columns = {name: np.asarray(cells, object) for name, cells in self.carried.items()}
        for name, array in self.outputs.items():
            found = dict(self._entries(name, array, self._names_of_entries(name)))
            if name in self.probabilities:
                labels = [f"_{label}" for label in self.classes[name]]
                found |= dict(self._entries(name, self.probabilities[name], labels))
            for label, column in found.items():
                _check_new(label, columns)
                columns[label] = column
        return columns

    def types(self) -> dict[str, np.dtype]:
        """What the cells of the columns of outputs are: objects where they are texts."""
        types: dict[str, np.dtype] = {}
        for name, array in self.outputs.items():
            types |= {label: array.dtype for label, _ in self._entries(name, array, self._names_of_entries(name))}
            if name in self.probabilities:
                labels = [f"_{label}" for label in self.classes[name]]
                shares = self.probabilities[name]
                types |= {label: shares.dtype for label, _ in self._entries(name, shares, labels)}
        return types

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name: the columns that are carried over, then each output as it is, and where it predicts classes
        the ``_probabilities`` of each, along a last axis, and what the ``_classes`` are called."""
        arrays = {name: np.asarray(cells, object) for name, cells in self.carried.items()}
        for name, array in self.outputs.items():
            found = {name: array}
            if name in self.probabilities:
                found[f"{name}_probabilities"] = self.probabilities[name]
            if name in self.probabilities or self._are_named(name):
                found[f"{name}_classes"] = np.array(self.classes[name], object)
            for label, values in found.items():
                _check_new(label, arrays)
                arrays[label] = values
        return arrays

    def _are_named(self, name: str) -> bool:
        """Whether an output is numbers whose entries along the last axis are called as the classes."""
        return self.outputs[name].dtype.kind == "f" and name in self.classes and name not in self.probabilities

    def _names_of_entries(self, name: str) -> list[str]:
        return [f"_{label}" for label in self.classes[name]] if self._are_named(name) else [""]

    def _entries(self, name: str, array: np.ndarray, labels: list[str]) -> Iterator[tuple[str, np.ndarray]]:
        """A column for each entry of a row, in row-major order."""
        rows = np.broadcast_to(array, (self.count, *array.shape)) if name in self.whole else array
        flat = rows.reshape(self.count, -1) if self.count else rows.reshape(0, max(1, rows[:1].size))
        inner = flat.shape[1] // len(labels)
        for i in range(flat.shape[1]):
            stem = name if inner == 1 else f"{name}{i // len(labels)}"
            column = flat[:, i].astype(object)
            if self.left_out is not None:
                column[self.left_out] = None
            yield stem + labels[i % len(labels)], column


def _check_new(label: str, known: Mapping[str, np.ndarray]) -> None:
    if label in known:
        raise DataError(f"two columns are called '{shorten(label, 60)}'; leave one out of --columns")


@dataclass(frozen=True)
class Places:
    """Which rows of a table the values are of: ``rows`` of ``count``, all where that is None."""

    count: int
    rows: np.ndarray | None

    @property
    def left_out(self) -> np.ndarray | None:
        """Booleans, which rows are not among them."""
        return None if self.rows is None else ~np.isin(np.arange(self.count), self.rows)

    def put(self, values: np.ndarray) -> np.ndarray:
        """The values in their rows; NaN, or None, in the others."""
        if self.rows is None:
            return values
        if values.dtype == object:
            whole = np.full((self.count, *values.shape[1:]), None, object)
        else:
            whole = np.full((self.count, *values.shape[1:]), np.nan, np.result_type(values, np.float32))
        whole[self.rows] = values
        return whole


def read_output(
    one: Comparison | None, values: np.ndarray, names: list[str] | None, undo: Undo
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """What an output says: numbers in the unit of their table, or classes by name with their probabilities, where
    these are known, and what the classes are called."""
    if one is None or one.kind == "numbers":
        return values if one is None else undo(one.target, values), None, []
    if one.kind == "classes":
        numbers = np.asarray(values.argmax(axis=-1))
    else:
        numbers = np.asarray((values >= (0 if one.logits else 0.5)) + 0)
    count = values.shape[-1] if one.kind == "classes" else 2
    shares = _shares(one, values)
    if names is None or len(names) != count:
        return numbers, shares, [str(i) for i in range(count)]
    return np.array(names, object)[numbers], shares, names


def _shares(one: Comparison, values: np.ndarray) -> np.ndarray | None:
    """The probability of each class, along a last axis; ``None`` where the values are scores of another kind."""
    values = values.astype(np.float64)
    if one.logits:
        values = probabilities(one.kind, values)
    elif not ((values >= 0) & (values <= 1)).all():
        return None
    return values if one.kind == "classes" else np.stack([1 - values, values], axis=-1)
