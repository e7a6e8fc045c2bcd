"""What a model says of data that need not fit into memory: a stream is gone through, chunk by chunk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.data.faults import AllFaults
from dataflow.data.preparation.apply import no_row_left
from dataflow.data.readers.opening import STANDARD_INPUT
from dataflow.data.source import DataSource
from dataflow.data.split import share_from_end
from dataflow.data.streams.standard_input import kept_input
from dataflow.data.streams.stream import Stream
from dataflow.errors import DataError, DataflowWarning, MissingInputError
from dataflow.execution.inputs import example_axis
from dataflow.metrics.predictions import Predictions
from dataflow.metrics.scores import Scores
from dataflow.model.asked import Asked, about_data, carried_cells
from dataflow.model.row_trial import RowTrial, check_rows
from dataflow.model.tables import AskedModel, Predictor, Scorer
from dataflow.model.train_settings import TrainSettings
from dataflow.model.units import Units

OnChunk = Callable[[int, int | None], None]
"""Is told how many chunks were gone through, and how many there are, where that is known."""


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is read (see ``TrainSettings``), and who is told of it."""

    chunk_rows: int
    skip: bool
    on_chunk: OnChunk | None = None

    @classmethod
    def chosen(
        cls, declared: TrainSettings, chunk_rows: int | None, on_error: str | None, on_chunk: OnChunk | None
    ) -> StreamOptions:
        """As the model's file declares for training, unless said."""
        said: dict[str, Any] = {"chunk_rows": chunk_rows, "on_error": on_error}
        chosen = replace(declared, **{name: value for name, value in said.items() if value is not None})
        return cls(chosen.chunk_rows, chosen.on_error == "skip", on_chunk)

    def told(self, done: int, count: int | None) -> None:
        """So many chunks were gone through."""
        if self.on_chunk is not None:
            self.on_chunk(done, count)


def stream_options(
    declared: TrainSettings, stream: bool, chunk_rows: int | None, on_error: str | None, on_chunk: OnChunk | None
) -> StreamOptions | None:
    """How a stream is read: as the model's file declares for training, unless said. ``None`` where there is none."""
    if stream:
        return StreamOptions.chosen(declared, chunk_rows, on_error, on_chunk)
    if chunk_rows is not None or on_error is not None or on_chunk is not None:
        raise DataError("chunk_rows, on_error and on_chunk are of data that is read piece by piece; add stream=True")
    return None


class PredictedPieces(Iterator[Predictions]):
    """The predictions for each chunk of a stream, in their order."""

    def __init__(self, pieces: Iterator[Predictions], types: Mapping[str, np.dtype]) -> None:
        self._pieces = pieces
        self.types = types
        """What the cells of carried columns are in all pieces, once there is one."""

    def __next__(self) -> Predictions:
        return next(self._pieces)


@dataclass
class CheckedData:
    """What a pass over all data finds."""

    examples: dict[str, np.ndarray]
    """The first of them, by input."""
    source: DataSource
    """With all learned that it learns."""
    labels: Mapping[str, Sequence[str]]
    """What the columns of inputs are called."""
    faults: AllFaults
    rows: int = 0


def predict(
    model: AskedModel,
    data: Any,
    inputs: Mapping[str, Any],
    columns: Sequence[str],
    backend: str,
    options: StreamOptions,
) -> PredictedPieces:
    """The outputs for the rows of each chunk, in their order (see ``Model.predict``)."""
    types: dict[str, np.dtype] = {}
    return PredictedPieces(_predicted(model, data, inputs, columns, backend, options, types), types)


def score(
    model: AskedModel,
    data: Any,
    inputs: Mapping[str, Any],
    metrics: Sequence[str] | None,
    backend: str,
    options: StreamOptions,
) -> Scores:
    """The loss and metrics over all rows (see ``Model.score``)."""
    scorer = Scorer(model, metrics, backend)
    with _source_of(model, data) as source:
        pass_over = _Pass(model, source, options, inputs)
        name = None
        for asked in pass_over.asked():
            check_rows(model, asked.arrays, inputs, scorer.needed)
            name = asked.name
            with about_data(name):
                if asked.rows is None or len(asked.rows):
                    scorer.add(asked)
        if not scorer.examples:
            raise no_row_left(name, options.skip)
    return scorer.scores()


def check(model: AskedModel, data: Any, examples: int, options: StreamOptions) -> CheckedData:
    """Go through all rows: count the faults of their cells, and keep the first ``examples``."""
    with _source_of(model, data) as source:
        stream = _Pass(model, source, options, {}).stream
        checked = CheckedData({}, stream.source, {}, AllFaults())
        name = None
        for done, content, prepared in stream.chunks(checked.faults):
            name = content.name
            options.told(done + 1, stream.shards.count)
            split = [array for name, array in prepared.arrays.items() if example_axis(model.graph, name) == 0]
            count = len(split[0]) if split else 0
            if not checked.rows:
                checked.examples = {
                    name: array[:examples].copy() if example_axis(model.graph, name) == 0 else array
                    for name, array in prepared.arrays.items()
                }
                checked.labels = prepared.labels
            checked.rows += count
        if not checked.rows and stream.leaves_out:
            raise no_row_left(name, options.skip)
        _tell(stream)
        return checked


