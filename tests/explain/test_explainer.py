"""Explanations: factors, structure, products, costs. Numbers of the lecture, worked exactly."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataError, DataflowError, GraphError, ShapeError
from dataflow.explain import factor_texts
from dataflow.explain.chain import Chain
from dataflow.explain.explainer import explain
from dataflow.explain.html_page import page
from dataflow.explain.json_document import document
from dataflow.explain.latex import latex
from dataflow.explain.local import Call, local_jacobian
from dataflow.explain.order_search import accumulate, cheapest, orders
from dataflow.explain.text import frames, text
from dataflow.files.toml.read import loads_toml
from dataflow.model.composition import compose
from dataflow.operations.jacobians import Dense, OnePerRow
from dataflow.ops import add, relu, tanh
from dataflow.registry import registry
from dataflow.testing.cases import Case, cases_of, every_op

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
Y = np.array([[0], [1], [1], [0]], dtype=float)


def s1() -> dataflow.Model:
    model = dataflow.load(MODELS / "xor.toml")
    model.parameters = {"W1": [[0.5, -0.3], [0.2, 0.8]], "b1": [0.1, -0.2], "W2": [[0.7, -0.5]], "b2": [0.05]}
    return model


# ------------------------------------------------------------------------------------------------ rows 8, 21, 27 to 31


def test_row_29_the_four_factors_of_the_first_matrix() -> None:
    found = explain(s1(), wrt="W1", example=3).explained["W1"]
    assert found.paths is not None
    (path,) = found.paths
    expected = [
        ("loss", "yhat", [[-0.14]], "dense"),
        ("yhat", "h", [[0.7, -0.5]], "dense"),
        ("h", "z", np.eye(2), "diagonal"),
        ("z", "W1", [[1, 1, 0, 0], [0, 0, 1, 1]], "Kronecker, I ⊗ A"),
    ]
    assert len(path.factors) == len(expected)
    for factor, (of, wrt, matrix, structure) in zip(path.factors, expected, strict=True):
        assert (factor.of, factor.wrt, factor.structure) == (of, wrt, structure)
        np.testing.assert_allclose(factor.jacobian.dense(), matrix, rtol=1e-12)
    partials = [[[-0.14]], [[-0.098, 0.07]], [[-0.098, 0.07]], [[-0.098, -0.098, 0.07, 0.07]]]
    for partial, matrix in zip(path.partials, partials, strict=True):
        np.testing.assert_allclose(partial, matrix, rtol=1e-12)
    np.testing.assert_allclose(found.gradient, [[-0.098, -0.098], [0.07, 0.07]], rtol=1e-12)


def test_row_8_two_factors() -> None:
    found = explain(dataflow.load(MODELS / "xor-scalars.toml"), wrt="w1", of="loss", example=3).explained["w1"]
    assert found.paths is not None
    (path,) = found.paths
    first, rest = path.factors[0].jacobian.dense(), path.factors[1:]
    product = rest[0].jacobian.dense()
    for factor in rest[1:]:
        product = product @ factor.jacobian.dense()
    np.testing.assert_allclose(first @ product, found.product, rtol=1e-14)


def test_row_27_neighbouring_widths_agree() -> None:
    for one in explain(s1()).explained.values():
        for path in one.paths or []:
            for left, right in zip(path.factors, path.factors[1:], strict=False):
                assert left.shape[1] == right.shape[0]


def test_row_30_what_the_gradients_share_27_against_21() -> None:
    found = explain(s1(), example=3)
    assert (found.separate, found.shared) == (27, 21)
    assert found.shared_with["loss", "yhat", None] == ["W1", "b1", "W2", "b2"]
    assert found.shared_with["h", "z", None] == ["W1", "b1"]
    # of the whole batch the counts are the same: they are for one example
    assert (explain(s1()).separate, explain(s1()).shared) == (27, 21)


def test_row_31_reverse_against_forward() -> None:
    counts = explain(s1(), wrt="W1").explained["W1"].multiplications
    assert counts is not None
    assert (counts.reverse, counts.forward, counts.best) == (14, 28, 14)


def test_row_9_over_the_batch_the_gradients_are_summed() -> None:
    found = explain(s1())
    for name, gradient in s1().gradients(x=X, y=Y).items():
        np.testing.assert_allclose(found.explained[name].gradient, gradient, rtol=1e-13, atol=1e-15)
    assert any("'h' (relu) touches its kink at [2, 1]" in note for note in found.warnings)


def chain_costs(widths: list[int]) -> dict[str, int]:
    names = [f"v{i}" for i in range(len(widths))]
    sizes = dict(zip(names, widths, strict=True))
    found = orders(sizes, list(zip(names, names[1:], strict=False)), names[0], names[-1])
    return {name: one.multiplications for name, one in found.items()}


def test_the_costs_of_dense_chains() -> None:
    wide = chain_costs([64, 8, 32, 8, 64])
    assert (wide["forward"], wide["reverse"], wide["best"]) == (65_536, 65_536, 38_912)
    narrow = chain_costs([10, 100, 5, 100, 10])
    assert (narrow["forward"], narrow["reverse"], narrow["best"]) == (20_000, 20_000, 10_500)


def test_a_784_30_10_net() -> None:
    model = loads_toml("""
    dataflow = 1
    [inputs]
    x = { shape = ["n", 784] }
    y = { shape = ["n", 10] }
    [parameters]
    W1 = { shape = [30, 784], init = "he_normal" }
    W2 = { shape = [10, 30], init = "he_normal" }
    [nodes]
    z = "x @ W1.T"
    h = "relu(z)"
    yhat = "h @ W2.T"
    loss = "mse(yhat, y)"
    [model]
    loss = "loss"
    """)
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(2, 784)), "y": rng.normal(size=(2, 10))}
    counts = explain(model, wrt="W1", data=data).explained["W1"].multiplications
    assert counts is not None
    assert (counts.reverse, counts.forward) == (706_800, 28_459_200)


# ------------------------------------------------------------------------------------------------ rows 19 to 21


def test_row_19_order_matters_and_the_reversed_product_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(1×3\)\(2×2\) is no product.*order of the factors matters"):
        Dense(np.ones((1, 3))) @ Dense(np.ones((2, 2)))
    f = np.array(
        [[2.0, 3.0], [0.0, 1.0]]
    )  # of [u1 u2, u2] at u = g(1, 2) = (3, 1): [[u2, u1], [0, 1]] = [[1, 3], [0, 1]]
    model = loads_toml("""
    dataflow = 1
    [inputs]
    x = { shape = [2] }
    [nodes]
    u = "[x[0] + x[1], x[0]]"
    f = "[u[0] * u[1], u[1]]"
    [model]
    outputs = ["f"]
    """)
    found = explain(model, of="f", wrt="x", x=[1.0, 2.0]).explained["x"]
    assert found.paths is not None
    left, right = (factor.jacobian.dense() for factor in found.paths[0].factors)
    np.testing.assert_array_equal(left @ right, [[4, 1], [1, 0]])
    np.testing.assert_array_equal(right @ left, [[1, 4], [1, 3]])
    assert f.shape == left.shape


F = """
dataflow = 1
name = "f"
[inputs]
u = { shape = [3] }
[nodes]
f = "u[0] - 2 * u[1] + u[2] / 4"
[model]
outputs = ["f"]
"""
G = """
dataflow = 1
name = "g"
[inputs]
x = { shape = [2] }
[nodes]
g = "[x[0] + 2 * x[1], x[1], -x[0] + 3]"
[model]
outputs = ["g"]
"""


def test_rows_20_and_21_substitution_and_the_chain_rule_agree() -> None:
    composed = compose(loads_toml(F), loads_toml(G))
    at = [5.0, -7.0]
    assert composed.run(x=at)["f"] == 4.5
    assert composed.run(x=at)["f"] == loads_toml(F).run(u=loads_toml(G).run(x=at)["g"])["f"]
    found = explain(composed, of="f", wrt="x", x=at).explained["x"]
    assert found.paths is not None
    f, g = (factor.jacobian.dense() for factor in found.paths[0].factors)
    np.testing.assert_array_equal(f, [[1, -2, 0.25]])
    np.testing.assert_array_equal(g, [[1, 2], [0, 1], [-1, 0]])
    np.testing.assert_array_equal(found.product, [[0.75, 0]])
    np.testing.assert_array_equal(composed.jacobian(of="f", wrt="x", x=at), [[0.75, 0]])


def test_composing_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        compose(loads_toml(G), loads_toml(G))
    with pytest.raises(GraphError, match="no input 'v'; available: 'u'"):
        compose(loads_toml(F), loads_toml(G), connect={"v": "g"})
    with pytest.raises(GraphError, match="no node 'gg'"):
        compose(loads_toml(F), loads_toml(G), connect={"u": "gg"})


def test_composing_nets_keeps_parameters_and_renames_what_clashes() -> None:
    first, second = s1(), s1()
    composed = compose(
        second,
        loads_toml(G.replace("[2]", '["n", 2]').replace('"[x[0] + 2 * x[1], x[1], -x[0] + 3]"', '"x * 2"')),
        connect={"x": "g"},
    )
    np.testing.assert_array_equal(composed.run(x=X)["yhat"], first.run(x=2 * X)["yhat"])


# ------------------------------------------------------------------------------------------------ structure


@pytest.mark.parametrize(
    ("name", "samples"),
    [(name, 1) for name in sorted(every_op())]
    + [pytest.param(name, 99, marks=pytest.mark.slow) for name in sorted(every_op())],
)
def test_every_local_jacobian_is_the_op_s(name: str, samples: int) -> None:
    op = registry.lookup(name)
    for case in cases_of(op, 5)[:samples]:
        result = case.run()
        if result.dtype.kind != "f":
            continue
        for i in case.floats:
            found = local_jacobian(Call(op, case.arguments, case.attributes, result), i)
            rows = [case.pullback(unit.reshape(result.shape))[i].reshape(-1) for unit in np.eye(result.size)]
            np.testing.assert_allclose(found.dense(), np.array(rows).reshape(found.shape), rtol=1e-12, atol=1e-14)
            left = np.random.default_rng(0).normal(size=(2, result.size))
            np.testing.assert_allclose(found.left(left), left @ found.dense(), rtol=1e-10, atol=1e-12)


def odd_arguments(case: Case) -> Iterator[Case]:
    """The case at places where rules by hand may choose, and with whole numbers and booleans in place of floats."""
    for value in (0.0, 1.0, -1.0):
        for group in {case.floats, *((i,) for i in case.floats)}:
            yield case.changed({i: np.full(case.arguments[i].shape, value) for i in group}, f"{group} {value}")
    for i in case.floats:
        for kind in ("int64", "bool"):
            for group in {(i,), tuple(j for j in case.floats if j != i)} - {()}:
                whole = {j: np.round(2 * np.abs(case.arguments[j])).astype(kind) for j in group}
                yield case.changed(whole, f"{group} {kind}")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(every_op()))
def test_local_jacobians_at_kinks_and_beside_whole_numbers_are_the_op_s(name: str) -> None:
    """What is expected is the op's own rule, which the checks of every op compare with finite differences."""
    op = registry.lookup(name)
    for case in odd_arguments(cases_of(op, 5)[0]):
        try:
            result = case.run()
            case.infer()
        except DataflowError:
            continue  # nothing that it takes
        if result.dtype.kind != "f":
            continue
        cotangent = np.random.default_rng(0).uniform(0.5, 1.5, result.shape)
        try:
            expected = case.pullback(cotangent.astype(result.dtype))
        except DataflowError:
            continue
        for i in case.floats:
            found = local_jacobian(Call(op, case.arguments, case.attributes, result), i).left(cotangent.reshape(1, -1))
            np.testing.assert_allclose(found[0], expected[i].reshape(-1), rtol=1e-9, atol=1e-12, err_msg=case.label)


