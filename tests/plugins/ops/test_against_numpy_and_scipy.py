"""The ops of dataflow_ops give what numpy and scipy give; what those lack is written out beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import dataflow
from dataflow import Graph, Model, ShapeError, ops

RNG = np.random.default_rng(0)
A, B = 3 * RNG.normal(size=(4, 5)), RNG.uniform(0.5, 3, size=(4, 5))
EDGES = np.array(
    [-np.inf, -745.0, -2.5, -1.5, -1.0, -0.5, -1e-10, -0.0, 0.0, 1e-10, 0.5, 1.0, 1.5, 2.5, np.inf, np.nan]
)
WHOLE, SHIFTS = RNG.integers(-50, 50, size=(4, 5)), RNG.integers(0, 6, size=(4, 5))
MASK, OTHER = RNG.random((4, 5)) < 0.5, RNG.random((4, 5)) < 0.5

ONE: dict[str, Callable[[Any], Any]] = {
    "expm1": np.expm1,
    "log1p": np.log1p,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.round,
    "sign": np.sign,
    "reciprocal": lambda x: 1 / x,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "logical_not": np.logical_not,
}


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one(name: str) -> None:
    with np.errstate(all="ignore"):
        for x in (A, EDGES):
            np.testing.assert_allclose(getattr(ops, name)(x), ONE[name](x), rtol=1e-15, atol=0)


TWO: dict[str, tuple[Callable[[Any, Any], Any], Any, Any]] = {
    "floor_divide": (np.floor_divide, A, B),
    "mod": (np.mod, A, -B),
    "fmod": (np.fmod, A, -B),
    "logical_and": (np.logical_and, MASK, OTHER),
    "logical_or": (np.logical_or, MASK, OTHER),
    "logical_xor": (np.logical_xor, MASK, OTHER),
    "bitwise_and": (np.bitwise_and, WHOLE, SHIFTS),
    "bitwise_or": (np.bitwise_or, WHOLE, SHIFTS),
    "bitwise_xor": (np.bitwise_xor, WHOLE, SHIFTS),
    "shift_left": (np.left_shift, WHOLE, SHIFTS),
    "shift_right": (np.right_shift, WHOLE, SHIFTS),
}


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(name: str) -> None:
    function, a, b = TWO[name]
    np.testing.assert_array_equal(getattr(ops, name)(a, b), function(a, b))
    if a.dtype.kind == "f":
        np.testing.assert_array_equal(ops.floor_divide(WHOLE, 1 + SHIFTS), WHOLE // (1 + SHIFTS))


X = RNG.normal(size=(2, 3, 4))
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "min": np.min,
    "prod": np.prod,
    "sum_square": lambda x, **k: np.sum(x**2, **k),
    "logsumexp": lambda x, axis=None, keepdims=False: scipy.special.logsumexp(x, axis=axis, keepdims=keepdims),
    "norm": lambda x, **k: np.sqrt(np.sum(x**2, **k)),
    "var": np.var,
    "std": np.std,
}


@pytest.mark.parametrize("axis", [None, 1, (0, -1)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, axis: Any) -> None:
    for keepdims in (False, True):
        found = getattr(ops, name)(X, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(found, REDUCTIONS[name](X, axis=axis, keepdims=keepdims), rtol=1e-13)


def test_reductions_with_more_to_say() -> None:
    np.testing.assert_allclose(ops.norm(X, order=1, axis=-1), np.abs(X).sum(axis=-1))
    np.testing.assert_allclose(ops.log_sum(B, axis=0), np.log(B.sum(axis=0)))
    np.testing.assert_allclose(ops.var(X, axis=1, correction=1), np.var(X, axis=1, ddof=1))
    for axis in (0, -1):
        for keepdims in (False, True):
            np.testing.assert_array_equal(
                ops.argmax(X, axis=axis, keepdims=keepdims), np.argmax(X, axis, keepdims=keepdims)
            )
            np.testing.assert_array_equal(
                ops.argmin(X, axis=axis, keepdims=keepdims), np.argmin(X, axis, keepdims=keepdims)
            )
    np.testing.assert_array_equal(ops.cumsum([1.0, 2, 3], exclusive=True, reverse=True), [5, 3, 0])
    np.testing.assert_array_equal(ops.cumprod([1.0, 2, 3], exclusive=True), [1, 1, 2])
    np.testing.assert_allclose(ops.cumprod(X, axis=1, reverse=True), np.cumprod(X[:, ::-1], axis=1)[:, ::-1])
    with np.errstate(divide="ignore"):
        assert ops.logsumexp([-np.inf, -np.inf]) == -np.inf
    assert ops.logsumexp([1000.0, 1000.0]) == 1000 + np.log(2)


def test_products_with_zeros_have_the_derivatives_of_the_other_factors() -> None:
    """By hand: of a·b·c it is (b·c, a·c, a·b)."""
    graph = Graph("g")
    x = graph.input("x", (3,))
    graph.node("product", ops.prod(x))
    graph.node("sums", ops.sum(ops.cumprod(x)))
    model = Model(graph, ["product"])
    for numbers in ([2.0, 0, 3], [0.0, 0, 3], [2.0, 5, 3]):
        a, b, c = numbers
        np.testing.assert_array_equal(model.gradients(of="product", wrt="x", x=numbers)["x"], [b * c, a * c, a * b])
        expected = [1 + b + b * c, a + a * c, a * b]
        np.testing.assert_array_equal(model.gradients(of="sums", wrt="x", x=numbers)["x"], expected)


def test_clip_keeps_nan_and_lets_the_upper_limit_win() -> None:
    np.testing.assert_array_equal(ops.clip([np.nan, -3.0, 0.5, 9], -1, 2), [np.nan, -1, 0.5, 2])
    np.testing.assert_array_equal(ops.clip([0.0], 3, 1), [1])
    np.testing.assert_array_equal(ops.clip([-5.0, 5], None, 1), [-5, 1])


# ------------------------------------------------------------------------------------------------ places and shapes


def test_gathering_and_scattering() -> None:
    rows, places = RNG.integers(-3, 3, size=(2, 3, 2)), RNG.integers(-2, 2, size=(5, 2))
    np.testing.assert_array_equal(ops.gather(X, [[0, -1], [1, 1]], axis=1), np.take(X, [[0, -1], [1, 1]], axis=1))
    np.testing.assert_array_equal(ops.take_along_axis(X, rows), np.take_along_axis(X, rows, axis=-1))
    np.testing.assert_array_equal(ops.take_along_axis(X, rows[:1], axis=2), np.take_along_axis(X, rows[:1], axis=2))
    np.testing.assert_array_equal(ops.gather_nd(X, places), X[places[:, 0], places[:, 1]])
    np.testing.assert_array_equal(ops.gather_nd(X, [[2], [0]], batch_dims=1), [X[0, 2], X[1, 0]])
    whole = np.zeros((2, 3, 4))
    np.add.at(whole, (places[:, 0], places[:, 1]), 1)
    ones = np.ones((5, 4))
    np.testing.assert_array_equal(ops.scatter_nd(np.zeros((2, 3, 4)), places, ones, combine="add"), whole)
    table = np.zeros((3, 3))  # the example in the documentation of ONNX's ScatterElements
    result = ops.scatter_elements(table, [[1, 0, 2], [0, 2, 1]], [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2]], axis=0)
    np.testing.assert_array_equal(result, [[2, 1.1, 0], [1, 0, 2.2], [0, 2.1, 1.2]])
    for combine, expected in {"multiply": 24, "minimum": 2, "maximum": 4, "replace": 4, "add": 9}.items():
        assert ops.scatter_elements([2.0], [0, 0], [3.0, 4.0], combine=combine) == [expected]


def test_the_last_of_several_updates_has_the_gradient() -> None:
    graph = Graph("g")
    x, u = graph.input("x", (3,)), graph.input("u", (2,))
    for combine in ("replace", "multiply", "maximum"):
        graph.node(combine, ops.sum(ops.scatter_elements(x, np.array([1, 1]), u, combine=combine)))
    model, given = Model(graph, []), {"x": [5.0, 6, 7], "u": [0.0, 6]}
    expected = {  # by hand
        "replace": ([1, 0, 1], [0, 1]),
        "multiply": ([1, 0, 1], [36, 0]),
        "maximum": ([1, 0.5, 1], [0, 0.5]),
    }
    for combine, (by_x, by_u) in expected.items():
        gradients = model.gradients(of=combine, wrt=["x", "u"], **given)
        np.testing.assert_array_equal(gradients["x"], by_x)
        np.testing.assert_array_equal(gradients["u"], by_u)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_an_index_that_is_out_of_range_is_told(backend: str) -> None:
    graph = Graph("g")
    graph.node("y", ops.gather(graph.parameter("W", value=np.ones((3, 2))), graph.input("i", ("n",), "int64")))
    model = Model(graph, ["y"])
    for run in (model.run, model.compile(values=["y"], backend=backend)):
        with pytest.raises(dataflow.DataflowError, match="index 3 is out of range for axis 0 of size 3"):
            run(i=[0, 3])


def test_other_shapes() -> None:
    np.testing.assert_array_equal(ops.tile(X, repeats=(2, 1, 3)), np.tile(X, (2, 1, 3)))
    np.testing.assert_array_equal(ops.expand(X[:, :1], shape=(3, -1)), np.broadcast_to(X[:, :1], (2, 3, 4)))
    assert ops.flatten(X, axis=2).shape == (6, 4)
    assert ops.squeeze(X[:, :1], axis=1).shape == (2, 4)
    for k in (-1, 0, 2):
        np.testing.assert_array_equal(ops.tril(X, k=k), np.tril(X, k))
        np.testing.assert_array_equal(ops.triu(X, k=k), np.triu(X, k))
        np.testing.assert_array_equal(ops.eye_like(X[0], k=k), np.eye(3, 4, k))
    np.testing.assert_array_equal(ops.one_hot([2, -1, 0], classes=3), [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(ops.positions(X, axis=1), [[[0], [1], [2]]])
    # the examples in the documentation of ONNX's DepthToSpace and ReverseSequence
    pixels = np.arange(8.0).reshape(1, 8, 1, 1)
    assert ops.depth_to_space(pixels, size=2).ravel().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert ops.depth_to_space(pixels, size=2, mode="CRD").ravel().tolist() == list(range(8))
    np.testing.assert_array_equal(ops.space_to_depth(ops.depth_to_space(pixels, size=2), size=2), pixels)
    times = np.arange(16.0).reshape(4, 4).T
    expected = [[0, 1, 2, 3], [5, 4, 6, 7], [10, 9, 8, 11], [15, 14, 13, 12]]
    np.testing.assert_array_equal(ops.reverse_sequence(times.T, [1, 2, 3, 4]), expected)


def test_sorting_is_stable_either_way_and_puts_nan_last_or_first() -> None:
    x = np.array([2.0, np.nan, 1, 2, 0])
    assert ops.argsort(x).tolist() == [4, 2, 0, 3, 1]
    assert ops.argsort(x, descending=True).tolist() == [1, 0, 3, 2, 4]
    np.testing.assert_array_equal(ops.sort(X, axis=1, descending=True), -np.sort(-X, axis=1))


# ------------------------------------------------------------------------------------------------ einsum


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bki", (2, 3, 4), (2, 4, 5)),
    ("i,j->ji", (2,), (3,)),
    ("ii->i", (3, 3)),
    ("iji->j", (3, 2, 3)),
    ("ij->", (2, 3)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i...,i->...", (2, 3, 4), (2,)),
    ("ab,bc,cd->da", (2, 3), (3, 4), (4, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    (" ij , kj -> ik ", (2, 3), (4, 3)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    (",ij->ij", (), (2, 3)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in EQUATIONS], ids=[e for e, *_ in EQUATIONS])
def test_einsum_is_numpys(equation: str, shapes: list[tuple[int, ...]]) -> None:
    xs = [RNG.normal(size=shape) for shape in shapes]
    np.testing.assert_allclose(ops.einsum(*xs, equation=equation), np.einsum(equation, *xs), rtol=1e-12, atol=1e-14)


def test_einsum_of_a_symbolic_number_of_examples() -> None:
    graph = Graph("g")
    a, b = graph.input("a", ("n", 3, 4)), graph.input("b", ("m", 4))
    y = graph.node("y", ops.einsum(a, b, equation="nij,mj->nmi"))
    assert str(y.spec) == "float64 (n, m, 3)"
    given = {"a": RNG.normal(size=(2, 3, 4)), "b": RNG.normal(size=(5, 4))}
    np.testing.assert_allclose(Model(graph, ["y"]).run(**given)["y"], np.einsum("nij,mj->nmi", *given.values()))


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("ij;jk", 'not of the form "ij,jk->ik"'),
        ("ij->ik", "for 1 input, 2 given"),
        ("ij,jk->iz", "one that no input has"),
        ("ij,jk->ii", "names a letter twice"),
        ("ijk,jk->i", "'ijk' in 'ijk,jk->i' does not fit 2 axes"),
        ("ij,ik->jk", "of size 2 and of size 3"),
        ("i...,j...->ij", r"lacks the axes of '\.\.\.'"),
    ],
)
def test_equations_that_do_not_fit(equation: str, message: str) -> None:
    with pytest.raises(dataflow.DataflowError, match=message):
        ops.einsum(np.ones((2, 3)), np.ones((3, 2)), equation=equation)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.squeeze(X, axis=0), r"axis 0 of \(2, 3, 4\) is not of size 1"),
        (lambda: ops.tile(X, repeats=(2,)), r"a number of repeats, 0 or more, for each axis of \(2, 3, 4\)"),
        (lambda: ops.tril([1.0]), r"tril takes matrices, not \(1,\)"),
        (lambda: ops.depth_to_space(np.ones((1, 3, 1, 1)), size=2), "4 does not divide the size 3"),
        (lambda: ops.gather_elements(X, np.zeros((2, 3), int)), "indices with the axes of x"),
        (lambda: ops.gather_nd(X, np.zeros((2, 4), int)), r"indices of \(\.\.\., k\)"),
        (lambda: ops.scatter_nd(X, np.zeros((1, 1), int), np.ones((2, 2))), r"updates of \(1, 3, 4\) here"),
        (lambda: ops.argmax(np.ones((0, 2)), axis=0), "of no elements"),
        (lambda: ops.flatten(X, axis=4), "axis 4 is out of range"),
    ],
)
def test_shapes_that_do_not_fit(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call()


def test_places_are_whole_numbers() -> None:
    for call in (
        lambda: ops.gather(X, [0.5]),
        lambda: ops.gather_nd(X, [[0.5]]),
        lambda: ops.gather_elements(X, X),
        lambda: ops.one_hot([0.0], classes=2),
        lambda: ops.reverse_sequence(X, [1.0, 2.0]),
    ):
        with pytest.raises(dataflow.DtypeError, match="takes whole numbers as .*cast them"):
            call()
