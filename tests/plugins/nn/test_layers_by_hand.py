"""Convolution, pooling, normalization, padding and resizing by small numbers that can be followed by hand, and by loops
that are written as the definitions read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import dataflow
from dataflow import Graph, Model, OpError, ShapeError, ops
from dataflow.autodiff import pullback
from dataflow.registry import registry

ROW = np.array([[[1.0, 2.0, 4.0, 8.0]]])
"""(1, 1, 4)"""


def gradients(name: str, *arrays: np.ndarray, g: object = None, **attributes) -> list[np.ndarray]:
    op = registry.lookup(name)
    y = op(*arrays, **attributes)
    given = np.ones_like(y) if g is None else np.asarray(g, float)
    return pullback(op, given, y, arrays, op.bind(attributes), [True] * len(arrays))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [12, 23]),  # 1 − 2 + 3·4 + 1, and 2 − 4 + 3·8 + 1
        ({"padding": 1}, [6, 12, 23, -3]),
        ({"padding": ((0, 1),)}, [12, 23, -3]),
        ({"padding": "same_upper"}, [6, 12, 23, -3]),
        ({"padding": "same_lower", "strides": 2}, [6, 23]),  # (⌈4/2⌉ − 1) · 2 + 3 − 4 = 1 entry of padding
        ({"padding": "same_upper", "strides": 2}, [12, -3]),
        ({"strides": 2, "padding": 1}, [6, 23]),
        ({"dilation": 2, "padding": 1}, [23, -2]),  # 0 − 2 + 3·8 + 1, and 1 − 4 + 0 + 1
    ],
)
def test_convolution_by_hand(attributes, expected) -> None:
    W, b = np.array([[[1.0, -1.0, 3.0]]]), np.array([1.0])
    assert ops.conv(ROW, W, b, **attributes).tolist() == [[expected]]


def test_groups_and_two_axes_as_the_definition_reads() -> None:
    rng = np.random.default_rng(0)
    x, W, b = rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6)
    y = ops.conv(x, W, b, strides=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=2)
    assert y.shape == (2, 6, 2, 6)
    for n, o, i, j in itertools.product(*map(range, y.shape)):
        total = b[o]
        for c, k, m in itertools.product(range(2), range(3), range(2)):
            row, column = 2 * i + k - 1, j + 2 * m
            if 0 <= row < 5 and column < 6:
                total += x[n, o // 3 * 2 + c, row, column] * W[o, c, k, m]
        assert y[n, o, i, j] == pytest.approx(total, rel=1e-12)


def test_many_examples_go_through_the_kernel_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few examples each, and the last of fewer; in plans the same memory serves each portion and each run."""
    from dataflow_nn import correlation_kernels

    rng = np.random.default_rng(0)
    graph = Graph("g")
    x, W = graph.input("x", ("n", 2, 5)), graph.input("W", (3, 2, 3))
    graph.node("f", ops.sum(ops.conv(x, W, padding=1, strides=2) ** 2))
    model = Model(graph, ["f"], "f")
    data = {"x": rng.normal(size=(7, 2, 5)), "W": rng.normal(size=(3, 2, 3))}
    whole = model.evaluate(of="f", wrt=["x", "W"], data=data)
    monkeypatch.setattr(correlation_kernels, "COLUMNS", 3 * 2 * 3 * 3 * 8)
    by_node = model.evaluate(of="f", wrt=["x", "W"], data=data)
    plan = model.compile(values=["f"], gradients=["x", "W"], backend="numpy")
    for _ in range(2):
        values, found = plan(data=data)
        np.testing.assert_allclose(values["f"], whole.values["f"], rtol=1e-13)
        for name in ("x", "W"):
            np.testing.assert_allclose(found[name], whole.gradients[name], rtol=1e-12)
            np.testing.assert_allclose(by_node.gradients[name], whole.gradients[name], rtol=1e-12)


