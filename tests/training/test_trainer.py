"""Training, against numbers from elsewhere: the lecture's, closed forms, and formulas written out in plain Python."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
from checkout import HELPERS, MODELS
from nets import WEIGHTS, XOR, bits, classifier, line, nine, xor

from dataflow import (
    ArgumentError,
    DataError,
    DataflowWarning,
    Graph,
    Model,
    NonFiniteError,
    OpError,
    Optimizer,
    PluginError,
    TrainingError,
    TrainSettings,
)
from dataflow.data.source import DataSource
from dataflow.ops import exp, log, matmul, mean, mse, relu, softmax_cross_entropy, sqrt
from dataflow.ops import sum as sum_
from dataflow.registry import registry
from dataflow.training import ArrayMinibatches, History, StopTraining, Trainer, train
from dataflow.training.minibatches.batches import digest_of

# ------------------------------------------------------------------------------------------------ the lecture's rows


def test_row_10_one_step():
    model = xor("S1")
    history = train(model, epochs=1, learning_rate=0.1)
    expected = [0.5469, -0.2902, 0.193, 0.7305, 0.7348, -0.4138, 0.1385, -0.2695, 0.23]
    assert np.allclose(nine(model), expected, rtol=0, atol=1e-12)
    assert history.loss == pytest.approx([0.583235162254792], rel=0, abs=1e-12)


def test_row_10_with_the_mean():
    model = xor("S1", reduction="mean")
    history = train(model, epochs=1, learning_rate=0.1)
    summed = xor("S1")
    summed.parameters = model.parameters
    assert summed.run()["loss"] == pytest.approx(0.814527850187545, rel=0, abs=1e-12)
    # A quarter of it, as four examples' mean must be; in rational arithmetic it is 0.20363196254688632...
    assert history.loss == pytest.approx([0.203631962546886], rel=0, abs=1e-12)
    exact = exact_step([Fraction(str(weight)) for weight in WEIGHTS["S1"]], Fraction(1, 40))
    assert np.allclose(nine(model), [float(weight) for weight in exact], rtol=0, atol=1e-15)
    assert history.loss[0] == pytest.approx(float(exact_loss(exact) / 4), rel=0, abs=1e-15)


def exact_forward(weights, x):
    w1, w2, w3, w4, w5, w6, b1, b2, b3 = weights
    z1, z2 = w1 * x[0] + w2 * x[1] + b1, w3 * x[0] + w4 * x[1] + b2
    return z1, z2, w5 * max(z1, 0) + w6 * max(z2, 0) + b3


def exact_loss(weights):
    examples = zip(XOR["x"], XOR["y"], strict=True)
    return sum((exact_forward(weights, x)[2] - y) ** 2 for x, (y,) in examples) / 2


def exact_step(weights, rate):
    """A step down the summed loss, with a fraction for each of the nine weights."""
    total = [Fraction(0)] * 9
    for x, (y,) in zip(XOR["x"], XOR["y"], strict=True):
        z1, z2, prediction = exact_forward(weights, x)
        error = prediction - y
        d1, d2 = error * weights[4] * (z1 > 0), error * weights[5] * (z2 > 0)
        partials = (d1 * x[0], d1 * x[1], d2 * x[0], d2 * x[1], error * max(z1, 0), error * max(z2, 0), d1, d2, error)
        total = [a + b for a, b in zip(total, partials, strict=True)]
    return [weight - rate * partial for weight, partial in zip(weights, total, strict=True)]


def test_row_11_minibatches_in_file_order():
    model = xor("S1")
    trainer = Trainer(model, batch_size=2, learning_rate=0.1)
    trainer.step()
    after_one = [0.5, -0.3, 0.2, 0.7375, 0.69880, -0.425, 0.0916, -0.2625, 0.163]
    assert np.allclose(nine(model), after_one, rtol=0, atol=5e-6)  # rounded in the lecture
    trainer.step()
    assert trainer.measure()["loss"] == pytest.approx(0.617937224061811, rel=0, abs=1e-12)
    assert train(xor("S1"), batch_size=2, learning_rate=0.1).loss == pytest.approx(
        [0.617937224061811], rel=0, abs=1e-12
    )


@pytest.mark.slow
def test_row_12_training_to_convergence():
    model = xor("S3")
    assert model.run()["loss"] == pytest.approx(0.3863, rel=0, abs=1e-12)
    loss = train(model, epochs=3000).loss
    assert len(loss) == 3000
    for epoch, expected, digits in [
        (1, 0.566578294949961, 15),
        (10, 0.117023863239782, 15),
        (100, 0.0955599016208, 13),
        (1000, 0.00692861767737, 14),
        (3000, 2.3413076e-11, 18),
    ]:
        assert loss[epoch - 1] == pytest.approx(expected, rel=0, abs=max(1e-12 * expected, 0.5 * 10.0**-digits)), epoch


def test_row_13_nothing_left_to_learn():
    model = xor("S2")
    assert model.run()["yhat"].ravel().tolist() == [0, 1, 1, 0]
    before = nine(model)
    history = train(model, epochs=3, batch_size=3)
    assert history.loss == [0, 0, 0]
    assert nine(model).tolist() == before.tolist()


# ------------------------------------------------------------------------------------------------ steps by hand


def numpy_step(weights, data, rate, mean=False):
    """One step of gradient descent of the 2-2-1 net, written out."""
    W1, b1, W2, b2 = weights
    x, y = data
    z = x @ W1.T + b1
    h = np.where(z > 0, z, 0)
    error = (h @ W2.T + b2 - y) / (len(x) if mean else 1)
    dz = error @ W2 * (z > 0)
    gradients = dz.T @ x, dz.sum(0), error.T @ h, error.sum(0)
    return [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_steps_by_hand_with_a_last_shorter_minibatch(size, mean):
    model = xor("S1", reduction="mean" if mean else "sum")
    trainer = Trainer(model, batch_size=size, learning_rate=0.05)
    weights = [model.parameters[name].copy() for name in ("W1", "b1", "W2", "b2")]
    x, y = np.array(XOR["x"], float), np.array(XOR["y"], float)
    for _ in range(3):
        for start in range(0, 4, size):
            weights = numpy_step(weights, (x[start : start + size], y[start : start + size]), 0.05, mean)
            trainer.step()
    for name, expected in zip(("W1", "b1", "W2", "b2"), weights, strict=True):
        assert np.allclose(model.parameters[name], expected, rtol=1e-13, atol=1e-15)
    assert (trainer.batches.epoch, trainer.batches.batch) == (3, 0)
    assert trainer.steps == 3 * math.ceil(4 / min(size, 4))


def test_gradient_and_update_are_two_steps():
    model = xor("S1")
    trainer = Trainer(model, learning_rate=0.1)
    (group,) = trainer.vectors.groups
    total = np.zeros_like(group.gradients)
    losses = 0.0
    for i in range(4):  # as four workers would, with a reduction between
        losses += trainer.gradient({"x": XOR["x"][i : i + 1], "y": XOR["y"][i : i + 1]})
        total += group.gradients
    assert losses == pytest.approx(0.9387, rel=0, abs=1e-12)
    order = [-0.469, -0.098, 0.07, 0.695, -0.385, 0.695, -0.348, -0.862, -1.8]  # W1, b1, W2, b2: row 9
    assert np.allclose(total, order, rtol=0, atol=1e-12)
    assert nine(model).tolist() == list(nine(xor("S1")))
    group.gradients[...] = total
    trainer.update()
    assert nine(model)[0] == pytest.approx(0.5469, rel=0, abs=1e-12)


def test_parameters_are_views_of_one_vector():
    model = xor("S1")
    trainer = Trainer(model)
    (group,) = trainer.vectors.groups
    assert group.parameters.shape == group.gradients.shape == (9,)
    assert all(view.base is group.parameters for view in trainer.vectors.views.values())
    assert all(model.parameters.current(name) is view for name, view in trainer.vectors.views.items())
    model.parameters["W1"] = np.zeros((2, 2))
    trainer.step()
    assert model.parameters.current("W1").base is group.parameters
    # z was b1 = (.1, -.2), so that the first unit alone passes the error W2·(.1, 0) + .05 - y of each example on.
    errors = 0.12 - np.array([0, 1, 1, 0])
    assert np.allclose(model.parameters["W1"][0], -0.1 * 0.7 * (errors @ np.array(XOR["x"])), atol=1e-15)


def test_two_dtypes_are_two_vectors():
    graph = Graph("mixed")
    x, y = graph.input("x", ("n",)), graph.input("y", ("n",))
    a, b = graph.parameter("a", value=1.0, dtype="float32"), graph.parameter("b", value=[2.0, 3.0])
    graph.node("loss", mse(a * x + sum_(b), y))
    model = Model(graph, loss="loss", data=DataSource({"x": [1, 2], "y": [0, 0]}))
    trainer = Trainer(model, optimizer={"name": "sgd", "learning_rate": 0.125, "momentum": 0.5})
    assert [(group.dtype.name, group.names) for group in trainer.vectors.groups] == [
        ("float32", ("a",)),
        ("float64", ("b",)),
    ]
    assert trainer.step() == 0.5 * (6**2 + 7**2)
    assert model.parameters["a"] == np.float32(1 - 0.125 * (6 + 14))
    assert model.parameters["b"].tolist() == [2 - 0.125 * 13, 3 - 0.125 * 13]


def test_run_does_many_steps_and_gives_the_last_loss():
    one, many = Trainer(xor(), batch_size=3), Trainer(xor(), batch_size=3)
    losses = [one.step() for _ in range(7)]
    assert many.run(7) == losses[-1]
    assert nine(one.model).tobytes() == nine(many.model).tobytes()
    assert math.isnan(many.run(0))


# ------------------------------------------------------------------------------------------------ optimizers


def written_out(name, options, gradients, start):
    """The rules in plain Python, number by number, as the papers (and PyTorch's documentation) give them."""
    rate = options["learning_rate"]
    decay = options.get("weight_decay", 0.0)
    theta, path = start, []
    velocity = m = v = 0.0
    for t, gradient in enumerate(gradients, 1):
        g = gradient(theta)
        if name == "sgd":
            g = g + decay * theta
            velocity = options.get("momentum", 0.0) * velocity + g
            step = g + options["momentum"] * velocity if options.get("nesterov") else velocity
            theta = theta - rate * step
        else:
            b1, b2, epsilon = options.get("beta1", 0.9), options.get("beta2", 0.999), options.get("epsilon", 1e-8)
            theta = theta - rate * decay * theta
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            theta = theta - rate * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + epsilon)
        path.append(theta)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"name": "sgd", "learning_rate": 0.01},
        {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
        {"name": "sgd", "learning_rate": 0.01, "momentum": 0.5, "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 0.01, "weight_decay": 0.1},
        {"name": "adam", "learning_rate": 0.1},
        {"name": "adam", "learning_rate": 0.1, "beta1": 0.5, "beta2": 0.9, "epsilon": 0.01, "weight_decay": 0.1},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_optimizers_as_written_out(options):
    model = line(0.5)
    trainer = Trainer(model, optimizer=options)
    found = []
    for _ in range(6):
        trainer.step()
        found.append(float(model.parameters["w"]))
    gradients = [lambda w: sum((w * x - 2 * x) * x for x in (1, 2, 3))] * 6
    given = {key: value for key, value in options.items() if key != "name"}
    assert found == pytest.approx(written_out(options["name"], given, gradients, 0.5), rel=1e-14)


def test_optimizers_in_closed_form():
    def constant(prediction, target, w):
        return sum_(prediction + 0 * target)  # its gradient is 1 + 2 + 3 everywhere

    for options, expected in [
        ({"name": "sgd", "learning_rate": 0.1}, 1 - 0.1 * 6 * 4),
        ({"name": "sgd", "learning_rate": 0.1, "momentum": 0.5}, 1 - 0.6 * (1 + 1.5 + 1.75 + 1.875)),
        ({"name": "adam", "learning_rate": 0.1}, 1 - 4 * 0.1 * 6 / (6 + 1e-8)),
    ]:
        model = line(1.0, loss=constant)
        Trainer(model, optimizer=options).run(4)
        assert float(model.parameters["w"]) == pytest.approx(expected, rel=1e-14), options
    for name in ("sgd", "adam"):  # no gradient: weights shrink by 1 - rate·decay
        model = line(3.0, loss=lambda prediction, target, w: sum_(0 * prediction * target))
        Trainer(model, optimizer={"name": name, "learning_rate": 0.1, "weight_decay": 0.5}).run(5)
        assert float(model.parameters["w"]) == pytest.approx(3 * 0.95**5, rel=1e-14)


def test_which_optimizer_is_meant():
    declared = TrainSettings({"name": "sgd", "learning_rate": 0.3, "momentum": 0.9})

    def settings(**arguments):
        return Trainer(line(train=declared), **arguments).settings.plain()["optimizer"]

    plain_sgd = {"name": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    assert settings() == {**plain_sgd, "learning_rate": 0.3, "momentum": 0.9}
    assert settings(optimizer="sgd", learning_rate=0.5) == {**plain_sgd, "learning_rate": 0.5, "momentum": 0.9}
    assert settings(optimizer={"name": "sgd"}) == {**plain_sgd, "learning_rate": 0.01}
    assert settings(optimizer="adam")["learning_rate"] == 0.001
    adam = registry.optimizer("adam")(learning_rate=0.25, beta1=0.5)
    assert settings(optimizer=adam)["learning_rate"] == 0.25
    assert (settings(optimizer=adam, learning_rate=0.5)["beta1"], adam.learning_rate) == (0.5, 0.25)


# ------------------------------------------------------------------------------------------------ data


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    def orders(seed):
        batches = ArrayMinibatches({"i": np.arange(10), "k": np.float64(3)}, ["i"], 10, 4, True, seed)
        found = []
        for batch in islice(batches, 9):
            assert batch["k"] == 3
            found.append(batch["i"].tolist())
        return found

    first = orders(0)
    assert [len(batch) for batch in first] == [4, 4, 2] * 3
    epochs = [list(chain(*first[i : i + 3])) for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert orders(0) == first != orders(1)
    expected = np.random.default_rng(np.random.SeedSequence([0, 2])).permutation(10)
    assert epochs[2] == expected.tolist()
    again = ArrayMinibatches({"i": np.arange(10)}, ["i"], 10, 4, True, 0)
    again.seek(2, 1)
    assert again.current()["i"].tolist() == first[7]


def test_the_last_examples_are_held_out():
    model = line(1.0, x=range(10), y=range(10))
    trainer = Trainer(model, validation=0.25, batch_size=4)
    assert trainer.held_out["x"].tolist() == [7, 8, 9]  # 2.5, rounded up
    assert trainer.batches.everything()["x"].tolist() == list(range(7))
    for share, count in [(0, None), (0.07, 7), (0.1, 10), (0.101, 11), (0.99, 99)]:
        held = Trainer(line(1.0, x=range(100), y=range(100)), validation=share).held_out
        assert (held and len(held["x"])) == count


def test_losses_and_metrics_after_each_epoch():
    model = classifier()
    rows = []
    history = train(model, on_epoch=lambda h: rows.append((h.epochs, h.loss[-1], nine_of(model))))
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert (history.epochs, len(history.loss), history.interrupted) == (4, 4, False)
    assert set(history.metrics) == {"accuracy", "validation_accuracy", "validation_loss"}
    data = model.data.load(model.graph)
    for part, loss, accuracy in [
        (slice(0, 45), history.loss, history.metrics["accuracy"]),
        (slice(45, 50), history.metrics["validation_loss"], history.metrics["validation_accuracy"]),
    ]:
        values = model.run(x=data["x"][part], y=data["y"][part])
        logits, labels = values["logits"], data["y"][part]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = -np.log((shifted / shifted.sum(axis=1, keepdims=True))[labels == 1]).mean()
        assert loss[-1] == pytest.approx(expected, rel=1e-12)
        assert accuracy[-1] == (logits.argmax(1) == labels.argmax(1)).mean()
    assert np.array_equal(rows[-1][2], nine_of(model))


def nine_of(model):
    return np.concatenate([array.ravel() for array in model.parameters.values()])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_measuring_in_pieces_is_measuring_the_whole(reduction):
    model = classifier(reduction=reduction)
    trainer = Trainer(model)
    whole = trainer.measure()
    trainer._measure.memory = 3000
    pieces = trainer.measure()
    assert trainer._measure._in_pieces
    assert pieces.keys() == whole.keys()
    assert all(pieces[name] == pytest.approx(whole[name], rel=1e-12) for name in whole)


def test_a_loss_that_mixes_examples_is_measured_whole():
    graph = Graph("mixing")
    x, y = graph.input("x", ("n", 1)), graph.input("y", ("n", 1))
    w = graph.parameter("w", value=[[2.0]])
    graph.node("loss", mse((x - mean(x, axis=0)) @ w, y))
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(40, 1)), "y": rng.normal(size=(40, 1))}
    trainer = Trainer(Model(graph, loss="loss"), data)
    trainer._measure.memory = 1000
    expected = 0.5 * ((2 * (data["x"] - data["x"].mean()) - data["y"]) ** 2).sum()
    assert trainer.measure()["loss"] == pytest.approx(expected, rel=1e-12)


def test_a_run_can_be_repeated_from_its_record():
    model = classifier()
    before = {name: array.copy() for name, array in model.parameters.items()}
    train(model, epochs=2)
    record = model.training
    assert record["start"].keys() == before.keys()
    assert all(np.array_equal(record["start"][name], before[name]) for name in before)
    again = classifier(seed=0, train=TrainSettings(seed=record["seed"]))
    again.parameters = record["start"]
    settings = {name: record[name] for name in ("epochs", "batch_size", "optimizer", "shuffle", "seed", "validation")}
    train(again, **settings)
    assert bits(again) == bits(model)


def test_the_start_of_a_large_model_is_not_kept():
    graph = Graph("large", "float32")
    w = graph.parameter("w", (2**18 + 1,), init="zeros")
    graph.node("loss", sum_(w * graph.input("x", ("n", 1))))
    model = Model(graph, loss="loss", data=DataSource({"x": [[1.0]]}))
    train(model, epochs=1)
    assert "start" not in model.training


def test_accuracy_with_a_penalty_beside_the_cross_entropy():
    graph = Graph("penalty")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 2))
    w = graph.parameter("w", value=[[1.0, 0.0], [0.0, 1.0]])
    graph.node("loss", softmax_cross_entropy(x @ w, y) + 0.1 * sum_(w * w))
    data = {"x": [[1, 0], [0, 1], [2, 1], [3, 1]], "y": [[1, 0], [0, 1], [0, 1], [1, 0]]}
    assert Trainer(Model(graph, loss="loss"), data).measure()["accuracy"] == 0.75
    assert "accuracy" not in Trainer(xor()).measure()