@pytest.mark.parametrize("name", sorted(every_op()))
def test_a_node_of_each_op_is_explained(name: str) -> None:
    case = cases_of(registry.lookup(name), 5)[0]
    graph, known, y = case.graph()
    if y.dtype.kind != "f" or not case.floats:
        return
    model = dataflow.Model(graph, [y.name])
    wrt = f"x{case.floats[0]}"
    explained = explain(model, of="y", wrt=wrt, data=known)
    product = np.array(document(explained)["product"], float)
    gradient = model.evaluate(of="y", wrt=[wrt], data=known).gradients[wrt]
    np.testing.assert_allclose(product.sum(axis=0), gradient.reshape(-1), atol=1e-9)
    assert text(explained)


def test_a_relu_over_a_batch_is_stored_as_a_diagonal() -> None:
    x = np.random.default_rng(0).normal(size=(500, 40))
    found = local_jacobian(Call(relu, [x], {}, relu(x)), 0)
    assert isinstance(found, OnePerRow)
    assert (found.structure, found.shape, found.values.size) == ("diagonal", (20_000, 20_000), 20_000)


def test_row_25_the_product_by_a_matrix_is_a_kronecker_product() -> None:
    found = explain(dataflow.load(MODELS / "matrix-vector.toml"), of="h", wrt="W").explained["W"]
    assert found.paths is not None
    (factor,) = found.paths[0].factors
    assert factor.structure == "Kronecker, I ⊗ A"
    np.testing.assert_array_equal(factor.jacobian.dense(), [[5, 7, 0, 0], [0, 0, 5, 7]])


