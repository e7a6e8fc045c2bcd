"""What training rows teach, where they come in pieces: the same as ``preparation.learn`` of all of them at once, but
for the last digits of means and deviations, and for the median of very many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.data.preparation import numbers_and_names as cell
from dataflow.data.preparation.encode import kept_rows
from dataflow.data.preparation.learn import sorted_names, usable_deviation
from dataflow.data.preparation.learned import LearnedColumn, LearnedInput, Preparation
from dataflow.data.preparation.rules import CLASSES_LIMIT, LEARNED_FILLS, Plain, Rules
from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError

MEDIAN_ROWS = 2**20
"""Of more cells than these the median is that of a sample of so many, drawn by chance. The share of cells below it is
off by a twentieth of a percent (its standard deviation, 1 / (2 · √2²⁰))."""


@dataclass
class Moments:
    """Mean and sum of squared differences of numbers, entry by entry over the first axis. Those of two parts are put
    together as Chan, Golub and LeVeque, 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances"."""

    count: int = 0
    mean: Any = 0.0
    squares: Any = 0.0
    least: Any = np.inf
    most: Any = -np.inf

    def add(self, numbers: np.ndarray) -> None:
        """Add numbers, a row for each example."""
        if not len(numbers):
            return
        values = numbers.astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            mean = values.mean(axis=0)
            part = Moments(
                len(values), mean, ((values - mean) ** 2).sum(axis=0), values.min(axis=0), values.max(axis=0)
            )
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Add what was made of others."""
        total = self.count + other.count
        if not total:
            return
        share = other.count / total
        with np.errstate(all="ignore"):
            difference = other.mean - self.mean
            self.mean = self.mean + share * difference
            self.squares = self.squares + other.squares + difference**2 * (self.count * share)
        self.least, self.most = np.minimum(self.least, other.least), np.maximum(self.most, other.most)
        self.count = total

    def repeated(self, number: float, count: int) -> Moments:
        """The same with a number that is there so many times more."""
        result = Moments(self.count, self.mean, self.squares, self.least, self.most)
        if count:
            result.merge(Moments(count, number, 0.0, number, number))
        return result

    def standard(self, name: str, column: str) -> tuple[float, float]:
        """The mean and what is divided by; 0 and 1 of no numbers."""
        if not self.count:
            return 0.0, 1.0
        same = self.least == self.most
        mean = float(self.least if same else self.mean)
        deviation = 0.0 if same else float(np.sqrt(self.squares / self.count))
        return mean, usable_deviation(name, column, mean, deviation)


class Sample:
    """At most ``MEDIAN_ROWS`` numbers of all: those with the smallest of random numbers that each gets by its place."""

    def __init__(self, seed: int) -> None:
        self.numbers, self._keys = np.empty(0), np.empty(0)
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))

    def add(self, numbers: np.ndarray) -> None:
        """Add numbers, in their order in the data."""
        keys = np.concatenate([self._keys, self._rng.random(len(numbers))])
        numbers = np.concatenate([self.numbers, numbers.astype(np.float64)])
        if len(keys) > MEDIAN_ROWS:
            kept = np.argpartition(keys, MEDIAN_ROWS)[:MEDIAN_ROWS]
            keys, numbers = keys[kept], numbers[kept]
        self.numbers, self._keys = numbers, keys


@dataclass
class _Column:
    """What the cells of a column were so far, those that are missing or no numbers left out."""

    is_text: bool
    counted: bool
    """Whether the different cells are counted."""
    sample: Sample | None
    moments: Moments = field(default_factory=Moments)
    counts: Counter[Plain] = field(default_factory=Counter)
    missing: int = 0
    present: int = 0


class Learner:
    """``add`` rows, then take what they teach."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self._rules = rules
        self._columns = {name: self._begin(name, seed) for name in rules.used}

    def add(self, table: RawTable, rows: slice) -> int:
        """Add rows of a table, of the same rules; how many of them no missing cell leaves out."""
        kept = kept_rows(table, self._rules)
        taken: Any = rows if kept is None else kept[(kept >= (rows.start or 0)) & (kept < rows.stop)]
        for name, column in self._columns.items():
            self._add(column, name, table, taken)
        return rows.stop - rows.start if kept is None else len(taken)

    def learned(self) -> Preparation:
        """What all rows taught."""
        columns: dict[str, LearnedColumn] = {}
        for name in self._rules.used:
            learned = self._learn_column(name)
            if learned.fill is not None or learned.names is not None:
                columns[name] = learned
        inputs = {}
        for name, names in self._rules.columns.items():
            if self._rules.one_hot.get(name) is True and len(names) == 1:
                inputs[name] = LearnedInput(self._names(names[0], columns))
            elif name in self._rules.standardize and name not in self._rules.one_hot:
                parts = [part for column in names for part in self._moments(name, column, columns)]
                means, deviations = np.array(parts).reshape(-1, 2).T
                inputs[name] = LearnedInput(None, means, deviations)
        return Preparation(columns, inputs)

    # -------------------------------------------------------------------------------------------- internals

    def _begin(self, name: str, seed: int) -> _Column:
        rules = self._rules
        is_text, fill = rules.holds_texts(name), rules.rule_for_missing(name).fill
        return _Column(is_text, is_text or fill == "most_frequent", Sample(seed) if fill == "median" else None)

    def _add(self, column: _Column, name: str, table: RawTable, rows: Any) -> None:
        raw = table.columns[name]
        cells = raw.stored[rows]
        missing = None if raw.missing is None else raw.missing[rows]
        if column.is_text:
            values, wrong = cell.as_names(cells), None
        elif name in self._rules.truths:
            values, wrong = cell.as_truths(cells)
        else:
            values, wrong = cell.as_numbers(cells, table.style)
        usable = cell.usable(values, missing, wrong)
        values = values if usable.all() else values[usable]
        column.present += len(values)
        column.missing += 0 if missing is None else int(missing.sum())
        if column.counted:
            column.counts.update(values.tolist())
            if len(column.counts) > CLASSES_LIMIT:
                raise DataError(f"column '{name}' has more than {CLASSES_LIMIT} different cells")
        if not column.is_text:
            column.moments.add(values)
            if column.sample is not None:
                column.sample.add(values)

    def _learn_column(self, name: str) -> LearnedColumn:
        rule, categories = self._rules.rule_for_missing(name), self._rules.categories.get(name)
        column = self._columns[name]
        fill: Plain | None = rule.value
        if rule.fill in LEARNED_FILLS or rule.value is not None:
            cells = np.empty(0, object) if column.is_text else np.empty(0)
            if column.present and not column.is_text and rule.fill in ("mean", "median"):
                cells = np.array([column.moments.mean])
                if column.sample is not None:
                    cells = column.sample.numbers
            if column.present and rule.fill == "most_frequent":
                most = max(column.counts.values())
                fill = min(value for value, count in column.counts.items() if count == most)
            else:  # refuses what the column cannot be filled with
                fill = cell.learn_fill(name, rule, cells, np.ones(len(cells), np.bool_), column.is_text)
        names = None
        if categories is not None and categories.names is None:
            names = self._names(name, {name: LearnedColumn(fill)})
        return LearnedColumn(None if rule.value is not None else fill, names)

    def _fill(self, name: str, learned: Mapping[str, LearnedColumn]) -> Plain | None:
        value = self._rules.rule_for_missing(name).value
        return value if value is not None else learned[name].fill if name in learned else None

    def _counts(self, name: str, learned: Mapping[str, LearnedColumn]) -> Counter[str]:
        """How often each category is there, once missing cells are filled."""
        column, fill = self._columns[name], self._fill(name, learned)
        counts = Counter({str(value): count for value, count in column.counts.items()})
        if column.missing and fill is not None:
            counts[cell.as_name(fill)] += column.missing
        return counts

    def _names(self, name: str, learned: Mapping[str, LearnedColumn]) -> tuple[str, ...]:
        return sorted_names(name, self._counts(name, learned))

    def _moments(self, name: str, column: str, learned: Mapping[str, LearnedColumn]) -> list[tuple[float, float]]:
        """What each column that this one becomes is standardized by."""
        rule, categories, data = self._rules.rule_for_missing(column), self._rules.categories.get(column), None
        if categories is None:
            fill = self._fill(column, learned)
            own = self._columns[column]
            number = 0.0 if fill is None else float(fill)
            data = [own.moments.repeated(number, 0 if fill is None else own.missing).standard(name, column)]
        else:
            names = categories.names or learned[column].names or ()
            if categories.kind == "one_hot":
                data = [(0.0, 1.0)] * len(names)
            else:
                positions, codes = {text: i for i, text in enumerate(names)}, Moments()
                for text, count in sorted(self._counts(column, learned).items()):
                    if text in positions:
                        codes = codes.repeated(float(positions[text]), count)
                data = [codes.standard(name, column)]
        return data + [(0.0, 1.0)] * rule.indicator


class ArrayLearner:
    """The same of arrays by input: means and deviations, entry by entry."""

    def __init__(self, names: Collection[str]) -> None:
        self._moments = {name: Moments() for name in names}

    def add(self, arrays: Mapping[str, np.ndarray], rows: slice) -> None:
        """Add rows of arrays."""
        for name, moments in self._moments.items():
            if name in arrays:
                moments.add(arrays[name][rows])

    def learned(self) -> Preparation:
        """What all rows taught."""
        inputs = {}
        for name, one in self._moments.items():
            if one.count:
                shape = np.shape(one.mean)
                entries = [np.ravel(part) for part in (one.mean, one.squares, one.least, one.most)]
                pairs = [
                    Moments(one.count, *numbers).standard(name, f"{name}[{i}]")
                    for i, numbers in enumerate(zip(*entries, strict=True))
                ]
                means, deviations = np.array(pairs).reshape(-1, 2).T
                inputs[name] = LearnedInput(None, means.reshape(shape), deviations.reshape(shape))
        return Preparation({}, inputs)