def test_inputs_without_examples_go_with_every_minibatch():
    graph = Graph("fixed")
    x, scale = graph.input("x", ("n",)), graph.input("scale", ())
    w = graph.parameter("w", value=0.0)
    graph.node("loss", mse(w * scale * x, 0 * x + 1))
    model = Model(graph, loss="loss")
    trainer = Trainer(model, {"x": [1, 2, 3], "scale": 2.0}, batch_size=2, learning_rate=1.0, validation=0.0)
    trainer.step()
    assert float(model.parameters["w"]) == 6.0  # Σ 2x over 1, 2


def test_a_model_without_a_symbolic_size_trains_on_all_at_once():
    graph = Graph("fixed")
    x = graph.input("x", (2,))
    w = graph.parameter("w", value=[1.0, 1.0])
    graph.node("loss", mse(w, x))
    assert train(Model(graph, loss="loss"), {"x": [0, 2]}, epochs=2, learning_rate=0.5).loss == [0.25, 0.0625]
    for arguments in ({"batch_size": 1}, {"validation": 0.5}):
        with pytest.raises(TrainingError, match="examples cannot be told apart"):
            train(Model(graph, loss="loss"), {"x": [0, 2]}, **arguments)


def test_own_minibatches():
    class Twice(ArrayMinibatches):
        def current(self):
            return {name: np.concatenate([array, array]) for name, array in super().current().items()}

    arrays = {name: np.array(values, float) for name, values in XOR.items()}
    model, other = xor("S1"), xor("S1")
    train(model, Twice(arrays, ["x", "y"], 4, 2), learning_rate=0.05)
    train(other, batch_size=2, learning_rate=0.1)
    assert np.allclose(nine(model), nine(other), rtol=1e-13)


