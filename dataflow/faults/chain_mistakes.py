"""Mistakes in the chain: a factor that is left out, or taken in the wrong place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from dataflow.autodiff.reverse import Applied
from dataflow.errors import DataflowError
from dataflow.faults.learner import Arrays, Mistaken, Task
from dataflow.faults.roles import is_activation, is_bias
from dataflow.graph.node import OP
from dataflow.model.model import Model
from dataflow.operations.op import Op

NUDGE = 1e-6
"""How far beside its kink an op is looked at for the derivative on that side."""
MOST_VARIANTS = 12
"""So many ways to make one mistake are tried."""

Slope = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class WrongFormula:
    """A formula that is taken for the derivative of a function: of z, before it, and a, its result."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    right: str
    slope: Slope


FORMULAS = (
    WrongFormula("tanh′ = 1 − z²", np.tanh, "1 − a² with a = tanh(z)", lambda z, a: 1 - z * z),
    WrongFormula("tanh′ = 1 − a", np.tanh, "1 − a² with a = tanh(z)", lambda z, a: 1 - a),
    WrongFormula("σ′ = z(1 − z)", lambda z: 1 / (1 + np.exp(-z)), "a(1 − a) with a = σ(z)", lambda z, a: z * (1 - z)),
    WrongFormula("σ′ = 1 − a", lambda z: 1 / (1 + np.exp(-z)), "a(1 − a) with a = σ(z)", lambda z, a: 1 - a),
)


def activations(model: Model) -> dict[Op, list[str]]:
    """The activations on the way to the loss: the nodes of each op."""
    nodes: dict[Op, list[str]] = {}
    for name in model.graph.schedule([str(model.loss)]):
        if is_activation(model.graph, name):
            nodes.setdefault(model.graph.op_of(name), []).append(name)
    return nodes


class ForgottenBias(Mistaken):
    """A bias is left out: the forward pass is computed as if it were 0, and its gradient is 0."""

    name = "forgotten bias"
    remedy = "the bias is part of the forward pass, and the backward pass gives it the sum of the cotangents"

    def __init__(self, task: Task, biases: Sequence[str], forward: bool) -> None:
        super().__init__(task)
        self.biases, self.left_out = list(biases), forward

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        biases = [name for name in task.parameters if is_bias(task.model.graph, name)]
        groups = [[name] for name in biases] + ([biases] if len(biases) > 1 else [])
        for group in groups:
            for left_out in (True, False):
                yield cls(task, group, left_out)

    @property
    def mistake(self) -> str:
        names = " and ".join(self.biases)
        return f"{names} left out of the forward pass" if self.left_out else f"no gradient of {names} was taken"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        none = {name: np.zeros_like(self.parameters[name]) for name in self.biases}
        values, sizes = self.values(batch, none if self.left_out else None)
        return self.swept(values, sizes) | none


class ForgottenDerivative(Mistaken):
    """The derivative of an activation is left out of the chain: the cotangent passes it unchanged."""

    name = "forgotten derivative"
    remedy = "multiply by the activation's derivative, taken where the forward pass was"

    def __init__(self, task: Task, op: Op, nodes: Sequence[str]) -> None:
        super().__init__(task)
        self.op, self.nodes = op, nodes

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        for op, nodes in activations(task.model).items():
            yield cls(task, op, nodes)
            if len(nodes) > 1:
                for node in nodes[:MOST_VARIANTS]:
                    yield cls(task, op, [node])

    @property
    def mistake(self) -> str:
        where = f" at {self.nodes[0]}" if len(self.nodes) == 1 else ""
        return f"the derivative of {self.op.name} is missing from the chain{where}: {self.op.name}′(z) was left out"

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        if at.node in self.nodes:
            return [g if want else None for want in at.wanted]
        return super().pull_back(g, at)


