"""A trained model on tables: what it predicts for raw rows, in the table's words and units, and how well."""

import csv
import json
import math

import numpy as np
import pytest
from later import Later

from dataflow import DataflowError, DataflowWarning, Graph, Model, Trainer, load, save, train
from dataflow.data.source import DataSource
from dataflow.files.toml.read import loads_toml
from dataflow.ops import mse, sigmoid, sigmoid_cross_entropy, softmax, softmax_cross_entropy

linear_model = Later("sklearn.linear_model")
sk = Later("sklearn.metrics")

RNG = np.random.default_rng(3)
HOUSES = """\
dataflow = 2
name = "houses"
inputs.x = { shape = ["n", 3] }
inputs.y = { shape = ["n", 1] }
parameters.W = { shape = [1, 3], init = "zeros" }
parameters.b = { shape = [1], init = "zeros" }
[nodes]
yhat = "linear(x, W, b)"
loss = 'mse(yhat, y, reduction="mean")'
[model]
outputs = ["yhat"]
loss = "loss"
[data]
file = "houses.csv"
columns = { x = ["area", "kind"], y = "price" }
missing = { area = "drop" }
categories = { kind = "one_hot" }
standardize = ["x", "y"]
[train]
optimizer = { name = "sgd", learning_rate = 0.3 }
epochs = 300
"""


