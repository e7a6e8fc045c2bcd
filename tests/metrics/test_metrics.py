"""Metrics against scikit-learn, with and without weights."""

import numpy as np
import pytest
from later import Later

from dataflow import Graph, Model, ops
from dataflow.errors import DataflowError, PluginError
from dataflow.metrics.compared import Compared
from dataflow.metrics.metric import Metric, metric
from dataflow.registry import registry

sk = Later("sklearn.metrics")

SEEDS = range(6)


def measure(name, compared):
    return registry.metric(name).measure(compared)


def one_hot(labels, count):
    return np.eye(count)[labels]


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def weights_of(rng, count, seed):
    return rng.random(count) * 3 if seed % 2 else None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("as_logits", [True, False])
def test_of_classes(seed, count, as_logits):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, count, 80), rng.normal(size=(80, count))
    scores = np.round(8 * scores) / 8 if count == 2 else scores  # there are ties, which are exact
    weights = weights_of(rng, 80, seed)
    given = scores if as_logits else softmax(scores)
    compared = Compared("classes", given, one_hot(labels, count), weights, logits=as_logits)
    predicted = given.argmax(axis=1)
    average = "binary" if count == 2 else "macro"
    known = {"sample_weight": weights}
    more = known | {"average": average, "zero_division": 0}
    shares = softmax(scores)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted, **known),
        "precision": sk.precision_score(labels, predicted, **more),
        "recall": sk.recall_score(labels, predicted, **more),
        "f1": sk.f1_score(labels, predicted, **more),
        "roc_auc": sk.roc_auc_score(labels, scores[:, 1] - scores[:, 0] if as_logits else shares[:, 1], **known)
        if count == 2
        else sk.roc_auc_score(labels, shares, multi_class="ovr", **known),
        "confusion_matrix": sk.confusion_matrix(labels, predicted, **known),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(measure(name, compared), value, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_by_their_numbers_are_those_of_one_hot_rows(seed):
    """With positions of sequences, weights of examples, and a class that does not count."""
    rng = np.random.default_rng(seed)
    scores, numbers = rng.normal(size=(20, 3, 4)), rng.integers(0, 4, (20, 3))
    weights = weights_of(rng, 20, seed)
    whole = Compared("classes", scores, np.eye(4)[numbers], weights, logits=True)
    for ignored in (None, -1, 2):
        given = np.where(rng.random((20, 3)) < 0.2, -1, numbers) if ignored == -1 else numbers
        kept = np.flatnonzero(given.reshape(-1) != ignored)
        by_number = Compared("classes", scores, given, weights, logits=True, ignored=ignored)
        flat = Compared("classes", whole.prediction[kept], whole.target[kept], whole.weights[kept], logits=True)
        for name in ("accuracy", "precision", "recall", "f1", "roc_auc", "confusion_matrix"):
            np.testing.assert_allclose(measure(name, by_number), measure(name, flat), rtol=1e-12, err_msg=name)


def test_a_loss_of_classes_by_their_numbers_has_the_metrics_of_the_other():
    graphs = []
    for loss, shape, dtype in (("softmax_cross_entropy", ("n", 3), "float64"), ("cross_entropy", ("n",), "int64")):
        graph = Graph()
        x, y = graph.input("x", ("n", 2)), graph.input("y", shape, dtype)
        logits = graph.node("logits", x @ graph.parameter("W", value=np.array([[1.0, 0.2, -1], [0, 0.5, 1]])))
        graph.node("loss", getattr(ops, loss)(logits, y))
        graphs.append(Model(graph, ["logits"], "loss"))
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(30, 2)), rng.integers(0, 3, 30)
    one, other = (model.score({"x": x, "y": y}) for model, y in zip(graphs, (np.eye(3)[numbers], numbers), strict=True))
    assert {*one} == {*other} > {"accuracy", "confusion_matrix"}
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k(seed, k):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 5, 60), rng.normal(size=(60, 5))
    weights = weights_of(rng, 60, seed)
    compared = Compared("classes", scores, one_hot(labels, 5), weights, logits=True)
    with pytest.warns(sk._ranking.UndefinedMetricWarning) if k >= 5 else np.errstate():
        expected = sk.top_k_accuracy_score(labels, scores, k=k, sample_weight=weights)
    assert measure(f"top_{k}", compared) == pytest.approx(expected, rel=1e-12)
    if k == 1:
        assert measure("top_1", compared) == measure("accuracy", compared)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("columns", [0, 1, 3])
