"""The gradient of a minibatch: the gradient graph, compiled once to a plan for each shape that minibatches have, or run
node by node where shapes depend on values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dataflow.autodiff.reverse import GradientGraph
from dataflow.autodiff.training_graph import TrainingGraph
from dataflow.backends.interface import Runner
from dataflow.execution.program import PlanByShape, Program
from dataflow.graph.node import INPUT
from dataflow.limits import allowance
from dataflow.plan import Plan
from dataflow.shapes import TensorSpec
from dataflow.training.minibatches.batches import Minibatches
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings


class Gradients:
    """``gradients(batch, number)`` writes the loss's gradient, and new values of state, into the vectors and returns
    the loss. Gradients add up over the examples as the loss does: nothing is divided that the loss does not divide.
    ``number`` counts the minibatches from the run's start. It is called inside ``scope()``."""

    def __init__(self, gradient: GradientGraph, training: TrainingGraph, vectors: Vectors, settings: Settings) -> None:
        cotangents = (gradient.cotangents[name] for name in vectors.views)
        outputs = [gradient.of, *cotangents, *(training.updates[name] for name in vectors.new_state)]
        needed = gradient.graph.needed_for(outputs)
        self.inputs = [name for name in gradient.graph.names(INPUT) if name in needed and name != training.minibatch]
        self.number = np.zeros((), np.int64) if training.minibatch in needed else None
        """The number of the minibatch, where random numbers are drawn."""
        self.scope = settings.runs_on.scope
        """What the backend wants to hold around many calls."""
        loss = gradient.graph.spec(gradient.of)
        self.fixed = vectors.read if self.number is None else {**vectors.read, training.minibatch: self.number}
        """What a step reads besides the minibatch, in the plan's order."""
        self.written = [*vectors.gradient_views.values(), *vectors.new_state.values()]
        """What a step writes besides the loss, in the plan's order."""

        def bind(plan: Plan) -> _Bound:
            runner = settings.runs_on.prepare(plan, settings.threads)
            return _Bound(runner, self.inputs, list(self.fixed.values()), self.written, loss)

        self._bound = PlanByShape(
            gradient.graph, outputs, self.inputs, bind, fixed=self.fixed, memory_limit=settings.memory_limit
        )
        self._program = Program(gradient.graph, outputs, settings.runs_on, memory_limit=settings.memory_limit)
        self.node_by_node = self._program.node_by_node
        """Whether there is no plan, because shapes depend on values."""
        self._last: _Bound | None = None
        self.plan = self._bound.plan
        """The plan for minibatches like these arrays: its arguments are the inputs and then what is ``fixed``, its
        outputs the loss and then what is ``written``."""

    def at(self, batches: Minibatches) -> float:
        """The same for the current minibatch."""
        batch, last = batches.current(), self._last
        if last is None or self.number is not None or not last.reads(batch):
            return self(batch, batches.position)
        last.step()
        return float(last.loss)

    def __call__(self, batch: Mapping[str, np.ndarray], number: int) -> float:
        if self.number is not None:
            self.number[...] = number
        if self.node_by_node:
            with allowance("a minibatch"):  # values decide how long a loop runs: it may be without end
                loss, *written = self._program.run({**{name: batch[name] for name in self.inputs}, **self.fixed})
            for place, result in zip(self.written, written, strict=True):
                place[...] = result
            return float(loss)
        last = self._last
        if last is None or not last.reads(batch):
            arrays = [batch[name] for name in self.inputs]
            last = self._last = self._bound.get(arrays)
            last.take(arrays)
        last.step()
        return float(last.loss)


class _Bound:
    """A plan bound to what is fixed, to what is written, and to places for a minibatch of one shape.

    The first minibatch is read where it lies. If another follows, it and all later ones are copied to places of our
    own, since none of the caller's arrays may be written.
    """

    def __init__(
        self,
        runner: Runner,
        inputs: Sequence[str],
        fixed: Sequence[np.ndarray],
        written: Sequence[np.ndarray],
        loss: TensorSpec,
    ) -> None:
        self._runner, self._inputs, self._fixed, self._written = runner, inputs, fixed, written
        self.loss = np.empty((), loss.dtype)
        self._place_of: dict[str, np.ndarray] = {}
        self._owned = False

    def reads(self, batch: Mapping[str, np.ndarray]) -> bool:
        """Whether these very arrays are those that are read."""
        for name, place in self._place_of.items():
            if batch[name] is not place:
                return False
        return bool(self._place_of) or not self._inputs

    def take(self, arrays: list[np.ndarray]) -> None:
        """Read this minibatch from now on."""
        if not self._owned:
            self._bind(arrays, bool(self._place_of) or not all(array.flags.c_contiguous for array in arrays))
            return
        for array, place in zip(arrays, self._place_of.values(), strict=True):
            place[...] = array

    def _bind(self, arrays: list[np.ndarray], owned: bool) -> None:
        places = [array.copy(order="C") for array in arrays] if owned else arrays
        outputs = [self.loss, *self._written]
        step: Callable[[], object] = self._runner.bind([*places, *self._fixed], outputs)
        self._place_of, self._owned = {}, False  # an interrupt in between leads to a new binding
        self.step = step
        self._place_of, self._owned = dict(zip(self._inputs, places, strict=True)), owned