def test_in_rows_of_windows_the_gradient_is_the_transpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """⟨conv(x, W), g⟩ = ⟨x, gradient⟩, where the forward kernel is another. An infinite weight reaches what its windows
    cover, and nothing else becomes NaN."""
    from dataflow_nn import correlation_kernels

    monkeypatch.setattr(correlation_kernels, "COLUMNS", 2**14)
    rng = np.random.default_rng(0)
    x, W, g = rng.normal(size=(5, 4, 9, 10)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=(5, 6, 9, 10))
    given = {"padding": ((1, 1), (2, 0)), "dilation": (1, 2), "groups": 2}
    back = ops.correlate_transpose(g, W, size=(9, 10), **given)
    assert np.sum(back * x) == pytest.approx(np.sum(ops.conv(x, W, **given) * g), rel=1e-11)

    corner = np.zeros((1, 1, 3, 3))
    corner[0, 0, 0, 0] = np.inf
    expected = np.zeros((1, 1, 6, 6))
    expected[0, 0, :5, :5] = np.inf
    with np.errstate(invalid="ignore"):  # zeros beside the infinite weight
        back = ops.correlate_transpose(np.ones((1, 1, 6, 6)), corner, size=(6, 6), padding=1)
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # 1, 2 and 4 each put (1, −1) down, two apart
        ({"strides": 2}, [1, -1, 2, -2, 4, -4]),
        ({"strides": 2, "output_padding": 1}, [1, -1, 2, -2, 4, -4, 0]),
        ({"strides": 2, "padding": 1}, [-1, 2, -2, 4]),
        ({}, [1, 1, 2, -4]),
        ({"strides": 3, "padding": "same_upper"}, [1, -1, 0, 2, -2, 0, 4, -4, 0]),
        ({"strides": 2, "output_shape": (5,)}, [-1, 2, -2, 4, -4]),
        ({"strides": 2, "output_shape": (5,), "padding": "same_upper"}, [1, -1, 2, -2, 4]),
        ({"strides": 2, "output_shape": (7,), "padding": "same_upper"}, [1, -1, 2, -2, 4, -4, 0]),
    ],
)
def test_transposed_convolution_by_hand(attributes, expected) -> None:
    assert ops.conv_transpose(ROW[:, :, :3], np.array([[[1.0, -1.0]]]), **attributes).tolist() == [[expected]]


def test_max_pooling_shares_among_ties_and_never_takes_the_padding() -> None:
    x = np.array([[[-3.0, -1.0, -1.0, -2.0]]])
    assert ops.max_pool(x, kernel=3, strides=2, padding=1).tolist() == [[[-1, -1]]]
    share = gradients("max_pool", x, kernel=3, strides=2, padding=1, g=[[[6.0, 10.0]]])[0]
    assert share.tolist() == [[[0, 6 + 5, 5, 0]]]
    assert ops.max_pool(np.array([[[1, 5, 3]]]), kernel=2, strides=1).tolist() == [[[5, 5]]]


def test_max_pooling_of_nan_and_infinity() -> None:
    x = np.array([[[np.nan, 1.0, 2.0, -np.inf, -np.inf, np.inf]]])
    np.testing.assert_array_equal(ops.max_pool(x, kernel=2), [[[np.nan, 2, np.inf]]])
    np.testing.assert_array_equal(gradients("max_pool", x, kernel=2)[0], [[[np.nan, np.nan, 1, 0, 0, 1]]])


def test_the_last_window_reaches_over_the_end_and_the_padding_counts_or_not() -> None:
    x = np.array([[[1.0, 2.0, 3.0, 4.0]]])

    def pooled(**attributes):
        return ops.average_pool(x, kernel=3, strides=2, **attributes).tolist()[0][0]

    assert pooled() == [2]
    assert pooled(ceil_mode=True) == [2, 3.5]
    assert pooled(padding=1) == [1.5, 3]
    assert pooled(padding=1, count_include_pad=True) == [1, 3]
    # of 0 1 2 | 2 3 4 | 4 0 and one behind the padding, which does not count
    assert pooled(padding=1, count_include_pad=True, ceil_mode=True) == [1, 3, 2]
    assert ops.max_pool(x, kernel=2, strides=3, ceil_mode=True).tolist() == [[[2, 4]]]
    assert ops.max_pool(x[:, :, :3], kernel=1, strides=3, padding=0, ceil_mode=True).tolist() == [
        [[1]]
    ]  # none starts behind
    assert ops.average_pool(np.array([[[1, 2]]]), kernel=2).tolist() == [[[1.5]]]


def test_norms_by_hand() -> None:
    x = np.array([[[3.0, 4.0]]])
    assert ops.lp_pool(x, kernel=2).tolist() == [[[5]]]
    assert gradients("lp_pool", x, kernel=2)[0].tolist() == [[pytest.approx([0.6, 0.8])]]
    assert gradients("lp_pool", 0 * x, kernel=2)[0].tolist() == [[[0, 0]]]
    assert ops.global_average_pool(x).tolist() == [[[3.5]]]
    assert ops.global_max_pool(x).tolist() == [[[4]]]


