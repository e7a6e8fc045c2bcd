"""The mistakes that learners make, each by its name and as a learner who makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from dataflow.faults.eager import EagerPass
from dataflow.faults.learner import Arrays, Learner
from dataflow.faults.roles import is_activation, is_bias
from dataflow.graph import OP
from dataflow.interfaces import Optimizer
from dataflow.model import Model

NUDGE = 1e-6
"""How far beside its kink an op is looked at for the derivative on that side."""


def catalogue(model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Learner]:
    """Everyone who makes a mistake that can be made with this model."""
    for kind in KINDS:
        yield from kind.variants(model, parameters, optimizer)


class Mistaken(Learner):
    """A learner who makes a mistake."""

    @classmethod
    def variants(cls, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Mistaken]:
        """The ways to make it with this model."""
        yield cls(model, parameters, optimizer)


class UpdatedWeights(Mistaken):
    """The backward pass updates each parameter as soon as it has its gradient, and goes on with the new value: the
    hidden gradients are taken through weights that are no longer those of the forward pass."""

    name = "updated weights"
    mistake = "the gradients further back were taken through weights that had been updated already"
    remedy = "compute all gradients first, with the weights of the forward pass, and only then update any of them"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        return EagerPass(self, batch).gradients()


class MissingMinus(Mistaken):
    """The sign of the gradient is turned, as by y − ŷ for ŷ − y, or the update is w + ε·∇f."""

    name = "missing minus"
    mistake = "the sign is turned: y − ŷ in place of ŷ − y, or w + ε·∇f in place of w − ε·∇f"
    remedy = "the gradient points uphill; the update subtracts it"

    def used(self, gradients: Arrays) -> Arrays:
        return {name: -gradient for name, gradient in gradients.items()}


class MeanForSum(Mistaken):
    """The gradients of the examples are averaged, though the loss adds them up."""

    name = "mean instead of sum"
    other = "mean"

    @classmethod
    def variants(cls, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Mistaken]:
        if model.graph.nodes[str(model.loss)].get("attributes", {}).get("reduction") != cls.other:
            yield cls(model, parameters, optimizer)

    mistake = "the gradients of the examples were averaged, but this loss adds them up"
    remedy = 'add them up, or declare the loss with reduction="mean"'

    def used(self, gradients: Arrays) -> Arrays:
        return {name: gradient / self.count for name, gradient in gradients.items()}

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        self.count = max(1, self.examples(batch)[0])
        return super().gradient(batch)


class SumForMean(MeanForSum):
    """The gradients of the examples are added up, though the loss averages them."""

    name = "sum instead of mean"
    other = "sum"
    mistake = "the gradients of the examples were added up, but this loss averages them"
    remedy = 'divide by the number of examples, or declare the loss with reduction="sum"'

    def used(self, gradients: Arrays) -> Arrays:
        return {name: gradient * self.count for name, gradient in gradients.items()}


class ColumnMajor(Mistaken):
    """vec of a matrix was read by columns where the row Jacobian is put back into the matrix's shape."""

    name = "column-major vec"
    mistake = "the entries stand column by column: vec was taken, or undone, in column-major order"
    remedy = "vec goes row by row: the first row's entries, then the second's"

    def used(self, gradients: Arrays) -> Arrays:
        return {name: gradient.reshape(-1, order="F").reshape(gradient.shape) for name, gradient in gradients.items()}


class KinkFromTheOtherSide(Mistaken):
    """At a kink the derivative of one side is taken where the convention takes another: relu′(0) = 1."""

    name = "another derivative at a kink"

    def __init__(
        self, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer, op: str, side: int
    ) -> None:
        super().__init__(model, parameters, optimizer)
        self.op, self.side = op, side
        graph = model.graph
        self._kink = cast(Any, next(graph.op_of(x).kink_rule for x in graph if graph.nodes[x].get("op") == op))
        self.taken = float(self._kink.derivative)

    @classmethod
    def variants(cls, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Mistaken]:
        graph = model.graph
        used = {graph.nodes[name]["op"]: graph.op_of(name) for name in graph if graph.nodes[name]["kind"] == OP}
        for name, op in used.items():
            if op.kink_rule is not None and op.kink_rule.derivative is not None:
                for side in (1, -1):
                    yield cls(model, parameters, optimizer, name, side)

    @property
    def mistake(self) -> str:
        return f"{self.op}′(0) was taken as {self.taken:g}, where it is taken as {self._kink.derivative:g}"

    @property
    def remedy(self) -> str:
        return f"{self.op} has no derivative there; {self._kink.convention}"

    def pulled(
        self,
        node: str,
        g: np.ndarray,
        y: np.ndarray,
        arguments: Sequence[Any],
        attributes: Mapping[str, Any],
        wanted: Sequence[bool],
    ) -> list[Any]:
        shares = super().pulled(node, g, y, arguments, attributes, wanted)
        op = self.graph.op_of(node)
        if op.name != self.op:
            return shares
        touched = np.broadcast_to(self._kink.touched(*arguments, **attributes), y.shape)
        for i, want in enumerate(wanted):
            if want and shares[i] is not None and np.shape(shares[i]) == y.shape and touched.any():
                beside = [x + self.side * NUDGE * touched if k == i else x for k, x in enumerate(arguments)]
                moved = op.compute(beside, attributes)
                slopes = super().pulled(node, np.ones_like(y), moved, beside, attributes, wanted)[i]
                self.taken = float(np.broadcast_to(slopes, y.shape)[touched][0])
                self.name = f"{self.op}′(0) = {self.taken:g}"
                shares[i] = np.where(touched, g * slopes, shares[i])
        return shares


