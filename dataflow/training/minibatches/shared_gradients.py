"""The gradient of a minibatch as a sum over parts of it, which the workers of a cluster compute."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from dataflow.backends.cluster import Part, Workers
from dataflow.errors import TrainingError
from dataflow.model.model import Model
from dataflow.training.minibatches.additive_loss import is_mean
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.minibatches.part_work import pack_setup
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings


class SharedGradients:
    """``gradients.at(batches)`` writes the gradient of the current minibatch into the vectors and returns the loss, as
    ``Gradients`` does. Parts are added in their order."""

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
        self._workers, self._batches, self._vectors = workers, batches, vectors
        self._rows = np.arange(batches.count)
        plain: dict[str, Any] = settings.plain()
        setup, needs = pack_setup(
            model,
            frozen=frozen,
            trained=list(vectors.views),
            read=list(vectors.read),
            split=batches.split,
            backend=settings.backend,
            threads=settings.threads,
            memory_limit=settings.memory_limit,
            **{name: plain[name] for name in ("seed", "optimizer", "clip", "sync_every")},
        )
        workers.place(setup, needs, {name: batches.arrays[name] for name in inputs})

    def at(self, batches: Minibatches) -> float:
        """The loss of the current minibatch."""
        parts = self._parts(0)
        results = self._workers.run(list(self._vectors.read.values()), [[part] for part in parts])
        loss = 0.0
        for view in self._vectors.gradient_views.values():
            view[...] = 0
        for part, (own, *gradients) in zip(parts, results, strict=True):
            share = len(part.rows) / part.size if self._mean else 1.0
            loss += share * float(own)
            for view, gradient in zip(self._vectors.gradient_views.values(), gradients, strict=True):
                view += gradient if share == 1.0 else gradient * view.dtype.type(share)
        return loss

    def _parts(self, ahead: int) -> list[Part]:
        """The parts of the current minibatch, or of one of the same epoch so far ahead; none is empty."""
        batches = self._batches
        order = batches.order(batches.epoch) if batches.shuffle else self._rows
        first = (batches.batch + ahead) * batches.batch_size
        rows = order[first : first + batches.batch_size]
        size, count, number = len(rows), self._workers.count, batches.position + ahead
        edges = [size * i // count for i in range(count + 1)]
        return [Part(rows[start:stop], start, size, number) for start, stop in pairwise(edges) if start < stop]
