"""Recurrent layers against torch's, whose gates stand in another order, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow import Graph, Model, ShapeError, ops
from dataflow.analysis.gradient_check import check_gradients

RNG = np.random.default_rng(2)
STEPS, EXAMPLES, INPUTS, WIDTH = 4, 3, 2, 5
ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
"""Which of torch's gates each of ONNX's is."""


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ORDER)
def test_values_and_gradients_are_those_of_torch(name: str, count: int) -> None:
    torch = pytest.importorskip("torch")
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[name]
    layer = kind(INPUTS, WIDTH, bidirectional=count == 2, dtype=torch.float64)
    states = ["h0", "c0"] if name == "lstm" else ["h0"]
    given = {"x": RNG.normal(size=(STEPS, EXAMPLES, INPUTS))}
    for state in states:
        given[state] = RNG.normal(size=(count, EXAMPLES, WIDTH))
    theirs = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
    first = tuple(theirs[state] for state in states)
    y, lasts = layer(theirs["x"], first if name == "lstm" else first[0])
    lasts = lasts if name == "lstm" else (lasts,)

    def reordered(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, len(ORDER[name]))
        return np.concatenate([parts[i] for i in ORDER[name]])

    def stacked(part: str, of=lambda weight: weight) -> np.ndarray:
        ends = ["", "_reverse"][:count]
        return np.stack([reordered(of(getattr(layer, f"{part}_l0{end}")).detach().numpy()) for end in ends])

    given |= {"W": stacked("weight_ih"), "R": stacked("weight_hh")}
    given["b"] = np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1)
    graph = Graph("g")
    values = {key: graph.input(key, value.shape) for key, value in given.items()}
    attributes = {"direction": "bidirectional" if count == 2 else "forward"}
    if name == "gru":
        attributes["linear_before_reset"] = True
    op = getattr(ops, name)
    outputs = op(*(values[key] for key in ("x", "W", "R", "b", *states)), **attributes)
    graph.node("r", outputs)
    total = sum(ops.sum(output * output) for output in outputs)
    graph.node("f", total)
    model = Model(graph, ["f"])
    found = model.run(**given)
    np.testing.assert_allclose(
        found["r:y"].transpose(0, 2, 1, 3).reshape(STEPS, EXAMPLES, -1), y.detach().numpy(), rtol=1e-10, atol=1e-12
    )
    for output, last in zip(["h", "c"], lasts, strict=False):
        np.testing.assert_allclose(found[f"r:{output}"], last.detach().numpy(), rtol=1e-10, atol=1e-12)
    ((y * y).sum() + sum((last * last).sum() for last in lasts)).backward()
    mine = model.gradients(of="f", wrt=list(given), **given)
    expected = {key: tensor.grad.numpy() for key, tensor in theirs.items()}
    expected |= {"W": stacked("weight_ih", lambda w: w.grad), "R": stacked("weight_hh", lambda w: w.grad)}
    for key, gradient in expected.items():
        np.testing.assert_allclose(mine[key], gradient, rtol=1e-10, atol=1e-12)
    _, compiled = model.compile(gradients=list(given), of="f", backend="numpy")(**given)
    for key, gradient in expected.items():
        np.testing.assert_allclose(compiled[key], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", ["rnn", "gru", "gru before reset", "lstm", "lstm from a cell", "lstm with peepholes"])
def test_a_state_that_is_left_out_is_zero(name: str, biased: bool, direction: str) -> None:
    """Expected is what states of zeros give, in values and gradients."""
    kind, count = name[:4].strip(), 2 if direction == "bidirectional" else 1
    gates = len(ORDER[kind])
    shapes = {"x": (STEPS, EXAMPLES, INPUTS), "W": (count, gates * WIDTH, INPUTS), "R": (count, gates * WIDTH, WIDTH)}
    if biased:
        shapes["b"] = (count, 2 * gates * WIDTH)
    if name == "lstm from a cell":
        shapes["c0"] = (count, EXAMPLES, WIDTH)
    if name == "lstm with peepholes":
        shapes["P"] = (count, 3 * WIDTH)
    arrays = {key: RNG.normal(size=shape) for key, shape in shapes.items()}
    zeros = {key: np.zeros((count, EXAMPLES, WIDTH)) for key in ("h0", *["c0"] * (kind == "lstm")) if key not in arrays}

    def run(states: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        graph = Graph("g")
        values = {key: graph.input(key, array.shape) for key, array in (arrays | states).items()}
        attributes = {"direction": direction} | ({"linear_before_reset": True} if name == "gru before reset" else {})
        order = ["x", "W", "R", "b", "h0", "c0", "P"][: 7 if kind == "lstm" else 5]
        outputs = getattr(ops, kind)(*(values.get(key) for key in order), **attributes)
        graph.node("r", outputs)
        graph.node("f", sum(ops.sum(output * output) for output in outputs))
        model = Model(graph, ["f"])
        gradients = model.gradients(of="f", wrt=list(arrays), **arrays, **states)
        run = model.run(**arrays, **states)
        return {key: run[key] for key in run if key.startswith("r:")} | gradients

    found, expected = run({}), run(zeros)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-13, atol=1e-13, err_msg=key)


def test_the_reverse_direction_reads_from_the_end_and_the_gru_of_onnx_resets_first() -> None:
    x = RNG.normal(size=(STEPS, EXAMPLES, INPUTS))
    W, R = RNG.normal(size=(1, 3 * WIDTH, INPUTS)), RNG.normal(size=(1, 3 * WIDTH, WIDTH))
    b = RNG.normal(size=(1, 6 * WIDTH))
    y, h = ops.gru(x, W, R, b, direction="reverse")
    np.testing.assert_array_equal(y[::-1], ops.gru(x[::-1], W, R, b).y)
    np.testing.assert_array_equal(h[0], y[0, 0])
    state = np.zeros((EXAMPLES, WIDTH))
    for step in x[::-1]:  # the formulas of ONNX's specification of GRU
        a, c = np.split(step @ W[0].T + b[0, : 3 * WIDTH], 3, -1), np.split(b[0, 3 * WIDTH :], 3)
        Rz, Rr, Rn = np.split(R[0], 3)
        z = 1 / (1 + np.exp(-(a[0] + state @ Rz.T + c[0])))
        r = 1 / (1 + np.exp(-(a[1] + state @ Rr.T + c[1])))
        state = (1 - z) * np.tanh(a[2] + (r * state) @ Rn.T + c[2]) + z * state
    np.testing.assert_allclose(h[0], state, rtol=1e-12)


def test_what_does_not_fit() -> None:
    x, W, R = RNG.normal(size=(2, 3, 2)), RNG.normal(size=(1, 4, 2)), RNG.normal(size=(1, 4, 1))
    assert ops.lstm(x, W, R).c.shape == (1, 3, 1)
    for call in (
        lambda: ops.lstm(x, W, R, direction="bidirectional"),
        lambda: ops.lstm(x[:0], W, R),
        lambda: ops.lstm(x[0], W, R),
        lambda: ops.gru(x, W, R),
        lambda: ops.lstm(x, W, R, RNG.normal(size=(1, 4))),
        lambda: ops.lstm(Graph("g").input("x", ("n", 3, 2)), W, R),
    ):
        with pytest.raises(ShapeError, match=r"takes x of \(steps, examples, inputs\) with a number of steps"):
            call()


def test_peepholes_are_those_of_the_formulas_and_their_gradients_those_of_finite_differences() -> None:
    """The formulas of ONNX's specification of LSTM, by hand."""
    given = {
        "x": RNG.normal(size=(STEPS, EXAMPLES, INPUTS)),
        "W": RNG.normal(size=(2, 4 * WIDTH, INPUTS)),
        "R": RNG.normal(size=(2, 4 * WIDTH, WIDTH)),
        "P": RNG.normal(size=(2, 3 * WIDTH)),
    }
    graph = Graph("g")
    x, W, R, P = (graph.input(key, value.shape) for key, value in given.items())
    outputs = ops.lstm(x, W, R, None, None, None, P, direction="bidirectional")
    graph.node("r", outputs)
    graph.node("f", ops.sum(outputs.y * outputs.y) + ops.sum(outputs.c))
    found = Model(graph, ["f"]).run(**given)
    for d, steps in enumerate((given["x"], given["x"][::-1])):
        h = c = np.zeros((EXAMPLES, WIDTH))
        p_i, p_o, p_f = np.split(given["P"][d], 3)
        for step in steps:
            i, o, f, g = np.split(step @ given["W"][d].T + h @ given["R"][d].T, 4, -1)
            i, f = 1 / (1 + np.exp(-i - p_i * c)), 1 / (1 + np.exp(-f - p_f * c))
            c = f * c + i * np.tanh(g)
            h = np.tanh(c) / (1 + np.exp(-o - p_o * c))
        np.testing.assert_allclose(found["r:h"][d], h, rtol=1e-12)
        np.testing.assert_allclose(found["r:c"][d], c, rtol=1e-12)
    assert check_gradients(Model(graph, ["f"]), "f", list(given), given).ok
    with pytest.raises(ShapeError, match=r"peepholes P of \(directions, 3 · width\), not \(2, 4\)"):
        ops.lstm(given["x"], given["W"], given["R"], None, None, None, given["P"][:, :4])
