"""The gradient of a minibatch as a sum over parts of it, which the workers of a cluster compute, each of the examples
that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.backends.cluster import Part, Workers
from dataflow.errors import TrainingError
from dataflow.model.model import Model
from dataflow.training.minibatches.additive_loss import is_mean
from dataflow.training.minibatches.additive_trial import check_on_examples
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.minibatches.part_work import pack_setup
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings

GRAINS = 32
"""A worker's mean part of a minibatch has so many steps by which the sizes of parts differ, if it is as large."""


class SharedGradients:
    """``gradients.at(batches)`` writes the gradient of the current minibatch into the vectors and returns the loss, as
    ``Gradients`` does. Parts are added in the order of the workers.

    An example belongs to the worker that has it where minibatches are not shuffled and each is cut into equal parts.
    Shuffled or not, the minibatches are those of one machine; each worker has of them what it happens to keep.
    """

    def __init__(
        self,
        workers: Workers,
        model: Model,
        batches: Minibatches,
        vectors: Vectors,
        settings: Settings,
        frozen: list[str],
        inputs: list[str],
        weighed: bool,
    ) -> None:
        if type(batches) is not ArrayMinibatches:
            raise TrainingError(f"a cluster trains on a file or on arrays, not on {type(batches).__name__}")
        if weighed:
            raise TrainingError("a cluster takes no weights of examples; train without it, or without them")
        if vectors.new_state:
            names = ", ".join(vectors.new_state)
            raise TrainingError(
                f"{names} follow the mean of each minibatch, which no part of one has; train without a cluster, or "
                "freeze them"
            )
        self._mean = is_mean(model.graph, str(model.loss))
        needed = {name: batches.arrays[name] for name in inputs if name in batches.arrays}
        check_on_examples(model, needed, batches.split, list(vectors.views), is_mean=self._mean)
        self._workers, self._batches, self._vectors = workers, batches, vectors
        self._inputs = inputs
        self._rows = np.arange(batches.count)
        self._begun = False
        plain: dict[str, Any] = settings.plain()
        self._setup, self._needs = pack_setup(
            model,
            frozen=frozen,
            trained=list(vectors.views),
            read=list(vectors.read),
            split=batches.split,
            grain=batches.batch_size / batches.count / GRAINS if batches.shuffle and batches.per_epoch > 1 else 0,
            mean=self._mean,
            backend=settings.backend,
            threads=settings.threads,
            memory_limit=settings.memory_limit,
            **{name: plain[name] for name in ("seed", "optimizer", "clip", "sync_every")},
        )

    def begin(self) -> None:
        """Open the workers, and place there what they keep, if that is not done."""
        if not self._begun:
            batches, workers = self._batches, self._workers
            self._owner, self._at = owners(batches.count, batches.batch_size, workers.count)
            workers.place(self._setup, self._needs, self._shard)
            self._begun = True

    def at(self, batches: Minibatches) -> float:
        """The loss of the current minibatch."""
        self.begin()
        tasks = [[part] if part is not None else [] for part in self._parts(0)]
        results = self._workers.run(list(self._vectors.read.values()), tasks)
        loss = 0.0
        for view in self._vectors.gradient_views.values():
            view[...] = 0
        for task, result in zip(tasks, results, strict=True):
            if not task:
                continue
            [part], (own, *gradients) = task, result
            share = len(part.rows) / part.size if self._mean else 1.0
            loss += share * float(own)
            for view, gradient in zip(self._vectors.gradient_views.values(), gradients, strict=True):
                view += gradient if share == 1.0 else gradient * view.dtype.type(share)
        return loss

    def _parts(self, ahead: int) -> list[Part | None]:
        """Each worker's part of the current minibatch, or of one of the same epoch so far ahead; ``None`` where it has
        no example of it."""
        batches = self._batches
        order = batches.order(batches.epoch) if batches.shuffle else self._rows
        first = (batches.batch + ahead) * batches.batch_size
        rows = order[first : first + batches.batch_size]
        owner, size, number = self._owner[rows], len(rows), batches.position + ahead
        sorted_places = np.argsort(owner, kind="stable")
        edges = np.searchsorted(owner[sorted_places], np.arange(1, self._workers.count))
        return [
            Part(self._at[rows[places]], places, size, number) if len(places) else None
            for places in np.split(sorted_places, edges)
        ]

    def _shard(self, number: int) -> Mapping[str, np.ndarray]:
        """What a worker keeps."""
        batches, own = self._batches, np.flatnonzero(self._owner == number)
        return {
            name: batches.arrays[name].take(own, axis=0) if name in batches.split else batches.arrays[name]
            for name in self._inputs
        }


def owners(count: int, batch_size: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of so many examples, the worker that keeps it, and where it is among those that this one keeps, in their
    order in the data."""
    owner = np.empty(count, np.int32)
    for first in range(0, count, batch_size):
        size = min(batch_size, count - first)
        edges = [size * i // workers for i in range(workers + 1)]
        owner[first : first + size] = np.repeat(np.arange(workers), np.diff(edges))
    at = np.empty(count, np.int64)
    for worker in range(workers):
        own = np.flatnonzero(owner == worker)
        at[own] = np.arange(len(own))
    return owner, at
