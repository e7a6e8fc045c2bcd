"""What is measured after an epoch: the metrics that are asked for, or those that fit the loss."""

import numpy as np
import pytest
from later import Later

from dataflow import DataflowError, Graph, Model, Trainer, TrainSettings, load, save, train
from dataflow.ops import mse, sigmoid_cross_entropy, softmax_cross_entropy
from dataflow.ops import sum as sum_

sk = Later("sklearn.metrics")

RNG = np.random.default_rng(5)


def net(loss_op, width, **settings):
    graph = Graph("net")
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", width))
    z = graph.node("z", x @ graph.parameter("W", (3, width), init="he_normal"))
    graph.node("loss", loss_op(z, y, reduction="mean"))
    return Model(graph, outputs=["z"], loss="loss", train=TrainSettings(**settings))


def data_of(kind, count=60):
    x = RNG.normal(size=(count, 3))
    if kind == "classes":
        return {"x": x, "y": np.eye(4)[RNG.integers(0, 4, count)]}
    return {"x": x, "y": RNG.integers(0, 2, (count, 1)) if kind == "binary" else RNG.normal(size=(count, 1))}


LOSSES = {"classes": (softmax_cross_entropy, 4), "binary": (sigmoid_cross_entropy, 1), "numbers": (mse, 1)}
DEFAULTS = {"classes": {"accuracy"}, "binary": {"accuracy"}, "numbers": set()}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_fits_the_loss_unless_something_is_asked_for(kind):
    history = train(net(*LOSSES[kind]), data_of(kind), epochs=3, validation=0.25)
    expected = DEFAULTS[kind] | {f"validation_{name}" for name in DEFAULTS[kind]} | {"validation_loss"}
    assert set(history.metrics) == expected


def test_what_is_asked_for():
    model, data = net(mse, 1, metrics=["r2", "rmse"]), data_of("numbers")
    history = train(model, data, epochs=2, validation=0.25)
    assert list(history.metrics) == ["validation_loss", "r2", "validation_r2", "rmse", "validation_rmse"]
    for part, before in ((slice(0, 45), ""), (slice(45, 60), "validation_")):
        prediction = model.run(x=data["x"][part])["z"]
        expected = sk.r2_score(data["y"][part], prediction)
        assert history.metrics[f"{before}r2"][-1] == pytest.approx(expected, rel=1e-12)
        expected = sk.root_mean_squared_error(data["y"][part], prediction)
        assert history.metrics[f"{before}rmse"][-1] == pytest.approx(expected, rel=1e-12)
    assert train(net(mse, 1), data, metrics=["mae"]).metrics.keys() == {"mae"}
    assert train(net(mse, 1, metrics=["r2"]), data, metrics=[]).metrics == {}


def test_a_table_is_for_scores_alone():
    history = train(net(softmax_cross_entropy, 4), data_of("classes"), metrics=["top_2", "confusion_matrix", "f1"])
    assert list(history.metrics) == ["top_2", "f1"]


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (
            "numbers",
            "f1",
            "'f1' is for classes or yes and no, and the loss compares numbers; .* fit: mae, r2, rmse",
        ),
        ("classes", "rmse", "'rmse' is for numbers, and the loss compares classes; those that fit: accuracy, conf"),
        ("binary", "top_2", "'top_2' is for classes, and the loss compares yes and no"),
        ("classes", "top_k", "takes a whole number from 1 in the place of k, as in 'top_5'"),
        ("classes", "acuracy", "unknown metric 'acuracy'; did you mean 'accuracy'"),
    ],
)
def test_a_metric_that_does_not_fit(kind, name, text):
    with pytest.raises(DataflowError, match=text):
        Trainer(net(*LOSSES[kind]), data_of(kind), metrics=[name])