def test_a_regression_on_a_real_table_learns():
    graph = Graph("wine")
    x, y = graph.input("x", ("n", 12)), graph.input("y", ("n", 1))
    w, b = graph.parameter("w", (1, 12), init="zeros"), graph.parameter("b", (1,), init="zeros")
    source = DataSource(file=Path("wine.csv"), columns={"x": "malic_acid:proline", "y": "alcohol"}, folder=MODELS)
    data = source.load(graph)
    part, rest = slice(0, 133), slice(133, 178)
    center, spread = data["x"][part].mean(axis=0), data["x"][part].std(axis=0)
    scaled = (x - graph.constant("center", center)) / graph.constant("spread", spread)
    graph.node("loss", mse(scaled @ w.T + b, y, reduction="mean"))
    model = Model(graph, loss="loss", data=source)
    history = train(model, epochs=100, learning_rate=0.02, batch_size=16, shuffle=True, validation=0.25)
    design = np.column_stack([data["x"], np.ones(178)])
    best = np.linalg.lstsq(design[part], data["y"][part], rcond=None)[0]
    least = 0.5 * ((design @ best - data["y"])[part] ** 2).mean()
    assert least <= history.loss[-1] < 1.02 * least
    guess = 0.5 * ((data["y"][part].mean() - data["y"][rest]) ** 2).mean()
    assert history.metrics["validation_loss"][-1] < 0.5 * guess


