"""A backward pass that updates each parameter as soon as its gradient is complete, and goes on with the new value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dataflow.evaluate import forward
from dataflow.faults.learner import Arrays, Learner
from dataflow.graph import OP, PARAMETER


class EagerPass:
    """One such pass. ``weights`` are the parameters and what is computed of them alone, such as a transpose: these
    values are renewed on the way, while those of the data stay as the forward pass left them."""

    def __init__(self, learner: Learner, batch: Mapping[str, np.ndarray]) -> None:
        self.learner, self.graph = learner, learner.graph
        self.values, self.sizes = learner.values(batch)
        self.on_path = self.graph.depending_on(learner.parameters)
        of_data = self.graph.depending_on([name for name in batch if name not in learner.parameters])
        self.weights = {name for name in self.on_path if name not in of_data}
        self.waiting = {name: len({*self.graph.successors(name)} & {*learner.order}) for name in self.weights}
        """How many nodes that use it the pass has yet to come by."""
        self.cotangents: Arrays = {learner.loss: np.ones_like(self.values[learner.loss])}
        self.updated: Arrays = {}

    def gradients(self) -> Arrays:
        """What the pass takes for the gradient with respect to each parameter."""
        if self.learner.loss in self.weights:  # nothing comes after the weights that could be taken through them
            self.cotangents = self.learner.swept(self.values, self.sizes)
        else:
            for node in reversed(self.learner.order):
                self._pass(node)
        parameters = self.learner.parameters
        return {name: self.cotangents.get(name, np.zeros_like(value)) for name, value in parameters.items()}

    def _pass(self, node: str) -> None:
        """First the weights of a node, then their update, then the rest, through the weights that are there now."""
        if node in self.weights or node not in self.cotangents or self.graph.nodes[node]["kind"] != OP:
            return
        before = len(self.updated)
        self._spread(node, self.weights)
        self._settle(node)
        if len(self.updated) > before:
            self._renew()
        self._spread(node, self.on_path - self.weights)

    def _settle(self, node: str) -> None:
        """Update the parameters of which this node was the last user, through nodes of weights alone as well."""
        done = [node]
        while done:
            for source in {x for x in self.graph.arguments(done.pop()) if isinstance(x, str) and x in self.weights}:
                self.waiting[source] -= 1
                if self.waiting[source] or source not in self.cotangents:
                    continue
                if self.graph.nodes[source]["kind"] == PARAMETER:
                    self.updated[source] = self.learner.tried(source, self.cotangents[source])
                else:
                    self._spread(source, self.weights)
                    done.append(source)

    def _renew(self) -> None:
        known = {name: value for name, value in self.values.items() if name not in self.weights}
        order = [name for name in self.learner.order if name in self.weights]
        parameters = {**self.learner.parameters, **self.updated}
        self.values = self.values | forward(self.graph, order, {**known, **parameters}, self.sizes)

    def _spread(self, node: str, targets: set[str]) -> None:
        self.learner.spread(node, self.values, self.sizes, targets, self.cotangents)
