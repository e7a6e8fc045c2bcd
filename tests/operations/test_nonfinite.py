"""NaN and infinity: no op hides them, in whatever way and with whatever backend it is run."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pytest
from click.testing import CliRunner
from installed import BACKENDS
from op_graphs import FIRST_OUTPUTS, IN_PLANS, OPS

import dataflow
from dataflow import Graph, Model, ops
from dataflow.analysis.gradient_check import check_gradients
from dataflow.analysis.high_precision import Precise
from dataflow.autodiff.reverse import pullback
from dataflow.cli.group import main
from dataflow.files.toml.read import loads_toml
from dataflow.registry import registry
from dataflow.testing import nonfinite_checks
from dataflow.testing.cases import Case, cases_of
from dataflow.testing.nonfinite_checks import settled

NAN, INF = np.nan, np.inf


def cotangents(name: str, *arguments, **attributes) -> list[np.ndarray]:
    op = registry.lookup(name)
    given = [np.asarray(x, float) for x in arguments]
    with np.errstate(all="ignore"):
        y = op(*given, **attributes)
        return pullback(op, np.ones_like(y), y, given, op.bind(attributes), [True] * len(given))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [  # by hand: what depends on NaN is NaN, everything beside it is what it is without NaN
        ("relu", [[NAN, -1, 0, 2, INF, -INF]], [[NAN, 0, 0, 1, 1, 0]]),
        ("abs", [[NAN, -1, 0, 2, INF, -INF]], [[NAN, -1, 0, 1, 1, -1]]),
        ("maximum", [[NAN, 1, 2, 3, INF], [1, NAN, 2, 4, INF]], [[NAN, NAN, 0.5, 0, 0.5], [NAN, NAN, 0.5, 1, 0.5]]),
        ("minimum", [[NAN, 1, 2, 3, INF], [1, NAN, 2, 4, INF]], [[NAN, NAN, 0.5, 1, 0.5], [NAN, NAN, 0.5, 0, 0.5]]),
        ("max", [[1, NAN, 3]], [[NAN, NAN, NAN]]),
        ("max", [[1, INF, 3, INF]], [[0, 0.5, 0, 0.5]]),
        # 0 to a power: the derivative by the exponent is taken as 0, that by the base is b · 0^(b−1)
        ("power", [[0, 0, 0, 2], [-1, 2, 0.5, -1]], [[-INF, 0, INF, -0.25], [0, 0, 0, 0.5 * np.log(2)]]),
    ],
)
def test_cotangents_where_numbers_are_not_finite(name: str, arguments, expected) -> None:
    for found, wanted in zip(cotangents(name, *arguments), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_relu_of_nan() -> None:
    np.testing.assert_array_equal(ops.relu([NAN, -1, 2]), [NAN, 0, 2])
    graph = Graph("g")
    graph.node("y", ops.relu(graph.input("x", (3,))))
    tangent = Model(graph, ["y"]).jvp(of="y", wrt="x", tangents={"x": np.ones(3)}, x=[NAN, -1, 2])
    np.testing.assert_array_equal(tangent, [NAN, 0, 1])


def with_entry(case: Case, i: int, value: float) -> Case:
    changed = np.array(case.arguments[i])
    changed.flat[changed.size // 2] = value
    return case.changed({i: changed})


@pytest.mark.parametrize("samples", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", IN_PLANS)
def test_a_plan_gives_what_the_pass_node_by_node_gives(name: str, samples: int) -> None:
    """The op between others, so that it is fused with them, at NaN and at both infinities; values and gradients, by
    each backend."""
    for case in cases_of(registry.lookup(name), 0)[:samples]:
        if not case.floats or case.run().dtype.kind != "f":
            continue
        graph, _, y = case.graph()
        graph.node("f", ops.sum(y * 2.0 + 1.0))
        model, wrt = Model(graph, ["y"], "f"), [f"x{i}" for i in case.floats]
        plans = {b: model.compile(values=["y", "f"], gradients=wrt, backend=b) for b in BACKENDS}
        for i in case.floats:
            for value in (NAN, INF) if samples == 1 else (NAN, INF, -INF, 0.5):
                given = {f"x{j}": with_entry(case, i, value).arguments[j] for j in case.arrays}
                expected = model.evaluate(of="f", wrt=wrt, data=given)
                for backend, plan in plans.items():
                    values, gradients = plan(data=given)
                    pairs = [(values[one], expected.values[one]) for one in values]
                    pairs += [(gradients[one], expected.gradients[one]) for one in wrt]
                    for found, wanted in pairs:
                        where = f"{case.label}, {value}, {backend}"
                        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14, err_msg=where)


UNDECIDED = {
    *{("softmax", 0, 1), ("log_softmax", 0, 1), ("softmax_cross_entropy", 0, 1)},
    *{("logsumexp", 0, 1), ("cross_entropy", 0, 1)},
    *{("attention", i, sign) for i in range(4) for sign in (1, -1)},
}
"""Op, argument, sign: ∞ − ∞ among the logits, of which two may be infinite, and 0 · ∞ in the products of attention."""
UNDECIDED_OPS = {
    *("power", "local_response_norm"),  # 0 · ∞ in the derivatives of a power
    *("standardize", "layer_norm", "rms_norm", "group_norm", "instance_norm"),  # ∞ / ∞
    *("conv", "conv_transpose", "correlate_transpose", "correlate_kernel"),  # ∞ times the zeros of the padding
    *("rnn:y", "rnn:h", "gru:y", "gru:h", "lstm:y", "lstm:h", "lstm:c"),  # ∞ times the 0 of a gate that is shut
    *("scan:h", "scan:y"),  # ∞ times the 0 of a tanh that is shut
}


@pytest.mark.parametrize(
    ("name", "entries"),
    [(name, 1) for name in FIRST_OUTPUTS] + [pytest.param(name, 3, marks=pytest.mark.slow) for name in OPS],
)
def test_what_settles_for_large_numbers_is_a_number_at_infinity(
    name: str, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonfinite_checks, "ENTRIES", entries)
    with np.errstate(all="ignore"):
        for case in cases_of(registry.lookup(name), 0)[: 1 if entries == 1 else 2]:
            for i, _, sign, what, found, limit in settled(case, np.random.default_rng(0)):
                if (name, i, sign) in UNDECIDED or name in UNDECIDED_OPS:
                    limit = np.where(np.isnan(found), np.nan, limit)
                np.testing.assert_allclose(found, limit, rtol=1e-9, atol=1e-100, err_msg=f"{case.label}: {what}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_on_nan_that_a_relu_used_to_hide_ends_as_such(tmp_path: Path, backend: str) -> None:
    model = tmp_path / "hidden.toml"
    model.write_text(
        """dataflow = 1