class ForgottenBias(Mistaken):
    """A bias is left out: the forward pass is computed as if it were 0, and its gradient is 0."""

    name = "forgotten bias"
    remedy = "the bias is part of the forward pass, and the backward pass gives it the sum of the cotangents"

    def __init__(
        self,
        model: Model,
        parameters: Mapping[str, np.ndarray],
        optimizer: Optimizer,
        biases: Sequence[str],
        forward: bool,
    ) -> None:
        super().__init__(model, parameters, optimizer)
        self.biases, self.left_out = list(biases), forward

    @classmethod
    def variants(cls, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Mistaken]:
        biases = [name for name in parameters if is_bias(model.graph, name)]
        groups = [[name] for name in biases] + ([biases] if len(biases) > 1 else [])
        for group in groups:
            for left_out in (True, False):
                yield cls(model, parameters, optimizer, group, left_out)

    @property
    def mistake(self) -> str:
        names = " and ".join(self.biases)
        return f"{names} left out of the forward pass" if self.left_out else f"no gradient of {names} was taken"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        none = {name: np.zeros_like(self.parameters[name]) for name in self.biases}
        values, sizes = self.values(batch, none if self.left_out else None)
        found = self.swept(values, sizes)
        return {name: found.get(name, np.zeros_like(value)) for name, value in self.parameters.items()} | none


class NotReset(Mistaken):
    """Gradients are added to those of the minibatches before, which were used already."""

    name = "gradients not reset"
    mistake = "each update used the gradients of all minibatches so far, because they were not set to 0 between updates"
    remedy = "set the gradients to 0 after each update"

    def __init__(self, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> None:
        super().__init__(model, parameters, optimizer)
        self.total: Arrays = {}

    def used(self, gradients: Arrays) -> Arrays:
        self.total = {name: gradient + self.total.get(name, 0) for name, gradient in gradients.items()}
        return self.total


class LastExampleOnly(Mistaken):
    """The gradient of each example overwrites that of the one before, instead of being added to it."""

    name = "last example only"
    mistake = "only the last example counts: its gradient replaced those of the others"
    remedy = "add the gradients of all examples of the minibatch"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        count, axes = self.examples(batch)
        if count > 1:
            batch = {name: x.take([count - 1], axes[name]) if name in axes else x for name, x in batch.items()}
        return super().gradient(batch)


class ForgottenDerivative(Mistaken):
    """The derivative of an activation is left out of the chain: the cotangent passes it unchanged."""

    name = "forgotten derivative"
    remedy = "multiply by the activation's derivative, taken where the forward pass was"

    def __init__(self, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer, op: str) -> None:
        super().__init__(model, parameters, optimizer)
        self.op = op

    @classmethod
    def variants(cls, model: Model, parameters: Mapping[str, np.ndarray], optimizer: Optimizer) -> Iterator[Mistaken]:
        graph = model.graph
        ops = dict.fromkeys(graph.nodes[name]["op"] for name in graph if is_activation(graph, name))
        for op in ops:
            yield cls(model, parameters, optimizer, op)

    @property
    def mistake(self) -> str:
        return f"the derivative of {self.op} is missing from the chain: {self.op}′(z) was left out"

    def pulled(
        self,
        node: str,
        g: np.ndarray,
        y: np.ndarray,
        arguments: Sequence[Any],
        attributes: Mapping[str, Any],
        wanted: Sequence[bool],
    ) -> list[Any]:
        if self.graph.nodes[node]["op"] == self.op and is_activation(self.graph, node):
            return [g if want else None for want in wanted]
        return super().pulled(node, g, y, arguments, attributes, wanted)


KINDS: tuple[type[Mistaken], ...] = (
    UpdatedWeights,
    MissingMinus,
    MeanForSum,
    SumForMean,
    ColumnMajor,
    KinkFromTheOtherSide,
    ForgottenBias,
    NotReset,
    LastExampleOnly,
    ForgottenDerivative,
)
"""All mistakes, in the order in which they are tried."""
