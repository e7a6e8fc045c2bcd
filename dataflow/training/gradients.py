"""The gradient of a minibatch: the gradient graph, compiled once to a plan for each shape that minibatches have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dataflow import registry
from dataflow.autodiff import GradientGraph
from dataflow.graph import INPUT
from dataflow.interfaces import Runner
from dataflow.plan import make_plan
from dataflow.shapes import TensorSpec
from dataflow.training.vectors import Vectors


class Gradients:
    """``gradients(batch)`` writes the loss's gradient into the vectors and returns the loss. Gradients add up over the
    examples as the loss does: nothing is divided that the loss does not divide."""

    def __init__(self, gradient: GradientGraph, vectors: Vectors, backend: str) -> None:
        self._graph = gradient.graph
        self._outputs = [gradient.of, *(gradient.cotangents[name] for name in vectors.views)]
        self._parameters = list(vectors.views.values())
        self._names = list(vectors.views)
        self._gradients = list(vectors.gradient_views.values())
        needed = self._graph.needed_for(self._outputs)
        self.inputs = [name for name in self._graph.names(INPUT) if name in needed]
        self._backend = registry.backend(backend)
        self._runners: dict[tuple[tuple[int, ...], ...], Runner] = {}

    def __call__(self, batch: Mapping[str, np.ndarray]) -> float:
        arrays = [batch[name] for name in self.inputs]
        key = tuple([array.shape for array in arrays])
        runner = self._runners.get(key)
        if runner is None:
            runner = self._runners[key] = self._prepare(arrays)
        loss, *found = runner.run([*arrays, *self._parameters])
        for view, gradient in zip(self._gradients, found, strict=True):
            view[...] = gradient
        return float(loss)

    def _prepare(self, arrays: list[np.ndarray]) -> Runner:
        given = zip([*self.inputs, *self._names], [*arrays, *self._parameters], strict=True)
        specs = {name: TensorSpec(array.shape, array.dtype) for name, array in given}
        return self._backend.prepare(make_plan(self._graph, self._outputs, specs))