def test_a_loss_written_by_hand_needs_targets():
    graph = Graph("by hand")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    yhat = graph.node("yhat", x @ graph.parameter("W", (2, 1), init="he_normal"))
    graph.node("loss", sum_((yhat - y) * (yhat - y)))
    data = {"x": RNG.normal(size=(9, 2)), "y": RNG.normal(size=(9, 1))}
    with pytest.raises(DataflowError, match=r'targets = \{ yhat = "y" \} under \[model\]'):
        Trainer(Model(graph, outputs=["yhat"], loss="loss"), data, metrics=["rmse"])
    model = Model(graph, outputs=["yhat"], loss="loss", targets={"yhat": "y"})
    measured = Trainer(model, data, metrics=["rmse"]).measure()
    assert measured["rmse"] == pytest.approx(np.sqrt(measured["loss"] / 9), rel=1e-12)


def test_several_predictions():
    graph = Graph("two heads")
    x, y, c, d = graph.input("x", ("n", 2)), *(graph.input(name, ("n", 2)) for name in "ycd")
    heads = [graph.node(f"to_{name}", x @ graph.parameter(f"W_{name}", (2, 2), init="he_normal")) for name in "ycd"]
    loss = mse(heads[0], y) + softmax_cross_entropy(heads[1], c) + softmax_cross_entropy(heads[2], d)
    graph.node("loss", loss)
    model = Model(graph, outputs=["to_y", "to_c", "to_d"], loss="loss")
    data = {"x": RNG.normal(size=(9, 2)), **{name: np.eye(2)[RNG.integers(0, 2, 9)] for name in "ycd"}}
    trainer = Trainer(model, data, metrics=["rmse", "accuracy"])
    assert trainer.measured == ["loss", "rmse", "accuracy_to_c", "accuracy_to_d"]
    values = model.run(data=data)
    for name in "cd":
        expected = (values[f"to_{name}"].argmax(1) == data[name].argmax(1)).mean()
        assert trainer.measure()[f"accuracy_to_{name}"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", LOSSES)
def test_in_pieces(kind):
    names = {"classes": ["f1", "top_2"], "binary": ["f1", "roc_auc"], "numbers": ["r2", "rmse"]}[kind]
    trainer = Trainer(net(*LOSSES[kind], metrics=names), data_of(kind))
    whole = trainer.measure()
    trainer._measure.memory = 300
    pieces = trainer.measure()
    assert trainer._measure._in_pieces
    assert pieces == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
def test_files_keep_the_metrics(ending, tmp_path):
    save(net(mse, 1, metrics=["r2", "mae"]), tmp_path / f"net{ending}")
    assert load(tmp_path / f"net{ending}").train_settings.metrics == ["r2", "mae"]
    save(net(mse, 1), tmp_path / f"none{ending}")
    assert load(tmp_path / f"none{ending}").train_settings.metrics is None
    assert b"metrics" not in (tmp_path / f"none{ending}").read_bytes()


def test_a_run_with_metrics_goes_on_bit_for_bit(tmp_path):
    data = data_of("classes")
    whole = train(net(softmax_cross_entropy, 4, metrics=["f1"]), data, epochs=4)
    train(net(softmax_cross_entropy, 4, metrics=["f1"]), data, epochs=2, checkpoint=tmp_path / "run")
    resumed = train(
        net(softmax_cross_entropy, 4, metrics=["f1"]), data, epochs=4, checkpoint=tmp_path / "run", resume=True
    )
    assert resumed.metrics == whole.metrics
    with pytest.raises(DataflowError, match="metrics"):
        train(net(softmax_cross_entropy, 4), data, epochs=4, checkpoint=tmp_path / "run", resume=True)


def test_weights_of_examples_are_those_of_metrics():
    data, weights = data_of("classes"), RNG.random(60) * 2
    model = net(softmax_cross_entropy, 4, metrics=["accuracy", "f1"])
    history = train(model, data, weights=weights, validation=0.25)
    predicted, labels = model.run(data=data)["z"].argmax(1), data["y"].argmax(1)
    for part, before in ((slice(0, 45), ""), (slice(45, 60), "validation_")):
        rows = (labels[part], predicted[part])
        expected = sk.f1_score(*rows, average="macro", sample_weight=weights[part], zero_division=0)
        assert history.metrics[f"{before}f1"][-1] == pytest.approx(expected, rel=1e-12)
        expected = sk.accuracy_score(*rows, sample_weight=weights[part])
        assert history.metrics[f"{before}accuracy"][-1] == pytest.approx(expected, rel=1e-12)