def test_softmax_over_a_batch_is_block_by_example() -> None:
    graph = dataflow.Graph("s")
    graph.node("p", registry.lookup("softmax")(graph.input("x", ("n", 3))))
    model = dataflow.Model(graph, ["p"])
    x = np.random.default_rng(0).normal(size=(4, 3))
    found = explain(model, of="p", wrt="x", x=x).explained["x"]
    assert found.paths is not None
    assert found.paths[0].factors[0].structure == "block by example"
    np.testing.assert_allclose(found.product, model.jacobian(of="p", wrt="x", x=x), atol=1e-15)


def test_what_mixes_examples_is_not_taken_for_blocks() -> None:
    graph = dataflow.Graph("s")
    graph.node("p", registry.lookup("softmax")(graph.input("x", ("n", 3)), axis=0))
    model = dataflow.Model(graph, ["p"])
    x = np.random.default_rng(0).normal(size=(4, 3))
    found = explain(model, of="p", wrt="x", x=x).explained["x"]
    assert found.paths is not None
    assert found.paths[0].factors[0].structure == "dense"
    np.testing.assert_allclose(found.product, model.jacobian(of="p", wrt="x", x=x), atol=1e-15)


# ------------------------------------------------------------------------------------------------ paths


def test_a_residual_connection_has_two_paths_and_their_sum() -> None:
    graph = dataflow.Graph("residual")
    x = graph.input("x", (3,))
    h = graph.node("h", tanh(x))
    graph.node("y", x + h)
    found = explain(dataflow.Model(graph, ["y"]), of="y", wrt="x", x=[0.1, 0.2, 0.3]).explained["x"]
    assert found.paths is not None
    assert [[f.of for f in path.factors] for path in found.paths] == [["y"], ["y", "h"]]
    total = sum(path.partials[-1] for path in found.paths)
    np.testing.assert_allclose(total, np.diag(2 - np.tanh([0.1, 0.2, 0.3]) ** 2), rtol=1e-14)
    np.testing.assert_allclose(found.product, total)


