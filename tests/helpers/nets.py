"""Models that several tests train, built in Python."""

from __future__ import annotations

import numpy as np

from dataflow import Graph, Model, TrainSettings
from dataflow.data.source import DataSource
from dataflow.ops import linear, mse, relu, sigmoid, softmax_cross_entropy, tanh

XOR = {"x": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [[0], [1], [1], [0]]}
WEIGHTS = {  # w1..w6, b1, b2, b3
    "S1": (0.5, -0.3, 0.2, 0.8, 0.7, -0.5, 0.1, -0.2, 0.05),
    "S2": (1, 1, 1, 1, 1, -2, 0, -1, 0),
    "S3": (0.9, 1.1, 0.8, 1.2, 0.7, -1.3, 0.1, -0.6, 0.2),
}


def xor(weights="S3", *, reduction="sum", dtype="float64", train=None):
    """The 2-2-1 relu net with the four examples of XOR."""
    w1, w2, w3, w4, w5, w6, b1, b2, b3 = WEIGHTS[weights]
    graph = Graph("xor", dtype)
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    W1, B1 = graph.parameter("W1", value=[[w1, w2], [w3, w4]]), graph.parameter("b1", value=[b1, b2])
    W2, B2 = graph.parameter("W2", value=[[w5, w6]]), graph.parameter("b2", value=[b3])
    h = graph.node("h", relu(graph.node("z", x @ W1.T + B1)))
    yhat = graph.node("yhat", h @ W2.T + B2)
    graph.node("loss", mse(yhat, y, reduction=reduction))
    settings = train or TrainSettings({"name": "sgd", "learning_rate": 0.1}, epochs=1)
    return Model(graph, ["yhat"], "loss", data=DataSource(XOR), train=settings)


DEEP = {
    "W1": [[0.6, -0.4], [0.3, 0.8]],
    "b1": [0.1, -0.2],
    "W2": [[0.5, 0.9], [-0.7, 0.2]],
    "b2": [0.05, 0.15],
    "W3": [[0.7, -1.1]],
    "b3": [0.2],
}


def deep_net(reduction="sum"):
    """A 2-2-2-1 net with tanh, then sigmoid, on the four examples of XOR."""
    graph = Graph("deep")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    p = {name: graph.parameter(name, value=value) for name, value in DEEP.items()}
    a1 = graph.node("a1", tanh(graph.node("z1", x @ p["W1"].T + p["b1"])))
    a2 = graph.node("a2", sigmoid(graph.node("z2", a1 @ p["W2"].T + p["b2"])))
    yhat = graph.node("yhat", a2 @ p["W3"].T + p["b3"])
    graph.node("loss", mse(yhat, y, reduction=reduction))
    return Model(graph, ["yhat"], "loss", data=DataSource(XOR))


def nine(model):
    """The nine weights of ``xor`` in their order."""
    return np.concatenate([model.parameters[name].ravel() for name in ("W1", "W2", "b1", "b2")])


def classifier(*, train=None, count=50, reduction="mean", dtype="float64", seed=0):
    """A 4-8-3 net with drawn weights, and random examples of three classes, ``count`` in all."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    data = {"x": rng.normal(size=(count, 4)) + labels[:, None], "y": np.eye(3)[labels]}
    graph = Graph("classifier", dtype)
    x, y = graph.input("x", ("n", 4)), graph.input("y", ("n", 3))
    W1, b1 = graph.parameter("W1", (8, 4), init="he_normal"), graph.parameter("b1", (8,), init="zeros")
    W2, b2 = graph.parameter("W2", (3, 8), init="he_normal"), graph.parameter("b2", (3,), init="zeros")
    logits = graph.node("logits", linear(relu(linear(x, W1, b1)), W2, b2))
    graph.node("loss", softmax_cross_entropy(logits, y, reduction=reduction))
    settings = train or TrainSettings(
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}, epochs=4, batch_size=8, shuffle=True, validation=0.1
    )
    return Model(graph, ["logits"], "loss", data=DataSource(data), train=settings)


def line(value=0.0, *, x=(1.0, 2.0, 3.0), y=(2.0, 4.0, 6.0), loss=None, train=None):
    """One weight: w·x against y."""
    graph = Graph("line")
    data = {"x": list(x), "y": list(y)}
    xs, ys = graph.input("x", ("n",)), graph.input("y", ("n",))
    w = graph.parameter("w", value=value)
    prediction = graph.node("p", w * xs)
    graph.node("loss", mse(prediction, ys) if loss is None else loss(prediction, ys, w))
    return Model(graph, ["p"], "loss", data=DataSource(data), train=train)


def bits(model):
    """The parameters, to be compared bit for bit."""
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in model.parameters.items()}