# ------------------------------------------------------------------------------------------------ seeds and bits


def test_a_run_repeats_bit_for_bit_and_another_seed_does_not():
    first, second, other = classifier(), classifier(), classifier()
    one, two, three = train(first), train(second), train(other, seed=1)
    assert bits(first) == bits(second)
    assert (one.loss, one.metrics) == (two.loss, two.metrics)
    assert one.loss != three.loss
    assert Model(other.graph, loss="loss", train=TrainSettings(seed=1)).parameters["W1"].shape == (8, 4)


def test_a_seed_draws_anew_only_what_was_drawn():
    reference = Model(classifier().graph, loss="loss", train=TrainSettings(seed=7))
    model = classifier()
    model.parameters["b2"] = [1, 2, 3]
    trainer = Trainer(model, seed=7)
    assert np.array_equal(model.parameters["W1"], reference.parameters["W1"])
    assert np.array_equal(model.parameters["W2"], reference.parameters["W2"])
    assert model.parameters["b2"].tolist() == [1, 2, 3]
    trainer.step()
    trained = nine_of(model).copy()
    Trainer(model, seed=8)
    assert np.array_equal(nine_of(model), trained)  # trained: kept
    assert nine(Trainer(xor("S1"), seed=5).model).tolist() == nine(xor("S1")).tolist()  # literal: kept
    untouched = classifier()
    Trainer(untouched, seed=7)
    Trainer(untouched, seed=8)
    assert not np.array_equal(untouched.parameters["W1"], reference.parameters["W1"])