def table(path, rows, header=("id", "area", "kind", "price")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_table_of_other_columns(houses):
    """``predict`` does not ask for what it predicts; ``score`` does."""
    model, folder, _ = houses
    other = table(folder / "other.csv", [(1, 2)], ("a", "b"))
    with pytest.raises(DataflowError, match=r"the model reads, 'area', 'kind'; its columns are 'a', 'b'"):
        model.predict(other)
    with pytest.raises(DataflowError, match=r"the model reads, 'area', 'kind', 'price'; its columns are 'a', 'b'"):
        model.score(other)


@pytest.fixture
def houses(tmp_path):
    """A model trained on 40 houses, and the path of its folder."""
    rows = [(f"h{i}", round(20 + 3.7 * i, 1), "ab"[i % 2], round(1000 * i + 300 * math.sin(i))) for i in range(40)]
    table(tmp_path / "houses.csv", rows)
    (tmp_path / "houses.toml").write_text(HOUSES)
    model = load(tmp_path / "houses.toml")
    train(model)
    save(model, tmp_path / "houses.msgpack")
    return load(tmp_path / "houses.msgpack"), tmp_path, rows


def expected_prices(rows, areas, kinds):
    """By scikit-learn's linear regression, which needs no standardizing."""
    features = np.array([[area, kind == "a"] for _, area, kind, _ in rows], float)
    fitted = linear_model.LinearRegression().fit(features, [row[3] for row in rows])
    return fitted.predict(np.array([[area, kind == "a"] for area, kind in zip(areas, kinds, strict=True)], float))


def test_predictions_are_in_the_unit_of_the_table(houses):
    model, folder, rows = houses
    new = table(folder / "new.csv", [("b", 50, "x"), ("a", 90.5, "y")], header=("kind", "area", "id"))
    predictions = model.predict(new, columns=["id"])
    np.testing.assert_allclose(predictions["yhat"][:, 0], expected_prices(rows, [50, 90.5], "ba"), rtol=1e-6)
    assert list(predictions) == ["yhat"]
    assert predictions.carried["id"].tolist() == ["x", "y"]


@pytest.mark.parametrize("kind", ["rows", "frame"])
def test_texts_that_are_carried_over_stay_texts(kind, houses):
    rows = [{"kind": "b", "area": "50", "id": "007"}, {"kind": "a", "area": "90.5", "id": "8"}]
    data = rows if kind == "rows" else pytest.importorskip("pandas").DataFrame(rows)
    assert houses[0].predict(data, columns=["id"]).carried["id"].tolist() == ["007", "8"]
    assert houses[0].predict(data, columns=["area"]).carried["area"].tolist() == [50, 90.5]  # of an input


def test_rows_that_are_left_out_are_empty(houses):
    model, folder, rows = houses
    new = table(folder / "new.csv", [("x", 50, "b"), ("y", "", "a"), ("z", 90.5, "a")], header=("id", "area", "kind"))
    predictions = model.predict(new)
    assert np.isnan(predictions["yhat"][1, 0])
    np.testing.assert_allclose(predictions["yhat"][[0, 2], 0], expected_prices(rows, [50, 90.5], "ba"), rtol=1e-6)
    assert predictions.columns()["yhat"][1] is None


def test_scores_are_in_the_unit_of_the_table(houses):
    model, folder, rows = houses
    expected = expected_prices(rows, [row[1] for row in rows], [row[2] for row in rows])
    prices = [row[3] for row in rows]
    for data in (None, folder / "houses.csv"):
        scores = model.score(data)
        assert list(scores) == ["loss", "rmse", "mae", "r2"]
        assert scores["rmse"] == pytest.approx(sk.root_mean_squared_error(prices, expected), rel=1e-6)
        assert scores["mae"] == pytest.approx(sk.mean_absolute_error(prices, expected), rel=1e-5)
        assert scores["r2"] == pytest.approx(sk.r2_score(prices, expected), rel=1e-6)
        # The loss is half the mean squared error of standardized prices.
        assert scores["loss"] == pytest.approx(0.5 * (scores["rmse"] / np.std(prices)) ** 2, rel=1e-6)
        assert scores.examples == 40
    assert list(model.score(metrics=["mae"])) == ["loss", "mae"]


def test_training_measures_in_the_unit_of_the_table(houses):
    model, folder, _ = houses
    history = train(model, epochs=1, metrics=["rmse"], validation=0.25)
    assert history.metrics["rmse"][-1] > 10  # prices, not deviations of them
    fresh = load(folder / "houses.toml")
    history = train(fresh, folder / "houses.csv", metrics=["rmse"])
    assert history.metrics["rmse"][-1] == pytest.approx(fresh.score()["rmse"], rel=1e-9)


def test_a_table_in_the_place_of_arrays(houses):
    model, folder, rows = houses
    arrays = model.read(folder / "houses.csv")
    assert {name: array.shape for name, array in arrays.items()} == {"x": (40, 3), "y": (40, 1)}
    assert np.array_equal(model.run(data=folder / "houses.csv")["yhat"], model.run(data=arrays)["yhat"])
    given = [dict(zip(("id", "area", "kind", "price"), row, strict=True)) for row in rows]
    assert np.array_equal(model.predict(given)["yhat"], model.predict(folder / "houses.csv")["yhat"])
    assert model.score(given)["rmse"] == model.score()["rmse"]
    assert np.array_equal(model.gradients(data=given)["W"], model.gradients(data=arrays)["W"])
    assert np.array_equal(model.predict(arrays)["yhat"], model.predict(given)["yhat"])
    assert model.score(**arrays)["rmse"] == model.score()["rmse"]
    trainer = Trainer(model, given)
    assert trainer.batches.everything()["x"].shape == (40, 3)


def test_a_data_frame(houses):
    pandas = pytest.importorskip("pandas")
    model, folder, _ = houses
    frame = pandas.read_csv(folder / "houses.csv")[["price", "kind", "area", "id"]]
    predictions = model.predict(frame, columns=["id"])
    assert np.array_equal(predictions["yhat"], model.predict(folder / "houses.csv")["yhat"])
    assert predictions.carried["id"][3] == "h3"
    assert model.score(frame)["rmse"] == model.score()["rmse"]
    assert Trainer(model, frame).batches.everything()["x"].shape == (40, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, folder: model.predict(folder / "none.csv"), "none.csv"),
        (lambda model, folder: model.predict(3), "a DataFrame, or rows, each a mapping by column, not 3"),
        (lambda model, folder: model.predict(columns=["idd"]), "unknown column 'idd'.* did you mean 'id'"),
        (lambda model, folder: model.predict({"x": np.zeros((2, 3))}, columns=["id"]), "carried over from a table"),
        (lambda model, folder: model.score(folder / "new.csv"), "needs the input 'y'|needs 'y'"),
        (lambda model, folder: model.score(metrics=["f1"]), "those that fit: mae, r2, rmse"),
    ],
)
def test_what_cannot_be_asked(houses, call, message):
    model, folder, _ = houses
    table(folder / "new.csv", [("x", 50, "b")], header=("id", "area", "kind"))
    with pytest.raises(DataflowError, match=message):
        call(model, folder)


