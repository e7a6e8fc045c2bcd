"""Mistakes with the weights that the backward pass goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import Applied
from dataflow.faults.eager import EagerPass
from dataflow.faults.learner import Arrays, Mistaken, Task, weights_of
from dataflow.model.model import Model

MOST_VARIANTS = 30
"""So many exchanges of weights are tried."""


class UpdatedWeights(Mistaken):
    """The backward pass updates each parameter as soon as it has its gradient, and goes on with the new value: the
    hidden gradients are taken through weights that are no longer those of the forward pass."""

    name = "updated weights"
    mistake = "the gradients further back were taken through weights that had been updated already"
    remedy = "compute all gradients first, with the weights of the forward pass, and only then update any of them"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        return EagerPass(self, batch).gradients()


class OtherWeights(Mistaken):
    """The backward pass goes through the weights of another layer, which have the same shape, or fit transposed."""

    name = "weights of another layer"
    remedy = "go back through the weights by which the forward pass went"

    def __init__(self, task: Task, place: str, taken: str, transposed: bool) -> None:
        super().__init__(task)
        self.place, self.taken, self.transposed = place, taken, transposed
        self.values_taken: Arrays = {}

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        count = 0
        for place in _weights_on_the_way(task.model):
            for taken, transposed in cls.others(task.parameters, place):
                if count < MOST_VARIANTS:
                    count += 1
                    yield cls(task, place, taken, transposed)

    @classmethod
    def others(cls, parameters: Mapping[str, np.ndarray], place: str) -> Iterator[tuple[str, bool]]:
        """What may be taken in the place of weights: the name, and whether it is transposed."""
        shape = parameters[place].shape
        for name, value in parameters.items():
            if name != place and value.ndim == 2:
                if value.shape == shape:
                    yield name, False
                if value.shape[::-1] == shape:
                    yield name, True

    @property
    def mistake(self) -> str:
        taken = f"{self.taken}, transposed," if self.transposed else self.taken
        return f"the backward pass went through {taken} where it should go through {self.place}"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        values, sizes = self.values(batch)
        other = self.parameters[self.taken]
        self.values_taken = self.renewed(values, sizes, {self.place: other.T if self.transposed else other})
        return self.swept(values, sizes)

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        shares = super().pull_back(g, at)
        names = self.graph.arguments(at.node)
        is_weight = [isinstance(name, str) and name in self.weights for name in names]
        if not any(is_weight) or all(is_weight):
            return shares
        taken = [
            self.values_taken[str(names[i])] if i < len(names) and is_weight[i] else argument
            for i, argument in enumerate(at.arguments)
        ]
        through = super().pull_back(g, at._replace(arguments=taken))
        return [share if i >= len(is_weight) or is_weight[i] else through[i] for i, share in enumerate(shares)]


class TransposedWeights(OtherWeights):
    """The backward pass goes through Wᵀ where it should go through W, or the other way round."""

    name = "transposed weights"
    remedy = "with z = W·a, the cotangent of a is Wᵀ times that of z; with rows as examples, δ·W"

    @classmethod
    def others(cls, parameters: Mapping[str, np.ndarray], place: str) -> Iterator[tuple[str, bool]]:
        """Square weights themselves."""
        if len(set(parameters[place].shape)) == 1:
            yield place, True

    @property
    def mistake(self) -> str:
        return f"the backward pass went through the transpose of {self.place}"


def _weights_on_the_way(model: Model) -> Iterator[str]:
    """The matrices that a cotangent passes on its way to other parameters."""
    graph = model.graph
    of_parameters = graph.depending_on(model.parameters)
    weights = weights_of(graph, model.parameters)
    for name in model.parameters:
        if len(graph.node_of(name).shape) != 2:
            continue
        own = graph.depending_on([name]) & weights
        users = {user for node in own for user in graph.successors(node)} - weights
        if any(
            isinstance(source, str) and source in of_parameters and source not in weights
            for user in users
            for source in graph.arguments(user)
        ):
            yield name
