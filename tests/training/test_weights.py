"""Weights for examples: a weight of 2 is the row twice. The references are runs on tables in which rows are repeated,
and formulas written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import bits, line

from dataflow import (
    DataError,
    DataflowError,
    Graph,
    Model,
    NonFiniteError,
    StopTraining,
    Trainer,
    TrainingError,
    Value,
    train,
)
from dataflow.autodiff.weighting import weighted_graph
from dataflow.execution.program import Program
from dataflow.graph.subgraph import Subgraph
from dataflow.ops import (
    cast,
    cross_entropy,
    cumsum,
    expand_dims,
    hinge,
    huber,
    kl_divergence,
    log_softmax,
    matmul,
    mean,
    mse,
    nll,
    reshape,
    sigmoid_cross_entropy,
    smooth_l1,
    softmax,
    softmax_cross_entropy,
    sort,
    tanh,
    transpose,
)
from dataflow.ops import max as max_
from dataflow.ops import sum as sum_
from dataflow.registry import registry
from dataflow.shapes import TensorSpec, parse_shape
from dataflow.testing.cases import cases_of, every_op

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = RNG.normal(size=(12, 2))
LABELS = np.eye(2)[RNG.integers(0, 2, 12)]
WEIGHTS = np.array([2, 1, 0, 3, 1, 1, 2, 0, 1, 4, 1, 2])
BACKENDS = ["numpy", "llvm"]

Loss = Callable[[Value, Value], Value]
LOSSES: dict[str, tuple[Loss, np.ndarray]] = (
    {
        f"{op.name}, {reduction}": (lambda p, y, op=op, reduction=reduction: op(p, y, reduction=reduction), targets)
        for op, targets in (
            *((mse, Y), (huber, Y), (smooth_l1, Y), (kl_divergence, LABELS), (hinge, 2 * LABELS - 1)),
            *((softmax_cross_entropy, LABELS), (sigmoid_cross_entropy, LABELS)),
        )
        for reduction in ("sum", "mean")
    }
    | {
        f"{op.name}, {reduction}": (
            # the classes' numbers, made of the labels, which are one-hot
            lambda p, y, op=op, reduction=reduction: op(p, cast(y[:, 1], dtype="int64"), reduction=reduction),
            LABELS,
        )
        for op in (nll, cross_entropy)
        for reduction in ("sum", "mean")
    }
    | {
        "mean of squares": (lambda p, y: mean((p - y) ** 2), Y),
        "mean over examples alone": (lambda p, y: sum_(mean((p - y) ** 2, axis=0)), Y),
        "sum of means": (lambda p, y: sum_(mean((p - y) ** 2, axis=1)), Y),
        "norms kept": (lambda p, y: sum_(sum_((p - y) ** 2, axis=0, keepdims=True)), Y),
        "a product of matrices": (lambda p, y: sum_(transpose(p - y) @ (p - y)), Y),
        "a product of vectors": (lambda p, y: matmul((p - y)[:, 0], (p - y)[:, 0]), Y),
        "likelihood by hand": (lambda p, y: -mean(sum_(y * log_softmax(p), axis=1)), LABELS),
        "examples behind": (lambda p, y: mean(sum_(transpose(p - y) ** 2, axis=0)), Y),
        # examples meet before the loss: the predictions' mean and deviation over the examples, each of which counts
        "whitened": (lambda p, y: mean((p - mean(p, axis=0)) ** 4) + mean((p - y) ** 2), Y),
        "every pair": (lambda p, y: mean(tanh(expand_dims(p, axis=0) - expand_dims(y, axis=1)) ** 2), Y),
    }
)


def net(loss: Loss, targets: np.ndarray, *, penalty: float = 0.0, dtype: str = "float64") -> Model:
    graph = Graph("net", dtype)
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", 2))
    W, b = graph.parameter("W", (2, 3), init="he_normal"), graph.parameter("b", (2,), init="zeros")
    value = loss(graph.node("p", tanh(x @ W.T + b)), y)
    graph.node("loss", value + penalty * sum_(W * W) if penalty else value)
    return Model(graph, ["p"], "loss")


def repeated(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.repeat(array, WEIGHTS, axis=0) for name, array in arrays.items()}


def same(left: Model, right: Model, tolerance: float = 1e-12) -> bool:
    return all(np.allclose(left.parameters[n], right.parameters[n], rtol=0, atol=tolerance) for n in left.parameters)


CASES = [
    pytest.param(name, backend, marks=[pytest.mark.slow] if backend == "llvm" and (", " not in name or i % 4) else [])
    for i, name in enumerate(LOSSES)
    for backend in BACKENDS
]
"""Losses that are written out are lowered like any other graph: with the compiled backend they are slow tests."""


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_a_weight_of_2_is_the_row_twice(name: str, backend: str) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    loss, targets = LOSSES[name]
    data = {"x": X, "y": targets}
    weighed, twice = net(loss, targets, penalty=0.1), net(loss, targets, penalty=0.1)
    options: dict[str, Any] = {"epochs": 5, "optimizer": {"name": "sgd", "learning_rate": 0.01}}
    history = train(weighed, data, weights=WEIGHTS, backend=backend, **options)
    reference = train(twice, repeated(data), **options)
    assert history.loss == pytest.approx(reference.loss, rel=1e-12)
    assert same(weighed, twice)
    assert not same(weighed, net(loss, targets), 1e-3)


def test_every_loss_is_tried() -> None:
    names = {name for name, op in registry.all_ops().items() if "reduction" in op.attributes}
    assert {key.partition(",")[0] for key in LOSSES} >= names


@pytest.mark.parametrize("backend", BACKENDS)
def test_minibatches_are_weighed_as_they_come(backend: str) -> None:
    """Against plain numpy: p = x·W, the mean of ½(p - y)² over the weights of each minibatch, in a shuffled order."""
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    graph = Graph("linear")
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", 1))
    W = graph.parameter("W", value=[[0.1, 0.2, 0.3]])
    graph.node("loss", mse(x @ W.T, y, reduction="mean"))
    model = Model(graph, loss="loss")
    data = {"x": X, "y": Y[:, :1]}
    settings: dict[str, Any] = {"batch_size": 5, "shuffle": True, "seed": 3, "learning_rate": 0.1, "backend": backend}
    train(model, data, weights=WEIGHTS.tolist(), epochs=4, **settings)
    w = np.array([0.1, 0.2, 0.3])
    for epoch in range(4):
        order = np.random.default_rng(np.random.SeedSequence([3, epoch])).permutation(12)
        for rows in (order[:5], order[5:10], order[10:]):
            share = WEIGHTS[rows] / WEIGHTS[rows].sum()
            w = w - 0.1 * (share * (X[rows] @ w - Y[rows, 0])) @ X[rows]
    assert model.parameters["W"][0] == pytest.approx(w, rel=1e-12)


def test_a_minibatch_without_any_weight_changes_nothing() -> None:
    model = net(*LOSSES["mse, mean"])
    before = bits(model)
    trainer = Trainer(model, {"x": X, "y": Y}, weights=[0] * 6 + [1] * 6, batch_size=6, learning_rate=0.1)
    assert trainer.step() == 0
    assert bits(model) == before
    assert trainer.step() > 0
    assert bits(model) != before


def test_weights_of_one_are_none_and_their_scale_is_nothing_to_a_mean() -> None:
    data = {"x": X, "y": Y}
    models = [net(*LOSSES["mse, mean"]) for _ in range(3)]
    for model, weights in zip(models, (None, np.ones(12), np.full((12, 1), 7.5)), strict=True):
        train(model, data, weights=weights, epochs=5, learning_rate=0.1, batch_size=4)
    assert same(models[0], models[1])
    assert same(models[0], models[2])


def test_what_is_held_out_is_weighed_too() -> None:
    data = {"x": X, "y": Y}
    model = net(*LOSSES["mse, mean"])
    history = train(model, data, weights=WEIGHTS, epochs=2, validation=0.5, learning_rate=0.1)
    values = ((model.run(x=X)["p"] - Y) ** 2).sum(axis=1) / 2
    for loss, part in ((history.loss, slice(0, 6)), (history.metrics["validation_loss"], slice(6, 12))):
        assert loss[-1] == pytest.approx(np.average(values[part], weights=WEIGHTS[part]), rel=1e-12)


def test_weights_go_with_a_held_out_file_whose_examples_count_1(tmp_path: Path) -> None:
    np.savez(tmp_path / "held.npz", x=X[:4], y=Y[:4])
    model = net(*LOSSES["mse, mean"])
    history = train(model, {"x": X, "y": Y}, weights=WEIGHTS, epochs=1, validation={"file": str(tmp_path / "held.npz")})
    values = ((model.run(x=X[:4])["p"] - Y[:4]) ** 2).sum(axis=1) / 2
    assert history.metrics["validation_loss"] == pytest.approx([values.mean()], rel=1e-12)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_what_is_measured_in_pieces_is_weighed(reduction: str) -> None:
    trainer = Trainer(net(*LOSSES[f"mse, {reduction}"]), {"x": X, "y": Y}, weights=WEIGHTS)
    whole = trainer.measure()
    trainer._measure.memory = 500  # for three examples or so
    assert trainer.measure() == pytest.approx(whole, rel=1e-12)
    assert trainer._measure._in_pieces


def test_metrics_of_nodes_that_the_loss_does_not_need() -> None:
    graph = Graph("classes")
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", 2))
    logits = graph.node("logits", x @ graph.parameter("W", (2, 3), init="he_normal").T)
    graph.node("p", softmax(logits))
    graph.node("loss", softmax_cross_entropy(logits, y, reduction="mean"))
    model = Model(graph, ["p"], "loss", targets={"p": "y"})
    history = train(model, {"x": X, "y": LABELS}, weights=WEIGHTS, epochs=2)
    right = model.run(x=X)["p"].argmax(axis=1) == LABELS.argmax(axis=1)
    assert history.metrics["accuracy"][-1] == pytest.approx(np.average(right, weights=WEIGHTS), rel=1e-12)


def test_float32_stays_float32() -> None:
    model = net(*LOSSES["mse, mean"], dtype="float32")
    graph, weights = weighted_graph(model.graph, "loss")
    assert {str(graph.node_of(name).dtype) for name in graph} <= {"float32", "bool"}
    assert (weights, graph.names("input")) == ("weights", ["x", "y", "weights"])
    train(model, {"x": X, "y": Y}, weights=WEIGHTS, epochs=2)


def test_a_name_that_is_taken() -> None:
    graph = Graph("net")
    x, w = graph.input("weights", ("n",)), graph.parameter("w", value=2.0)
    graph.node("loss", sum_(x * w))
    model = Model(graph, loss="loss")
    train(model, {"weights": [1.0, 2.0]}, weights=[3, 1], epochs=1, learning_rate=0.1)
    assert model.parameters["w"] == pytest.approx(2 - 0.1 * (3 * 1 + 1 * 2))


def test_a_run_that_is_interrupted_goes_on_with_its_weights(tmp_path: Path) -> None:
    def stop(progress: Any) -> None:
        if (progress.epoch, progress.batch) == (2, 1):
            raise StopTraining

    data = {"x": X, "y": Y}
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 5, "shuffle": True, "optimizer": "adam", "validation": 0.1}
    alone, model = (net(*LOSSES["mse, mean"]) for _ in range(2))
    reference = train(alone, data, weights=WEIGHTS, **settings)
    train(model, data, weights=WEIGHTS, checkpoint=tmp_path, on_batch=stop, **settings)
    with pytest.raises(TrainingError, match="was made with other data"):
        train(model, data, weights=WEIGHTS + 1, checkpoint=tmp_path, resume=True, **settings)
    history = train(model, data, weights=WEIGHTS, checkpoint=tmp_path, resume=True, **settings)
    assert (history.loss, history.metrics) == (reference.loss, reference.metrics)
    assert bits(model) == bits(alone)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"weights are a number for each of the 3 examples; an array of shape \(2,\) found"),
        ([[1, 2]] * 3, r"an array of shape \(3, 2\) found"),
        ([1, -2, 1], "a weight is a number from 0 up; that of example 2 is -2"),
        ([1, 1, float("nan")], "a weight is a number from 0 up; that of example 3 is nan"),
        (["a", "b", "c"], "weights"),
        ([0, 0, 0], "no training example has a weight above 0"),
        ([1, 1, 0], "no held-out example has a weight above 0"),
    ],
)
def test_weights_that_are_none(weights: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train(line(), weights=weights, validation=0.3)


def loss_of_stacked(p: Value, y: Value) -> Value:
    result: Value = mse(reshape(p, shape=("2*n",)), reshape(y, shape=("2*n",)))
    return result


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            lambda p, y: max_((p - y) ** 2),
            r"node 'loss': max of \(n, 2\) puts examples together in a way that takes no",
        ),
        (lambda p, y: mse(softmax(p, axis=0), y), r"node 'loss.softmax': max of \(n, 2\) puts examples together"),
        (lambda p, y: mse(p, y) + p[0, 0], r"index of \(n, 2\) puts examples together"),
        (lambda p, y: mse(cumsum(p, axis=0), y), r"cumsum of \(n, 2\) puts examples together"),
        (lambda p, y: mse(sort(p, axis=0), y), r"sort of \(n, 2\) puts examples together"),
        (lambda p, y: mse(p[::-1], y), r"index of \(n, 2\) puts examples together"),
        (loss_of_stacked, r"\(2\*n,\) has examples in a part of an axis, or several in one"),
    ],
)
def test_losses_that_take_no_weights(loss: Loss, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Trainer(net(loss, Y), {"x": X, "y": Y}, weights=WEIGHTS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_each_op_takes_weights_as_rows_that_repeat_or_refuses_them() -> None:
    """Its sum over arguments that have the examples along their first axis, one alone and all of one length together,
    against arrays in which rows are repeated."""
    taken = set()
    for name in sorted(every_op()):
        for case in cases_of(registry.lookup(name), 5):
            if name == "size" and case.attributes["least"] > 1:
                continue  # so many examples at least, whatever they weigh
            by_length: dict[int, list[int]] = {}
            for i in case.arrays:
                if case.arguments[i].shape[:1] > (1,):
                    by_length.setdefault(len(case.arguments[i]), []).append(i)
            for group in {(*group,) for group in by_length.values()} | {(i,) for g in by_length.values() for i in g}:
                try:
                    graph, known, y = case.graph({i: ("n", *case.arguments[i].shape[1:]) for i in group})
                    graph.node("loss", sum_(y))
                    weighted, weights = weighted_graph(graph, "loss")
                except DataflowError:
                    continue
                counts = np.arange(len(case.arguments[group[0]])) % 3 + 1
                repeated = {f"x{i}": np.repeat(case.arguments[i], counts, axis=0) for i in group}
                dtype = weighted.node_of(weights).dtype
                try:
                    expected = Program(graph, ["loss"]).run({**known, **repeated})[0]
                    found = Program(weighted, ["loss"]).run({**known, weights: counts.astype(dtype)})[0]
                except DataflowError:
                    continue
                np.testing.assert_allclose(
                    found, expected, rtol=1e-9, atol=1e-12, err_msg=f"{name}, {case.label}, {group}"
                )
                taken.add(name)
    assert {"linear", "softmax", "sum", "mean", "cumsum", "mse", "layer_norm", "conv", "sort"} <= taken


def test_a_choice_of_graphs_is_not_looked_into() -> None:
    specs = {"p": TensorSpec(parse_shape(["n", 2]), np.dtype("float64"))}
    less = Subgraph.traced(lambda p: [p - mean(p)], specs, ["z"])

    def loss(p: Value, y: Value) -> Value:
        return mse(registry.lookup("if:z")(sum_(y) > 0, p, then=less, orelse=less), y)

    with pytest.raises(TrainingError, match=r"if:z of .*\(n, 2\) runs a graph of its own"):
        Trainer(net(loss, Y), {"x": X, "y": Y}, weights=WEIGHTS)


def test_weights_need_examples() -> None:
    graph = Graph("fixed")
    graph.node("loss", sum_(graph.input("x", (3,)) * graph.parameter("w", value=1.0)))
    with pytest.raises(TrainingError, match="there are no examples to weigh"):
        train(Model(graph, loss="loss"), {"x": [1, 2, 3]}, weights=[1, 2, 3])


def test_nan_is_found_in_the_weighed_loss() -> None:
    model = line(1e200, x=(1e200, 1.0, 1.0))
    with pytest.raises(NonFiniteError, match=r"node 'p' \(multiply\) has inf"):
        train(model, weights=[1, 2, 1])