def test_a_category_that_training_never_saw(houses):
    model, folder, _ = houses
    new = table(folder / "new.csv", [("x", 50, "c")], header=("id", "area", "kind"))
    with pytest.raises(DataflowError, match="'?c'?"):
        model.predict(new)


# ------------------------------------------------------------------------------------------------ classes


def classifier(loss_op, width, output="logits"):
    graph = Graph("net")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", width))
    z = graph.node("logits", x @ graph.parameter("W", (2, width), init="he_normal"))
    if output == "p":
        graph.node("p", (softmax if width > 1 else sigmoid)(z))
    graph.node("loss", loss_op(z, y, reduction="mean"))
    return graph


@pytest.mark.parametrize("output", ["logits", "p"])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_classes_by_name(tmp_path, output, kind):
    names = ["red", "green", "blue"] if kind == "softmax" else ["no", "yes"]
    labels = RNG.integers(0, len(names), 50)
    features = RNG.normal(size=(50, 2))
    rows = [(*map(float, line), names[label]) for line, label in zip(features, labels, strict=True)]
    table(tmp_path / "t.csv", rows, header=("x0", "x1", "y"))
    if kind == "softmax":
        graph = classifier(softmax_cross_entropy, 3, output)
        source = DataSource(file=tmp_path / "t.csv", one_hot={"y": names})
    else:
        graph = classifier(sigmoid_cross_entropy, 1, output)
        source = DataSource(file=tmp_path / "t.csv", categories={"y": {"kind": "index", "names": names}})
    model = Model(graph, [output], "loss", data=source)
    logits = model.run()["logits"]
    predictions = model.predict()
    if kind == "softmax":
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        numbers = logits.argmax(1)
        assert predictions[output].tolist() == [names[i] for i in numbers]
    else:
        shares = np.hstack([1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))])
        numbers = (logits[:, 0] > 0) + 0
        assert predictions[output][:, 0].tolist() == [names[i] for i in numbers]
    columns = predictions.columns()
    assert list(columns) == [output, *(f"{output}_{name}" for name in names)]
    for i, name in enumerate(names):
        np.testing.assert_allclose(columns[f"{output}_{name}"].astype(float), shares[:, i], rtol=1e-12)
    scores = model.score()
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(labels, numbers), rel=1e-12)
    assert scores["confusion_matrix"].tolist() == sk.confusion_matrix(labels, numbers).tolist()
    assert scores.classes["confusion_matrix"] == names


def test_classes_without_names_are_numbers():
    graph = classifier(softmax_cross_entropy, 3)
    source = DataSource({"x": RNG.normal(size=(9, 2)), "y": RNG.integers(0, 3, 9)}, one_hot={"y": 3})
    model = Model(graph, ["logits"], "loss", data=source)
    predictions = model.predict()
    assert predictions["logits"].tolist() == model.run()["logits"].argmax(1).tolist()
    assert predictions.classes["logits"] == ["0", "1", "2"]


def test_a_loss_by_hand_with_targets():
    text = """\
dataflow = 2
inputs.x = { shape = ["n", 1] }
inputs.y = { shape = ["n", 1] }
parameters.w = { value = [[2.0]] }
[nodes]
yhat = "x @ w"
loss = "sum((yhat - y) ** 2)"
[model]
outputs = ["yhat"]
loss = "loss"
targets = { yhat = "y" }
[data]
x = [[1], [2]]
y = [[2], [6]]
scale = { y = 0.5 }
"""
    model = loads_toml(text)
    # In the table's unit the predictions are 2 * (2, 4), and the targets 2 and 6: scaling is undone.
    assert model.predict()["yhat"].tolist() == [[4], [8]]
    assert dict(model.score()) == pytest.approx({"loss": 1 + 1, "rmse": 2, "mae": 2, "r2": 0})