# ------------------------------------------------------------------------------------------------ internals


class _Pass:
    """A stream of the data that is asked about: with these ``inputs`` besides, for ``needed`` inputs alone where these
    are given, and with the ``columns`` that are carried over."""

    def __init__(
        self,
        model: AskedModel,
        source: DataSource,
        options: StreamOptions,
        inputs: Mapping[str, Any],
        needed: Collection[str] | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        self._options, self._inputs, self._columns = options, inputs, columns
        self.types: dict[str, np.dtype] = {}
        self._leaves_out = options.skip
        model.release_widths()

        def opened(texts: Collection[str] = ()) -> Stream:
            graph, skip = model.graph, options.skip
            return Stream(source, graph, options.chunk_rows, skip=skip, inputs=needed, also=columns, texts=texts)

        self.stream = opened()
        if source.learns:
            settings = model.train_settings
            source = self.stream.learn(share_from_end(settings.validation), settings.seed)
            self.stream = opened()
        else:
            source.check(model.graph)
        self.units = Units(source)
        if columns or self.stream.leaves_out:  # what is written in the first row may depend on the last
            texts = self._survey()
            if texts:
                self.stream = opened(texts)

    def asked(self) -> Iterator[Asked]:
        """Each chunk."""
        stream, seen, name = self.stream, False, None
        for done, content, prepared in stream.chunks():
            table, rows, name = content.table, prepared.rows, content.name
            arrays = {**prepared.arrays, **self._inputs}
            if table is None:
                yield Asked(arrays, self.units, weights=prepared.weights, name=name)
            elif table.rows:
                if rows is None and self._leaves_out:
                    rows = np.arange(table.rows)
                carried = {key: carried_cells(table.columns[key], self.types.get(key)) for key in self._columns}
                yield Asked(arrays, self.units, table.rows, rows, prepared.weights, carried, name)
            seen = seen or table is None or bool(table.rows)
            self._options.told(done + 1, stream.shards.count)
        if not seen:
            raise DataError("has no rows", file=name)
        _tell(stream)

    def _survey(self) -> list[str]:
        """Find out whether a row is left out, and what the cells of the carried columns are. Returns those that hold
        texts, though some chunks have nothing but numbers."""
        kinds: dict[str, set[np.dtype]] = {name: set() for name in self._columns}
        negative = set[str]()
        for content in self.stream.contents():
            if content.table is None:
                if self._columns:
                    raise DataError("columns are carried over from a table, and the data is arrays by input")
                return []
            self._leaves_out = self._leaves_out or self.stream.has_left_out(content)
            for name, found in kinds.items():
                column = content.table.columns[name]
                if column.missing is None or not column.missing.all():
                    found.add(column.cells.dtype)
                    if column.cells.dtype == np.int64 and column.cells.min() < 0:
                        negative.add(name)
        texts = []
        for name, found in kinds.items():
            mixed = len({dtype.kind in "iuf" for dtype in found}) > 1
            if mixed or np.dtype(object) in found:
                texts.append(name)
                self.types[name] = np.dtype(object)
            elif found == {np.dtype(np.int64), np.dtype(np.uint64)} and name not in negative:
                self.types[name] = np.dtype(np.uint64)  # numpy would take float64, which does not hold each
            elif found:
                self.types[name] = np.result_type(*found)
        return texts


def _predicted(
    model: AskedModel,
    data: Any,
    inputs: Mapping[str, Any],
    columns: Sequence[str],
    backend: str,
    options: StreamOptions,
    types: dict[str, np.dtype],
) -> Iterator[Predictions]:
    predictor, trial = Predictor(model, backend), RowTrial(model, inputs)
    with _source_of(model, data) as source:
        pass_over = _Pass(model, source, options, inputs, predictor.inputs, columns)
        types.update(pass_over.types)
        for asked in pass_over.asked():
            with about_data(asked.name):
                trial(asked.arrays)
                pieces = predictor(asked)
            yield pieces


@contextmanager
def _source_of(model: AskedModel, data: Any) -> Iterator[DataSource]:
    """The declared data, or other data under its rules; what comes from standard input is kept in a file meanwhile."""
    if data is None and model.data is None:
        raise MissingInputError("there is no data: the model's file declares none, and none is given")
    if isinstance(data, Mapping):
        raise DataError("arrays by input are in memory already; leave out stream")
    declared = model.data or DataSource()
    place = declared.path() if data is None else data
    if str(place) == STANDARD_INPUT:
        with kept_input() as path:
            yield declared.at(path)
    else:
        yield declared if data is None else replace(declared, arrays=None, file=None, origin=data)


def _tell(stream: Stream) -> None:
    if stream.skipped:
        warnings.warn(stream.told(), DataflowWarning, stacklevel=4)
