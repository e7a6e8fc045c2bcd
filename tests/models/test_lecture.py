"""The subject matter: forward pass, losses, partials, gradients, updates and Jacobians of the lecture's examples.

All numbers were computed exactly, in rational arithmetic or by hand, and are written as they come out there.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow.analysis.gradient_check import check_gradients
from dataflow.files.toml.read import loads_toml
from dataflow.model.model import Model

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
Y = np.array([[0], [1], [1], [0]], dtype=float)
EXACT = {"rtol": 1e-12, "atol": 1e-15}

S1 = (0.5, -0.3, 0.2, 0.8, 0.7, -0.5, 0.1, -0.2, 0.05)
S2 = (1, 1, 1, 1, 1, -2, 0, -1, 0)

MATRIX_FORM = """
dataflow = 1
[inputs]
x = { shape = ["n", 2] }
y = { shape = ["n", 1] }
[parameters]
W1 = { value = [[%r, %r], [%r, %r]] }
W2 = { value = [[%r, %r]] }
b1 = { value = [%r, %r] }
b2 = { value = [%r] }
[nodes]
z = "x @ W1.T + b1"
h = "relu(z)"
yhat = "h @ W2.T + b2"
error = "0.5 * (yhat - y) ** 2"
loss = "mse(yhat, y)"
[model]
outputs = ["yhat"]
loss = "loss"
"""
NAMES = ("W1", "W2", "b1", "b2")
SCALARS = ("w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3")


def net(weights: tuple[float, ...]) -> Model:
    return loads_toml(MATRIX_FORM % tuple(float(w) for w in weights))


def flat(gradients: dict[str, np.ndarray]) -> np.ndarray:
    """The nine partials in the order w1..w6, b1, b2, b3."""
    return np.concatenate([gradients[name].reshape(-1) for name in NAMES])


def test_row_1_both_forms_of_the_net_have_nine_scalar_parameters_and_agree() -> None:
    matrices, scalars = dataflow.load(MODELS / "xor.toml"), dataflow.load(MODELS / "xor-scalars.toml")
    assert sum(value.size for value in matrices.parameters.values()) == 9
    assert [value.shape for value in scalars.parameters.values()] == [()] * 9
    np.testing.assert_allclose(matrices.run()["loss"], scalars.run()["loss"], **EXACT)
    in_matrices = flat(matrices.gradients())
    one_by_one = scalars.gradients()
    np.testing.assert_allclose(in_matrices, [one_by_one[name] for name in SCALARS], rtol=1e-12, atol=1e-15)


def test_row_2_and_3_forward_pass_and_losses_of_s1() -> None:
    values = net(S1).run(x=X, y=Y)
    np.testing.assert_allclose(values["yhat"].reshape(-1), [0.12, -0.25, 0.47, -0.14], **EXACT)
    np.testing.assert_allclose(values["error"].reshape(-1), [0.0072, 0.78125, 0.14045, 0.0098], **EXACT)
    np.testing.assert_allclose(values["loss"], 0.9387, **EXACT)
    one = net(S1).run(x=X[1:2], y=Y[1:2])
    np.testing.assert_allclose(one["loss"], 0.78125, **EXACT)


def test_row_4_the_derivative_of_the_loss_by_the_prediction() -> None:
    found = net(S1).gradients(wrt=["yhat"], x=X, y=Y)["yhat"]
    np.testing.assert_allclose(found.reshape(-1), [0.12, -1.25, -0.53, -0.14], **EXACT)


@pytest.mark.parametrize(("example", "expected"), [(3, 0.7), (1, 0.0)])
def test_row_5_the_derivative_of_the_prediction_by_one_weight(example: int, expected: float) -> None:
    found = net(S1).gradients(of="yhat", wrt=["W1"], x=X[[example]])
    np.testing.assert_allclose(found["W1"][0, 0], expected, **EXACT)


def test_row_6_relu_is_flat_at_its_kink_and_the_touch_is_reported() -> None:
    model = net(S1)
    result = model.evaluate(of="loss", wrt=["W1", "b1"], data={"x": X, "y": Y}, kinks=True)
    assert [note for note in result.warnings if "'h'" in note and "[2, 1]" in note]
    alone = model.gradients(x=X[2:3], y=Y[2:3])
    assert alone["W1"][1, 0] == 0
    assert alone["b1"][1] == 0


PARTIALS = [
    [0, 0, 0, 0, 0.012, 0, 0.084, 0, 0.12],
    [0, 0, 0, 0.625, 0, -0.75, 0, 0.625, -1.25],
    [-0.371, 0, 0, 0, -0.318, 0, -0.371, 0, -0.53],
    [-0.098, -0.098, 0.07, 0.07, -0.042, -0.112, -0.098, 0.07, -0.14],
]


def test_row_7_all_nine_partials_of_each_example() -> None:
    found = net(S1).per_example_gradients(x=X, y=Y)
    for example, expected in enumerate(PARTIALS):
        np.testing.assert_allclose(flat({k: v[example] for k, v in found.items()}), expected, rtol=1e-12, atol=1e-15)


def test_row_9_and_14_gradients_are_summed_and_have_the_shape_of_their_parameter() -> None:
    found = net(S1).gradients(x=X, y=Y)
    expected = [-0.469, -0.098, 0.07, 0.695, -0.348, -0.862, -0.385, 0.695, -1.8]
    np.testing.assert_allclose(flat(found), expected, **EXACT)
    np.testing.assert_allclose(found["W1"], [[-0.469, -0.098], [0.07, 0.695]], **EXACT)


def test_row_10_one_step_of_gradient_descent() -> None:
    model = net(S1)
    history = dataflow.train(model, {"x": X, "y": Y}, epochs=1, optimizer="sgd", learning_rate=0.1)
    expected = [0.5469, -0.2902, 0.193, 0.7305, 0.7348, -0.4138, 0.1385, -0.2695, 0.23]
    np.testing.assert_allclose(flat(dict(model.parameters)), expected, **EXACT)
    assert history.loss == pytest.approx([0.583235162254792], rel=1e-12)


def test_row_10_with_the_mean_over_the_examples() -> None:
    model = loads_toml((MATRIX_FORM % S1).replace("mse(yhat, y)", "mse(yhat, y, reduction='mean')"))
    history = dataflow.train(model, {"x": X, "y": Y}, epochs=1, optimizer="sgd", learning_rate=0.1)
    assert history.loss == pytest.approx([0.814527850187545 / 4], rel=1e-12)
    assert model.run(x=X, y=Y)["error"].sum() == pytest.approx(0.814527850187545, rel=1e-12)


def test_row_11_minibatches_of_two_in_the_order_of_the_file() -> None:
    model = net(S1)
    trainer = dataflow.Trainer(model, {"x": X, "y": Y}, batch_size=2, optimizer="sgd", learning_rate=0.1, shuffle=False)
    trainer.step()
    expected = [0.5, -0.3, 0.2, 0.7375, 0.69880, -0.425, 0.0916, -0.2625, 0.163]
    np.testing.assert_allclose(flat(dict(trainer.parameters)), expected, rtol=0, atol=5e-6)  # written rounded
    trainer.step()
    assert model.run(x=X, y=Y)["loss"] == pytest.approx(0.617937224061811, rel=1e-12)


def test_row_12_training_to_convergence() -> None:
    model = dataflow.load(MODELS / "xor.toml")
    assert model.run()["loss"] == pytest.approx(0.3863, rel=1e-12)
    loss = dataflow.train(model).loss
    assert loss[0] == pytest.approx(0.566578294949961, rel=1e-12)
    assert loss[9] == pytest.approx(0.117023863239782, rel=1e-12)
    assert loss[99] == pytest.approx(0.0955599016208, rel=1e-10)
    assert loss[999] == pytest.approx(0.00692861767737, rel=1e-10)
    assert loss[2999] == pytest.approx(2.3413076e-11, rel=1e-6)


def test_row_13_nothing_is_left_to_learn() -> None:
    model = net(S2)
    assert model.run(x=X)["yhat"].reshape(-1).tolist() == [0, 1, 1, 0]
    assert all((gradient == 0).all() for gradient in model.gradients(x=X, y=Y).values())


def test_row_15_the_gradient_check_passes_on_other_widths() -> None:
    model = loads_toml("""
    dataflow = 1
    [inputs]
    x = { shape = ["n", 3] }
    y = { shape = ["n", 2] }
    [parameters]
    W1 = { shape = [5, 3], init = "normal" }
    b1 = { shape = [5], init = "normal" }
    W2 = { shape = [2, 5], init = "normal" }
    b2 = { shape = [2], init = "normal" }
    [nodes]
    yhat = "relu(x @ W1.T + b1) @ W2.T + b2"
    loss = "mse(yhat, y)"
    [model]
    loss = "loss"
    """)
    rng = np.random.default_rng(1)
    data = {"x": rng.normal(size=(4, 3)), "y": rng.normal(size=(4, 2))}
    report = check_gradients(model, "loss", list(model.parameters), data)
    assert report.ok
    assert [(check.wrt, check.checked) for check in report.checks] == [("W1", 15), ("b1", 5), ("W2", 10), ("b2", 2)]


@pytest.mark.parametrize("at", [(3.0, 2.0), (-1.5, 0.25)])
def test_row_16_and_17_a_full_jacobian_has_outputs_as_rows(at: tuple[float, float]) -> None:
    model = dataflow.load(MODELS / "jacobian.toml")
    a, b = at
    np.testing.assert_allclose(model.run(x=at)["f"], [2 * a + b, math.pi * b, -a / b], **EXACT)
    found = model.jacobian(of="f", wrt=["x"], x=at)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found, [[2, 1], [0, math.pi], [-1 / b, a / b**2]], **EXACT)


def test_row_16_at_three_and_two() -> None:
    model = dataflow.load(MODELS / "jacobian.toml")
    np.testing.assert_allclose(model.run()["f"], [8, 2 * math.pi, -1.5], **EXACT)
    np.testing.assert_allclose(model.jacobian(of="f", wrt="x")[2], [-0.5, 0.75], **EXACT)


def test_row_18_a_gradient_is_the_transpose_of_a_jacobian_with_one_row() -> None:
    model = net(S1)
    row = model.jacobian(of="loss", wrt=["W1"], x=X, y=Y)
    column = model.gradients(wrt=["W1"], x=X, y=Y)["W1"].reshape(-1, 1)
    assert row.shape == (1, 4)
    assert column.shape == (4, 1)
    np.testing.assert_array_equal(row.T, column)


def test_row_22_an_exercise_and_its_domain() -> None:
    model = dataflow.load(MODELS / "log-exercise.toml")
    np.testing.assert_allclose(model.jacobian(of="f", wrt=["w"]), [[0.25, -0.125], [0, -1], [0.5, 0]], **EXACT)
    a, b = 0.7, -3.0
    expected = [[1 / b, -a / b**2], [0, -1], [1 / a, 0]]
    np.testing.assert_allclose(model.jacobian(of="f", wrt=["w"], w=[a, b]), expected, **EXACT)


@pytest.mark.parametrize(("w", "op"), [([2, 0], "divide"), ([0, 4], "log"), ([-1, 4], "log")])
def test_row_22_outside_the_domain_a_warning_names_the_node(w: list[float], op: str) -> None:
    with pytest.warns(dataflow.DataflowWarning, match=rf"node 'f\.{op}' \({op}\)"):
        dataflow.load(MODELS / "log-exercise.toml").run(w=w)


def test_rows_23_and_24_one_function_from_two_perspectives() -> None:
    model = dataflow.load(MODELS / "perspectives.toml")
    assert model.run()["f"] == pytest.approx(33.5, rel=1e-12)
    by_inputs = model.gradients(of="f", wrt=["x", "y"])
    np.testing.assert_allclose([by_inputs["x"], by_inputs["y"]], [10, -1.75], **EXACT)
    by_parameters = model.gradients(of="f", wrt=["a", "b"])
    np.testing.assert_allclose([by_parameters["a"], by_parameters["b"]], [6, 0.5], **EXACT)


def test_row_25_the_jacobian_by_a_matrix_is_row_major() -> None:
    model = dataflow.load(MODELS / "matrix-vector.toml")
    np.testing.assert_array_equal(model.jacobian(of="h", wrt=["W"]), [[5, 7, 0, 0], [0, 0, 5, 7]])


def test_row_26_a_composition_in_blocks_is_the_same_bit_for_bit() -> None:
    blocks = loads_toml("""
    dataflow = 1
    [inputs]
    x = { shape = ["n", 2] }
    [blocks.g]
    inputs = ["x"]
    output = "h"
    [blocks.g.parameters]
    W = { value = [[0.5, -0.3], [0.2, 0.8]] }
    b = { value = [0.1, -0.2] }
    [blocks.g.nodes]
    h = "relu(x @ W.T + b)"
    [blocks.f]
    inputs = ["h"]
    output = "yhat"
    [blocks.f.parameters]
    W = { value = [[0.7, -0.5]] }
    b = { value = [0.05] }
    [blocks.f.nodes]
    yhat = "h @ W.T + b"
    [nodes]
    yhat = "f(g(x))"
    [model]
    outputs = ["yhat"]
    """)
    np.testing.assert_array_equal(blocks.run(x=X)["yhat"], net(S1).run(x=X)["yhat"])


def test_row_28_the_forward_pass_keeps_every_intermediary() -> None:
    values = net(S1).run(x=X[3:])
    np.testing.assert_allclose(values["z"], [[0.3, 0.8]], **EXACT)
    np.testing.assert_allclose(values["h"], [[0.3, 0.8]], **EXACT)
    np.testing.assert_allclose(values["yhat"], [[-0.14]], **EXACT)


def test_row_29_the_factors_and_their_products() -> None:
    model = net(S1)
    one = {"x": X[3:], "y": Y[3:]}
    factors = [
        model.jacobian(of="loss", wrt="yhat", data=one),
        model.jacobian(of="yhat", wrt="h", data=one),
        model.jacobian(of="h", wrt="z", data=one),
        model.jacobian(of="z", wrt="W1", data=one),
    ]
    expected = [[[-0.14]], [[0.7, -0.5]], np.eye(2), [[1, 1, 0, 0], [0, 0, 1, 1]]]
    for found, written in zip(factors, expected, strict=True):
        np.testing.assert_allclose(found, written, **EXACT)
    product = factors[0] @ factors[1] @ factors[2] @ factors[3]
    np.testing.assert_allclose(product.reshape(2, 2), [[-0.098, -0.098], [0.07, 0.07]], **EXACT)
    np.testing.assert_allclose(model.gradients(wrt="W1", data=one)["W1"], product.reshape(2, 2), **EXACT)
    np.testing.assert_allclose(model.gradients(wrt="W2", data=one)["W2"], [[-0.042, -0.112]], **EXACT)
