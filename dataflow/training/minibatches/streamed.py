"""Minibatches of examples that need not fit into memory: windows of rows are made ahead, in a thread."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dataflow.data.source import DataSource
from dataflow.data.split import share_from_end
from dataflow.data.streams.prefetch import Ahead
from dataflow.data.streams.stream import Stream
from dataflow.errors import DataflowWarning, TrainingError
from dataflow.execution.inputs import needed_inputs
from dataflow.model.model import Model
from dataflow.support.byte_sizes import format_bytes
from dataflow.training.minibatches.batches import Minibatches
from dataflow.training.minibatches.examples import (
    checked_arrays,
    held_out_data,
    kept,
    own_or_given,
    split_inputs,
    weights_of,
)
from dataflow.training.minibatches.windows import StreamRows, Window, Windows
from dataflow.training.settings import Settings

SAMPLE_ROWS = 2**16
"""Of so many training rows, at most, the loss and the metrics after an epoch are."""

WINDOW_BYTES = 2**27
"""About what a window takes unless its rows are given; two are there at a time."""
HELD_OUT_BYTES = 2**28
"""The most bytes of rows that are held out of a stream."""

_SAMPLED = 16  # parts that the rows of the sample are from


class StreamMinibatches(Minibatches):
    """Minibatches of a stream; the last one of an epoch is shorter where the rows do not divide evenly."""

    def __init__(
        self, rows: StreamRows, batch_size: int, shuffle: bool = False, seed: int = 0, window: int | None = None
    ) -> None:
        self.rows = rows
        self.count = sum(part.rows for part in rows.stream.training)
        self.batch_size = min(self.count, batch_size)
        self.per_epoch = -(-self.count // self.batch_size)
        self._sample = self._sampled()
        self.row_bytes = sum(array[:1].nbytes for array in self._sample.values())
        """The bytes of an example."""
        self._windows = Windows(rows, shuffle, seed, window or max(batch_size, WINDOW_BYTES // max(1, self.row_bytes)))
        self._ahead: Ahead[Window] | None = None
        self._window: Window | None = None
        self._current: tuple[int, int, dict[str, np.ndarray]] | None = None

    def current(self) -> Mapping[str, np.ndarray]:
        kept = self._current
        if kept is None or kept[:2] != (self.epoch, self.batch):
            start = self.batch * self.batch_size
            batch = self.between(self.epoch, start, min(start + self.batch_size, self.count))
            self._current = kept = self.epoch, self.batch, batch
        return kept[2]

    def between(self, epoch: int, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows ``[start, stop)`` of an epoch, in its order."""
        self._current = None
        pieces = []
        while start < stop:
            window = self._window_at(epoch, start)
            end = min(stop, window.stop)
            piece = {name: array[start - window.start : end - window.start] for name, array in window.arrays.items()}
            # A view would keep the whole window, while the one after the next is made.
            pieces.append(piece if end == stop else {name: array.copy() for name, array in piece.items()})
            del window
            start = end
        return pieces[0] if len(pieces) == 1 else {n: np.concatenate([p[n] for p in pieces]) for n in pieces[0]}

    def everything(self) -> Mapping[str, np.ndarray]:
        """All training rows if they are ``SAMPLE_ROWS`` at most, else so many from parts all over the data."""
        return self._sample

    def digest(self) -> str:
        return self.rows.stream.digest

    @property
    def is_weighed(self) -> bool:
        """Whether each example has a weight."""
        return self.rows.weights in self._sample

    def weigh_by(self, name: str, held_out: dict[str, np.ndarray] | None) -> None:
        """Call the weights of the examples so, held out or not."""
        for arrays in (self._sample, held_out):
            if arrays is not None:
                arrays[name] = arrays.pop(self.rows.weights)
        self.rows.weights = name

    # -------------------------------------------------------------------------------------------- internals

    def _window_at(self, epoch: int, row: int) -> Window:
        window = self._window
        if window is not None and window.epoch == epoch and window.start <= row < window.stop:
            return window
        follows = window is not None and (epoch, row) == (
            (window.epoch + 1, 0) if window.stop == self.count else (window.epoch, window.stop)
        )
        self._window = window = None
        if self._ahead is None or not follows:
            if self._ahead is not None:
                self._ahead.close()
            self._ahead = Ahead(self._windows.since(epoch, row))
        self._window = next(self._ahead)
        return self._window

    def _sampled(self) -> dict[str, np.ndarray]:
        parts = [part for part in self.rows.stream.training if part.rows]
        if self.count <= SAMPLE_ROWS:
            return self.rows.together(parts)
        number = min(_SAMPLED, len(parts))
        chosen = [parts[i] for i in np.linspace(0, len(parts) - 1, number).astype(int)]
        most = -(-SAMPLE_ROWS // number)
        pieces = [
            {name: array[:most].copy() for name, array in piece.items()} for piece in Ahead(self.rows.read(chosen))
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def given_stream(
    model: Model, data: Any, weights: Any, settings: Settings, *, declared: bool
) -> tuple[StreamMinibatches, dict[str, np.ndarray] | None]:
    """The minibatches of a run on a stream, and the examples that are held out. What its source learns, the model
    keeps. Where examples are weighed, their weights have no name yet (``StreamMinibatches.weigh_by``)."""
    if weights is not None:
        raise TrainingError(
            "the weights of a stream's examples are a column of it; name that: [data] weights, --weights"
        )
    data = own_or_given(model, data)
    if isinstance(data, Mapping):
        raise TrainingError("arrays by input are in memory already; train on them without stream")
    if not isinstance(data, DataSource):
        data = replace(model.data or DataSource(), arrays=None, file=None, origin=data)
    if settings.batch_size is None:
        raise TrainingError("a stream is trained on by minibatches; say how many examples each has: batch_size")
    model.release_widths()
    inputs = needed_inputs(model.graph, [str(model.loss)])
    split = split_inputs(model.graph, inputs)
    for name in inputs:
        if name not in split:
            raise TrainingError(
                f"input '{name}' has no row for each example, and a stream gives nothing but rows; make it a constant",
                node=name,
            )
    share = share_from_end(settings.validation)
    stream = Stream(data, model.graph, settings.chunk_rows, skip=settings.on_error == "skip")
    taught = stream.learn(share, settings.seed)
    if model.data is not None:
        model.data = taught if data is model.data else taught.of(model.data)
    if stream.skipped:
        warnings.warn(stream.told(), DataflowWarning, stacklevel=2)
    rows = StreamRows(stream, model, inputs, taught)
    batches = StreamMinibatches(rows, settings.batch_size, settings.shuffle, settings.seed, settings.shuffle_window)
    held_out = None
    if any(part.rows for part in stream.held_out):
        _check_size(batches.row_bytes, sum(part.rows for part in stream.held_out), share)
        held_out = rows.together(stream.held_out)
    elif (file := held_out_data(model, settings.validation, declared)) is not None:
        held_out = kept(checked_arrays(model.graph, file.arrays, inputs, model.data))
        if batches.is_weighed:
            dtype = model.graph.node_of(str(model.loss)).dtype
            held_out[rows.weights] = weights_of(file, len(held_out[split[0]]), dtype)
    return batches, held_out


def _check_size(row_bytes: int, rows: int, share: float) -> None:
    size = rows * row_bytes
    if size > HELD_OUT_BYTES:
        fitting = share * HELD_OUT_BYTES / size
        raise TrainingError(
            f"validation = {share:g} holds out {rows} examples of {format_bytes(size)}, and of a stream "
            f"{format_bytes(HELD_OUT_BYTES)} are kept in memory; hold out less, such as {fitting:.1g}, or a file of "
            "its own: validation = { file = ... }"
        )
