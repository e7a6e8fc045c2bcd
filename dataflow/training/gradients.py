"""The gradient of a minibatch: the gradient graph, compiled once to a plan for each shape that minibatches have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

from dataflow import registry
from dataflow.autodiff import GradientGraph
from dataflow.graph import INPUT
from dataflow.interfaces import Runner
from dataflow.plan import Plan, make_plan
from dataflow.shapes import TensorSpec
from dataflow.training.settings import Settings
from dataflow.training.vectors import Vectors


class Gradients:
    """``gradients(batch)`` writes the loss's gradient into the vectors and returns the loss. Gradients add up over the
    examples as the loss does: nothing is divided that the loss does not divide. It is called inside ``scope()``."""

    def __init__(self, gradient: GradientGraph, vectors: Vectors, settings: Settings) -> None:
        self._graph = gradient.graph
        self._outputs = [gradient.of, *(gradient.cotangents[name] for name in vectors.views)]
        self._vectors = vectors
        needed = self._graph.needed_for(self._outputs)
        self.inputs = [name for name in self._graph.names(INPUT) if name in needed]
        self._backend = registry.backend(settings.backend)
        self._settings = settings
        self._bound: dict[tuple[tuple[int, ...], ...], _Bound] = {}
        self._last: _Bound | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> float:
        last = self._last
        if last is None or [id(batch[name]) for name in self.inputs] != last.identities:
            last = self._last = self._ready([batch[name] for name in self.inputs])
        last.step()
        return float(last.loss)

    def _ready(self, arrays: list[np.ndarray]) -> _Bound:
        """What reads a minibatch, with this one in place."""
        key = tuple([array.shape for array in arrays])
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = _Bound(
                self._prepared(arrays), arrays, self._vectors, self._graph.spec(self._outputs[0])
            )
        bound.take(arrays)
        return bound

    def scope(self) -> AbstractContextManager[object]:
        """What the backend wants to hold around many calls."""
        return self._backend.scope()

    def plan(self, arrays: Sequence[np.ndarray]) -> Plan:
        """The plan for minibatches of these shapes: its arguments are the inputs and then the parameters, its outputs
        the loss and then the gradients."""
        given = zip([*self.inputs, *self._vectors.views], [*arrays, *self._vectors.views.values()], strict=True)
        specs = {name: TensorSpec(array.shape, array.dtype) for name, array in given}
        return make_plan(self._graph, self._outputs, specs, memory_limit=self._settings.memory_limit)

    def _prepared(self, arrays: list[np.ndarray]) -> Runner:
        return self._backend.prepare(self.plan(arrays), self._settings.threads)


class _Bound:
    """A plan bound to the vectors and to places for a minibatch of one shape.

    The first minibatch is read where it lies. If another follows, it and all later ones are copied to places of our
    own, since none of the caller's arrays may be written.
    """

    def __init__(self, runner: Runner, arrays: list[np.ndarray], vectors: Vectors, loss: TensorSpec) -> None:
        self._runner, self._vectors = runner, vectors
        self.loss = np.empty((), loss.dtype)
        self._owned = not all(array.flags.c_contiguous for array in arrays)
        self._bind(arrays)

    def take(self, arrays: list[np.ndarray]) -> None:
        """Read this minibatch from now on."""
        if [id(array) for array in arrays] == self.identities:
            return
        if not self._owned:
            self._owned = True
            self._bind(arrays)
        for array, place in zip(arrays, self.places, strict=True):
            place[...] = array

    def _bind(self, arrays: list[np.ndarray]) -> None:
        self.places = [array.copy(order="C") for array in arrays] if self._owned else arrays
        self.identities = [id(place) for place in self.places]
        outputs = [self.loss, *self._vectors.gradient_views.values()]
        self.step: Callable[[], object] = self._runner.bind([*self.places, *self._vectors.views.values()], outputs)
