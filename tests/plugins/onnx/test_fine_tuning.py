"""A classifier of another program gets another head here, is trained further, and reads more digits in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow.ops import linear, softmax, softmax_cross_entropy

onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
from sklearn.neural_network import MLPClassifier  # noqa: E402

SETTINGS = {"epochs": 4, "batch_size": 64, "optimizer": {"name": "adam", "learning_rate": 0.003}}


def head_of(body):
    """A head for what the 64 neurons of the body give."""
    graph = dataflow.Graph("head", "float32")
    features, digit = graph.input("features", ("n", 64)), graph.input("y", ("n", 10))
    V, c = (graph.parameter(name, shape, init="zeros") for name, shape in (("V", (10, 64)), ("c", (10,))))
    logits = graph.node("logits", linear(features, V, c))
    graph.node("digit", softmax(logits))
    graph.node("loss", softmax_cross_entropy(logits, digit, reduction="mean"))
    return dataflow.compose(dataflow.Model(graph, ["digit"], "loss"), body, connect={"features": "next_activations"})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_classifier_of_mnist_improves_elsewhere(tmp_path):
    """scikit-learn trains a perceptron on 300 images; here first a new head alone is trained on 4,000, then all."""
    with np.load(MODELS / "mnist" / "mnist.npz") as file:
        x, labels = file["x"].reshape(-1, 784).astype(np.float32) / 255, file["y"]
    theirs = MLPClassifier((64,), max_iter=30, random_state=0).fit(x[:300], labels[:300])
    onnx.save(skl2onnx.to_onnx(theirs, x[:1], options={"zipmap": False}), tmp_path / "other.onnx")

    def right(file, output):
        (shares,) = runtime.InferenceSession(str(tmp_path / file)).run([output], {"X": x[4000:]})
        return np.mean(shares.argmax(axis=1) == labels[4000:])

    data = {"X": x[:4000], "y": np.eye(10, dtype=np.float32)[labels[:4000]]}
    model = head_of(dataflow.load(tmp_path / "other.onnx"))
    before = dict(model.parameters)
    dataflow.train(model, data=data, frozen=["coefficient*", "intercepts*"], **SETTINGS)
    assert {name for name in before if not np.array_equal(before[name], model.parameters[name])} == {"V", "c"}
    dataflow.save(model, tmp_path / "head.onnx")
    again = dataflow.load(tmp_path / "head.onnx")
    dataflow.train(again, data=data, frozen=[], **SETTINGS)
    dataflow.save(again, tmp_path / "all.onnx")
    first, second, third = right("other.onnx", "probabilities"), right("head.onnx", "digit"), right("all.onnx", "digit")
    assert first + 0.02 < second < third - 0.02
    assert third > 0.88
