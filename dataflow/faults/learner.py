"""Gradient descent step by step, as somebody does it by hand; each mistake of the catalogue is a variation of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.autodiff import pullback
from dataflow.errors import DataError
from dataflow.evaluate import forward
from dataflow.feeding import batch_axis, batch_symbol
from dataflow.graph import INPUT, OP, concrete_attributes
from dataflow.interfaces import Optimizer
from dataflow.model import Model

Arrays = dict[str, np.ndarray]


class Learner:
    """Trains a model from given parameters, right; subclasses make a mistake. ``parameters`` are those so far."""

    name: str = ""
    """What the mistake is called."""

    def __init__(self, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> None:
        self.model, self.graph, self.loss = model, model.graph, str(model.loss)
        self.order = self.graph.schedule([self.loss])
        self.optimizer = optimizer
        self.parameters: Arrays = {name: value.copy() for name, value in parameters.items()}
        self.steps = 0
        self._state = {
            name: {key: np.zeros(value.size, value.dtype) for key in optimizer.state_names}
            for name, value in parameters.items()
        }

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
        """The gradient with respect to each parameter, summed over the batch as the loss sums."""
        values, sizes = self.values(batch)
        found = self.swept(values, sizes)
        return {name: found.get(name, np.zeros_like(value)) for name, value in self.parameters.items()}

    def used(self, gradients: Arrays) -> Arrays:
        """What of a minibatch's gradients goes into the update."""
        return gradients

    def pulled(
        self,
        node: str,
        g: np.ndarray,
        y: np.ndarray,
        arguments: Sequence[Any],
        attributes: Mapping[str, Any],
        wanted: Sequence[bool],
    ) -> list[Any]:
        """The cotangents of a node's arguments."""
        return pullback(self.graph.op_of(node), g, y, arguments, attributes, wanted)

    # -------------------------------------------------------------------------------------------- what stays the same

    def step(self, batch: Mapping[str, np.ndarray]) -> None:
        """One update."""
        gradients = self.used(self.gradient(batch))
        self.steps += 1
        for name, gradient in gradients.items():
            self.parameters[name] = self.updated(name, gradient, self._state[name], self.steps)

    def updated(self, name: str, gradient: np.ndarray, state: Arrays, step: int) -> np.ndarray:
        """A parameter after an update, by the optimizer; the optimizer's state is changed."""
        value = self.parameters[name].reshape(-1).copy()
        self.optimizer.update(value, gradient.reshape(-1).copy(), state, step)
        return value.reshape(self.parameters[name].shape)

    def tried(self, name: str, gradient: np.ndarray) -> np.ndarray:
        """A parameter after the next update, which is not done yet."""
        state = {key: vector.copy() for key, vector in self._state[name].items()}
        return self.updated(name, gradient, state, self.steps + 1)

    def values(self, batch: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray] | None = None) -> Any:
        """The forward pass, some parameters replaced; and what the symbolic sizes stand for."""
        known, sizes = self.model.feed({**batch, **self.parameters, **(changed or {})})
        return forward(self.graph, self.order, known, sizes), sizes

    def swept(self, values: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Arrays:
        """The backward pass: the cotangent of every node between the parameters and the loss."""
        active = self.graph.depending_on(self.parameters)
        cotangents: Arrays = {self.loss: np.ones_like(values[self.loss])}
        for node in reversed(self.order):
            if node in cotangents and self.graph.nodes[node]["kind"] == OP:
                self.spread(node, values, sizes, active, cotangents)
        return cotangents

    def spread(
        self,
        node: str,
        values: Mapping[str, np.ndarray],
        sizes: Mapping[str, int],
        targets: set[str],
        cotangents: Arrays,
    ) -> None:
        """Add to the cotangents of those of a node's arguments that are among the targets."""
        data, sources = self.graph.nodes[node], self.graph.arguments(node)
        wanted = [isinstance(x, str) and x in targets and self.graph.nodes[x]["dtype"].kind == "f" for x in sources]
        if not any(wanted):
            return
        op = self.graph.op_of(node)
        attributes = concrete_attributes(op, data["attributes"], sizes)
        arguments = op.complete([values[x] if isinstance(x, str) else x for x in sources])
        wanted += [False] * (len(arguments) - len(wanted))
        shares = self.pulled(node, cotangents[node], values[node], arguments, attributes, wanted)
        for source, share, want in zip(sources, shares, wanted, strict=False):
            if want and share is not None and isinstance(source, str):
                known = cotangents.get(source)
                cotangents[source] = np.asarray(share) if known is None else known + share

    def examples(self, batch: Mapping[str, np.ndarray]) -> tuple[int, dict[str, int]]:
        """How many examples a batch has, and the inputs with an axis for them; 0 where they cannot be told apart."""
        symbol = batch_symbol(self.graph)
        if symbol is None:
            return 0, {}
        inputs = [name for name in batch if self.graph.nodes[name]["kind"] == INPUT]
        try:
            axes = {name: axis for name in inputs if (axis := batch_axis(self.graph, name, symbol)) is not None}
        except DataError:
            return 0, {}
        sizes = {batch[name].shape[axis] for name, axis in axes.items()}
        return (sizes.pop() if len(sizes) == 1 else 0), axes
