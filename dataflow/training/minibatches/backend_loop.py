"""Minibatches that a backend runs by itself, block by block."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dataflow.backends.interface import TrainingLoop, TrainingTask
from dataflow.plan import Plan
from dataflow.training.minibatches.batch_gradients import Gradients
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.minibatches.streamed import StreamMinibatches
from dataflow.training.minibatches.updates import Updates
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings

SECONDS = 0.1
"""About as long a block takes, so that a run can be interrupted and shows how far it is."""
MOST = 2**16
"""The most minibatches in a block."""
BLOCK_BYTES = 2**23
"""About what the minibatches of a stream take that are run in one block."""
GROWTH = 8
"""How many times longer a block may be than the one before."""


class Blocks(ABC):
    """Minibatches that lie in memory, and the backend's loop over them."""

    @abstractmethod
    def next(self) -> tuple[TrainingLoop, int, int | None, np.ndarray | None]:
        """The loop that has the minibatch at the position, the number that it has there, how many there are from it on
        (``None`` where they begin anew with the next epoch), and the order of the examples."""


class Inside:
    """``run(most, steps)``: at most so many minibatches after so many updates. Returns how many were done, which may be
    none, and the loss of the last.

    A minibatch whose loss or update is not finite is not done, and the parameters and the optimizer's state are those
    from before it: the block is begun anew from where it started, and ends before that minibatch.
    """

    def __init__(self, blocks: Blocks, batches: Minibatches, vectors: Vectors, number: np.ndarray | None) -> None:
        self._blocks, self._batches, self._number = blocks, batches, number
        self._changing = list(vectors.changing().values())
        self._before = [np.empty_like(array) for array in self._changing]
        self._block = 1

    @classmethod
    def of(
        cls, gradients: Gradients, batches: Minibatches, vectors: Vectors, updates: Updates, settings: Settings
    ) -> Inside | None:
        """``None`` where the backend does not run minibatches by itself, or not these."""
        if gradients.node_by_node:
            return None

        def loop_over(
            data: Mapping[str, np.ndarray], split: Sequence[str], count: int, size: int
        ) -> TrainingLoop | None:
            arrays = {name: data[name] for name in gradients.inputs}
            names = [name for name in gradients.inputs if name in split]

            def plan(rows: int) -> Plan:
                return gradients.plan([array[:rows] if name in names else array for name, array in arrays.items()])

            task = TrainingTask(
                plan=plan,
                inputs=gradients.inputs,
                data=arrays,
                split=names,
                count=count,
                batch_size=size,
                fixed=list(gradients.fixed.values()),
                written=gradients.written,
                groups=vectors.groups,
                optimizer=updates.optimizer,
                accumulate=updates.accumulate,
                clip=updates.clip,
                rates=None if updates.rates is None else updates.rates_between,
                threads=settings.threads,
                state=[(vectors.held[name], new) for name, new in vectors.new_state.items()],
                number=gradients.number,
            )
            return settings.runs_on.training(task)

        blocks: Blocks | None = None
        if type(batches) is ArrayMinibatches:
            loop = loop_over(batches.arrays, batches.split, batches.count, batches.batch_size)
            blocks = None if loop is None else _OfArrays(loop, batches)
        elif type(batches) is StreamMinibatches:
            blocks = _OfStream.made(loop_over, batches, gradients.inputs, updates.accumulate)
        return None if blocks is None else cls(blocks, batches, vectors, gradients.number)

    def run(self, most: int, steps: int) -> tuple[int, float]:
        loop, first, left, order = self._blocks.next()
        if most == 1 and loop.undoes_one:
            if self._number is not None:
                self._number[...] = self._batches.position
            done, loss = loop.run(first, 1, order, steps)
            if done:
                self._batches.advance()
            return done, loss
        block = min(most, self._block, most if left is None else left)
        for array, before in zip(self._changing, self._before, strict=True):
            before[...] = array
        start = time.perf_counter()
        done, loss = self._run(loop, first, block, order, steps)
        if done < block:
            for array, before in zip(self._changing, self._before, strict=True):
                array[...] = before
            if done:
                done, loss = self._run(loop, first, done, order, steps)
        elif block == self._block:
            wanted = block * SECONDS / max(1e-9, time.perf_counter() - start)
            self._block = max(1, math.floor(min(wanted, GROWTH * block, MOST)))
        self._batches.advance(done)
        return done, loss

    def _run(
        self, loop: TrainingLoop, first: int, minibatches: int, order: np.ndarray | None, steps: int
    ) -> tuple[int, float]:
        if self._number is not None:
            self._number[...] = self._batches.position
        return loop.run(first, minibatches, order, steps)


class _OfArrays(Blocks):
    def __init__(self, loop: TrainingLoop, batches: ArrayMinibatches) -> None:
        self._loop, self._batches = loop, batches

    def next(self) -> tuple[TrainingLoop, int, int | None, np.ndarray | None]:
        batches = self._batches
        if not batches.shuffle:
            return self._loop, batches.batch, None, None
        return self._loop, batches.batch, batches.per_epoch - batches.batch, batches.order(batches.epoch)


class _OfStream(Blocks):
    """Blocks of ``size`` minibatches, which are copied to one place. The last of an epoch has fewer, and the last of
    these may be shorter, so that it has a loop of its own."""

    def __init__(
        self,
        batches: StreamMinibatches,
        place: Mapping[str, np.ndarray],
        size: int,
        whole: TrainingLoop | None,
        last: TrainingLoop,
    ) -> None:
        self._batches, self._place, self._size, self._whole, self._last = batches, place, size, whole, last
        self._held: tuple[int, int] | None = None

    @classmethod
    def made(
        cls,
        loop_over: Callable[[Mapping[str, np.ndarray], Sequence[str], int, int], TrainingLoop | None],
        batches: StreamMinibatches,
        inputs: Sequence[str],
        accumulate: int,
    ) -> _OfStream | None:
        """``None`` where the backend runs no such loop. A block holds whole updates."""
        rows = batches.batch_size
        size = max(1, BLOCK_BYTES // max(1, rows * batches.row_bytes))
        size = min(-(-size // accumulate) * accumulate, batches.per_epoch)
        count = (batches.per_epoch - 1) // size
        most = min(size * rows, batches.count)
        few = batches.everything()
        place = {name: np.zeros((most, *few[name].shape[1:]), few[name].dtype) for name in inputs}
        left = batches.count - count * size * rows
        last = loop_over({name: array[:left] for name, array in place.items()}, inputs, left, min(rows, left))
        whole = loop_over(place, inputs, most, rows) if count else None
        return None if last is None or (count and whole is None) else cls(batches, place, size, whole, last)

    def next(self) -> tuple[TrainingLoop, int, int | None, np.ndarray | None]:
        batches, rows = self._batches, self._batches.batch_size
        number, within = divmod(batches.batch, self._size)
        start = number * self._size
        stop = min(start + self._size, batches.per_epoch)
        if self._held != (batches.epoch, number):
            first, end = start * rows, min(stop * rows, batches.count)
            for name, array in batches.between(batches.epoch, first, end).items():
                if name in self._place:
                    self._place[name][: end - first] = array
            self._held = batches.epoch, number
        loop = self._last if stop == batches.per_epoch or self._whole is None else self._whole
        return loop, within, stop - batches.batch, None
