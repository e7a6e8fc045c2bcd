"""A source of data as a stream: its chunks, which of their rows are trained on, and the arrays of any of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dataflow.data.columns import Columns, named_columns
from dataflow.data.faults import AllFaults, Faults
from dataflow.data.preparation.apply import Prepared, attempt
from dataflow.data.preparation.encode import kept_rows
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import Rules, read_missing
from dataflow.data.preparation.without_columns import apply_arrays
from dataflow.data.read_content import Content
from dataflow.data.source import DataSource
from dataflow.data.split import held_count
from dataflow.data.streams.learner import ArrayLearner, Learner
from dataflow.data.streams.open_shards import open_shards
from dataflow.data.streams.parts import Examples, Part, split_parts
from dataflow.data.streams.prefetch import Ahead
from dataflow.errors import DataError
from dataflow.graph.graph import Graph
from dataflow.limits import given_back

SHOWN = 5
"""The most rows that were left out and are named."""


class Stream:
    """The examples of a source, piece by piece. ``chunk_rows`` is how many rows are read at once where a file does not
    say it. With ``skip``, rows that cannot be used are left out and counted in ``skipped``, by file; else the first is
    an error. ``learn`` comes before all else where something is to be learned, or an order of its own is wanted.

    With ``inputs``, only these are made, and faults of other columns do not count. The columns in ``also`` are read
    besides theirs, those in ``texts`` as texts whatever they look like."""

    def __init__(
        self,
        source: DataSource,
        graph: Graph,
        chunk_rows: int,
        *,
        skip: bool,
        inputs: Collection[str] | None = None,
        also: Collection[str] = (),
        texts: Collection[str] = (),
    ) -> None:
        self._source, self._graph, self._skip = source, graph, skip
        self._inputs, self._also = inputs, also
        wanted = source.wanted(graph, also)
        wanted = replace(wanted, texts=[*wanted.texts, *texts], needed=inputs)
        self.shards = open_shards(source, wanted, chunk_rows)
        self.training: list[Part] = []
        self.held_out: list[Part] = []
        self.skipped: Counter[str] = Counter()
        self.skipped_places: list[str] = []
        """Where the first rows are that were left out."""
        self._name: str | None = None
        """What messages call the last chunk that was read."""
        self._columns: Columns | None = None
        self._rules: Rules | None = None
        self._content = hashlib.sha256()

    def learn(self, share: float, seed: int) -> DataSource:
        """Find out how many rows there are, hold out this share of them, from the end, and learn from the others what
        is to be learned. Returns the source for a trained model."""
        source = self._source
        source.check(self._graph)
        sizes = None if self._skip else self.shards.sizes()
        if sizes is None:
            sizes = [_rows(content) for _, content in self._contents(None, digest=self.shards.digest() is None)]
        count = sum(sizes)
        if not count:
            raise DataError("there are no examples to train on: the data is empty")
        self.training, self.held_out = split_parts(sizes, count - held_count(share, count))
        learned = self._learn(seed) if source.learns or self.leaves_out else Preparation()
        if self._columns is None:  # nothing was read yet
            next(self._contents([0]), None)
        self._source = replace(
            source,
            columns=named_columns(source.columns, self._columns or {}),
            learned=learned if source.learns else source.learned,
        )
        if self._skip:
            self._count_skipped()
        if not sum(part.rows for part in self.training):
            raise DataError("no training row is left", file=self._name)
        return self._source

    def examples(self, parts: Iterable[Part]) -> Iterator[Examples]:
        """The examples of parts, in the order of these."""
        ahead = list(parts)
        for part, (_, content) in zip(ahead, self._checked([part.chunk for part in ahead]), strict=False):
            examples, _ = self._prepared(content, part)
            if examples.count != part.rows:
                message = f"has changed: {part.rows} rows were expected, {examples.count} found"
                raise DataError(message, file=content.name)
            yield examples

    def chunks(self, faults: AllFaults | None = None) -> Iterator[tuple[int, Content, Prepared]]:
        """Each chunk with its number, as it was read and as the model takes it; faults are collected, if asked for."""
        self.skipped.clear()
        self.skipped_places.clear()
        for number, content in self._contents(None):
            with given_back():  # one chunk's arrays give way to the next's
                prepared, found = self._ready(content, faults)
                bad: list[int] = []
                if found and content.table is not None:
                    rows = np.arange(content.table.rows) if prepared.rows is None else prepared.rows
                    good = ~np.isin(rows, found.rows)
                    bad = [content.table.number(int(row)) for row in rows[~good]]
                    weights = None if prepared.weights is None else prepared.weights[good]
                    arrays = {name: array[good] for name, array in prepared.arrays.items()}
                    prepared = Prepared(arrays, rows[good], weights, prepared.labels)
                self._note(content, sorted([*content.skipped, *bad]))
                yield number, content, prepared

    def told(self) -> str:
        """What is to be said of the rows that were left out."""
        count = self.skipped.total()
        files = f" in {len(self.skipped)} files" if len(self.skipped) > 1 else ""
        more = ", ..." if count > len(self.skipped_places) else ""
        what = "1 row that cannot be used is" if count == 1 else f"{count} rows that cannot be used are"
        return f"{what} left out{files} ({'; '.join(self.skipped_places)}{more})"

    def contents(self) -> Iterator[Content]:
        """Each chunk as it was read."""
        return (content for _, content in self._contents(None))

    def has_left_out(self, content: Content) -> bool:
        """Whether a missing cell leaves a row of a chunk out."""
        return content.table is not None and kept_rows(content.table, self._rules_of(content)) is not None

    @property
    def source(self) -> DataSource:
        """The source, with all learned that was."""
        return self._source

    @property
    def leaves_out(self) -> bool:
        """Whether a row may be left out because a cell of it is missing."""
        return any(read_missing(rule).fill == "drop" for rule in self._source.missing.values())

    @property
    def digest(self) -> str:
        """A checksum of the data, and of which of them are trained on."""
        data = self.shards.digest() or self._content.hexdigest()
        return hashlib.sha256(repr((data, self.training, self.held_out)).encode()).hexdigest()

    # -------------------------------------------------------------------------------------------- internals

    def _contents(self, order: Sequence[int] | None, *, digest: bool = False) -> Iterator[tuple[int, Content]]:
        """Chunks, read in the background."""
        for number, content in self._checked(order, ahead=True):
            if digest:
                self._take_digest(content)
            yield number, content

    def _checked(self, order: Sequence[int] | None, *, ahead: bool = False) -> Iterator[tuple[int, Content]]:
        """Chunks, all of which give an input the same columns."""
        read = self.shards.read(order, self._skip)
        for number, content in Ahead(read) if ahead else read:
            self._name = content.name
            if self._columns is None:
                self._columns = dict(content.columns)
                if content.table is not None:
                    self._source.check_columns(content.columns, content.name, self._also)
            elif content.columns != self._columns:
                raise DataError("has other columns than the chunks before it", file=content.name)
            yield number, content

    def _take_digest(self, content: Content) -> None:
        cells = dict(content.arrays) if content.table is None else content.table.columns
        for name, column in cells.items():
            array = column if isinstance(column, np.ndarray) else column.cells
            data = "\0".join(map(str, array.ravel())).encode() if array.dtype == object else array.tobytes()
            self._content.update(repr((name, array.shape, array.dtype.str)).encode() + data)

    def _with_contents(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Content]]:
        for part, (_, content) in zip(parts, self._contents([one.chunk for one in parts]), strict=True):
            yield part, content

    def _learn(self, seed: int) -> Preparation:
        learner: Learner | ArrayLearner | None = None
        source, training = self._source, []
        for part, content in self._with_contents(self.training):
            if content.table is not None:
                learner = learner or Learner(self._rules_of(content), seed)
                assert isinstance(learner, Learner)
                training.append(self._counted(part, content, learner))
            else:
                learner = learner or ArrayLearner([name for name in source.standardize if name not in source.one_hot])
                assert isinstance(learner, ArrayLearner)
                learner.add(self._at(content, source.numbers, content, self._graph), part.slice)
                training.append(part)
        assert learner is not None
        self.training = training
        if self.leaves_out and not self._skip:
            self.held_out = [
                self._counted(part, content, Learner(self._rules_of(content), seed))
                for part, content in self._with_contents(self.held_out)
            ]
        return learner.learned()

    def _counted(self, part: Part, content: Content, learner: Learner) -> Part:
        """The part with the number of its examples, which the learner takes in."""
        return replace(part, rows=self._at(content, learner.add, content.table, part.slice))

    def _count_skipped(self) -> None:
        """Find out which rows cannot be used, now that it is known what is made of them."""
        for name in ("training", "held_out"):
            counted = []
            for part, content in self._with_contents(getattr(self, name)):
                examples, skipped = self._prepared(content, part)
                # what is no row counts for the first part of its chunk
                self._note(content, sorted([*([] if part.start else content.skipped), *skipped]))
                counted.append(replace(part, rows=examples.count))
            setattr(self, name, counted)

    def _note(self, content: Content, skipped: Sequence[int]) -> None:
        unit = "row" if content.table is None or content.table.places is None else "line"
        self.skipped_places += [
            f"{content.name}, {unit} {number}" for number in skipped[: SHOWN - len(self.skipped_places)]
        ]
        if skipped:
            self.skipped[str(content.name)] += len(skipped)

    def _rules_of(self, content: Content) -> Rules:
        if self._rules is None:
            self._rules = self._source.rules(content, self._graph, self._inputs)
        return self._rules

    def _prepared(self, content: Content, part: Part) -> tuple[Examples, list[int]]:
        """The examples of a part, and the numbers of its rows that are left out."""
        prepared, faults = self._ready(content)
        rows: Any = part.slice
        table, skipped = content.table, list[int]()
        if table is not None and (faults or prepared.rows is not None):
            numbers = np.arange(table.rows) if prepared.rows is None else prepared.rows
            inside = (numbers >= part.start) & (numbers < part.stop)
            bad = np.isin(numbers, faults.rows) if faults else np.zeros(len(numbers), np.bool_)
            rows = np.flatnonzero(inside & ~bad)
            skipped = [table.number(int(row)) for row in numbers[inside & bad]]
        taken = {name: array[rows] if array.ndim else array for name, array in prepared.arrays.items()}
        return Examples(taken, None if prepared.weights is None else prepared.weights[rows]), skipped

    def _ready(self, content: Content, every: AllFaults | None = None) -> tuple[Prepared, Faults | None]:
        """A chunk as the model takes it, and the faults of its cells, which are an error unless rows may be skipped or
        faults are collected."""
        source, table = self._source, content.table
        learned = source.learned or Preparation()
        if table is None:
            numbers = self._at(content, source.numbers, content, self._graph)
            declared = source.one_hot, source.standardize, source.scale
            arrays = self._at(content, apply_arrays, numbers, self._graph, *declared, learned)
            return Prepared(arrays, None, source.weights_of(content), {}), None
        prepared, faults = self._at(content, attempt, table, self._rules_of(content), learned, self._graph)
        if every is not None and not self._skip:
            every.add(faults)
        elif not self._skip:
            faults.check()
        return prepared, faults

    @staticmethod
    def _at(content: Content, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except DataError as error:
            raise error.at(file=content.name) from None


def _rows(content: Content) -> int:
    if content.table is not None:
        return content.table.rows
    return max((len(array) for array in content.arrays.values() if np.ndim(array)), default=0)