def doubling(residual: bool) -> dataflow.Model:
    graph = dataflow.Graph("doubling")
    value = graph.input("x", ())
    for i in range(60):
        value = graph.apply(add, [value, graph.apply(tanh, [value], name=f"t{i}") if residual else value], name=f"h{i}")
    return dataflow.Model(graph, ["h59"])


@pytest.mark.parametrize("residual", [False, True])
def test_too_many_paths_are_explained_by_node(residual: bool) -> None:
    model = doubling(residual)
    explanation = explain(model, of="h59", wrt="x", x=0.25)
    found = explanation.explained["x"]
    assert found.path_count == 2**60
    assert found.paths is None
    assert len(found.nodes) == (121 if residual else 61)
    assert document(explanation)["paths"] is None
    assert str(2**60) in text(explanation)
    expected = model.gradients(of="h59", wrt="x", x=0.25)["x"]
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-12)
    if not residual:
        assert found.gradient == 2.0**60


def test_no_path_is_zero_and_said() -> None:
    found = explain(s1(), of="h", wrt="W2")
    assert found.explained["W2"].path_count == 0
    assert (found.explained["W2"].gradient == 0).all()
    assert "no path" in text(found)


def test_inner_nodes_have_factors_of_their_own_on_demand() -> None:
    few, many = (explain(s1(), wrt="W1", inner=inner).explained["W1"].paths for inner in (False, True))
    assert few is not None
    assert many is not None
    assert len(few[0].factors) == 4
    assert [factor.of for factor in many[0].factors] == [
        "loss", "yhat", "yhat.matmul", "h", "z", "z.matmul", "z.transpose",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ orders


@st.composite
def dags(draw: st.DrawFn) -> tuple[dict[str, int], list[tuple[str, str]]]:
    count = draw(st.integers(3, 7))
    names = [f"v{i}" for i in range(count)]
    sizes = {name: draw(st.integers(1, 4)) for name in names}
    edges = [(names[i], names[j]) for j in range(1, count) for i in range(j) if i == j - 1 or draw(st.booleans())]
    return sizes, edges


@given(dags(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_every_order_gives_the_same_and_none_is_cheaper_than_the_best(dag, random) -> None:
    sizes, edges = dag
    names = list(sizes)
    rng = np.random.default_rng(random.randrange(2**32))
    jacobians = {(a, b): rng.normal(size=(sizes[b], sizes[a])) for a, b in edges}
    by_node = {names[-1]: np.eye(sizes[names[-1]])}
    for name in reversed(names[:-1]):
        by_node[name] = sum(by_node[b] @ jacobians[a, b] for a, b in edges if a == name and b in by_node)
    best = cheapest(orders(sizes, edges, names[0], names[-1]))
    assert best.is_best
    inner = names[1:-1]
    random.shuffle(inner)
    for order in (inner, best.order):
        found, cost = accumulate(jacobians, [names[0]], names[-1], order)
        np.testing.assert_allclose(found[names[0]], by_node[names[0]], rtol=1e-9, atol=1e-9)
        assert cost >= best.multiplications
    assert cost == best.multiplications


def test_an_order_that_the_user_chose() -> None:
    found = explain(s1(), wrt="W1", order=["z", "h", "yhat"])
    assert found.chosen is not None
    assert found.chosen.elimination.multiplications == 28
    np.testing.assert_allclose(found.chosen.jacobians["W1"], found.explained["W1"].product, atol=1e-15)
    with pytest.raises(GraphError, match="'yhat' is missing"):
        explain(s1(), wrt="W1", order=["z", "h"])
    with pytest.raises(GraphError, match="'zz' is not an inner vertex"):
        explain(s1(), wrt="W1", order=["zz", "h", "yhat"])


# ------------------------------------------------------------------------------------------------ writing


def test_the_document_is_json_with_the_promised_keys() -> None:
    found = json.loads(json.dumps(document(explain(s1(), wrt="W1", example=3))))
    assert {"of", "wrt", "paths", "nodes", "product", "gradient", "multiplications"} <= found.keys()
    keys = {"separate", "shared", "reverse", "forward", "best", "order", "with_structure"}
    assert keys <= found["multiplications"].keys()
    factor = found["paths"][0]["factors"][0]
    assert factor.keys() == {
        "of",
        "wrt",
        "op",
        "shape",
        "symbol",
        "expression",
        "formula",
        "structure",
        "jacobian",
        "shared_with",
    }
    several = document(explain(s1(), wrt=["W1", "b1"], example=3))
    assert several["explanations"]["W1"]["paths"][0]["factors"][0]["shared_with"] == ["b1"]


def test_a_jacobian_of_over_a_million_entries_is_left_out_unless_asked_for() -> None:
    graph = dataflow.Graph("wide")
    graph.node("y", relu(graph.input("x", (1100,))))
    explanation = explain(dataflow.Model(graph, ["y"]), of="y", wrt="x", x=np.ones(1100))
    assert document(explanation)["paths"][0]["factors"][0]["jacobian"] is None
    assert len(document(explanation, dense=True)["paths"][0]["factors"][0]["jacobian"]) == 1100


def test_text_frames_latex_and_page_have_every_factor() -> None:
    explanation = explain(s1(), example=3)
    assert len(list(frames(explanation))) > 10
    for name in ("∂loss/∂ŷ", "∂h/∂z", "-0.098"):
        assert name in text(explanation)
        assert name in page(explanation)
    written = latex(explanation, standalone=True)
    assert written.startswith("\\documentclass")
    assert written.count("\\begin{align*}") == written.count("\\end{align*}") == 4
    assert "<script" not in page(explanation)
    assert "dataflow-explanation" in explanation._repr_mimebundle_()["text/html"]
    assert "14" in str(explanation)


def test_names_are_escaped_in_the_page() -> None:
    graph = dataflow.Graph("x")
    graph.node("größe", relu(graph.input("ß", ())))
    explanation = explain(dataflow.Model(graph, ["größe"]), of="größe", wrt="ß", data={"ß": 1.0})
    assert "größe" in page(explanation)
    assert all(ord(c) < 128 for c in latex(explanation))


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"of": "lss", "wrt": "W1"}, GraphError, "did you mean 'loss'"),
        ({"wrt": "W9"}, GraphError, "unknown node 'W9'"),
        ({"wrt": "W1", "example": 9}, DataError, "no example 9"),
        ({"wrt": "W1", "example": -1}, DataError, "no example -1; the batch has 4, counted from 0"),
    ],
)
def test_wrong_questions(keywords, error, message) -> None:
    with pytest.raises(error, match=message):
        explain(s1(), **keywords)


