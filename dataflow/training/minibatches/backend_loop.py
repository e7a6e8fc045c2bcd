"""Minibatches that a backend runs by itself, block by block."""

from __future__ import annotations

import math
import time

import numpy as np

from dataflow.backends.interface import TrainingLoop, TrainingTask
from dataflow.plan import Plan
from dataflow.training.minibatches.batch_gradients import Gradients
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.minibatches.updates import Updates
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings

SECONDS = 0.1
"""About as long a block takes, so that a run can be interrupted and shows how far it is."""
MOST = 2**16
"""The most minibatches in a block."""
GROWTH = 8
"""How many times longer a block may be than the one before."""


class Inside:
    """``run(most, steps)``: at most so many minibatches after so many updates. Returns how many were done, which may be
    none, and the loss of the last.

    A minibatch whose loss or update is not finite is not done, and the parameters and the optimizer's state are those
    from before it: the block is begun anew from where it started, and ends before that minibatch.
    """

    def __init__(
        self, loop: TrainingLoop, batches: ArrayMinibatches, vectors: Vectors, number: np.ndarray | None
    ) -> None:
        self._loop, self._batches, self._number = loop, batches, number
        self._changing = list(vectors.changing().values())
        self._before = [np.empty_like(array) for array in self._changing]
        self._block = 1

    @classmethod
    def of(
        cls, gradients: Gradients, batches: Minibatches, vectors: Vectors, updates: Updates, settings: Settings
    ) -> Inside | None:
        """``None`` where the backend does not run minibatches by itself, or not these."""
        if type(batches) is not ArrayMinibatches or gradients.node_by_node:
            return None
        data = {name: batches.arrays[name] for name in gradients.inputs}
        split = [name for name in gradients.inputs if name in batches.split]

        def plan(rows: int) -> Plan:
            return gradients.plan([array[:rows] if name in split else array for name, array in data.items()])

        task = TrainingTask(
            plan=plan,
            inputs=gradients.inputs,
            data=data,
            split=split,
            count=batches.count,
            batch_size=batches.batch_size,
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
        loop = settings.runs_on.training(task)
        return None if loop is None else cls(loop, batches, vectors, gradients.number)

    def run(self, most: int, steps: int) -> tuple[int, float]:
        batches = self._batches
        order = batches.order(batches.epoch) if batches.shuffle else None
        block = min(most, self._block, batches.per_epoch - batches.batch if batches.shuffle else most)
        for array, before in zip(self._changing, self._before, strict=True):
            before[...] = array
        start = time.perf_counter()
        done, loss = self._run(block, order, steps)
        if done < block:
            for array, before in zip(self._changing, self._before, strict=True):
                array[...] = before
            if done:
                done, loss = self._run(done, order, steps)
        elif block == self._block:
            wanted = block * SECONDS / max(1e-9, time.perf_counter() - start)
            self._block = max(1, math.floor(min(wanted, GROWTH * block, MOST)))
        batches.advance(done)
        return done, loss

    def _run(self, minibatches: int, order: np.ndarray | None, steps: int) -> tuple[int, float]:
        if self._number is not None:
            self._number[...] = self._batches.position
        return self._loop.run(self._batches.batch, minibatches, order, steps)
