"""Derivatives: gradient graphs, rules that are derived, and second derivatives against symbols and 50 digits."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
from later import Later

import dataflow
from dataflow import Graph, Model, op, primitive
from dataflow.autodiff.reverse import GradientGraph, backward, gradient_graph, pullback
from dataflow.errors import DtypeError, GraphError, RuleError
from dataflow.graph.walk import replay
from dataflow.ops import (
    cast,
    concatenate,
    cos,
    divide,
    exp,
    index,
    linear,
    log,
    matmul,
    maximum,
    multiply,
    power,
    sigmoid,
    sin,
    softmax_cross_entropy,
    sqrt,
    tanh,
    where,
)
from dataflow.ops import sum as sum_
from dataflow.registry import registry
from dataflow.testing.cases import cases_of, every_op

sympy = Later("sympy")


def gradients(graph: Graph, of: str, wrt: list[str], **known: object) -> dict[str, np.ndarray]:
    """By the gradient graph, run."""
    found = gradient_graph(graph, of, wrt)
    arrays = {name: np.asarray(value, float) for name, value in known.items()}
    values = replay(found.graph, arrays, [found.cotangents[name] for name in wrt])
    return {name: np.asarray(values[found.cotangents[name]]) for name in wrt}


# ------------------------------------------------------------------------------------------------ higher derivatives

x_ = sympy.Symbol("x")
SMOOTH = [
    ("exp", sympy.exp(x_), 0.7),
    ("log", sympy.log(x_), 0.7),
    ("sqrt", sympy.sqrt(x_), 0.7),
    ("tanh", sympy.tanh(x_), 0.7),
    ("sin", sympy.sin(x_), 0.7),
    ("cos", sympy.cos(x_), 0.7),
    ("negative", -x_, 0.7),
    ("sigmoid", 1 / (1 + sympy.exp(-x_)), 0.7),
    ("sigmoid", 1 / (1 + sympy.exp(-x_)), -3.0),
    ("sigmoid", 1 / (1 + sympy.exp(-x_)), 0.0),
    ("tanh", sympy.tanh(x_), 0.0),
    ("identity", x_, 0.7),
]


@pytest.mark.parametrize(("name", "expression", "at"), SMOOTH)
def test_the_first_three_derivatives_against_sympy_with_50_digits(name: str, expression: sympy.Expr, at: float) -> None:
    graph = Graph("g")
    graph.node("d0", registry.lookup(name)(graph.input("x", ())))
    for order in (1, 2, 3):
        found = gradient_graph(graph, f"d{order - 1}", ["x"])
        exact = float(sympy.diff(expression, x_, order).evalf(50, subs={x_: sympy.Float(at, 50)}))
        if "x" not in found.cotangents:  # no path is left: the derivative before was a constant
            assert exact == 0
            return
        graph = found.graph
        graph.node(f"d{order}", graph.value(found.cotangents["x"]))
        value = float(replay(graph, {"x": np.asarray(at)}, [f"d{order}"])[f"d{order}"])
        assert value == pytest.approx(exact, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("a", "b"), [(1.3, 2.7), (0.4, -1.5), (2.0, 1.0)])
def test_second_derivatives_of_a_power_against_sympy(a: float, b: float) -> None:
    s, t = sympy.symbols("s t", positive=True)
    exact = sympy.hessian(s**t, (s, t)).evalf(30, subs={s: a, t: b})
    graph = Graph("g")
    y = graph.node("y", power(graph.input("a", ()), graph.input("b", ())))
    model = dataflow.Model(graph, [y.name])
    found = model.hessian(of="y", wrt=["a", "b"], a=a, b=b)
    np.testing.assert_allclose(found, np.array(exact.tolist(), float), rtol=1e-12, atol=1e-15)


def test_second_derivatives_of_cross_entropy_against_mpmath() -> None:
    """∂²/∂z² of −Σ p log softmax(z) is diag(q) − q qᵀ for labels p that sum to 1, with q = softmax(z)."""
    logits, labels = np.array([3.0, -1.0, 0.5]), np.array([0.2, 0.3, 0.5])
    with mpmath.workdps(40):
        raised = [mpmath.exp(mpmath.mpf(z)) for z in logits]
        q = np.array([float(r / mpmath.fsum(raised)) for r in raised])
    graph = Graph("g")
    graph.node("y", softmax_cross_entropy(graph.input("z", (3,)), labels))
    found = dataflow.Model(graph, ["y"]).hessian(of="y", wrt=["z"], z=logits)
    np.testing.assert_allclose(found, np.diag(q) - np.outer(q, q), rtol=1e-12, atol=1e-15)


def test_quotient_rule_by_hand() -> None:
    """d/da a/b = 1/b, d/db = −a/b²; at (3, 2): .5 and −.75."""
    graph = Graph("g")
    graph.node("y", divide(graph.input("a", ()), graph.input("b", ())))
    assert gradients(graph, "y", ["a", "b"], a=3, b=2) == {"a": 0.5, "b": -0.75}


# ------------------------------------------------------------------------------------------------ gradient graphs


def test_a_gradient_graph_contains_the_forward_pass_and_leaves_the_graph_alone() -> None:
    graph = Graph("g")
    x = graph.input("x", ("n", 2))
    graph.node("y", tanh(x) * 2)
    before, ops = dict(graph.node_items()), dict(graph.ops)
    found = gradient_graph(graph, "y", ["x"])
    assert isinstance(found, GradientGraph)
    assert dict(graph.node_items()) == before
    assert graph.ops == ops
    assert set(graph) < set(found.graph)
    assert found.cotangents["x"] == "grad.x"
    assert found.graph.value("grad.x").shape == x.shape
    assert found.graph.node_of("grad.x").cotangent_of == "x"
    assert not found.graph.unnamed


def test_a_gradient_of_a_gradient_has_names_of_its_own() -> None:
    graph = Graph("g")
    graph.node("y", graph.input("x", ()) ** 3)
    first = gradient_graph(graph, "y", ["x"])
    second = gradient_graph(first.graph, first.cotangents["x"], ["x"])
    assert second.cotangents["x"] == "grad_2.x"
    third = gradient_graph(second.graph, "grad_2.x", ["x"])
    assert third.cotangents["x"] == "grad_3.x"
    values = replay(third.graph, {"x": np.asarray(2.0)}, ["grad.x", "grad_2.x", "grad_3.x"])
    assert [float(values[name]) for name in ("grad.x", "grad_2.x", "grad_3.x")] == [12, 12, 6]


def test_what_no_path_leads_to_has_no_entry() -> None:
    graph = Graph("g")
    x, z = graph.input("x", ()), graph.input("z", ())
    graph.node("y", x * 2)
    graph.node("w", z * 2)
    assert "z" not in gradient_graph(graph, "y", ["x", "z"]).cotangents
    assert gradient_graph(graph, "y", ["z"]).cotangents == {}
    condition = graph.node("c", where(z > 0, x, 0))
    assert set(gradient_graph(graph, condition.name, ["x", "z"]).cotangents) == {"x", "c"}


def test_the_gradient_of_a_node_by_itself_is_one() -> None:
    graph = Graph("g")
    graph.node("y", graph.input("x", (2,)) * 3)
    assert gradients(graph, "y", ["y"], x=[1, 2])["y"].tolist() == [1, 1]


def test_the_gradient_by_a_node_in_the_middle_stops_there() -> None:
    graph = Graph("g")
    h = graph.node("h", sin(graph.input("x", ())))
    graph.node("y", h * h)
    found = gradient_graph(graph, "y", ["h"])
    assert set(found.cotangents) == {"y", "h"}
    assert gradients(graph, "y", ["h"], x=0.5)["h"] == 2 * np.sin(0.5)


def test_both_uses_of_one_value_are_added() -> None:
    graph = Graph("g")
    x = graph.input("x", ())
    graph.node("y", x * x + sin(x) - x)
    expected = 2 * 1.3 + np.cos(1.3) - 1
    assert gradients(graph, "y", ["x"], x=1.3)["x"] == pytest.approx(expected, rel=1e-15)


def test_gradients_with_symbolic_sizes_run_for_every_size() -> None:
    graph = Graph("g")
    x, W = graph.input("x", ("n", 2)), graph.parameter("W", value=np.arange(6.0).reshape(3, 2))
    graph.node("y", sum_(x @ W.T, axis=1))
    model = dataflow.Model(graph, ["y"])
    for n in (0, 1, 5):
        given = np.ones((n, 2))
        found = model.gradients(of="y", wrt=["x", "W"], x=given)
        np.testing.assert_array_equal(found["x"], np.tile([6.0, 9.0], (n, 1)))
        np.testing.assert_array_equal(found["W"], np.full((3, 2), n))


def test_float32_stays_float32_through_a_gradient() -> None:
    graph = Graph("g", dtype="float32")
    x = graph.input("x", (3,))
    graph.node("y", sum_(sigmoid(x * 0.5) ** 2 / 3))
    found = gradient_graph(graph, "y", ["x"])
    assert {str(node.dtype) for _, node in found.graph.node_items() if node.dtype.kind == "f"} == {"float32"}


def test_a_cast_carries_the_cotangent_back_to_its_inputs_dtype() -> None:
    graph = Graph("g")
    x = graph.input("x", (2,), "float32")
    graph.node("y", cast(x, dtype="float64") * 2)
    found = gradient_graph(graph, "y", ["x"])
    assert found.graph.value(found.cotangents["x"]).dtype == np.float32


def test_no_path_through_integers() -> None:
    graph = Graph("g")
    graph.node("y", cast(cast(graph.input("x", ()), dtype="int64"), dtype="float64"))
    assert "x" not in gradient_graph(graph, "y", ["x"]).cotangents


def test_backward_seeds_any_node_with_any_cotangent() -> None:
    graph = Graph("g")
    x = graph.input("x", (2,))
    graph.node("h", x * x)
    graph.node("y", tanh(x))
    known = {"x": np.array([1.0, 2.0])}
    values = replay(graph, known, ["h", "y"])
    found = backward(graph, graph.schedule(["h"]), values, {"h": np.array([1.0, 10.0])}, ["x"])
    assert found["x"].tolist() == [2, 40]


@pytest.mark.parametrize(
    ("of", "wrt", "error", "message"),
    [
        ("yy", ["x"], GraphError, "did you mean 'y'"),
        ("y", ["xx"], GraphError, "did you mean 'x'"),
        ("k", ["x"], DtypeError, "'k' has the dtype int64"),
        ("y", ["k"], DtypeError, "derivatives are of and with respect to floats"),
    ],
)
def test_gradients_that_cannot_be(of: str, wrt: list[str], error: type[Exception], message: str) -> None:
    graph = Graph("g")
    k = graph.input("k", (), "int64")
    graph.node("y", graph.input("x", ()) * k)
    with pytest.raises(error, match=message):
        gradient_graph(graph, of, wrt)


@pytest.mark.slow
def test_a_gradient_graph_of_100_000_nodes_and_more() -> None:
    graph = Graph("chain")
    value = graph.input("x", ())
    for i in range(50_000):
        value = graph.apply(registry.lookup("negative"), [value], name=f"h{i}")
    found = gradient_graph(graph, value.name, ["x"])
    assert len(found.graph) > 100_000
    assert replay(found.graph, {"x": np.asarray(1.0)}, [found.cotangents["x"]])[found.cotangents["x"]] == 1


# ------------------------------------------------------------------------------------------------ derived rules


@op
def gaussian(x, *, width: float = 1.0):
    """exp(−x² / width), without a rule of its own."""
    return exp(-x * x / width)


@op
def joined_squares(*xs):
    """The squares of all inputs, one after the other."""
    return concatenate(*[x * x for x in xs])


@op
def scaled(x, scale=None):
    """x, or x times a scale."""
    return 1 * x if scale is None else multiply(x, scale)


def test_the_rule_of_a_composite_op_is_derived() -> None:
    """d/dx exp(−x²/w) = −2x/w · exp(−x²/w)."""
    x = np.array([0.5, -1.0])
    share = pullback(gaussian, np.ones(2), gaussian(x, width=3.0), [x], {"width": 3.0}, [True])[0]
    np.testing.assert_allclose(share, -2 * x / 3 * np.exp(-x * x / 3), rtol=1e-15)


def test_the_rule_of_a_variadic_composite_op_is_derived() -> None:
    arguments = [np.array([1.0]), np.array([2.0, 3.0]), np.array([4.0])]
    g = np.array([1.0, 1.0, 10.0, 1.0])
    shares = pullback(joined_squares, g, joined_squares(*arguments), arguments, {}, [True, False, True])
    assert shares[1] is None
    assert [shares[0].tolist(), shares[2].tolist()] == [[2], [8]]
    shares = pullback(joined_squares, g, joined_squares(*arguments), arguments, {}, [True, True, True])
    assert shares[1].tolist() == [4, 60]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([3.0], [1.0]), ([3.0, None], [1.0]), ([3.0, 2], [2.0]), ([3.0, np.asarray(5.0)], [5.0])],
)
def test_optional_inputs_and_plain_numbers(arguments, expected) -> None:
    operands = [np.asarray(arguments[0]), *arguments[1:]]
    shares = pullback(scaled, np.ones(()), scaled(*operands), operands, {}, [True])
    assert float(shares[0]) == expected[0]
    graph = Graph("g")
    x = graph.input("x", ())
    graph.node("y", scaled(x, *arguments[1:]))
    assert gradients(graph, "y", ["x"], x=3.0)["x"] == expected[0]


def test_a_bias_that_is_left_out() -> None:
    graph = Graph("g")
    x, W = graph.input("x", ("n", 2)), graph.parameter("W", value=[[1.0, 2.0]])
    graph.node("y", linear(x, W))
    assert dataflow.Model(graph, ["y"]).gradients(of="y", wrt="x", x=[[0, 0]])["x"].tolist() == [[1, 2]]


def test_a_cotangent_that_is_a_plain_number() -> None:
    @op
    def frozen(x):
        """x, whose derivative is taken as 0."""
        return 1 * x

    @frozen.vjp
    def _(g, y, x):
        return 0

    graph = Graph("g")
    graph.node("y", frozen(graph.input("x", ("n", 2))))
    found = gradient_graph(graph, "y", ["x"])
    assert found.graph.value(found.cotangents["x"]).shape == graph.value("x").shape
    assert dataflow.Model(graph, ["y"]).gradients(of="y", wrt="x", x=[[1, 2]])["x"].tolist() == [[0, 0]]


def test_an_elementwise_rule_may_leave_broadcast_axes_to_the_engine() -> None:
    graph = Graph("g")
    a, b = graph.input("a", (3, 1)), graph.input("b", (4,))
    graph.node("y", maximum(a, b) * 2)
    found = gradients(graph, "y", ["a", "b"], a=[[0.0], [5.0], [9.0]], b=[1.0, 2.0, 6.0, 7.0])
    # 0 loses to all four; 5 beats 1 and 2; 9 beats all
    assert found["a"].tolist() == [[0], [4], [8]]
    assert found["b"].tolist() == [2, 2, 4, 4]


def test_a_joined_piece_that_is_not_finite_does_not_spoil_a_second_derivative() -> None:
    graph = Graph("g")
    x, z = graph.input("x", (1,)), graph.input("z", (1,))
    graph.node("y", index(concatenate(x, z), key="0") ** 2)
    hessian = dataflow.Model(graph, ["y"]).hessian(of="y", wrt=["x"], x=[3.0], z=[np.inf])
    assert hessian.tolist() == [[2]]


# ------------------------------------------------------------------------------------------------ rules that are wrong


def make(rule=None, jacobian=None, elementwise: bool = False):
    @primitive(elementwise=elementwise, name="wrong")
    def wrong(x):
        """Sine."""
        return np.sin(x)

    if not elementwise:
        wrong.shape(lambda x: x.shape)
    if rule is not None:
        wrong.vjp(rule)
    if jacobian is not None:
        wrong.jacobian(jacobian)
    return wrong


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (make(), "has no derivative: it is primitive and has neither a vjp nor a jacobian rule"),
        (make(lambda g, y, x: (g, g)), "gave 2 results for 1 input"),
        (make(lambda g, y, x: sum_(g)), r"gave the shape \(\) for an input of the shape \(3,\)"),
        (make(jacobian=lambda y, x: cos(x)), r"gave the shape \(3,\); rows are the output's entries"),
        (make(lambda g, y, x: np.exp(g)), "must call ops such as dataflow.ops.exp, not numpy"),
        (make(lambda g, y, x: g if g > 0 else y), "must call ops such as dataflow.ops.exp, not numpy"),
        (make(lambda g, y, x: np.asarray(g) * 2), "must call ops such as dataflow.ops.exp, not numpy"),
        (make(lambda g, y, x: matmul(g, log(sqrt(x)))), r"gave the shape \(\)"),
    ],
)
def test_rules_that_are_wrong_say_how_and_at_which_node(faulty, message: str) -> None:
    graph = Graph("g")
    graph.node("y", faulty(graph.input("x", (3,))))
    with pytest.raises(RuleError, match=message) as caught:
        gradient_graph(graph, "y", ["x"])
    assert caught.value.node == "y"
    assert "\n" not in str(caught.value)


def test_a_body_of_numpy_says_so_when_it_is_traced() -> None:
    @op
    def of_numpy(x):
        """A composite that should be a primitive."""
        return np.log1p(x)

    graph = Graph("g")
    with pytest.raises(RuleError, match="op 'of_numpy' cannot be traced .* must call ops"):
        of_numpy(graph.input("x", ()))


def test_what_rules_make_of_plain_numbers_is_no_warning() -> None:
    """The logarithm of −2 is NaN: where a body is traced, in its rule and in a batch."""

    @op
    def scaled_by_log(x, factor):
        """x · log factor, derived from its body."""
        return x * log(factor)

    @op
    def raised_by_log(x, factor):
        """x · factor, whose rule takes a logarithm."""
        return x * factor

    @raised_by_log.vjp
    def _(g, y, x, factor):
        return g * log(factor), None

    for each in (scaled_by_log, raised_by_log):
        graph = Graph("numbers")
        x = graph.input("x", (2,))
        graph.node("y", sum_(each(x, -2.0)))
        assert "x" in gradient_graph(graph, "y", ["x"]).cotangents
        model = dataflow.Model(graph, ["y"])
        assert np.isnan(model.evaluate(of="y", wrt=["x"], data={"x": [1.0, 2.0]}).gradients["x"]).all()
        assert np.isnan(model.jacobian(of="y", wrt=["x"], data={"x": [1.0, 2.0]})).all()


def test_the_power_of_small_whole_numbers_has_a_derivative() -> None:
    """numpy's logarithm of an int8 is a float16."""
    graph = Graph("power", "float32")
    graph.node("y", sum_(power(graph.constant("a", np.array([2, 0, 4]), "int8"), graph.input("x", (3,)))))
    x = np.array([1.0, 2.0, 0.5], np.float32)
    gradient = dataflow.Model(graph, ["y"]).evaluate(of="y", wrt=["x"], data={"x": x}).gradients["x"]
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, [2 * np.log(2), 0, 2 * np.log(4)], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(name for name, known in every_op().items() if known.family is not None))
def test_an_output_that_stands_in_several_nodes_has_the_gradient_of_all(name: str) -> None:
    """Of the same call in three nodes, the gradient of y + 2 y + 2 y is five times that of y."""
    found = registry.lookup(name)
    case = cases_of(found, 5)[0]
    graph, known, first = case.graph()
    if first.dtype.kind != "f" or not case.floats:
        return
    operands = [graph.value(f"x{i}") if i in case.arrays else x for i, x in enumerate(case.arguments)]
    second, third = (graph.apply(found, operands, case.attributes, name=f"again{i}") for i in range(2))
    graph.node("once", sum_(first))
    graph.node("loss", sum_(first) + 2 * sum_(second) + 2 * sum_(third))
    wrt = [f"x{i}" for i in case.floats]
    model = Model(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        once, whole = (model.gradients(of=of, wrt=wrt, data=known) for of in ("once", "loss"))
    for key in wrt:
        np.testing.assert_allclose(whole[key], 5 * once[key], rtol=1e-12)
