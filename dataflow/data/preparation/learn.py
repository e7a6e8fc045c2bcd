"""What the training rows of a table teach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dataflow.data.faults import Faults
from dataflow.data.preparation import numbers_and_names as cell
from dataflow.data.preparation.encode import Encoder, Part, kept_rows
from dataflow.data.preparation.learned import LearnedColumn, LearnedInput, Preparation
from dataflow.data.preparation.rules import CLASSES_LIMIT, LEARNED_FILLS, Rules
from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError


def learn(table: RawTable, rules: Rules, rows: np.ndarray | None = None) -> Preparation:
    """What these rows of the table teach: the fills, categories, classes, means and deviations that are declared and
    not given. ``rows`` are the training rows, all unless given. Cells with faults teach nothing."""
    kept = kept_rows(table, rules)
    if rows is not None and len(rows) < table.rows:
        kept = np.sort(rows) if kept is None else np.intersect1d(rows, kept)
    if table.rows and kept is not None and not len(kept):
        raise DataError("no training row is left of which no cell is missing")
    columns = {}
    for name in rules.used:
        learned = _learn_column(name, table, rules, kept)
        if learned.fill is not None or learned.names is not None:
            columns[name] = learned
    encoder = Encoder(table, rules, Preparation(columns), kept, Faults(table))
    inputs = {}
    for name in rules.columns:
        names = sorted_names(*encoder.class_cells(name)) if rules.one_hot.get(name) is True else None
        learned_input = LearnedInput(names)
        if name in rules.standardize and name not in rules.one_hot:
            learned_input = LearnedInput(None, *_moments(name, encoder.parts(name)))
        if learned_input.names is not None or learned_input.mean is not None:
            inputs[name] = learned_input
    return Preparation(columns, inputs)


def learn_array(name: str, array: np.ndarray, rows: slice | np.ndarray) -> LearnedInput:
    """Mean and deviation of each entry over the first axis."""
    taken = np.asarray(array[rows], np.float64)
    flat = taken.reshape(len(taken), -1)
    mean, deviation = _moments(name, [Part(f"{name}[{i}]", flat[:, i], [""]) for i in range(flat.shape[1])])
    return LearnedInput(None, mean.reshape(taken.shape[1:]), deviation.reshape(taken.shape[1:]))


def usable_deviation(name: str, column: str, mean: float, deviation: float) -> float:
    """What numbers of this mean and deviation are divided by: 1 where all are the same, or differ by too little to be
    squared. A ``DataError`` where they are too large."""
    deviation = deviation or 1.0
    if not (np.isfinite(mean) and np.isfinite(deviation) and deviation > 0):
        raise DataError(f"column '{column}' holds infinity or numbers too large to be standardized", node=name)
    return deviation


def sorted_names(column: str, cells: Iterable[str]) -> tuple[str, ...]:
    """The different cells of a column, sorted: as numbers where all are, else as texts."""
    names = set(cells)
    if not names:
        raise DataError(f"column '{column}' has no cell in the training rows, and so no categories; declare names")
    if len(names) > CLASSES_LIMIT:
        raise DataError(f"column '{column}' has {len(names)} categories; there may be {CLASSES_LIMIT}")
    numbers = {name: number for name in names if (number := cell.number_of(name)) is not None}
    if len(numbers) == len(names):
        return tuple(sorted(names, key=lambda name: (numbers[name], name)))
    return tuple(sorted(names))


# ------------------------------------------------------------------------------------------------ internals


def _learn_column(name: str, table: RawTable, rules: Rules, rows: np.ndarray | None) -> LearnedColumn:
    rule, categories = rules.rule_for_missing(name), rules.categories.get(name)
    if rule.fill not in LEARNED_FILLS and rule.value is None and (categories is None or categories.names is not None):
        return LearnedColumn()
    raw, is_text = table.columns[name], rules.holds_texts(name)
    taken = raw.cells if rows is None else raw.cells[rows]
    missing = raw.missing if raw.missing is None or rows is None else raw.missing[rows]
    values, wrong = (cell.as_names(taken), None) if is_text else cell.as_numbers(taken, table.style)
    usable = cell.usable(values, missing, wrong)
    if wrong is not None and wrong.any() and not usable.any():
        usable = wrong  # zeros: that no cell is a number is said where the table is applied, with all other faults
    fill = cell.learn_fill(name, rule, values, usable, is_text)
    names = None
    if categories is not None and categories.names is None:
        present = cell.filled(values, missing, fill) if fill is not None else values[usable]
        names = sorted_names(name, present.tolist())
    return LearnedColumn(None if rule.value is not None else fill, names)


def _moments(name: str, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column of an input: the population's, 1 where all cells are the same."""
    means, deviations = [], []
    for part in parts:
        if part.is_one_hot or part.is_alone or not len(part.values):
            means += [0.0] * part.width
            deviations += [1.0] * part.width
            continue
        numbers = part.values.astype(np.float64)
        with np.errstate(all="ignore"):
            mean, deviation = float(numbers.mean()), float(numbers.std())
        if numbers.min() == numbers.max():
            mean, deviation = float(numbers[0]), 0.0
        means.append(mean)
        deviations.append(usable_deviation(name, part.column, mean, deviation))
    return np.array(means), np.array(deviations)
