"""What is checked of an op's derivatives: against finite differences, and each rule against the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dataflow.analysis.finite_differences import Difference, central_difference
from dataflow.autodiff.reverse import GradientGraph, backward, gradient_graph
from dataflow.errors import counted
from dataflow.explain.local import Call, local_jacobian
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.graph.walk import replay
from dataflow.operations.engine_ops import sum_to
from dataflow.shapes import Shape
from dataflow.testing.cases import Case, along, entries
from dataflow.testing.values import broadcast_pairs, differs, name_of

TOLERANCE = 1e-6
"""The relative tolerance of comparisons with finite differences."""
EXACT = 1e-10
"""The relative tolerance of what should be the same but for rounding."""
ENTRIES = 24
"""The most entries of an argument that are moved one by one."""
STARTS = (1e-2, 1e-5)
"""Two first steps, the second for a kink so near that larger steps cross it."""


def has_derivative(case: Case) -> bool:
    """Whether floats go in and come out."""
    return bool(case.floats) and case.run().dtype.kind == "f"


def vjp(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The cotangents agree with central finite differences, entry by entry."""
    if not has_derivative(case):
        return
    if touched(case).any():
        yield "the sample touches the op's kink, where there is no derivative to compare with; choose other numbers"
        return
    y = case.run()
    g = rng.normal(size=y.shape)
    shares = case.pullback(g)
    for i in case.floats:
        if shares[i].shape != case.arguments[i].shape:
            yield f"the cotangent of {name_of(case, i)} has the shape {shares[i].shape}"
            return
        scale = float(np.abs(shares[i]).max(initial=0.0))
        for place in entries(case.arguments[i], rng, ENTRIES):
            direction = np.zeros(case.arguments[i].shape)
            direction[place] = 1.0
            moved = along(case, {i: direction}, g)
            yield from compare(
                f"the cotangent of {name_of(case, i)}{list(place) or ''}", float(shares[i][place]), moved, scale
            )


