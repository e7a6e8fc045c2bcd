"""What holds for every registered op, checked for every registered op; and that each check finds its fault."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from faulty_ops import numpy_in_the_rule
from hypothesis import given, settings
from hypothesis import strategies as st
from op_graphs import FIRST_OUTPUTS, OPS

import dataflow
from dataflow import op, primitive
from dataflow.errors import DtypeError, OpError, PluginError, RuleError, ShapeError
from dataflow.ops import (
    abs,  # noqa: A004
    cast,
    concatenate,
    index,
    linear,
    log_softmax,
    matmul,
    max,  # noqa: A004
    maximum,
    mean,
    mse,
    power,
    relu,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    stack,
)
from dataflow.registry import registry
from dataflow.testing import CHECKS, check_op, kinks, nonfinite_checks, op_checks
from dataflow.testing.cases import cases_of, every_op

EXPECTED = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "power",
    "matmul",
    "transpose",
    "reshape",
    "sum",
    "mean",
    "max",
    "exp",
    "log",
    "sqrt",
    "abs",
    "tanh",
    "sin",
    "cos",
    "maximum",
    "minimum",
    "where",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "index",
    "concatenate",
    "stack",
    "broadcast_to",
    "relu",
    "sigmoid",
    "softmax",
    "log_softmax",
    "linear",
    "mse",
    "softmax_cross_entropy",
    "sigmoid_cross_entropy",
    *("expm1", "log1p", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc"),
    *("reciprocal", "floor", "ceil", "trunc", "round", "sign", "floor_divide", "mod", "fmod", "clip", "isnan", "isinf"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor"),
    *("bitwise_not", "shift_left", "shift_right"),
    *(
        "min",
        "prod",
        "sum_square",
        "log_sum",
        "logsumexp",
        "norm",
        "var",
        "std",
        "argmax",
        "argmin",
        "cumsum",
        "cumprod",
    ),
    *("gather", "gather_elements", "gather_nd", "scatter_elements", "scatter_nd", "take_along_axis", "embedding"),
    *("sort", "argsort", "einsum", "tile", "expand", "squeeze", "flatten", "tril", "triu", "eye_like", "one_hot"),
    *("depth_to_space", "space_to_depth", "reverse_sequence"),
    *("silu", "gelu", "softplus", "softsign", "mish", "elu", "celu", "selu", "leaky_relu", "prelu", "thresholded_relu"),
    *("hard_sigmoid", "hard_swish", "shrink", "hardmax"),
    *("attention", "rotary"),
    *("rnn:y", "rnn:h", "gru:y", "gru:h", "lstm:y", "lstm:h", "lstm:c"),
    *("nll", "cross_entropy", "huber", "smooth_l1", "kl_divergence", "hinge"),
]


def test_the_ops_are_there() -> None:
    assert set(EXPECTED) <= set(every_op())
    assert len(CHECKS) >= 15


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, 0) for name in FIRST_OUTPUTS] + [pytest.param(name, 1, marks=pytest.mark.slow) for name in OPS],
)
def test_every_op_is_what_it_says(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    op = registry.lookup(name)
    if seed == 0:  # one entry of each argument, of those that are drawn; the slow tests look at more
        monkeypatch.setattr(nonfinite_checks, "ENTRIES", 1)
        monkeypatch.setattr(kinks, "ENTRIES", 2)
        left_out = {"infinity"}  # test_nonfinite.py looks at it
        if not op.is_primitive and op.vjp_rule is None:  # its derivatives are those of the primitives
            left_out |= {"second derivative", "broadcast gradients", "jvp", "structure", "kinks"}
        monkeypatch.setattr(op_checks, "CHECKS", {name: CHECKS[name] for name in CHECKS if name not in left_out})
        most = 2 if op.is_primitive else 1
        monkeypatch.setattr(op_checks, "cases_of", lambda op, seed: cases_of(op, seed)[:most])
    assert check_op(op, seed) == []


# ------------------------------------------------------------------------------------------------ conventions, numbers


def test_conventions_at_kinks() -> None:
    assert dataflow.autodiff.pullback(relu, np.ones(1), np.zeros(1), [np.zeros(1)], {}, [True])[0] == 0
    assert dataflow.autodiff.pullback(abs, np.ones(1), np.zeros(1), [np.zeros(1)], {}, [True])[0] == 0
    shares = dataflow.autodiff.pullback(maximum, np.ones(1), np.ones(1), [np.ones(1), np.ones(1)], {}, [True, True])
    assert [float(share[0]) for share in shares] == [0.5, 0.5]
    x = np.array([1.0, 3.0, 3.0, 3.0])
    share = dataflow.autodiff.pullback(max, np.ones(()), max(x), [x], max.bind({}), [True])[0]
    np.testing.assert_allclose(share, [0, 1 / 3, 1 / 3, 1 / 3])


def test_mean_divides_by_the_number_of_examples_not_of_elements() -> None:
    prediction, target = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    assert mse(prediction, target) == 0.5 * (1 + 4 + 9 + 16 + 25)
    assert mse(prediction, target, reduction="mean") == mse(prediction, target) / 2


def test_losses_refuse_what_would_broadcast_to_a_table_of_all_pairs() -> None:
    graph = dataflow.Graph("g")
    with pytest.raises(ShapeError, match=r"compares \(4, 1\) with \(4,\)"):
        mse(graph.input("a", (4, 1)), graph.input("b", (4,)))


@pytest.mark.parametrize("x", [-1000.0, -745.0, -36.0, -1e-8, 0.0, 1e-8, 36.0, 745.0, 1000.0])
def test_sigmoid_at_extremes_against_mpmath(x: float) -> None:
    with mpmath.workdps(400):
        exact = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
    assert float(sigmoid(x)) == pytest.approx(float(exact), rel=4e-16, abs=5e-324)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_softmax_and_cross_entropy_at_extremes_against_mpmath(scale: float) -> None:
    rng = np.random.default_rng(0)
    logits = scale * rng.normal(size=5)
    labels = rng.dirichlet(np.ones(5))
    with mpmath.workdps(1000):
        raised = [mpmath.exp(mpmath.mpf(float(x))) for x in logits]
        shares = [r / mpmath.fsum(raised) for r in raised]
        logs = [mpmath.log(share) for share in shares]
        loss = -mpmath.fsum(mpmath.mpf(float(p)) * q for p, q in zip(labels, logs, strict=True))
    np.testing.assert_allclose(softmax(logits), [float(s) for s in shares], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(log_softmax(logits), [float(s) for s in logs], rtol=1e-12, atol=1e-15)
    assert float(softmax_cross_entropy(logits, labels)) == pytest.approx(float(loss), rel=1e-12)


def test_power_at_its_edges() -> None:
    def by(a, b):
        graph = dataflow.Graph("p")
        graph.node("y", power(graph.input("a", ()), b))
        return float(dataflow.Model(graph, ["y"]).gradients(of="y", wrt=["a"], a=a)["a"])

    assert by(0.0, 2) == 0
    assert by(-3.0, 2) == -6
    assert by(-2.0, 3) == 12
    assert by(0.0, 1) == 1
    assert by(4.0, -0.5) == pytest.approx(-1 / 16)
    with pytest.warns(dataflow.DataflowWarning, match="no path"):
        pass_through = dataflow.Graph("p")
        pass_through.input("b", ())
        pass_through.node("y", pass_through.input("a", ()) ** 2)
        assert dataflow.Model(pass_through, ["y"]).gradients(of="y", wrt=["b"], a=1.0, b=1.0)["b"] == 0


SHAPES_OF_PRODUCTS = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((3,), (5, 3, 2)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES_OF_PRODUCTS)
def test_matmul_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=a), rng.normal(size=b)
    np.testing.assert_array_equal(matmul(left, right), left @ right)


def test_matmul_that_does_not_fit_says_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 2\) @ \(1, 3\) does not fit: 2 columns meet 1 rows; the order"):
        matmul(np.ones((3, 2)), np.ones((1, 3)))


KEYS = st.lists(
    st.one_of(
        st.integers(-3, 2),
        st.slices(3),
        st.just(None),
    ),
    min_size=1,
    max_size=4,
)


@given(KEYS, st.booleans())
@settings(max_examples=75)
def test_index_is_numpys(key: list, dots: bool) -> None:
    x = np.arange(27.0).reshape(3, 3, 3)
    items = (*key, Ellipsis) if dots else tuple(key)
    try:
        expected = x[items]
    except IndexError:
        return
    graph = dataflow.Graph("i")
    y = graph.node("y", graph.input("x", (3, 3, 3))[items])
    assert y.shape == expected.shape
    np.testing.assert_array_equal(index(x, key=graph.node_of("y").attributes["key"]), expected)


def test_lists_and_numbers_are_taken_and_arrays_come_out() -> None:
    assert isinstance(relu([-1, 2]), np.ndarray)
    assert relu([-1, 2]).tolist() == [0, 2]
    assert stack(1.0, [2.0, 3.0]).tolist() == [[1, 1], [2, 3]]
    assert concatenate([1.0], [2.0, 3.0]).tolist() == [1, 2, 3]
    assert cast([1.7, -1.7], dtype="int64").tolist() == [1, -1]
    assert mean(np.arange(4)).tolist() == 1.5
    np.testing.assert_allclose(linear([[1.0, 2.0]], [[3.0, 4.0]], [5.0]), [[16.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: relu(), OpError, "takes 1 input"),
        (lambda: relu([1.0], [2.0]), OpError, "takes 1 input"),
        (lambda: mean([1.0], axes=0), OpError, "unknown attribute 'axes'; did you mean 'axis'"),
        (lambda: mean([1.0], axis="0"), OpError, "takes int or list of int or none, not '0'"),
        (lambda: mse([1.0], [1.0], reduction="avg"), OpError, '"sum" or "mean"'),
        (lambda: mean([1.0], axis=3), ShapeError, "axis 3 is out of range"),
        (lambda: matmul(2.0, [1.0]), ShapeError, "written with \\*"),
        (lambda: relu(["a"]), dataflow.DtypeError, "arrays of numbers"),
        (lambda: registry.lookup("matmull"), OpError, "did you mean 'matmul'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_declarations_that_cannot_be() -> None:
    with pytest.raises(PluginError, match="no docstring"):
        op(name="undocumented")(lambda x: x)
    with pytest.raises(PluginError, match="needs a type"):

        @op
        def untyped(x, *, k=1):
            """An attribute without a type."""
            return x

    with pytest.raises(PluginError, match="vjp rule takes"):

        @op
        def two(a, b):
            """Two inputs."""
            return a

        @two.vjp
        def _(g, y, a):
            return g

    with pytest.raises(PluginError, match="names no input"):
        two.vjp(wrt="c")


def test_a_rule_of_numpy_says_so_when_it_is_traced() -> None:
    graph = dataflow.Graph("n")
    graph.node("y", numpy_in_the_rule()(graph.input("x", ())))
    with pytest.raises(RuleError, match="must call ops"):
        dataflow.autodiff.gradient_graph(graph, "y", ["x"])


def test_a_jacobian_rule_alone_is_enough() -> None:
    @primitive
    def double(x):
        """Twice a vector."""
        return 2 * np.asarray(x)

    @double.shape
    def _(x):
        return x.shape

    @double.jacobian
    def _(y, x):
        return 2 * np.eye(3)

    graph = dataflow.Graph("d")
    graph.node("y", double(graph.input("x", (3,))))
    model = dataflow.Model(graph, ["y"])
    np.testing.assert_array_equal(model.jacobian(of="y", wrt=["x"], x=[1, 2, 3]), 2 * np.eye(3))
    assert model.gradients(of="y", wrt=["x"], x=[1, 2, 3])["x"].tolist() == [2, 2, 2]


def test_a_sum_to_a_shape_that_does_not_fit_is_refused_though_the_number_of_elements_does() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 6\)"):
        dataflow.ops.sum_to(np.ones((3, 4)), shape=(2, 6))
    with pytest.raises(ShapeError):
        dataflow.ops.sum_to(np.ones(4), shape=(1, 4))


def test_losses_of_integers_are_floats_and_said_to_be() -> None:
    graph = dataflow.Graph("g")
    a, b = graph.input("a", (2,), "int64"), graph.input("b", (2,), "int32")
    assert mse(a, b).dtype == mse(np.arange(2), np.arange(2, dtype="int32")).dtype == np.float64
    narrow = graph.input("c", (2,), "float32")
    assert mse(narrow, b).dtype == mse(np.ones(2, "float32"), np.arange(2, dtype="int32")).dtype


@pytest.mark.parametrize("labels", [[[0.1], [0.2]], [0.3], 0.4, [[0.5, 0.25, 0.25]]])
def test_cross_entropy_with_labels_that_broadcast_over_the_classes(labels) -> None:
    """Its derivative is softmax · Σ labels − labels, with the labels written out."""
    logits = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    out = np.broadcast_to(np.asarray(labels, float), logits.shape)
    arguments = [logits, labels if isinstance(labels, float) else np.asarray(labels)]
    y = softmax_cross_entropy(*arguments)
    given = softmax_cross_entropy.bind({})
    share = dataflow.autodiff.pullback(softmax_cross_entropy, np.ones(()), y, arguments, given, [True, False])[0]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) * out.sum(axis=1, keepdims=True) - out
    np.testing.assert_allclose(share, expected, rtol=1e-13, atol=1e-15)


def test_an_input_that_must_be_there() -> None:
    with pytest.raises(OpError, match="input 'x' is None"):
        relu(None)
    with pytest.raises(OpError, match="input number 2 is None"):
        concatenate([1.0], None)


def test_a_number_too_large_for_its_dtype() -> None:
    with pytest.raises(DtypeError, match="op 'add': int32 does not hold 1099511627776"):
        dataflow.ops.add(np.ones(2, "int32"), 2**40)


def test_a_kink_of_power_is_told_where_it_is_one() -> None:
    def told(a, b) -> bool:
        return bool(np.any(power.kink_rule.touched(np.asarray(a), b)))

    assert told(0.0, 0.5)
    assert told(0.0, np.asarray(0.0))
    assert not any(told(*at) for at in [(0.0, 2), (0.0, 1), (1.0, 0.5), (0.0, np.asarray(1.0))])
