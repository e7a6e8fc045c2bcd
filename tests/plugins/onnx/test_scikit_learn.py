"""Pipelines of scikit-learn, as skl2onnx writes them, give what onnxruntime gives."""

from __future__ import annotations

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataflowError

onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
from sklearn import linear_model, neural_network, pipeline, preprocessing, tree  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(0)
X = (3 * RNG.normal(size=(60, 4)) + 1).astype(np.float32)
CLASSES = X[:, :3].argmax(axis=1)
CASES = {
    "logistic": (pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()), CLASSES),
    "two": (pipeline.make_pipeline(preprocessing.Normalizer(), linear_model.LogisticRegression()), CLASSES == 0),
    "linear": (pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.Ridge()), X @ [1.0, 2, 3, 4]),
    "mlp": (
        pipeline.make_pipeline(
            preprocessing.StandardScaler(), neural_network.MLPClassifier((8,), max_iter=50, random_state=0)
        ),
        CLASSES,
    ),
    "mlp of numbers": (
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0),
        X @ [1.0, 2, 3, 4],
    ),
}


def exported(folder, pipe, y, **options):
    proto = skl2onnx.to_onnx(pipe.fit(X, y.astype(int) if y.dtype == bool else y), X[:1], **options)
    onnx.save(proto, folder / "p.onnx")
    return folder / "p.onnx"


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_onnxruntime(name, tmp_path):
    pipe, y = CASES[name]
    classifier = hasattr(pipe, "predict_proba")
    path = exported(tmp_path, pipe, y, **({"options": {"zipmap": False}} if classifier else {}))
    expected = runtime.InferenceSession(str(path)).run(None, {"X": X})
    model = dataflow.load(path)
    found = model.run(X=X)
    assert len(expected) == len(model.outputs) == 1 + classifier
    for output, array in zip(model.outputs, expected, strict=True):
        assert (found[output].shape, found[output].dtype) == (array.shape, array.dtype)
        np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-6)
    slope = model.gradients(of=model.outputs[-1], wrt=["X"], X=X)["X"]
    assert slope.shape == X.shape
    assert np.isfinite(slope).all()


def test_the_probabilities_of_a_zip_map_are_one_array(tmp_path):
    path = exported(tmp_path, *CASES["logistic"])
    _, maps = runtime.InferenceSession(str(path)).run(None, {"X": X})
    model = dataflow.load(path)
    expected = [list(row.values()) for row in maps]
    np.testing.assert_allclose(model.run(X=X)[model.outputs[1]], expected, rtol=1e-4, atol=1e-6)


def test_trees_say_that_they_have_no_derivative(tmp_path):
    path = exported(tmp_path, tree.DecisionTreeRegressor(max_depth=2), X[:, 0])
    with pytest.raises(DataflowError, match=r"ai.onnx.ml.TreeEnsembleRegressor \(1×\); trees have no derivative"):
        dataflow.load(path)
