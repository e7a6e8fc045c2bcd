"""Formulas of the worked examples: as a lecturer writes them, and true on numbers."""

from __future__ import annotations

import numpy as np
import pytest
from checkout import ROOT

import dataflow
from dataflow.draw.build_picture import Options, build_picture
from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.grouping import group
from dataflow.draw.picture.node_texts import Texts
from dataflow.draw.picture.picture import Role
from dataflow.draw.picture.specs import Specs
from dataflow.draw.picture.subject import backward_subject
from dataflow.execution.forward import forward
from dataflow.explain.explainer import chain_of
from dataflow.files.toml.read import loads_toml
from dataflow.graph.node import OP
from dataflow.notation.formulas import (
    COTANGENT,
    forward_formula,
    local_factor,
    local_formula,
)
from dataflow.notation.names import Names
from dataflow.notation.terms import evaluate

MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.toml"))}
UNREADABLE = ("broadcast_to", "sum_to", "place(", "where(", "masked(", "expand_dims", "1 *", "· 1 ", "3.14", "@", ".T")
"""What no formula has; by the issue's list and the operators of files."""


def load(name):
    model = dataflow.load(MODELS[name])
    model.feed(None)  # which decides widths that the data say
    return model, model.loss or model.outputs[0], list(model.parameters) or ["x" if name != "log-exercise" else "w"]


@pytest.mark.parametrize("name", MODELS)
def test_what_a_picture_writes_is_what_its_node_is(name):
    """Of each node, of both passes: its formula, computed from what it names, gives the node's value."""
    model, of, wrts = load(name)
    subject = backward_subject(model, of, wrts, with_forward=True)
    calls = Calls(model.graph, fold_repeats=False)
    grouping = group(subject, calls, {of}, (), inner=False, fold_fans=False, max_nodes=10_000)
    specs = Specs(subject, grouping.keys, None, {})
    texts = Texts(subject, model.graph, calls, grouping, Names(model.graph), specs)
    known, sizes = model.feed(None)
    values = forward(model.graph, subject.forward, known, sizes)
    values = forward(subject.graph, subject.backward, values, sizes)
    checked = 0
    for key in grouping.members():
        main = grouping.main[key]
        if subject.graph.node_of(main).kind == OP:
            expected = values[main]
            term = texts.term(main)
            assert term is not None, main
            found = np.broadcast_to(evaluate(term, values, sizes), expected.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=main)
            checked += main in subject.belongs
    assert checked >= 1


@pytest.mark.parametrize("name", MODELS)
def test_pictures_have_formulas_that_people_write(name):
    model, of, _ = load(name)
    for notation in ("math", "plain"):
        picture = build_picture(model, Options(backward=True, of=of, notation=notation))
        for node in picture.nodes:
            if node.backward:
                text = " ".join(line.text for line in node.lines if line.role == Role.EXPRESSION)
                assert not any(part in text for part in UNREADABLE), text


@pytest.mark.parametrize("name", MODELS)
def test_a_local_formula_is_the_jacobian(name):
    """Against the explanation's factors, which the ops' rules give."""
    model, of, wrts = load(name)
    inputs = model.one_example(None, 1) if model.has_batch else None
    chain = chain_of(model, of, wrts, inputs)
    names = Names(model.graph)
    edges = dict.fromkeys(edge for wrt in wrts for edge in chain.edges(wrt))
    for target, wrt, argument in edges:
        factor = local_factor(model.graph, target, wrt, names)
        assert factor is not None, (target, wrt)
        values = {**chain.values, COTANGENT: np.ones_like(chain.values[target])}
        expected = chain.factor(target, wrt, argument).jacobian.dense()
        value = factor.value(values, chain.sizes)
        np.testing.assert_allclose(np.broadcast_to(value, expected.shape), expected, rtol=1e-9, atol=1e-12)


def test_a_derivative_that_is_longer_than_its_expression_has_no_formula():
    """It has more nodes than are written down, though the expression has fewer."""
    graph = dataflow.Graph("long")
    value = graph.input("x", ("n",))
    for _ in range(30):
        value = dataflow.ops.tanh(value)
    graph.node("y", value)
    names = Names(graph, "math")
    assert forward_formula(graph, "y", names).text.count("tanh") == 30
    assert local_formula(graph, "y", "x", names) is None
    assert dataflow.view(dataflow.Model(graph, ["y"]), x=[0.5, 1.0]).html


def test_what_the_formulas_of_xor_say():  # by hand, from the lecture
    model, _, _ = load("xor")
    graph, names = model.graph, Names(model.graph)
    assert [forward_formula(graph, node, names).text for node in ("z", "h", "yhat", "loss")] == [
        "xW⁽¹⁾ᵀ + b⁽¹⁾",
        "relu(z)",
        "hW⁽²⁾ᵀ + b⁽²⁾",
        "½ Σ (ŷ − y)²",
    ]
    factors = [("loss", "yhat"), ("yhat", "h"), ("h", "z"), ("z", "W1"), ("z", "b1")]
    texts = [local_formula(graph, of, wrt, names) for of, wrt in factors]
    assert [formula.text for formula in texts] == ["ŷ − y", "W⁽²⁾", "diag(1[z > 0])", "I ⊗ xᵀ", "I"]
    picture = build_picture(model, Options(backward=True))
    written = {node.key: line.text for node in picture.nodes for line in node.lines if line.role == Role.EXPRESSION}
    assert written["grad.W1"] == "(∂loss/∂z)ᵀ x"
    assert written["grad.b1"] == "Σₙ ∂loss/∂z"


@pytest.mark.parametrize(
    ("expression", "wrt", "text"),
    [  # by hand
        ("tanh(x)", "x", "diag(1 − f²)"),
        ("sigmoid(x)", "x", "diag(f ⊙ (1 − f))"),
        ("exp(x)", "x", "diag(f)"),
        ("softmax(x)", "x", "diag(f) − ffᵀ"),
        ("A @ x", "x", "A"),
        ("A @ x", "A", "I ⊗ xᵀ"),
        ("x @ A", "x", "Aᵀ"),
        ("x @ A", "A", "xᵀ ⊗ I"),
        ("x * y", "x", "diag(y)"),
        ("3 * x", "x", "3I"),
        ("-x", "x", "−I"),
        ("x + y", "y", "I"),
        ("x / y", "x", "diag(1/y)"),
        ("x @ y", "x", "yᵀ"),
        ("[pi * x[0], x[1] / x[2]]", "x", "[π, 0, 0; 0, 1/x₃, −x₂/x₃²]"),
    ],
)
def test_local_jacobians_as_formulas(expression, wrt, text):
    declared = "x = { shape = [3] }\ny = { shape = [3] }\nA = { shape = [3, 3] }"
    source = f'dataflow = 1\n[inputs]\n{declared}\n[nodes]\nf = "{expression}"\n[model]\noutputs = ["f"]\n'
    model = loads_toml(source)
    assert local_formula(model.graph, "f", wrt, Names(model.graph)).text == text