def test_weights_of_a_table_weigh_loss_and_metrics(tmp_path):
    weights = RNG.random(30)
    rows = [(float(RNG.normal()), float(RNG.normal()), float(w)) for w in weights]
    table(tmp_path / "t.csv", rows, header=("x", "y", "w"))
    graph = Graph("line")
    x, y = graph.input("x", ("n", 1)), graph.input("y", ("n", 1))
    graph.node("loss", mse(graph.node("yhat", x @ graph.parameter("W", value=[[0.5]])), y, reduction="mean"))
    model = Model(graph, ["yhat"], "loss", data=DataSource(file=tmp_path / "t.csv", weights="w"))
    features, targets = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    expected = np.average((0.5 * features - targets) ** 2, weights=weights)
    scores = model.score()
    assert scores["loss"] == pytest.approx(expected / 2, rel=1e-12)
    assert scores["rmse"] == pytest.approx(math.sqrt(expected), rel=1e-12)
    assert scores["r2"] == pytest.approx(sk.r2_score(targets, 0.5 * features, sample_weight=weights), rel=1e-12)


def test_outputs_that_need_targets_are_left_out():
    graph = classifier(softmax_cross_entropy, 3)
    model = Model(graph, ["logits", "loss"], "loss")
    assert list(model.predict(x=np.zeros((2, 2)))) == ["logits"]
    assert list(model.predict(x=np.zeros((2, 2)), y=np.eye(3)[:2])) == ["logits", "loss"]
    with pytest.raises(DataflowError, match="'x'"):
        model.predict(y=np.eye(3)[:2])


def test_the_json_of_a_prediction_can_be_read_back(houses):
    model, folder, _ = houses
    columns = model.predict(folder / "houses.csv", columns=["id", "price"]).columns()
    assert json.loads(json.dumps([list(column) for column in columns.values()]))[0][0] == "h0"


# ------------------------------------------------------------------------------------------------ what is not finite


def frame(area):
    return [{"area": area, "kind": "a", "price": 1}]


@pytest.mark.parametrize(
    ("ask", "area"),
    [
        pytest.param(ask, area, marks=() if ask == "read" or area == "1e400" else pytest.mark.slow)
        for ask in ("read", "predict", "score", "train", "run", "file")
        for area in (math.inf, -math.inf, "inf", "1e400")
    ],
)
def test_an_infinite_cell_is_refused_whoever_asks(houses, area, ask):
    model, folder, _ = houses
    message = r"column 'area'.*(a finite number is expected, -?inf found|does not fit float64.*); correct the cell, or"
    with pytest.raises(DataflowError, match=message):
        if ask == "train":
            train(model, frame(area))
        elif ask == "run":
            model.run(data=frame(area))
        elif ask == "file":
            model.predict(table(folder / "later.csv", [("h", area, "a", 1)]))
        else:
            getattr(model, ask)(frame(area))


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_an_entry_of_an_array_that_is_not_finite_is_refused_where_it_matters(houses, number):
    model, _, _ = houses
    x, y = [[0.0, 1, 0], [number, 1, 0]], [[1.0], [2.0]]
    for ask in (lambda: model.predict(x=x), lambda: model.score(x=x, y=y)):
        with pytest.raises(
            DataflowError, match=r"'x' at \[1, 0\]: a finite number is expected, (inf|nan) found, of which"
        ):
            ask()
    with pytest.raises(DataflowError, match=r"'y' at \[1, 0\]: a finite number .* of which 'loss' becomes"):
        model.score(x=x[:1] * 2, y=[[1.0], [number]])


def test_a_prediction_that_is_too_large_is_a_warning(houses):
    model, folder, _ = houses
    later = table(folder / "later.csv", [("h", 1, "a", 1), ("i", "1e308", "a", 1)])
    with pytest.warns(DataflowWarning, match=r"'yhat' is -?inf at \[1, 0\]: outside the domain of an op, or too large"):
        prediction = model.predict(later)["yhat"]
    assert np.isfinite(prediction).tolist() == [[True], [False]]
    with pytest.warns(DataflowWarning, match=r"'(yhat|loss)' is -?inf"):
        model.score(later)


def test_more_classes_than_there_are_is_an_error_before_training(tmp_path):
    graph = Graph()
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 3))
    z = graph.node("z", x @ graph.parameter("W", (2, 3), init="zeros"))
    graph.node("loss", softmax_cross_entropy(z, y))
    data = {"x": np.ones((4, 2)), "y": np.eye(3)[[0, 1, 2, 0]]}
    model = Model(graph, ["z"], "loss")
    with pytest.raises(DataflowError, match="top_4 of 3 classes is always 1; take fewer than there are"):
        Trainer(model, data, metrics=["top_4"])
    assert model.score(data, metrics=["top_3"])["top_3"] == 1