def test_normalisations_by_hand() -> None:
    x = np.array([[1.0, 3.0, 5.0, 11.0]])  # mean 5, variance (16 + 4 + 0 + 36) / 4 = 14; mean square 39
    np.testing.assert_allclose(ops.layer_norm(x, epsilon=2.0), [[-1, -0.5, 0, 1.5]])
    np.testing.assert_allclose(ops.rms_norm(x, 2.0 * np.ones(4), epsilon=10.0), 2 * x / 7)
    # of 1, 3: mean 2, variance 1; of 5, 11: mean 8, variance 9
    grouped = ops.group_norm(x, np.array([1.0, 2, 3, 4]), np.ones(4), groups=2, epsilon=0.0)
    np.testing.assert_allclose(grouped, [[0, 3, -2, 5]])
    np.testing.assert_allclose(ops.instance_norm(x[:, None], epsilon=2.0), [[[-1, -0.5, 0, 1.5]]])
    four = [np.array(value) for value in ([2.0] * 4, [1.0] * 4, [1.0] * 4, [4.0, 1, 4, 25])]
    np.testing.assert_allclose(ops.batch_norm(x, *four, epsilon=0.0), [[1, 5, 5, 5]])
    # over three neighbours, the squares 1, 9, 25, 121: 10, 35, 155, 146
    found = ops.local_response_norm(x, size=3, alpha=3.0, beta=1.0, bias=1.0)
    np.testing.assert_allclose(found, x / [[11, 36, 156, 147]])


@pytest.mark.parametrize(
    ("mode", "padding", "expected"),
    [
        ("constant", (2, 1), [7, 7, 1, 2, 3, 7]),
        ("constant", (-1, 1), [2, 3, 7]),
        ("constant", (-4, 3), [7, 7]),
        ("reflect", (2, 1), [3, 2, 1, 2, 3, 2]),
        ("reflect", (5, 0), [2, 1, 2, 3, 2, 1, 2, 3]),
        ("edge", (2, 1), [1, 1, 1, 2, 3, 3]),
        ("edge", (-1, 2), [2, 3, 3, 3]),
        ("edge", (-4, 3), [3, 3]),
        ("wrap", (2, 4), [2, 3, 1, 2, 3, 1, 2, 3, 1]),
    ],
)
def test_padding_by_hand(mode: str, padding: tuple[int, int], expected: list[int]) -> None:
    x = np.array([1.0, 2.0, 3.0])
    found = ops.pad(x, padding=(padding,), mode=mode, value=7)
    assert found.tolist() == expected
    # each entry's gradient is how often it stands there
    assert gradients("pad", x, padding=(padding,), mode=mode, value=7)[0].tolist() == [
        expected.count(i) for i in (1, 2, 3)
    ]
    assert ops.pad(np.arange(2), padding=1, value=5).tolist() == [5, 0, 1, 5]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"scales": 2.0}, [1, 1, 2, 2, 4, 4]),
        ({"sizes": (2,), "coordinates": "asymmetric", "rounding": "floor"}, [1, 2]),
        ({"sizes": (2,), "coordinates": "asymmetric", "rounding": "ceil"}, [1, 4]),
        ({"sizes": (2,)}, [1, 4]),  # ½ · 3/2 − ½ = ¼ and 7/4
        ({"scales": 2.0, "mode": "linear"}, [1, 1.25, 1.75, 2.5, 3.5, 4]),
        ({"sizes": (5,), "mode": "linear", "coordinates": "align_corners"}, [1, 1.5, 2, 3, 4]),
        ({"sizes": (1,), "mode": "linear"}, [2]),
        ({"sizes": (1,), "mode": "linear", "coordinates": "pytorch_half_pixel"}, [1]),
        # with the coefficient −¾ at a half: −3/32, 19/32, 19/32, −3/32 of 1 2 4 4, and of 1 1 2 4
        (
            {"sizes": (5,), "mode": "cubic", "coordinates": "align_corners"},
            [1, (-3 * 1 + 19 * 1 + 19 * 2 - 3 * 4) / 32, 2, (-3 * 1 + 19 * 2 + 19 * 4 - 3 * 4) / 32, 4],
        ),
        # from ½ · 2 = 1 on, to 3/2 · 2 = 3, which lies outside
        (
            {
                "sizes": (3,),
                "mode": "linear",
                "coordinates": "crop_and_resize",
                "region": (0.5, 1.5),
                "outside": 9.0,
            },
            [2, 4, 9],
        ),
        # the hat is 3 wide on each side, so that 1, 2 and 4 have the weights ⅔, 1 and ⅔
        ({"sizes": (1,), "mode": "linear", "antialias": True, "exclude_outside": True}, [(2 + 6 + 8) / 7]),
    ],
)
def test_resizing_by_hand(attributes, expected) -> None:
    found = ops.resize(np.array([[[1.0, 2.0, 4.0]]]), **attributes)
    np.testing.assert_allclose(found, [[expected]], rtol=1e-14)