def test_of_yes_and_no(seed, columns):
    """Several columns are as many labels of one example: scikit-learn calls them multilabel, and averages "macro"."""
    rng = np.random.default_rng(seed)
    shape = (70, columns) if columns else (70,)
    labels, logits = rng.integers(0, 2, shape), np.round(rng.normal(size=shape), 1)
    weights = weights_of(rng, 70, seed)
    compared = Compared("binary", logits, labels.astype(float), weights, logits=True)
    predicted = (logits >= 0).astype(int)
    known = {"sample_weight": weights}
    columnwise = list(zip(labels.reshape(70, -1).T, predicted.reshape(70, -1).T, logits.reshape(70, -1).T, strict=True))

    def over_columns(score, **more):
        return np.mean([score(actual, guess, **known, **more) for actual, guess, _ in columnwise])

    expected = {
        "accuracy": over_columns(sk.accuracy_score),
        "precision": over_columns(sk.precision_score, zero_division=0),
        "recall": over_columns(sk.recall_score, zero_division=0),
        "f1": over_columns(sk.f1_score, zero_division=0),
        "roc_auc": np.mean([sk.roc_auc_score(actual, scores, **known) for actual, _, scores in columnwise]),
        "confusion_matrix": np.sum([sk.confusion_matrix(a, g, **known) for a, g, _ in columnwise], axis=0),
    }
    if columns == 3:
        expected["f1"] = sk.f1_score(labels, predicted, average="macro", **known)
        expected["roc_auc"] = sk.roc_auc_score(labels, logits, average="macro", **known)
    for name, value in expected.items():
        np.testing.assert_allclose(measure(name, compared), value, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("columns", [0, 1, 4])
def test_of_numbers(seed, columns):
    rng = np.random.default_rng(seed)
    shape = (50, columns) if columns else (50,)
    target = rng.normal(size=shape)
    prediction = target + rng.normal(size=shape) * 0.3
    weights = weights_of(rng, 50, seed)
    compared = Compared("numbers", prediction, target, weights)
    known = {"sample_weight": weights}
    assert measure("rmse", compared) == pytest.approx(
        sk.root_mean_squared_error(target, prediction, **known), rel=1e-12
    )
    assert measure("mae", compared) == pytest.approx(sk.mean_absolute_error(target, prediction, **known), rel=1e-12)
    assert measure("r2", compared) == pytest.approx(sk.r2_score(target, prediction, **known), rel=1e-12)


def test_classes_that_are_not_there_are_as_in_scikit_learn():
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0])  # of five classes
    compared = Compared("classes", one_hot(predicted, 5), one_hot(labels, 5))
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        expected = score(labels, predicted, average="macro", zero_division=0)
        assert measure(name, compared) == pytest.approx(expected, rel=1e-12)
    assert measure("confusion_matrix", compared).sum(axis=1).tolist() == [2, 0, 3, 0, 0]
    # Each class against the rest, where there are both: 0 and 2.
    areas = [sk.roc_auc_score(labels == k, predicted == k) for k in (0, 2)]
    assert measure("roc_auc", compared) == pytest.approx(np.mean(areas), rel=1e-12)


def test_a_second_class_that_never_is():
    compared = Compared("binary", np.array([-1.0, -2.0]), np.array([0, 0]), logits=True)
    assert [measure(name, compared) for name in ("accuracy", "precision", "recall", "f1")] == [1, 0, 0, 0]
    assert np.isnan(measure("roc_auc", compared))
    assert measure("confusion_matrix", compared).tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize(
    ("target", "prediction", "expected"), [([2, 2], [2, 2], 1.0), ([2, 2], [2, 3], 0.0), ([2], [2], np.nan)]
)
def test_r2_of_equal_targets(target, prediction, expected):
    """As scikit-learn's, which warns of one example."""
    compared = Compared("numbers", np.array(prediction), np.array(target))
    np.testing.assert_equal(measure("r2", compared), expected)
    if len(target) > 1:
        assert sk.r2_score(target, prediction) == expected


@pytest.mark.parametrize("kind", ["classes", "binary", "numbers"])
def test_no_examples(kind):
    compared = Compared(kind, np.zeros((0, 3)), np.zeros((0, 3)), logits=True)
    for name, one in registry.registry().metrics.items():
        if kind in one.fits and not one.table:
            assert np.isnan(measure(name.replace("_k", "_2"), compared)), name


def test_nan_stays_nan():
    for kind, names in (("numbers", ["rmse", "mae", "r2"]), ("binary", ["roc_auc"])):
        compared = Compared(kind, np.array([1.0, np.nan, 0.0]), np.array([1, 0, 1]), logits=True)
        assert all(np.isnan(measure(name, compared)) for name in names)


def test_positions_of_a_sequence_are_examples():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, (4, 6)), rng.normal(size=(4, 6, 3))
    weights = rng.random(4)
    compared = Compared("classes", scores, np.eye(3)[labels], weights, logits=True)
    known = {"sample_weight": np.repeat(weights, 6), "average": "macro"}
    assert measure("f1", compared) == pytest.approx(sk.f1_score(labels.ravel(), scores.argmax(-1).ravel(), **known))


def test_one_example_without_a_batch():
    assert measure("accuracy", Compared("classes", np.array([0.1, 0.9]), np.array([0, 1]))) == 1
    assert measure("rmse", Compared("numbers", np.array(3.0), np.array(1.0))) == 2


def test_names():
    assert registry.metric("top_3").name == "top_3"
    assert registry.metric("rmse").better == "lower"
    assert registry.metric("f1").better == "higher"
    for name, text in (
        ("acuracy", "did you mean 'accuracy'"),
        ("top_0", "the metric 'top_k' takes a whole number from 1 in the place of k, as in 'top_5'; 'top_0' found"),
    ):
        with pytest.raises(DataflowError, match=text):
            registry.metric(name)


def test_a_metric_that_cannot_be():
    with pytest.raises(PluginError, match="no docstring"):
        metric("numbers", better="lower")(lambda compared: 0)
    with pytest.raises(DataflowError, match="classes"):
        metric("numbers!", better="lower")

    def first(compared, *, k: int):
        """Takes k."""

    with pytest.raises(PluginError, match="has to end in _k"):
        Metric(first, ("numbers",), "lower")