PROCESS = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from nets import classifier
from dataflow.training import train
model = classifier()
history = train(model, optimizer=sys.argv[2], learning_rate=0.1)
digest = hashlib.sha256(repr((history.loss, history.metrics)).encode())
for name, array in model.parameters.items():
    digest.update(name.encode() + array.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_processes_with_other_hash_seeds_give_the_same_bits():
    model = classifier()
    history = train(model, optimizer="adam", learning_rate=0.1)
    digest = hashlib.sha256(repr((history.loss, history.metrics)).encode())
    for name, array in model.parameters.items():
        digest.update(name.encode() + array.tobytes())
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", PROCESS, str(HELPERS), "adam"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        assert result.stdout.strip() == digest.hexdigest()


def test_what_a_trained_file_keeps():
    model = classifier()
    history = train(model)
    kept = model.training
    assert (kept["epochs"], kept["batch"], kept["steps"], kept["interrupted"]) == (4, 0, 24, False)
    assert kept["loss"] == history.loss
    assert kept["metrics"] == history.metrics
    assert kept["optimizer"] == {
        "name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0
    }  # fmt: skip
    assert (kept["seed"], kept["batch_size"], kept["shuffle"], kept["validation"]) == (0, 8, True, 0.1)
    assert kept["state"]["float64"]["names"] == ["W1", "b1", "W2", "b2"]
    assert kept["state"]["float64"]["velocity"].shape == (8 * 4 + 8 + 3 * 8 + 3,)


# ------------------------------------------------------------------------------------------------ NaN and infinity


def test_divergence_stops_with_the_last_good_parameters():
    def model():
        return line(1.0, x=[1e3, 2e3], y=[0, 0])

    trainer = Trainer(model(), learning_rate=1.0)
    before, stopped = None, False
    while not stopped:
        before = nine_of(trainer.model).copy()
        try:
            trainer.step()
        except NonFiniteError:
            stopped = True
    assert np.array_equal(nine_of(trainer.model), before)
    assert np.isfinite(before).all()
    trained = model()
    with pytest.raises(NonFiniteError) as caught:
        train(trained, epochs=1000, batch_size=1, learning_rate=1.0)
    assert caught.value.node is not None
    message = str(caught.value)
    assert "; try a smaller learning rate, such as 0.1" in message
    assert "the parameters are those from before this batch" in message or "start of that epoch" in message
    assert np.isfinite(trained.parameters["w"])
    assert trained.training["epochs"] == len(trained.training["loss"])
    assert all(math.isfinite(loss) for loss in trained.training["loss"])


def test_the_first_node_with_nan_is_named_with_epoch_and_batch():
    model = line(1.0, x=[1, 2, 3, -1], y=[0, 0, 0, 0], loss=lambda p, t, w: sum_(log(p) + t))
    before = nine_of(model).copy()
    trainer = Trainer(model, batch_size=2, learning_rate=0.0)
    trainer.step()
    with pytest.raises(
        NonFiniteError, match=r"epoch 1, batch 2 of 2: node 'loss\.log' \(log\) has nan at \[1\]"
    ) as caught:
        trainer.step()
    assert caught.value.node == "loss.log"
    assert np.array_equal(nine_of(model), before)
    assert trainer.batches.batch == 1


def test_a_gradient_that_is_not_finite_though_the_loss_is():
    model = line(0.0, loss=lambda p, t, w: sum_(sqrt(w * w) * t))
    with pytest.raises(
        NonFiniteError, match=r"epoch 1, batch 1 of 1: the gradient with respect to node '\S+' \(multiply\)"
    ):
        train(model, learning_rate=0.1)
    assert model.parameters["w"] == 0


def test_an_update_that_overflows_is_taken_back():
    for optimizer in ({"name": "sgd", "momentum": 0.5}, {"name": "adam"}):
        model = line(1.0, x=[1e200], y=[0], loss=lambda p, t, w: sum_(p * 1e100 + t))
        trainer = Trainer(model, optimizer={**optimizer, "learning_rate": 1e10})
        with pytest.raises(NonFiniteError, match=r"the update leads to NaN or infinity.*such as 1e\+09"):
            trainer.step()
        assert model.parameters["w"] == 1
        assert trainer.steps == 0
        assert all((array == 0).all() for group in trainer.vectors.groups for array in group.state.values())


def test_a_loss_over_the_whole_data_that_is_not_finite():
    # Each minibatch is finite, and so is the update; exp of the result is not.
    model = line(0.0, x=[1.0], y=[1.0], loss=lambda p, t, w: sum_(exp(p) + t))
    with pytest.raises(
        NonFiniteError, match=r"epoch 1, over the whole data: node 'loss\.exp' \(exp\) has inf at \[0\]; the par"
    ):
        train(model, epochs=1, optimizer=climbing(1000.0))
    assert model.parameters["w"] == 0
    assert model.training["epochs"] == 0


def climbing(factor):
    """An optimizer that goes up instead of down."""

    class Climb(Optimizer):
        name = "climb"

        def __init__(self, *, learning_rate: float = 1.0) -> None:
            self.learning_rate = learning_rate

        def update(self, parameters, gradients, state, step):
            parameters += factor * gradients

    return Climb()


def test_data_and_parameters_that_are_not_finite_are_named():
    with pytest.raises(NonFiniteError, match=r"batch 1 of 1: the data of input 'x' has nan at \[1\]; clean it"):
        train(line(1.0, x=[1, float("nan"), 2]))
    model = line(1.0)
    model.parameters["w"] = float("inf")
    with pytest.raises(NonFiniteError, match="parameter 'w' has inf; set it anew"):
        train(model)


def test_a_parameter_that_a_relu_would_hide_is_named_at_the_start():
    """relu(NaN) is 0, so neither the loss nor a gradient would show it."""
    graph = Graph("hidden")
    x, w = graph.input("x", ("n",)), graph.parameter("w", (), init="ones")
    loss = graph.node("loss", sum_(relu(x * w)))
    model = Model(graph, outputs=[], loss=loss.name)
    model.parameters["w"] = np.nan
    with pytest.raises(NonFiniteError, match="at the start: parameter 'w' has nan; set it anew"):
        train(model, {"x": [1.0]}, epochs=1)


def test_a_gradient_whose_squares_overflow_is_still_finite():
    graph = Graph("large", "float32")
    w = graph.parameter("w", value=[1.0])
    x = graph.input("x", ("n",))
    graph.node("loss", sum_(w * x))
    model = Model(graph, loss="loss")
    train(model, {"x": [1e25]}, learning_rate=1e-26)
    assert model.parameters["w"][0] == np.float32(1 - 0.1)


# ------------------------------------------------------------------------------------------------ interruption


@pytest.mark.parametrize("kind", [StopTraining, KeyboardInterrupt])
def test_a_callback_can_interrupt_between_minibatches(kind):
    def stop(progress):
        if (progress.epoch, progress.batch) == (2, 3):
            raise kind

    model = classifier()
    if kind is StopTraining:
        history = train(model, on_batch=stop)
        assert history.interrupted
        assert (history.epochs, len(history.loss)) == (1, 1)
    else:
        with pytest.raises(KeyboardInterrupt) as caught:
            train(model, on_batch=stop)
        assert caught.value.__notes__ == [
            "training was interrupted after 1 whole epochs: model.parameters hold what was trained"
        ]
    assert (model.training["epochs"], model.training["batch"], model.training["steps"]) == (1, 3, 9)
    reference = Trainer(classifier())
    reference.run(9)
    assert bits(model) == bits(reference.model)


def test_ctrl_c_waits_for_the_end_of_the_minibatch():
    seen = []

    def on_batch(progress):
        seen.append((progress.epoch, progress.epochs, progress.batch, progress.batches))
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        train(model, on_batch=on_batch)
    assert seen == [(1, 4, 1, 6), (1, 4, 2, 6)]
    assert (model.training["interrupted"], model.training["steps"]) == (True, 2)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_can_send_sigterm_the_same_way():
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        model = classifier()
        with pytest.raises(KeyboardInterrupt):
            train(model, on_batch=lambda progress: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (model.training["interrupted"], model.training["epochs"]) == (True, 0)


def test_a_second_ctrl_c_does_not_wait():
    def twice(progress):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(classifier(), on_batch=twice)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_ctrl_c_in_a_trainer_waits_for_the_end_of_the_minibatch(backend):
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    trainer = Trainer(classifier(), backend=backend)
    trainer.run(3)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(10**12)  # steps cost time, not memory
    reference = Trainer(classifier(), backend=backend)
    reference.run(trainer.steps)
    assert bits(trainer.model) == bits(reference.model)


def test_ctrl_c_in_the_last_minibatch_is_no_interruption():
    def last(progress):
        if progress.batch == progress.batches and progress.epoch == progress.epochs:
            raise StopTraining

    history = train(classifier(), on_batch=last)
    assert (history.epochs, history.interrupted) == (4, False)


def test_training_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(classifier())))
    thread.start()
    thread.join()
    assert found[0].loss == train(classifier()).loss


