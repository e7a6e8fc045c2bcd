"""Gradient descent step by step, as done by hand; each known mistake is a variation of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dataflow.autodiff.reverse import Applied, pull_at, pullback, sweep
from dataflow.backends.optimizer import Optimizer
from dataflow.errors import DataError
from dataflow.execution.forward import forward
from dataflow.execution.inputs import batch_axis, batch_symbol
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.model.model import Model

Arrays = dict[str, np.ndarray]


class Task(NamedTuple):
    """A model, the parameters from which it is trained, and the optimizer."""

    model: Model
    parameters: Mapping[str, np.ndarray]
    optimizer: Optimizer


class Learner:
    """Do a task correctly; subclasses make a mistake. ``parameters`` are the current ones."""

    name: str = ""
    """What the mistake is called."""
    only_hands_in_wrong: bool = False
    """Whether everything is worked out as it should be, up to what is handed in."""

    def __init__(self, task: Task) -> None:
        self.model, parameters, self.optimizer = task
        self.graph, self.loss = self.model.graph, str(self.model.loss)
        self.order = self.graph.schedule([self.loss])
        self.parameters: Arrays = {name: value.copy() for name, value in parameters.items()}
        self.steps = 0
        self._state = {
            name: {key: np.zeros(value.size, value.dtype) for key in self.optimizer.state_names}
            for name, value in parameters.items()
        }

    @cached_property
    def weights(self) -> set[str]:
        """The parameters and what is computed of them alone, such as a transpose."""
        return weights_of(self.graph, self.parameters)

    @property
    def mistake(self) -> str:
        """What was done, in a sentence."""
        return ""

    @property
    def remedy(self) -> str:
        """What to do instead."""
        return ""

    # -------------------------------------------------------------------------------------------- what may go wrong

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        """Return the gradient with respect to each parameter, summed over the batch as the loss sums."""
        return self.swept(*self.values(batch))

    def select(self, gradients: Arrays) -> Arrays:
        """Return the gradients that go into the update."""
        return gradients

    def handed_in(self, results: Arrays) -> Arrays:
        """Return what is handed in of the results: gradients, or parameters after training."""
        return results

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        """Return the cotangents of a node's arguments."""
        return pullback(self.graph.op_of(at.node), g, at.y, at.arguments, at.attributes, at.wanted)

    # -------------------------------------------------------------------------------------------- what stays the same

    def step(self, batch: Mapping[str, np.ndarray]) -> None:
        """Update all parameters once."""
        gradients = self.select(self.gradient(batch))
        self.steps += 1
        for name, gradient in gradients.items():
            self.parameters[name] = self.update(name, gradient, self._state[name], self.steps)

    def update(self, name: str, gradient: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """Return a parameter after an update by the optimizer, whose state changes."""
        value = self.parameters[name].reshape(-1).copy()
        self.optimizer.update(value, gradient.reshape(-1).copy(), state, step)
        return value.reshape(self.parameters[name].shape)

    def preview(self, name: str, gradient: np.ndarray) -> np.ndarray:
        """Return a parameter as it will be after the next update."""
        state = {key: vector.copy() for key, vector in self._state[name].items()}
        return self.update(name, gradient, state, self.steps + 1)

    def swept(self, values: Any, sizes: Any) -> Arrays:
        """Return the gradient of each parameter where the nodes have these values: zeros where no path leads to it."""
        gradients = self.sweep(values, sizes)
        return {name: gradients.get(name, np.zeros_like(value)) for name, value in self.parameters.items()}

    def values(self, batch: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray] | None = None) -> Any:
        """Run the forward pass with some parameters replaced; return the values and the symbolic sizes."""
        known, sizes = self.model.feed({**batch, **self.parameters, **(changed or {})})
        return forward(self.graph, self.order, known, sizes), sizes

    def renewed(
        self, values: Mapping[str, np.ndarray], sizes: Mapping[str, int], changed: Mapping[str, np.ndarray]
    ) -> Arrays:
        """Return the values of the weights with some parameters replaced; those of the data stay as they are."""
        known = {name: value for name, value in values.items() if name not in self.weights}
        order = [name for name in self.order if name in self.weights]
        return forward(self.graph, order, {**known, **self.parameters, **changed}, sizes)

    def sweep(self, values: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Arrays:
        """Run the backward pass: return the cotangent of every node between the parameters and the loss."""
        seeds = {self.loss: np.ones_like(values[self.loss])}
        return sweep(self.graph, self.order, seeds, self.parameters, pull_at(self.graph, values, sizes, self.pull_back))

    def examples(self, batch: Mapping[str, np.ndarray]) -> tuple[int, dict[str, int]]:
        """How many examples a batch has, and the inputs with an axis for them; 0 where they cannot be told apart."""
        symbol = batch_symbol(self.graph)
        if symbol is None:
            return 0, {}
        inputs = [name for name in batch if self.graph.node_of(name).kind == INPUT]
        try:
            axes = {name: axis for name in inputs if (axis := batch_axis(self.graph, name, symbol)) is not None}
        except DataError:
            return 0, {}
        sizes = {batch[name].shape[axis] for name, axis in axes.items()}
        return (sizes.pop() if len(sizes) == 1 else 0), axes


def weights_of(graph: Graph, parameters: Iterable[str]) -> set[str]:
    """The parameters of a graph and what is computed of them alone."""
    return graph.depending_on(parameters) - graph.depending_on(graph.names(INPUT))


class Mistaken(Learner):
    """A learner who makes a mistake."""

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        """Yield a learner for each way to make the mistake in this task."""
        yield cls(task)