def test_symbolic_spatial_sizes() -> None:
    graph = Graph("g")
    x = graph.input("x", ("n", 2, "w"))
    W = graph.input("W", (2, 2, 3))
    y = graph.node("y", ops.conv(x, W, strides=2, padding=1))
    z = graph.node("z", ops.conv_transpose(y, W, strides=2, padding=1, output_padding=1))
    p = graph.node("p", ops.average_pool(ops.max_pool(x, kernel=2), kernel=3, padding="same_upper"))
    assert [str(value.shape[2]) for value in (y, z, p)] == ["(w+1)//2", "2*((w+1)//2)", "(w//2+2)//3"]
    given = {"x": np.ones((1, 2, 7)), "W": np.ones((2, 2, 3))}
    found = Model(graph, ["y", "z", "p"]).run(data=given)
    assert [found[name].shape[2] for name in "yzp"] == [4, 8, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.conv(ROW[0], ROW),
            ShapeError,
            r"\(N, C, spatial...\) with at least one spatial axis, not \(1, 4\)",
        ),
        (lambda: ops.conv(ROW, np.ones((2, 3, 1))), ShapeError, r"takes 3 · 1 = 3 input channels .* has 1"),
        (lambda: ops.conv(ROW, np.ones((3, 1, 1)), groups=2), ShapeError, "3 channels are not parted into 2 groups"),
        (lambda: ops.conv(ROW, np.ones((1, 1, 5))), ShapeError, "spans 5 entries does not fit into an axis of 4"),
        (lambda: ops.conv(ROW, ROW, np.ones(2)), ShapeError, r"b has one entry for each of the 1 channels, not \(2,\)"),
        (lambda: ops.conv(ROW, ROW, strides=(1, 1)), OpError, "strides has 2 numbers for 1 axis"),
        (lambda: ops.conv(ROW, ROW, strides=0), OpError, "strides is 0; its numbers are at least 1"),
        (lambda: ops.conv(ROW, ROW, padding=(1, 1)), OpError, "padding has 2 entries for 1 axis"),
        (lambda: ops.conv(ROW, ROW, padding="same"), OpError, '"valid" or "same_upper" or "same_lower"'),
        (lambda: ops.conv_transpose(ROW, ROW, output_shape=(5,), padding=1), OpError, "padding or output_shape"),
        (lambda: ops.max_pool(ROW, kernel=1, padding=1), ShapeError, "lies in the padding alone"),
        (lambda: ops.max_pool(ROW, kernel=(2, 2)), OpError, "kernel has 2 numbers for 1 axis"),
        (lambda: ops.group_norm(ROW, groups=2), ShapeError, "1 channels are not parted into 2 groups"),
        (lambda: ops.batch_norm(ROW, *[np.ones(2)] * 4), ShapeError, "each of the 1 channels, not"),
        (lambda: ops.pad(ROW, padding=(1, 1)), OpError, "padding is .* for 3 axes"),
        (lambda: ops.pad(ROW, padding=((-3, -2),), axes=(2,)), ShapeError, "does not have 5 entries to take away"),
        (lambda: ops.resize(ROW), OpError, "scales or sizes, one of the two"),
        (lambda: ops.resize(ROW, sizes=(2, 2)), OpError, "2 scales or sizes for 1 axis"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_small_convolutional_net_trains() -> None:
    rng = np.random.default_rng(0)
    graph = Graph("net")
    x, y = graph.input("x", ("n", 1, 6, 6)), graph.input("y", ("n", 1))
    W, b = graph.parameter("W", value=0.3 * rng.normal(size=(2, 1, 3, 3))), graph.parameter("b", value=np.zeros(2))
    V = graph.parameter("V", value=0.3 * rng.normal(size=(1, 8)))
    pooled = ops.max_pool(ops.relu(ops.conv(x, W, b, padding="same_upper")), kernel=3)
    graph.node("loss", ops.sigmoid_cross_entropy(ops.reshape(pooled, shape=("n", 8)) @ V.T, y, reduction="mean"))
    images = rng.normal(size=(40, 1, 6, 6))
    images[::2, 0, 2:4, :] += 2  # a bar, along or across
    images[1::2, 0, :, 2:4] += 2
    data = {"x": images, "y": np.arange(40).reshape(40, 1) % 2}
    for backend in ("numpy", "llvm"):
        model = Model(graph.copy(), [], "loss")
        losses = dataflow.train(model, data, epochs=60, learning_rate=0.3, backend=backend).loss
        assert losses[-1] < 0.3 < losses[0]
