"""The order of a stream's rows.

The training rows lie in parts of chunks. For each epoch the parts are put in a new order; as many that follow each
other as have ``window`` rows make a window, in which all rows are mixed. The order of the parts and that of each
window's rows depend on the seed, the epoch and the window alone, so that any position is found by reading the window in
which it lies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.data.source import DataSource
from dataflow.data.streams.parts import Part
from dataflow.data.streams.prefetch import Ahead
from dataflow.data.streams.stream import Stream
from dataflow.model.model import Model
from dataflow.support.arrays import ReusedMemory
from dataflow.training.minibatches.examples import checked_arrays, checked_weights

_WINDOWS, _ROWS = (3,), (4,)  # set generators apart


class StreamRows:
    """The inputs that the loss needs, for parts of a stream; ``weights`` is the name of the input that weighs examples,
    once it is known."""

    def __init__(self, stream: Stream, model: Model, inputs: Sequence[str], source: DataSource) -> None:
        self.stream, self.weights = stream, ""
        self._model, self._inputs, self._source = model, inputs, source

    def read(self, parts: Sequence[Part]) -> Iterator[dict[str, np.ndarray]]:
        """The arrays of each part in turn."""
        model = self._model
        for part, examples in zip(parts, self.stream.examples(parts), strict=True):
            arrays = checked_arrays(model.graph, examples.arrays, self._inputs, self._source)
            if examples.weights is not None:
                dtype = model.graph.node_of(str(model.loss)).dtype
                arrays[self.weights] = checked_weights(examples.weights, dtype, part.rows)
            yield arrays

    def together(self, parts: Sequence[Part]) -> dict[str, np.ndarray]:
        """The arrays of all these parts, in memory."""
        pieces = list(Ahead(self.read([part for part in parts if part.rows])))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@dataclass(frozen=True)
class Window:
    """Some rows of an epoch in their order, from number ``start`` on."""

    epoch: int
    start: int
    stop: int
    arrays: dict[str, np.ndarray]


class Windows:
    """``since(epoch, row)`` gives the windows from the one on in which that row lies, epoch after epoch."""

    def __init__(self, rows: StreamRows, shuffle: bool, seed: int, window: int) -> None:
        self.rows, self._shuffle, self._seed, self._window = rows, shuffle, seed, window
        self._parts = [part for part in rows.stream.training if part.rows]
        self._memory: defaultdict[str, ReusedMemory] = defaultdict(ReusedMemory)

    def since(self, epoch: int, row: int) -> Iterator[Window]:
        while True:
            groups = self.groups(epoch)
            first = next(i for i, (_, stop, _) in enumerate(groups) if row < stop)
            pieces = self.rows.read([part for _, _, parts in groups[first:] for part in parts])
            for number, (start, stop, parts) in enumerate(groups[first:], first):
                yield Window(epoch, start, stop, self._mixed(epoch, number, parts, pieces))
            epoch, row = epoch + 1, 0

    def groups(self, epoch: int) -> list[tuple[int, int, list[Part]]]:
        """The parts of each window, with its first row and the one after its last."""
        parts = self._parts
        if self._shuffle and self.rows.stream.shards.can_jump:
            parts = [parts[i] for i in self._rng(epoch, _WINDOWS).permutation(len(parts))]
        groups: list[tuple[int, int, list[Part]]] = []
        for part in parts:
            start, stop, members = groups[-1] if groups else (0, 0, [])
            if not groups or stop - start + part.rows > self._window:
                start, members = stop, []
                groups.append((start, stop, members))
            members.append(part)
            groups[-1] = start, stop + part.rows, members
        return groups

    def _mixed(
        self, epoch: int, number: int, parts: Sequence[Part], pieces: Iterator[dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        count, done = sum(part.rows for part in parts), 0
        places = self._rng(epoch, (*_ROWS, number)).permutation(count) if self._shuffle else None
        window: dict[str, np.ndarray] = {}
        for part in parts:
            rows = slice(done, done + part.rows)
            for name, array in next(pieces).items():
                if name not in window:
                    window[name] = self._memory[name].empty((count, *array.shape[1:]), array.dtype)
                _as_bytes(window[name])[rows if places is None else places[rows]] = _as_bytes(
                    np.ascontiguousarray(array)
                )
            done += part.rows
        return window

    def _rng(self, epoch: int, key: tuple[int, ...]) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed, epoch], spawn_key=key))


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Each row as one item, which numpy moves three times as fast as a row of numbers."""
    size = array.itemsize * math.prod(array.shape[1:])
    return array.reshape(len(array), -1).view(f"V{size}")[:, 0] if size and len(array) else array
