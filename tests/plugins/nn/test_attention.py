"""Attention and rotary positions: numbers by hand and by numpy, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow import Graph, Model, ShapeError, ops

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=(2, 4, 3, 2)) for _ in range(3))


def by_hand(q: np.ndarray, k: np.ndarray, v: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    raised = np.where(allowed, np.exp(q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])), 0)
    return raised / np.maximum(raised.sum(axis=-1, keepdims=True), 1e-300) @ v


def test_attention_with_masks_is_what_its_formula_says() -> None:
    everything, triangle = np.ones((3, 3), bool), np.tril(np.ones((3, 3), bool))
    np.testing.assert_allclose(ops.attention(Q, K, V), by_hand(Q, K, V, everything))
    np.testing.assert_allclose(ops.attention(Q, K, V, causal=True), by_hand(Q, K, V, triangle))
    some = np.array([[True, False, True], [False, False, False], [True, True, True]])
    np.testing.assert_allclose(ops.attention(Q, K, V, some, causal=True), by_hand(Q, K, V, some & triangle))
    np.testing.assert_allclose(
        ops.attention(Q, K[:, :2], V[:, :2]), ops.attention(Q, *np.repeat([K, V], 2, 2)[:, :, :4])
    )


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_query_that_sees_nothing_gives_0_and_a_gradient_of_0(backend: str) -> None:
    graph = Graph("g")
    q, k, v = (graph.input(name, (3, 2)) for name in "qkv")
    graph.node("f", ops.sum(ops.attention(q, k, v, np.array([[True], [False], [True]]))))
    given = {"q": Q[0, 0], "k": K[0, 0], "v": V[0, 0]}
    _, gradients = Model(graph, ["f"]).compile(gradients=list(given), of="f", backend=backend)(**given)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert not gradients["q"][1].any()


def test_rotary_is_a_product_with_complex_numbers_and_sees_distances_alone() -> None:
    x, y = RNG.normal(size=(5, 6)), RNG.normal(size=(5, 6))
    angles = np.arange(2, 7)[:, None] / 100.0 ** (np.arange(3) / 3)
    turned = (x[:, :3] + 1j * x[:, 3:]) * np.exp(1j * angles)
    np.testing.assert_allclose(ops.rotary(x, base=100.0, offset=2), np.concatenate([turned.real, turned.imag], axis=1))
    turned = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * angles)
    expected = np.stack([turned.real, turned.imag], axis=-1).reshape(5, 6)
    np.testing.assert_allclose(ops.rotary(x, base=100.0, offset=2, interleaved=True), expected)
    near = np.sum(ops.rotary(x) * ops.rotary(y), axis=-1)
    np.testing.assert_allclose(np.sum(ops.rotary(x, offset=9) * ops.rotary(y, offset=9), axis=-1), near)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.attention(Q, K[..., :1], V), r"attention takes q of \(..., queries, width\)"),
        (lambda: ops.attention(Q, K[:, :3], V[:, :3]), "3 heads of k and v do not serve 4 heads of q evenly"),
        (lambda: ops.attention(Q, K, V, heads=3), r"does not split \(2, 4, 3, 2\) into 3 heads of one width"),
        (lambda: ops.rotary(Q[..., :1]), r"an even width, not \(2, 4, 3, 1\)"),
    ],
)
def test_what_does_not_fit(call, message) -> None:
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_a_row_of_minus_infinity_has_a_gradient_of_0_and_leaves_the_others_alone(name: str, backend: str) -> None:
    def slope(rows: np.ndarray) -> np.ndarray:
        graph = Graph("g")
        y = getattr(ops, name)(graph.input("x", rows.shape), axis=-1)
        known = ops.where(ops.abs(y) < np.inf, y, 0)
        graph.node("f", ops.sum(known * known))
        return Model(graph, ["f"]).compile(gradients=["x"], of="f", backend=backend)(x=rows)[1]["x"]

    rows = Q[0, 0].copy()
    rows[1] = -np.inf
    np.testing.assert_allclose(slope(rows)[[0, 2]], slope(rows[[0, 2]]))
    assert slope(rows)[1].tolist() == [0, 0]
    rows[1] = np.nan
    assert np.isnan(slope(rows)[1]).all()


def test_an_ignored_example_of_no_possible_class_has_a_gradient_of_0() -> None:
    graph = Graph("g")
    graph.node("loss", ops.cross_entropy(graph.input("x", (2, 2)), np.array([1, -1]), ignore_index=-1))
    x = np.array([[0.0, 0.0], [-np.inf, -np.inf]])
    assert Model(graph, [], "loss").gradients(wrt=["x"], x=x)["x"].tolist() == [[0.5, -0.5], [0, 0]]