class WrongSlope(Mistaken):
    """A wrong formula for an activation's derivative, such as tanh′ = 1 − z² or 1 − a, where it is 1 − a²."""

    name = "wrong derivative of an activation"

    def __init__(self, task: Task, op: Op, nodes: Sequence[str], formula: WrongFormula) -> None:
        super().__init__(task)
        self.op, self.nodes, self.formula = op, nodes, formula
        self.name = formula.name

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        for op, nodes in activations(task.model).items():
            for formula in FORMULAS:
                if _computes(op, task.model.graph.node_of(nodes[0]).attributes, formula.function):
                    yield cls(task, op, nodes, formula)

    @property
    def mistake(self) -> str:
        taken = self.name.partition("= ")[2]
        return f"the derivative was taken as {taken}, with z before and a after the {self.op.name}"

    @property
    def remedy(self) -> str:
        return f"the derivative of {self.op.name} is {self.formula.right}"

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        if at.node in self.nodes:
            return [g * self.formula.slope(at.arguments[0], at.y) if want else None for want in at.wanted]
        return super().pull_back(g, at)


class SlopeAtOutput(Mistaken):
    """An activation's derivative is taken at its result: σ′(a) in place of σ′(z)."""

    name = "derivative taken at a"

    def __init__(self, task: Task, op: Op) -> None:
        super().__init__(task)
        self.op = op

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        for op in activations(task.model):
            if op.kink_rule is None:  # relu has the same derivative at its result
                yield cls(task, op)

    @property
    def mistake(self) -> str:
        return f"{self.op.name}′(a) was taken in place of {self.op.name}′(z): the derivative was taken at the result"

    remedy = "the derivative is taken where the forward pass was: at z, before the activation"

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        if self.graph.op_of(at.node) is self.op and is_activation(self.graph, at.node):
            return super().pull_back(g, at._replace(y=self.op.compute([at.y], at.attributes), arguments=[at.y]))
        return super().pull_back(g, at)


class KinkFromTheOtherSide(Mistaken):
    """At a kink the derivative of one side is taken where the convention takes another: relu′(0) = 1."""

    name = "another derivative at a kink"

    def __init__(self, task: Task, op: Op, side: int) -> None:
        super().__init__(task)
        self.op, self.side = op, side
        self._kink = cast(Any, op.kink_rule)
        self.taken = float(self._kink.derivative)

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        graph = task.model.graph
        for op in dict.fromkeys(graph.op_of(name) for name in graph if graph.node_of(name).kind == OP):
            if op.kink_rule is not None and op.kink_rule.derivative is not None:
                for side in (1, -1):
                    yield cls(task, op, side)

    @property
    def mistake(self) -> str:
        return f"{self.op.name}′(0) was taken as {self.taken:g}, where it is taken as {self._kink.derivative:g}"

    @property
    def remedy(self) -> str:
        return f"{self.op.name} has no derivative there; {self._kink.convention}"

    def pull_back(self, g: np.ndarray, at: Applied) -> list[Any]:
        shares = super().pull_back(g, at)
        op = self.graph.op_of(at.node)
        if op is not self.op:
            return shares
        touched = np.broadcast_to(self._kink.touched(*at.arguments, **at.attributes), at.y.shape)
        for i, want in enumerate(at.wanted):
            if want and shares[i] is not None and np.shape(shares[i]) == at.y.shape and touched.any():
                beside = [x + self.side * NUDGE * touched if k == i else x for k, x in enumerate(at.arguments)]
                moved = op.compute(beside, at.attributes)
                slopes = super().pull_back(np.ones_like(at.y), at._replace(y=moved, arguments=beside))[i]
                self.taken = float(np.broadcast_to(slopes, at.y.shape)[touched][0])
                self.name = f"{self.op.name}′(0) = {self.taken:g}"
                shares[i] = np.where(touched, g * slopes, shares[i])
        return shares


def _computes(op: Op, attributes: Mapping[str, Any], function: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether an op is this function, by its values, whatever its name is."""
    z = np.linspace(-3, 3, 7)
    try:
        return bool(np.allclose(op.compute(op.complete([z]), attributes), function(z), rtol=1e-9, atol=1e-12))
    except (DataflowError, ValueError):
        return False