[inputs]
x = { shape = ["n", 2] }
y = { shape = ["n", 1] }
[parameters]
W = { shape = [1, 2], init = "ones" }
[nodes]
h = "relu(log(x))"
loss = "mse(h @ W.T, y)"
[model]
loss = "loss"
[data]
x = [[1, 2], [-3, 4], [5, -6]]
y = [[1], [2], [3]]
"""
    )
    done = CliRunner().invoke(main, ["train", str(model), "--backend", backend])
    assert done.exit_code == 1
    assert "nan at [1, 0]" in done.stderr
    assert done.stderr.startswith("Error: ")


# ------------------------------------------------------------------------------------------------ 0 · ∞


LOGITS, LABELS = np.array([[0.0, -INF, 1.0]]), np.array([[1.0, 0.0, 0.0]])
SHARES = np.array([[1 / (1 + np.e), 0, np.e / (1 + np.e)]])
"""softmax(0, −∞, 1), by hand."""


def loss_model() -> Model:
    graph = Graph("g")
    z, t = graph.input("z", ("n", 3)), graph.input("t", ("n", 3))
    graph.node("f", ops.softmax_cross_entropy(z, t))
    return Model(graph, ["f"], "f")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_class_that_cannot_be_adds_nothing(backend: str) -> None:
    """log(1 + e) = 1.31326..., and its derivatives: softmax − labels, and diag(p) − p·pᵀ."""
    model, data = loss_model(), {"z": LOGITS, "t": LABELS}
    values, gradients = model.compile(values=["f"], gradients=["z"], backend=backend)(data=data)
    np.testing.assert_allclose(values["f"], np.log1p(np.e), rtol=1e-15)
    np.testing.assert_allclose(gradients["z"], SHARES - LABELS, rtol=1e-15)


def test_a_class_that_cannot_be_in_every_mode() -> None:
    model, data = loss_model(), {"z": LOGITS, "t": LABELS}
    p = SHARES[0]
    np.testing.assert_allclose(model.vjp(of="f", wrt="z", cotangent=2.0, data=data)["z"], 2 * (SHARES - LABELS))
    tangents = {"z": np.array([[1.0, 2.0, 3.0]])}
    np.testing.assert_allclose(model.jvp(of="f", wrt="z", tangents=tangents, data=data), p @ [1, 2, 3] - 1)
    np.testing.assert_allclose(model.hessian(wrt="z", data=data), np.diag(p) - np.outer(p, p), atol=1e-16)
    np.testing.assert_allclose(model.per_example_gradients(wrt="z", data=data)["z"][0], SHARES - LABELS)
    precise = Precise(model.graph, "f", data, {"n": 1})
    assert abs(precise.value() - mpmath.log(1 + mpmath.e)) < 1e-15
    assert abs(precise.slope("z", tangents["z"]) - (p @ [1, 2, 3] - 1)) < 1e-15


@pytest.mark.parametrize("x", [-INF, -800.0, -50.0, -1.0, 0.0, 1e-9, 2.0, 50.0, 800.0, INF])
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
def test_sigmoid_cross_entropy_against_mpmath(x: float, label: float) -> None:
    with mpmath.workdps(400):
        no = mpmath.log(1 + mpmath.exp(mpmath.mpf(x)))
        yes = mpmath.log(1 + mpmath.exp(-mpmath.mpf(x)))
        exact = sum(weight * cost for weight, cost in ((label, yes), (1 - label, no)) if weight)
        slope = (mpmath.mpf(1) if x == INF else 1 / (1 + mpmath.exp(-mpmath.mpf(x)))) - label
    assert float(ops.sigmoid_cross_entropy(x, label)) == pytest.approx(float(exact), rel=1e-15)
    assert float(cotangents("sigmoid_cross_entropy", x, label)[0]) == pytest.approx(float(slope), rel=1e-15)


def test_losses_over_one_column_say_what_is_meant() -> None:
    graph = Graph("g")
    with pytest.raises(
        dataflow.ShapeError, match=r"logits of \(n, 1\): a softmax over one column is always 1; use two"
    ):
        ops.softmax_cross_entropy(graph.input("z", ("n", 1)), graph.input("t", ("n", 1)))
    assert ops.sigmoid_cross_entropy(graph.value("z"), graph.value("t")).shape == ()


# ------------------------------------------------------------------------------------------------ a branch not taken


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("formula", "node", "choice"),
    [  # at z = 0 and 1000, where each is finite, and its gradient is NaN as 0 · ∞
        ("where(z <= 0, exp(z), 1 + z)", "node 'h.exp' (exp) has inf at [1]", "(where)"),
        ("where(z > 0, sqrt(z), 0)", "the gradient with respect to node 'z' (multiply) has nan at [0]", "(where)"),
        ("where(z > 0, log(z), 0)", "node 'h.log' (log) has -inf at [0]", "(where)"),
        ("where(z > 0, 1 / z, 0)", "node 'h.divide' (divide) has inf at [0]", "(where)"),
        ("relu(log(z))", "node 'h.log' (log) has -inf at [0]", "(relu)"),
        ("maximum(log(z), 1)", "node 'h.log' (log) has -inf at [0]", "(maximum)"),
        ("minimum(exp(z), 3)", "node 'h.exp' (exp) has inf at [1]", "(minimum)"),
    ],
)
def test_a_branch_that_is_not_taken_is_told_with_the_double_where(
    formula: str, node: str, choice: str, backend: str
) -> None:
    with pytest.raises(dataflow.NonFiniteError) as caught:
        dataflow.train(chosen(formula), backend=backend)
    text = str(caught.value)
    assert f"epoch 1, batch 1 of 1: {node}; " in text
    assert f"{choice} does not take" in text
    assert "choose inside the branch, too: where(c, f(where(c, x, 1)), y)" in text
    assert "learning rate" not in text


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "formula",
    [
        "where(z <= 0, exp(where(z <= 0, z, 0)), 1 + z)",
        "where(z > 0, sqrt(where(z > 0, z, 1)), 0)",
        "where(z > 0, log(where(z > 0, z, 1)), 0)",
        "where(z > 0, 1 / where(z > 0, z, 1), 0)",
        "relu(log(where(z > 0, z, 1)))",
    ],
)
def test_the_double_where_trains(formula: str, backend: str) -> None:
    model = chosen(formula)
    assert np.isfinite(dataflow.train(model, backend=backend, learning_rate=1e-6).loss).all()
    assert np.isfinite(model.parameters["w"])


@pytest.mark.parametrize("formula", ["relu(exp(z))", "relu(z) * 1e308 * 1e308", "where(z > 0, log(0 - z), z)"])
def test_what_is_taken_is_no_matter_of_a_branch(formula: str) -> None:
    with pytest.raises(dataflow.NonFiniteError, match="try a smaller learning rate") as caught:
        dataflow.train(chosen(formula))
    assert "branch" not in str(caught.value)


def chosen(formula: str) -> Model:
    """A model of two examples, where z is 0 and 1000."""
    return loads_toml(
        f"""dataflow = 1