def test_a_matrix_too_large_to_explain_says_its_size() -> None:
    graph = dataflow.Graph("wide")
    graph.node("y", relu(graph.input("x", (4000,))))
    with pytest.raises(DataflowError, match="4000×4000 matrix, too large"):
        explain(dataflow.Model(graph, ["y"]), of="y", wrt="x", x=np.ones(4000))


def test_fifty_layers_are_explained_without_a_large_matrix() -> None:
    import tracemalloc

    graph = dataflow.Graph("deep")
    x, y = graph.input("x", ("n", 64)), graph.input("y", ("n", 64))
    h = x
    for i in range(50):
        h = graph.node(f"h{i}", tanh(h @ graph.parameter(f"W{i}", (64, 64), init="glorot_normal").T))
    graph.node("loss", registry.lookup("mse")(h, y))
    model = dataflow.Model(graph, ["h49"], "loss")
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(64, 64)), "y": rng.normal(size=(64, 64))}
    gradient = model.gradients(wrt="W0", data=data)["W0"]
    tracemalloc.start()
    found = explain(model, wrt="W0", data=data).explained["W0"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-9, atol=1e-12)
    assert peak < 150 * 2**20
    assert isinstance(Chain(graph, "loss", ["W0"], {}, {}).order, list)


def test_what_only_a_comparison_needs_has_no_path():
    graph = dataflow.Graph("decided")
    x, w = graph.input("x", (2,)), graph.parameter("w", value=[1.0, -1.0])
    graph.node("a", dataflow.ops.where(dataflow.ops.exp(w) > 1, 3 * x, 0 * x))
    found = dataflow.explain(dataflow.Model(graph, ["a"]), of="a", wrt=["w", "x"], x=[1, 2])
    assert found.explained["w"].path_count == 0
    assert found.explained["w"].product.tolist() == [[0, 0], [0, 0]]
    assert found.explained["x"].product.tolist() == [[3, 0], [0, 0]]


