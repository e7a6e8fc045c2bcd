"""A backward pass that updates each parameter as soon as its gradient is complete, and goes on with the new value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import pull_at, sweep
from dataflow.faults.learner import Arrays, Learner
from dataflow.graph.node import PARAMETER


class EagerPass:
    """One such pass. The values of the weights are renewed on the way, while those of the data stay as the forward pass
    left them."""

    def __init__(self, learner: Learner, batch: Mapping[str, np.ndarray]) -> None:
        self.learner, self.graph = learner, learner.graph
        self.values, self.sizes = learner.values(batch)
        self.weights = learner.weights
        self.waiting = {name: len({*self.graph.successors(name)} & {*learner.order}) for name in self.weights}
        """For each weight, how many nodes that use it the pass has not visited yet."""
        self.cotangents: Arrays = {}
        """The cotangents of the weights."""
        self.updated: Arrays = {}

    def gradients(self) -> Arrays:
        """Return what the pass takes for the gradient with respect to each parameter."""
        learner = self.learner
        if learner.loss in self.weights:  # nothing comes after the weights that could be taken through them
            self.cotangents = learner.sweep(self.values, self.sizes)
        else:
            seeds = {learner.loss: np.ones_like(self.values[learner.loss])}
            sweep(self.graph, learner.order, seeds, learner.parameters, self._visit)
        return {name: self.cotangents.get(name, np.zeros_like(value)) for name, value in learner.parameters.items()}

    def _visit(self, node: str, g: np.ndarray, wanted: Sequence[bool]) -> Sequence[Any]:
        """Visit the weights of a node, then update them, then visit the rest through the updated weights."""
        before = len(self.updated)
        is_weight = [source in self.weights for source in self.graph.arguments(node)]
        self._add(node, g, [want and weight for want, weight in zip(wanted, is_weight, strict=True)])
        self._settle(node)
        if len(self.updated) > before:
            self.values = self.values | self.learner.renewed(self.values, self.sizes, self.updated)
        return self._pull(node, g, [want and not weight for want, weight in zip(wanted, is_weight, strict=True)])

    def _settle(self, node: str) -> None:
        """Update the parameters whose last user was this node, also through nodes computed from weights alone."""
        done = [node]
        while done:
            for source in {x for x in self.graph.arguments(done.pop()) if isinstance(x, str) and x in self.weights}:
                self.waiting[source] -= 1
                if self.waiting[source] or source not in self.cotangents:
                    continue
                if self.graph.node_of(source).kind == PARAMETER:
                    self.updated[source] = self.learner.preview(source, self.cotangents[source])
                else:
                    wanted = [
                        isinstance(x, str) and x in self.weights and self.graph.node_of(x).dtype.kind == "f"
                        for x in self.graph.arguments(source)
                    ]
                    self._add(source, self.cotangents[source], wanted)
                    done.append(source)

    def _add(self, node: str, g: np.ndarray, wanted: Sequence[bool]) -> None:
        """Add to the cotangents of weights among a node's arguments."""
        for source, share in zip(self.graph.arguments(node), self._pull(node, g, wanted), strict=False):
            if isinstance(source, str) and share is not None:
                self.cotangents[source] = self.cotangents[source] + share if source in self.cotangents else share

    def _pull(self, node: str, g: np.ndarray, wanted: Sequence[bool]) -> Sequence[Any]:
        return pull_at(self.graph, self.values, self.sizes, self.learner.pull_back)(node, g, wanted)
