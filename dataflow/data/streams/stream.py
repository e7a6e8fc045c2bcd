"""A source of data as a stream: its chunks, which of their rows are trained on, and the arrays of any of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.columns import Columns, named_columns
from dataflow.data.preparation.apply import attempt
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import Rules, read_missing
from dataflow.data.preparation.without_columns import apply_arrays
from dataflow.data.read_content import Content
from dataflow.data.readers.frames import is_frame
from dataflow.data.readers.opening import STANDARD_INPUT
from dataflow.data.source import DataSource
from dataflow.data.split import held_count
from dataflow.data.streams.array_shards import npy_chunks, npz_chunks
from dataflow.data.streams.arrow_shards import arrow_chunks, parquet_chunks
from dataflow.data.streams.csv_shards import csv_chunks
from dataflow.data.streams.given_shards import GivenShards
from dataflow.data.streams.learner import ArrayLearner, Learner
from dataflow.data.streams.prefetch import Ahead
from dataflow.data.streams.shards import FileShards, Shards, files_of, kind_of
from dataflow.errors import DataError
from dataflow.graph.graph import Graph

SHOWN = 5
"""The most rows that were left out and are named."""


@dataclass(frozen=True)
class Part:
    """Rows ``[start, stop)`` of a chunk, of which so many ``rows`` are examples."""

    chunk: int
    start: int
    stop: int
    rows: int

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, eq=False)
class Examples:
    """The arrays of a part, and what each example weighs, where a column says so."""

    arrays: dict[str, np.ndarray]
    weights: np.ndarray | None

    @property
    def count(self) -> int:
        return next((len(array) for array in self.arrays.values()), 0)


class Stream:
    """The examples of a source, piece by piece. ``chunk_rows`` is how many rows are read at once where a file does not
    say it. With ``skip``, rows that cannot be used are left out and counted in ``skipped``, by file; else the first is
    an error. ``learn`` comes before all else."""

    def __init__(self, source: DataSource, graph: Graph, chunk_rows: int, *, skip: bool) -> None:
        self._source, self._graph, self._skip = source, graph, skip
        self.shards = _open(source, graph, chunk_rows)
        self.training: list[Part] = []
        self.held_out: list[Part] = []
        self.skipped: Counter[str] = Counter()
        self.skipped_places: list[str] = []
        """Where the first rows are that were left out."""
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
        self.training, self.held_out = _split(sizes, count - held_count(share, count))
        learned = self._learn(seed) if source.learns or self._drops else Preparation()
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
            raise DataError("no training row is left")
        return self._source

    def examples(self, parts: Iterable[Part]) -> Iterator[Examples]:
        """The examples of parts, in the order of these."""
        ahead = list(parts)
        for part, (_, content) in zip(
            ahead, self.shards.read([part.chunk for part in ahead], self._skip), strict=False
        ):
            examples, _ = self._prepared(content, part)
            if examples.count != part.rows:
                message = f"has changed: {part.rows} rows were expected, {examples.count} found"
                raise DataError(message, file=content.name)
            yield examples

    @property
    def digest(self) -> str:
        """A checksum of the data, and of which of them are trained on."""
        data = self.shards.digest() or self._content.hexdigest()
        return hashlib.sha256(repr((data, self.training, self.held_out)).encode()).hexdigest()

    # -------------------------------------------------------------------------------------------- internals

    def _contents(self, order: Sequence[int] | None, *, digest: bool = False) -> Iterator[tuple[int, Content]]:
        """Chunks, read in the background."""
        for number, content in Ahead(self.shards.read(order, self._skip)):
            if self._columns is None:
                self._columns = dict(content.columns)
                if content.table is not None:
                    self._source.check_columns(content.columns, content.name)
            elif content.columns != self._columns:
                raise DataError("has other columns than the chunks before it", file=content.name)
            if digest:
                self._take_digest(content)
            yield number, content

    def _take_digest(self, content: Content) -> None:
        cells = dict(content.arrays) if content.table is None else content.table.columns
        for name, column in cells.items():
            array = column if isinstance(column, np.ndarray) else column.cells
            data = "\0".join(map(str, array.ravel())).encode() if array.dtype == object else array.tobytes()
            self._content.update(repr((name, array.shape, array.dtype.str)).encode() + data)

    @property
    def _drops(self) -> bool:
        """Whether rows with a missing cell are left out."""
        return any(read_missing(rule).fill == "drop" for rule in self._source.missing.values())

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
        if self._drops and not self._skip:
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
            self._rules = self._source.rules(content, self._graph)
        return self._rules

    def _prepared(self, content: Content, part: Part) -> tuple[Examples, list[int]]:
        """The examples of a part, and the numbers of its rows that are left out."""
        source, table, skipped = self._source, content.table, list[int]()
        if table is None:
            learned = source.learned or Preparation()
            numbers = self._at(content, source.numbers, content, self._graph)
            declared = source.one_hot, source.standardize, source.scale
            arrays = self._at(content, apply_arrays, numbers, self._graph, *declared, learned)
            rows: Any = part.slice
            weights = source.weights_of(content)
        else:
            rules = self._rules_of(content)
            prepared, faults = self._at(content, attempt, table, rules, source.learned or Preparation(), self._graph)
            if faults and not self._skip:
                faults.check()
            arrays, weights = prepared.arrays, prepared.weights
            rows = part.slice
            if faults or prepared.rows is not None:
                numbers = np.arange(table.rows) if prepared.rows is None else prepared.rows
                inside = (numbers >= part.start) & (numbers < part.stop)
                bad = np.isin(numbers, faults.rows)
                rows = np.flatnonzero(inside & ~bad)
                skipped = [table.number(int(row)) for row in numbers[inside & bad]]
        taken = {name: array[rows] if array.ndim else array for name, array in arrays.items()}
        return Examples(taken, None if weights is None else weights[rows]), skipped

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


def _split(sizes: Sequence[int], training: int) -> tuple[list[Part], list[Part]]:
    """The parts of the first rows, so many, and those of the others."""
    first, second, before = [], [], 0
    for chunk, size in enumerate(sizes):
        cut = min(max(training - before, 0), size)
        if cut:
            first.append(Part(chunk, 0, cut, cut))
        if size > cut:
            second.append(Part(chunk, cut, size, size - cut))
        before += size
    return first, second


def _open(source: DataSource, graph: Graph, chunk_rows: int) -> Shards:
    origin = source.path() if source.origin is None else source.origin
    if origin is None or is_frame(origin):
        raise DataError("the data is in memory already; train on it without stream")
    wanted = source.wanted(graph)
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
    kind = kind_of(files[0])
    if kind == "parquet":
        chunks = parquet_chunks(files, place, wanted)
    elif kind == "arrow":
        chunks = arrow_chunks(files, wanted, chunk_rows)
    elif kind == "csv":
        chunks = csv_chunks(files, wanted, source.dialect, chunk_rows)
    elif kind == "npy":
        chunks = npy_chunks(files, wanted, chunk_rows)
    else:
        chunks = npz_chunks(files, wanted)
    if not chunks:
        raise DataError("has no rows", file=place)
    return FileShards(chunks, files)