def jacobian(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A Jacobian rule gives a matrix, outputs × inputs, that says what the vjp rule says; traced, it says the same."""
    op = case.op
    if op.jacobian_rule is None or not has_derivative(case):
        return
    result = op.jacobian_rule(case.run(), *case.arguments, **case.attributes)
    matrices = result if isinstance(result, (tuple, list)) else (result,)
    if len(matrices) != len(case.arguments):
        yield f"it gives {counted(len(matrices), 'matrix')} for {counted(len(case.arguments), 'input')}"
        return
    rows = _rows(case)
    for i in case.floats:
        matrix_found = np.zeros_like(rows[i]) if matrices[i] is None else np.asarray(matrices[i])
        yield from differs(f"the matrix wrt {name_of(case, i)}", matrix_found, "by its rows, from vjp", rows[i], EXACT)
    graph, known, y = case.graph()
    operands = [graph.value(f"x{i}") if i in case.arrays else x for i, x in enumerate(case.arguments)]
    traced = op.jacobian_rule(y, *operands, **case.attributes)
    for i, matrix in enumerate(traced if isinstance(traced, (tuple, list)) else (traced,)):
        if isinstance(matrix, Value) and i in case.floats:
            matrix_found = np.asarray(replay(graph, known, [matrix.name])[matrix.name])
            yield from differs(
                f"the traced matrix wrt {name_of(case, i)}", matrix_found, "called", np.asarray(matrices[i]), EXACT
            )


def traced_gradient(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The gradient graph, run, gives what the backward pass gives node by node, and what the rule gives."""
    if not has_derivative(case):
        return
    traced = Traced(case, rng)
    known, wrt = traced.known, traced.wrt
    names = list(traced.first.cotangents.values())
    traced_values = replay(traced.first.graph, known, names)
    order = traced.graph.schedule(["f"])
    values = replay(traced.graph, known, order)
    expected = backward(traced.graph, order, values, {"f": np.ones(())}, wrt)
    if missing := sorted((expected.keys() ^ traced.first.cotangents.keys()) & set(wrt)):
        yield f"only one of the gradient graph and the backward pass has a cotangent of {', '.join(missing)}"
    shares = case.pullback(known["u"])
    for i in case.floats:
        name = f"x{i}"
        if name in expected and name in traced.first.cotangents:
            value = np.asarray(traced_values[traced.first.cotangents[name]])
            yield from differs(f"the gradient graph wrt {name_of(case, i)}", value, "backward", expected[name], EXACT)
            yield from differs(
                f"the backward pass wrt {name_of(case, i)}", expected[name], "the rule", shares[i], EXACT
            )


def jvp(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩, where Jv is the vjp of the vjp, and Jv is the derivative along v."""
    if not has_derivative(case):
        return
    traced = Traced(case, rng)
    tangent = traced.tangent()
    u, y = traced.known["u"], case.run()
    if tangent.shape != y.shape:
        yield f"Jv has the shape {tangent.shape}, the result {y.shape}"
        return
    shares = case.pullback(u)
    products = [shares[i] * traced.known[f"v{i}"] for i in case.floats]
    left, right = float(np.sum(u * tangent)), float(sum(np.sum(product) for product in products))
    scale = float(np.sum(np.abs(u * tangent)) + sum(np.sum(np.abs(product)) for product in products))
    if not abs(left - right) <= EXACT * scale:
        yield f"⟨u, Jv⟩ = {left:.12g}, ⟨Jᵀu, v⟩ = {right:.12g}: the rule is not linear in g, or no transpose"
    if touched(case).any():
        return
    directions = {i: traced.known[f"v{i}"] for i in case.floats}
    for place in entries(y, rng, ENTRIES):
        weight = np.zeros(y.shape)
        weight[place] = 1.0
        moved = along(case, directions, weight)
        yield from compare(f"Jv{list(place) or ''}", float(tangent[place]), moved, float(np.abs(tangent).max()))


def second(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The gradient of the gradient graph agrees with finite differences of the first derivative."""
    if not has_derivative(case) or touched(case).any():
        return
    traced = Traced(case, rng)
    derivative = traced.second_along_w()

    def first_derivative(step: float) -> np.ndarray:
        moved = {i: case.arguments[i] + step * traced.known[f"w{i}"] for i in case.floats}
        shares = case.changed(moved).pullback(traced.known["u"])
        return np.concatenate([(shares[i] * traced.known[f"v{i}"]).reshape(-1) for i in case.floats])

    yield from compare("the derivative of ⟨Jᵀu, v⟩ along w", derivative, first_derivative, 0.0)


def broadcasting(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """Where an elementwise op broadcasts, a cotangent is summed over the axes that were broadcast."""
    if not has_derivative(case):
        return
    for spread, whole in broadcast_pairs(case, rng):
        g = rng.normal(size=whole.run().shape)
        shapes = " and ".join(str(spread.arguments[i].shape) for i in spread.arrays)
        pairs = zip(spread.pullback(g), whole.pullback(g), strict=True)
        for i, (gradient, share) in enumerate(pairs):
            if i in case.floats:
                expected = np.asarray(sum_to(share, shape=spread.arguments[i].shape))
                what = f"shapes {shapes}: the cotangent of {name_of(case, i)}"
                yield from differs(
                    what, gradient, "summed after broadcasting", expected, EXACT, float(np.abs(share).sum())
                )


def structure(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The Jacobian as an operator that knows its structure, for explanations, is the Jacobian."""
    if not has_derivative(case):
        return
    y = case.run()
    rows = _rows(case)
    for i in case.floats:
        jacobian = local_jacobian(Call(case.op, case.arguments, case.attributes, y), i)
        what = f"the {jacobian.structure} Jacobian wrt {name_of(case, i)}"
        yield from differs(what, np.asarray(jacobian.dense(), np.float64), "by its rows, from vjp", rows[i], EXACT)


def symbolic(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """The symbolic rule gives the same numbers."""
    if case.op.symbolic_rule is None:
        return
    try:
        import sympy
    except ImportError:
        return
    names = [None if x is None else sympy.Symbol(name) for name, x in zip(case.op.inputs, case.arguments, strict=True)]
    expression = case.op.symbolic_rule(sympy, *names, **case.attributes)
    y = case.run()
    operands = [None if x is None else np.broadcast_to(x, y.shape) for x in case.arguments]
    for place in entries(y, rng, 4):
        put_in = {
            name: bool(x[place]) if x.dtype.kind == "b" else sympy.Float(float(x[place]), 30)
            for name, x in zip(names, operands, strict=True)
            if name is not None and x is not None
        }
        value = expression.subs(put_in)
        expected = np.asarray(float(bool(value) if y.dtype.kind == "b" else value))
        yield from differs("the op", np.asarray(float(y[place])), f"{expression}", expected, EXACT)


def touched(case: Case) -> np.ndarray:
    """Where in the result the op touches its declared kink."""
    y = case.run()
    if case.op.kink_rule is None:
        return np.zeros(y.shape, bool)
    mask = np.asarray(case.op.kink_rule.touched(*case.arguments, **case.attributes))
    return np.broadcast_to(mask, y.shape)


class Traced:
    """``f`` = ⟨u, op(x)⟩ as a graph with its gradient graph, and ``s`` = ⟨∂f/∂x, v⟩ with its own."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.graph, self.known, y = case.graph()
        self.wrt = [f"x{i}" for i in case.floats]
        self._put(self.graph, "u", rng.normal(size=case.run().shape), y.shape)
        self.graph.node("f", sum_to(y * self.graph.value("u"), shape=()))
        self.first: GradientGraph = gradient_graph(self.graph, "f", self.wrt)
        self.twice = self.first.graph.copy()
        total: Any = 0.0
        for i in case.floats:
            self.known[f"w{i}"] = rng.normal(size=case.arguments[i].shape)
            v = self._put(self.twice, f"v{i}", rng.normal(size=case.arguments[i].shape))
            if f"x{i}" in self.first.cotangents:
                cotangent = self.twice.value(self.first.cotangents[f"x{i}"])
                total = total + sum_to(cotangent * v, shape=())
        self.connected = isinstance(total, Value)
        if self.connected:
            self.twice.node("s", total)

    def tangent(self) -> np.ndarray:
        """Jv = ∂s/∂u."""
        return self.tangent_of()({})

    def tangent_of(self) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
        """Jv as a function of changes to what is known."""
        derivative = self._derivative(["u"])
        return lambda changes: derivative(changes).get("u", np.zeros_like(self.known["u"]))

    def second_along_w(self) -> float:
        """⟨∂s/∂x, w⟩."""
        derivative = self._derivative(self.wrt)({})
        return float(
            sum(np.sum(derivative[name] * self.known[f"w{name[1:]}"]) for name in self.wrt if name in derivative)
        )

    def _derivative(self, wrt: list[str]) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        if not self.connected:
            return lambda changes: {}
        result = gradient_graph(self.twice, "s", wrt)
        names = {name: result.cotangents[name] for name in wrt if name in result.cotangents}

        def at(changes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            values = replay(result.graph, {**self.known, **changes}, list(names.values()))
            return {name: np.asarray(values[target]) for name, target in names.items()}

        return at

    def _put(self, graph: Graph, name: str, array: np.ndarray, shape: Shape | None = None) -> Value:
        self.known[name] = array
        return graph.input(name, array.shape if shape is None else shape, "float64")


def _rows(case: Case) -> dict[int, np.ndarray]:
    """The Jacobian wrt each float argument, row by row from the vjp."""
    y = case.run()
    rows: dict[int, list[np.ndarray]] = {i: [] for i in case.floats}
    for place in np.ndindex(y.shape):
        g = np.zeros(y.shape)
        g[place] = 1.0
        for i, share in enumerate(case.pullback(g)):
            if i in rows:
                rows[i].append(share.reshape(-1))
    return {i: np.reshape(matrix, (y.size, case.arguments[i].size)) for i, matrix in rows.items()}


def compare(what: str, value: float, moved: Any, scale: float) -> Iterator[str]:
    """Yield a line unless ``value`` is the derivative of ``sum(moved(step))`` at 0."""
    measured = Difference(math.nan, math.inf)
    for start in STARTS:
        measured = central_difference(moved, start)
        tolerance = TOLERANCE * max(abs(measured.value), abs(value), 1e-3 * scale) + 10 * measured.uncertainty
        decided = measured.uncertainty <= 1e-3 * max(abs(measured.value), abs(value), 1e-3 * scale, 1e-6)
        if decided and abs(measured.value - value) <= tolerance:
            return
    if decided:
        yield f"{what} is {value:.12g}, finite differences say {measured.value:.12g} ± {measured.uncertainty:.1g}"
    else:
        yield (
            f"{what} is {value:.12g}, finite differences do not converge ({measured.value:.3g} ± "
            f"{measured.uncertainty:.1g}): is the sample at a kink that is not declared, or outside the op's domain?"
        )