def test_progress_tells_the_loss_of_each_minibatch():
    seen = []
    train(xor("S1"), batch_size=2, learning_rate=0.1, on_batch=seen.append)
    assert seen[0].loss == pytest.approx(0.0072 + 0.78125, rel=0, abs=1e-12)
    assert [(p.epoch, p.batch, p.batches) for p in seen] == [(1, 1, 2), (1, 2, 2)]


# ------------------------------------------------------------------------------------------------ what cannot be


def no_loss():
    model = xor()
    return Model(model.graph, ["yhat"], data=model.data)


def no_parameters():
    graph = Graph("none")
    x = graph.input("x", ("n",))
    graph.node("loss", sum_(x))
    return Model(graph, loss="loss", data=DataSource({"x": [1, 2]}))


def no_path():
    graph = Graph("none")
    x = graph.input("x", ("n",))
    graph.parameter("w", value=1.0)
    graph.node("loss", sum_(x))
    return Model(graph, loss="loss", data=DataSource({"x": [1, 2]}))


def pairs():
    graph = Graph("pairs")
    x, m = graph.input("x", ("n", 2)), graph.input("m", ("n", "n"))
    w = graph.parameter("w", value=[[1.0], [1.0]])
    graph.node("loss", sum_(matmul(m, x) @ w))
    return Model(graph, loss="loss", data=DataSource({"x": [[1, 2]], "m": [[1]]}))


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (no_loss, {}, TrainingError, "the model has no loss"),
        (no_parameters, {}, TrainingError, "the model has no parameters"),
        (no_path, {}, TrainingError, "the loss 'loss' depends on no parameter"),
        (pairs, {}, TrainingError, "input 'm' has the size of the examples, 'n', elsewhere"),
        (xor, {"batch_size": 0}, TrainingError, "batch_size is a whole number, 1 or more, not 0"),
        (xor, {"batch_size": 2.5}, ArgumentError, "batch_size takes a whole number or None, not 2.5"),
        (xor, {"batch_size": True}, ArgumentError, "batch_size takes a whole number"),
        (xor, {"epochs": -1}, TrainingError, "epochs is a whole number, 0 or more, not -1"),
        (xor, {"seed": -1}, TrainingError, "seed is a whole number, from 0 to 9223372036854775807"),
        (xor, {"optimizer": "adm"}, PluginError, "unknown optimizer 'adm'; did you mean 'adam'"),
        (xor, {"optimizer": {"learning_rate": 1}}, TrainingError, 'an optimizer is a name, such as "sgd", or has one'),
        (xor, {"optimizer": {"name": "sgd", "rate": 1}}, OpError, "rate"),
        (xor, {"learning_rate": -1.0}, OpError, "learning_rate is a number ≥ 0"),
        (xor, {"learning_rate": float("nan")}, OpError, "learning_rate is a number ≥ 0"),
        (xor, {"validation": 1.0}, TrainingError, "validation is a share from 0 up to, not including, 1; it is 1.0"),
        (xor, {"validation": 0.9}, TrainingError, "holds out 4 of 4 examples and leaves none to train on"),
        (xor, {"data": {"x": XOR["x"]}}, DataError, "the loss needs the input 'y', which the data lacks"),
        (xor, {"data": {"x": np.zeros((0, 2)), "y": np.zeros((0, 1))}}, DataError, "there are no examples"),
        (xor, {"data": {**XOR, "z": [1]}}, DataError, "unknown input 'z'; available: 'x', 'y'"),
        (xor, {"data": {"x": XOR["x"], "y": [[1]]}}, DataError, "input 'y'"),
        (xor, {"data": {"x": [[1, 2, 3]], "y": [[1]]}}, DataError, r"input 'x': shape \(n, 2\) is expected"),
        (xor, {"backend": "nump"}, Exception, "unknown backend 'nump'; did you mean 'numpy'"),
        (xor, {"resume": True}, TrainingError, "resume needs the folder of the checkpoints"),
    ],
)
def test_what_cannot_be_trained(model, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        train(model(), **arguments)
    assert "\n" not in str(caught.value)


def test_no_data_at_all():
    with pytest.raises(TrainingError, match="there is no data to train on"):
        train(Model(xor().graph, loss="loss"))


def test_a_parameter_that_the_loss_does_not_depend_on_is_left_alone():
    model = xor("S1")
    model.graph.parameter("extra", value=[1.0, 2.0])
    with pytest.warns(DataflowWarning, match="the loss does not depend on 'extra'; not trained"):
        train(model, optimizer={"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.5})
    assert model.parameters["extra"].tolist() == [1, 2]


def test_no_epochs():
    history = train(xor("S1"), epochs=0)
    assert history == History()


def test_a_loss_of_another_dtype_than_the_parameters():
    graph = Graph("mixed")
    x = graph.input("x", ("n", 2), "float64")
    W = graph.parameter("W", (2,), init="ones", dtype="float32")
    graph.node("loss", mse(x @ W, np.zeros(())))
    trainer = Trainer(Model(graph, [], loss="loss"), {"x": [[1e-30, 1.0], [3.0, 0.5]]}, learning_rate=0.125)
    assert trainer.step() == 0.5 * (1 + 3.5**2)  # by hand: float64, in which 1e-30 + 1 is 1
    # ∂ = Σ (x·W) x = (1e-30 + 10.5, 1 + 1.75), each float32 step is exact here
    assert trainer.parameters["W"].tolist() == [1 - 10.5 / 8, 1 - 2.75 / 8]


def test_plans_are_made_once_for_each_shape():
    trainer = Trainer(classifier(), batch_size=8, shuffle=True)
    trainer.run(30)
    assert len(trainer._gradients._bound) == 2


def test_digest_tells_data_apart():
    base = {"x": np.zeros((2, 3)), "y": np.ones(2)}
    digests = {
        digest_of(arrays)
        for arrays in (
            base,
            {"x": np.zeros((3, 2)), "y": np.ones(2)},
            {"x": np.zeros((2, 3), "float32"), "y": np.ones(2)},
            {"x": np.zeros((2, 3)), "y": np.array([1.0, 2.0])},
            {"x": np.zeros((2, 3)), "z": np.ones(2)},
        )
    }
    assert len(digests) == 5
    assert digest_of(base) == digest_of({"y": np.ones(2), "x": np.asfortranarray(np.zeros((2, 3)))})


def test_relu_net_keeps_float32():
    model = classifier(dtype="float32")
    train(model, epochs=1)
    assert {array.dtype.name for array in model.parameters.values()} == {"float32"}
    assert relu(np.float32([-1, 2])).dtype == np.float32
