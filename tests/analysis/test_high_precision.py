"""The evaluation with 50 digits: against closed forms in mpmath, and against the models' own numbers."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow.analysis.high_precision import DIGITS, Precise
from dataflow.errors import RuleError
from dataflow.execution.inputs import feed
from dataflow.operations.declare_ops import primitive
from dataflow.registry import registry
from dataflow.testing.cases import cases_of, every_op

MODELS = sorted((MODELS).glob("*.toml"))
UNARY = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sqrt": mpmath.sqrt,
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


def evaluated(name: str, x: float) -> Precise:
    graph = dataflow.Graph("one")
    graph.node("y", registry.lookup(name)(graph.input("x", ())))
    known, sizes = feed(graph, {"x": x})
    return Precise(graph, "y", known, sizes)


@pytest.mark.parametrize("name", UNARY)
def test_values_and_slopes_have_far_more_digits_than_a_float(name: str) -> None:
    x = 0.7310585786300049
    precise = evaluated(name, x)
    with mpmath.workdps(DIGITS):
        assert mpmath.almosteq(precise.value(), UNARY[name](mpmath.mpf(x)), rel_eps=mpmath.mpf(10) ** -45)
        slope = mpmath.diff(UNARY[name], mpmath.mpf(x))
        assert mpmath.almosteq(precise.slope("x", np.ones(())), slope, rel_eps=mpmath.mpf(10) ** -25)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem == "deep" else ()) for path in MODELS],
)
def test_every_model_has_the_gradients_that_50_digits_give(path: Path) -> None:
    model = dataflow.load(path)
    of = model.loss or model.outputs[0]
    data = model.one_example(None, 1) if model.has_batch else None
    known, sizes = model.feed(data)
    precise = Precise(model.graph, of, known, sizes)
    assert float(precise.value()) == pytest.approx(float(model.evaluate(data=data).values[of].sum()), rel=1e-12)
    wrt = list(model.parameters) or model.graph.names("input")
    rng = np.random.default_rng(0)
    for name, gradient in model.gradients(of=of, wrt=wrt, data=data).items():
        direction = rng.normal(size=gradient.shape)
        expected = float(precise.slope(name, direction))
        assert float(np.sum(gradient * direction)) == pytest.approx(expected, rel=1e-10, abs=1e-13)


OF_BITS = ("bitcast", "round_to", "round_to_power")
"""Numbers of 50 digits have other bits."""


@pytest.mark.parametrize(
    "name",  # what an op with a graph gives is known node by node alone
    [n for n, op in sorted(every_op().items()) if not (op.is_primitive and op.graph_attributes) and n not in OF_BITS],
)
def test_every_op_has_a_value_with_50_digits(name: str) -> None:
    for case in cases_of(registry.lookup(name), 3):
        graph, known, y = case.graph()
        _, sizes = feed(graph, known)
        expected = np.asarray(case.run()).astype(float).sum()
        assert float(Precise(graph, y.name, known, sizes).value()) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_an_op_that_cannot_be_evaluated_says_so() -> None:
    @primitive(elementwise=True)
    def erf_like(x):
        """Something that numpy alone can compute."""
        return np.arctan2(x, 2.0)

    graph = dataflow.Graph("one")
    graph.node("y", erf_like(graph.input("x", ())))
    known, sizes = feed(graph, {"x": 0.5})
    with pytest.raises(RuleError, match="'erf_like' has no symbolic rule"):
        Precise(graph, "y", known, sizes).value()