[inputs]
x = {{ shape = ["n"] }}
[parameters]
w = {{ value = 1.0 }}
[nodes]
z = "w * x"
h = "{formula}"
loss = "sum(h)"
[model]
loss = "loss"
[data]
x = [0, 1000]
"""
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("base", [0.0, -0.0])
@pytest.mark.parametrize("exponent", [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
def test_the_derivative_of_0_to_a_power_by_the_exponent(base: float, exponent: float, dtype: str, backend: str) -> None:
    """0, as the documentation of power says, by a plan, node by node, and per example."""
    graph = Graph("g", dtype=dtype)
    a, b = graph.input("a", ("n",)), graph.input("b", ("n",))
    graph.node("f", ops.sum(a**b))
    model, data = Model(graph, ["f"], "f"), {"a": [base] * 3, "b": [exponent] * 3}
    _, gradients = model.compile(gradients=["b"], backend=backend)(data=data)
    for found in (gradients, model.evaluate(of="f", wrt=["b"], data=data).gradients):
        np.testing.assert_array_equal(found["b"], [0, 0, 0])
    np.testing.assert_array_equal(np.ravel(model.per_example_gradients(wrt="b", data=data)["b"]).any(), False)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("exponent", "slope", "by"), [(1.5, 0, "x"), (1.0, 1, "x"), (2.0, 0, "x"), (2.0, 0, "b")])
def test_the_check_beside_a_point_where_numbers_end(exponent: float, slope: float, by: str, backend: str) -> None:
    """Half a step below 0, x ** 1.5 is no number; the comparison with 50 digits is left out there."""
    graph = Graph("g")
    x, b = graph.parameter("x", value=[0.0, 1.0]), graph.parameter("b", value=[exponent, exponent])
    graph.node("f", ops.sum(x**b))
    model = Model(graph, [], "f")
    report = check_gradients(model, "f", [by], {}, backend)
    assert report.ok
    assert model.gradients(wrt=by)[by][0] == slope


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "shapes", [((1, 1), (1, 3)), ((3, 1), (1, 1)), ((1, 1), (1, 1)), ((2, 1), (1, 3)), ((2, 3), (3, 2))]
)
def test_zero_times_infinity_in_a_product(backend, dtype, shapes):
    """IEEE 754: 0 · ∞ is NaN, and so is any sum with it, whatever a BLAS makes of a factor of one entry."""
    graph = dataflow.Graph("net", dtype=dtype)
    a, b = (graph.input(name, shape) for name, shape in zip("ab", shapes, strict=True))
    graph.node("y", a @ b)
    given = {"a": np.zeros(shapes[0]), "b": np.full(shapes[1], np.inf)}
    run = dataflow.Model(graph, outputs=["y"]).compile(values=["y"], backend=backend)
    assert np.isnan(run(**given)[0]["y"]).all()
    assert np.isnan(run(a=np.full(shapes[0], np.inf), b=np.zeros(shapes[1]))[0]["y"]).all()