def test_very_many_factors_have_no_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = explain(dataflow.load(MODELS / "xor.toml"), wrt="W1", example=3)
    assert "∂h/∂z = diag(1[z > 0])" in text(explanation)
    monkeypatch.setattr("dataflow.explain.factor_texts.MOST_FORMULAS", 3)
    assert "∂h/∂z  (h = relu(z); 2×2, diagonal)" in text(explanation)


def test_what_is_explained_is_written_with_its_value_whatever_its_shape() -> None:
    """The numbers are those of a forward pass."""
    model = dataflow.load(MODELS / "jacobian.toml")
    explanation = explain(model, of="f", wrt="x")
    value = model.evaluate(of="f").values["f"]
    assert value.shape == (3,)
    written = next(line for line in text(explanation).splitlines() if line.startswith("f = "))
    numbers = written.partition("[")[2].partition("]")[0].split(",")
    assert [float(number) for number in numbers] == pytest.approx(value.tolist(), rel=1e-5)


def test_formulas_are_kept_as_long_as_the_names_of_a_graph() -> None:
    explanation = explain(dataflow.load(MODELS / "xor.toml"), wrt="W1", example=3)
    names = weakref.ref(explanation.names)
    text(explanation)
    assert explanation.names in factor_texts._FORMULAS
    del explanation
    gc.collect()
    assert names() is None
