"""Local steps: each worker trains on its parts of some minibatches by itself, then all go on from the mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.errors import TrainingError
from dataflow.training.minibatches.shared_gradients import SharedGradients
from dataflow.training.minibatches.updates import Updates


class LocalRounds(SharedGradients):
    """``rounds.run(updates, steps)`` does a round of minibatches after so many updates: ``sync_every`` of them, fewer
    at the end of an epoch. What a step changes is then the mean over the workers, weighed by their numbers of examples
    and added in their order."""

    def __init__(self, *arguments: Any, sync_every: int, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._length = sync_every
        if not self._mean:
            raise TrainingError(
                f"sync_every = {sync_every} takes the mean of what workers learn, and this loss is a sum over "
                'examples, of which each worker would have a part; use reduction="mean", or sync_every = 1'
            )

    def run(self, updates: Updates, steps: int, earlier: int) -> tuple[int, float]:
        """How many minibatches the round has, and the loss of the last. Where an update is not finite, all vectors
        stay as they are, and the number is minus the place of its minibatch in the round, from 1."""
        self.begin()
        batches, vectors = self._batches, self._vectors
        count = min(self._length, batches.per_epoch - batches.batch)
        tasks: list[list[Any]] = [[] for _ in range(self._workers.count)]
        for ahead in range(count):
            for task, part in zip(tasks, self._parts(ahead), strict=True):
                if part is not None:
                    task.append(part)
        rates = np.full(self._length, np.nan)
        if updates.rates is not None:
            rates[:count] = [updates.rates.at(steps + i) for i in range(count)]
        changing, first = list(vectors.changing().values()), batches.position
        numbers = np.array([earlier + steps, first])
        results = self._workers.run([*changing, *vectors.held.values(), rates, numbers], tasks)
        results = [result for result, task in zip(results, tasks, strict=True) if task]
        tasks = [task for task in tasks if task]
        failed = [int(number) for _, number, *_ in results if number >= 0]
        if failed:
            return first - min(failed) - 1, float("nan")
        seen = [sum(len(part.rows) for part in task) for task in tasks]
        last = [len(task[-1].rows) if task[-1].number == first + count - 1 else 0 for task in tasks]
        loss = sum(float(own) * size for (own, *_), size in zip(results, last, strict=True)) / sum(last)
        for vector in changing:
            vector[...] = 0
        for (_, _, *found), size in zip(results, seen, strict=True):
            for vector, own in zip(changing, found, strict=True):
                vector += own * vector.dtype.type(size / sum(seen))
        return count, loss
