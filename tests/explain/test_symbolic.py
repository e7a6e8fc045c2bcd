"""Derivations in symbols: what a lecture would write, held against formulas worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from checkout import MODELS
from later import Later

import dataflow
from dataflow.errors import DataflowError, MissingExtraError, RuleError, ShapeError
from dataflow.explain import symbolic
from dataflow.explain.derivation_forms import derivation_text
from dataflow.explain.symbolic import derive
from dataflow.files.toml.read import loads_toml
from dataflow.operations.declare_ops import primitive

sympy = Later("sympy")


def symbols(derivation: symbolic.Derivation, name: str) -> list[sympy.Symbol]:
    return list(derivation.symbols[name])


def test_the_nine_scalar_net_by_its_first_weight() -> None:
    # by hand: (yhat - y) · w5 · relu'(z1) · x1
    model = dataflow.load(MODELS / "xor-scalars.toml")
    derivation = derive(model, wrt="w1", example=3)
    names = ("yhat", "y", "w5", "z1", "x1")
    yhat, y, w5, z1, x1 = (symbols(derivation, name)[0] for name in names)
    expected = sympy.Piecewise(((yhat - y) * w5 * x1, z1 > 0), (0, True))
    assert sympy.simplify(derivation.result[0, 0] - expected) == 0
    assert derivation.largest_error < 1e-12
    text = derivation.to_latex()
    assert r"\begin{cases}" in text
    assert r"\frac{\partial \mathrm{loss}}{\partial w_{1}}" in text


def test_the_matrix_net_has_the_lecture_s_factors() -> None:
    derivation = derive(dataflow.load(MODELS / "xor.toml"), wrt="W1", example=3)
    (path,) = derivation.paths
    assert [(factor.of, factor.wrt) for factor in path] == [("loss", "yhat"), ("yhat", "h"), ("h", "z"), ("z", "W1")]
    assert [factor.matrix.shape for factor in path] == [(1, 1), (1, 2), (2, 2), (2, 4)]
    x1, x2 = symbols(derivation, "x")
    assert path[3].matrix == sympy.Matrix([[x1, x2, 0, 0], [0, 0, x1, x2]])
    assert path[1].matrix.tolist()[0] == symbols(derivation, "W2")


def test_row_16_in_symbols() -> None:
    derivation = derive(dataflow.load(MODELS / "jacobian.toml"), of="f", wrt="x")
    x1, x2 = symbols(derivation, "x")
    assert derivation.result == sympy.Matrix([[2, 1], [0, sympy.pi], [-1 / x2, x1 / x2**2]])
    numeric = derivation.result.subs({x1: 3, x2: 2}).evalf()
    np.testing.assert_allclose(np.array(numeric.tolist(), float), [[2, 1], [0, np.pi], [-0.5, 0.75]], rtol=1e-15)


def test_one_factor_is_written_once() -> None:
    derivation = derive(dataflow.load(MODELS / "jacobian.toml"), of="f", wrt="x")
    assert derivation_text(derivation).count("∂f/∂x =") == 1
    assert derivation.to_latex().count(r"\begin{pmatrix}") == 1


def test_a_node_that_is_two_arguments_of_one_op_makes_two_paths() -> None:
    model = loads_toml('dataflow = 1\n[inputs]\nx = {}\n[nodes]\ny = "x * x"'.replace("{}", "{ shape = [] }"))
    derivation = derive(model, of="y", wrt="x", x=3.0)
    assert len(derivation.paths) == 2
    assert derivation.result[0, 0] == 2 * symbols(derivation, "x")[0]


def test_a_wrong_derivative_rule_is_found_before_anything_is_written() -> None:
    @dataflow.op
    def wrong_square(x):
        """x · x, with a rule that forgot the 2."""
        return x * x

    @wrong_square.vjp
    def _(g, y, x):
        return g * x

    graph = dataflow.Graph("wrong")
    graph.node("y", wrong_square(graph.input("x", ())))
    with pytest.raises(RuleError, match="disagree"):
        derive(dataflow.Model(graph, ["y"]), of="y", wrt="x", x=3.0)


def test_what_cannot_be_written_in_symbols() -> None:
    digits = dataflow.load(MODELS / "digits.toml")
    with pytest.raises(ShapeError, match="symbols are written for up to 16"):
        derive(digits, wrt="b1")

    @primitive(elementwise=True)
    def unheard_of(x):
        """Something that has no symbolic rule."""
        return np.arctan2(x, 2.0)

    @unheard_of.vjp
    def _(g, y, x):
        return g * 2 / (4 + x * x)

    graph = dataflow.Graph("one")
    graph.node("y", unheard_of(graph.input("x", ())))
    with pytest.raises(RuleError, match="'unheard_of' has no symbolic rule"):
        derive(dataflow.Model(graph, ["y"]), of="y", wrt="x", x=3.0)
    with pytest.raises(DataflowError, match="did you mean 'x'"):
        derive(dataflow.load(MODELS / "jacobian.toml"), of="f", wrt="xx")


def test_no_path_and_no_entries_are_said() -> None:
    graph = dataflow.Graph("g")
    x, empty = graph.input("x", ()), graph.input("empty", (0,))
    graph.node("y", dataflow.ops.sin(x) + dataflow.ops.sum(empty))
    graph.node("z", x * 2)
    model = dataflow.Model(graph, ["y", "z"])
    known = {"x": 1.0, "empty": np.zeros(0)}
    with pytest.raises(dataflow.GraphError, match="no path leads from 'z' back to 'empty': the derivative is zero"):
        dataflow.derive(model, of="z", wrt="empty", data=known)
    with pytest.raises(dataflow.ShapeError, match="'empty' has no entries"):
        dataflow.derive(model, of="y", wrt="empty", data=known)


def test_without_sympy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sympy", None)
    with pytest.raises(MissingExtraError, match=r"dataflow-autodiff\[symbolic\]"):
        derive(dataflow.load(MODELS / "jacobian.toml"), of="f", wrt="x")
