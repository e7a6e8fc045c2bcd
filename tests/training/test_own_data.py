"""A table as people have it: one command writes a model, one trains it, and the result is what others compute.

The messy table has texts, missing cells, spaces in headers, a semicolon between cells and a comma in numbers, a BOM,
an identifier and a constant column. What models must predict is computed with numpy alone (least squares, Newton's
method), and with scikit-learn where it is installed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import said

import dataflow
from dataflow.metrics.predictions import Predictions

Row = dict[str, Any]

AREAS = ("Mitte", "Nord", "Süd; am See", "West")
KINDS = ("flat", "house", "villa")
EXTRA = {"Mitte": 40.0, "Nord": -30.0, "Süd; am See": 60.0, "West": 0.0}


def houses(count: int, seed: int) -> list[Row]:
    """Rows of an invented table; ``None`` is a missing cell."""
    chance = np.random.default_rng(seed)
    rows: list[Row] = []
    for i in range(count):
        area, built = AREAS[chance.integers(4)], int(chance.integers(1900, 2020))
        size, rooms = round(float(chance.uniform(30, 220)), 1), int(chance.integers(1, 9))
        price = 2.5 * size + 10 * rooms + 0.5 * (built - 1950) + EXTRA[area] + chance.normal(0, 15)
        kind = KINDS[int(np.digitize(size + chance.normal(0, 25), (90, 150)))]
        rows.append(
            {
                "house id": 1000 + 7 * i,
                "living area (m²)": size if chance.random() > 0.05 else None,
                "rooms": rooms,
                "year built": built if chance.random() > 0.1 else None,
                "neighbourhood": area if chance.random() > 0.05 else None,
                "country": "Atlantis",
                "kind of house": kind,
                "sold": "yes" if price + chance.normal(0, 60) < 450 else "no",
                "price in 1000": round(price, 2),
            }
        )
    return rows


def write_messy(path: Path, rows: Sequence[Row], columns: Sequence[str] | None = None) -> Path:
    """A table as a spreadsheet in Germany writes it."""
    names = list(columns or rows[0])
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(names)
        for row in rows:
            cells = (row[name] for name in names)
            table.writerow(
                [str(c).replace(".", ",") if isinstance(c, float) else "" if c is None else c for c in cells]
            )
    return path


# ------------------------------------------------------------------------------------------ from a table to predictions


@pytest.mark.parametrize("target", ["price in 1000", "kind of house", "sold"])
def test_a_messy_table_trains_with_one_command_and_predicts_on_another(tmp_path: Path, target: str) -> None:
    train, test = houses(400, seed=1), houses(100, seed=2)
    write_messy(tmp_path / "houses.csv", train)
    survey = said("new", tmp_path / "first.toml", "--data", tmp_path / "houses.csv", "--target", target)
    assert "'house id'" in survey
    assert "'country'" in survey
    said("train", tmp_path / "first.toml", "-o", tmp_path / "first.msgpack", "--epochs", "60")

    write_messy(tmp_path / "same.csv", test)
    others = [{"a new column": i, **row, "another": "?"} for i, row in enumerate(test)]
    permuted = sorted((name for name in others[0] if name != target), reverse=True)
    write_messy(tmp_path / "permuted.csv", others, permuted)
    for name in ("same", "permuted"):
        said("predict", tmp_path / "first.msgpack", "--data", tmp_path / f"{name}.csv", "-o", tmp_path / f"{name}.json")
    assert (tmp_path / "same.json").read_bytes() == (tmp_path / "permuted.json").read_bytes()
    said("predict", tmp_path / "first.msgpack", "--data", tmp_path / "permuted.csv", "-o", tmp_path / "predicted.csv")
    with (tmp_path / "predicted.csv").open(encoding="utf-8-sig", newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == len(test)
    scores = json.loads(said("score", tmp_path / "first.msgpack", "--data", tmp_path / "same.csv", "--json"))
    if target == "price in 1000":
        errors = [float(next(iter(row.values()))) - other[target] for row, other in zip(predicted, test, strict=True)]
        guess = np.mean([row[target] for row in train])
        assert np.mean(np.square(errors)) < 0.2 * np.mean([(row[target] - guess) ** 2 for row in test])
        assert scores["metrics"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)
    else:
        right = [row[target] in other.values() for row, other in zip(test, predicted, strict=True)]
        most = max(sum(row[target] == name for row in test) for name in {row[target] for row in test})
        assert np.mean(right) > most / len(test) + 0.05
        assert scores["metrics"]["accuracy"] == pytest.approx(np.mean(right), rel=1e-12)


# -------------------------------------------------------------------------------------------------- what others compute


NUMBERS = ("living area (m²)", "rooms", "year built")
TEXTS = ("neighbourhood",)

LINEAR = """
dataflow = 2
[inputs]
x = {{ shape = ["n", "features"] }}
y = {{ shape = ["n", {outputs}] }}
[parameters]
W = {{ shape = [{outputs}, "features"], init = "zeros" }}
b = {{ shape = [{outputs}], init = "zeros" }}
[nodes]
z = "linear(x, W, b)"
{nodes}
[model]
outputs = ["{output}"]
loss = "loss"
targets = {{ {output} = "y" }}
[data]
file = "houses.csv"
standardize = {standardize}
{one_hot}
[data.columns]
x = ["living area (m²)", "rooms", "year built", "neighbourhood"]
y = "{target}"
[data.missing]
"living area (m²)" = "median"
"year built" = "mean"
neighbourhood = "most_frequent"
[data.categories]
neighbourhood = "one_hot"
{categories}
[train]
optimizer = {{ name = "sgd", learning_rate = {rate}, momentum = 0.9, nesterov = true }}
epochs = {epochs}
batch_size = 1000
validation = 0.25
"""

CASES = {
    "price in 1000": {
        "outputs": 1,
        "nodes": "loss = 'mse(z, y, reduction=\"mean\")'",
        "output": "z",
        "standardize": '["x", "y"]',
        "one_hot": "",
        "categories": "",
        "rate": 0.2,
        "epochs": 600,
    },
    "sold": {
        "outputs": 1,
        "nodes": 'p = "sigmoid(z)"\nloss = \'sigmoid_cross_entropy(z, y, reduction="mean")\'',
        "output": "p",
        "standardize": '["x"]',
        "one_hot": "",
        "categories": 'sold = { kind = "index", names = ["no", "yes"] }',
        "rate": 1.0,
        "epochs": 3000,
    },
    "kind of house": {
        "outputs": 3,
        "nodes": 'p = "softmax(z)"\nloss = \'softmax_cross_entropy(z, y, reduction="mean")\'',
        "output": "p",
        "standardize": '["x"]',
        "one_hot": 'one_hot = { y = ["flat", "house", "villa"] }',
        "categories": "",
        "rate": 1.0,
        "epochs": 3000,
    },
}


@pytest.fixture(
    scope="module",
    params=[*CASES][:1] + [pytest.param(name, marks=pytest.mark.slow) for name in [*CASES][1:]],
)
def linear(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray]:
    """A target, and what a model that was trained for it predicts for rows that it has not seen."""
    target: str = request.param
    folder = tmp_path_factory.mktemp("linear")
    write_messy(folder / "houses.csv", houses(320, seed=3))
    (folder / "model.toml").write_text(LINEAR.format(target=target, **CASES[target]), encoding="utf-8")
    model = dataflow.load(folder / "model.toml")
    dataflow.train(model)
    unseen = [{k: v for k, v in row.items() if k != target} for row in houses(50, seed=4)]
    write_messy(folder / "unseen.csv", unseen)
    return target, predicted(model.predict(folder / "unseen.csv"))


@pytest.mark.parametrize("peer", ["numpy", "scikit-learn"])
def test_linear_models_predict_what_others_do(linear: tuple[str, np.ndarray], peer: str) -> None:
    target, found = linear
    expected = PEERS[peer](houses(320, seed=3)[:240], houses(50, seed=4), target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def predicted(result: Predictions) -> np.ndarray:
    """The numbers of the one output, without an axis of one column: for classes their probabilities, of two the
    second's."""
    (name,) = result
    numbers = np.squeeze(result.probabilities.get(name, result[name]))
    return numbers[:, 1] if numbers.shape[1:] == (2,) else numbers


def by_numpy(known: Sequence[Row], unseen: Sequence[Row], target: str) -> np.ndarray:
    """Least squares; Newton's method for classes, from the normal form of the softmax with the first class fixed."""
    fills = {
        "living area (m²)": np.median([r["living area (m²)"] for r in known if r["living area (m²)"] is not None]),
        "year built": np.mean([r["year built"] for r in known if r["year built"] is not None]),
        "neighbourhood": max(sorted(AREAS), key=[r["neighbourhood"] for r in known].count),
    }

    def design(rows: Iterable[Row]) -> np.ndarray:
        filled = [{k: fills.get(k) if v is None else v for k, v in row.items()} for row in rows]
        hot = [[row["neighbourhood"] == area for area in AREAS] for row in filled]
        numbers = np.array([[row[name] for name in NUMBERS] for row in filled], dtype=float)
        return np.column_stack([(numbers - (120, 4, 1960)) / (60, 2, 40), np.array(hot, dtype=float)])

    x, new = design(known), design(unseen)
    if target == "price in 1000":
        return new @ np.linalg.lstsq(x, np.array([row[target] for row in known]), rcond=None)[0]
    names = sorted({row[target] for row in known})
    y = np.array([[row[target] == name for name in names] for row in known], dtype=float)
    weights = np.zeros((len(names) - 1, x.shape[1]))

    def chances(rows: np.ndarray) -> np.ndarray:
        scores = np.exp(np.column_stack([np.zeros(len(rows)), rows @ weights.T]))
        return scores / scores.sum(axis=1, keepdims=True)

    for _ in range(30):
        p = chances(x)[:, 1:]
        gradient = (p - y[:, 1:]).T @ x
        curvature = np.einsum("ni,ij->nij", p, np.eye(p.shape[1])) - np.einsum("ni,nj->nij", p, p)
        hessian = np.einsum("nij,nk,nl->ikjl", curvature, x, x).reshape(weights.size, weights.size)
        weights -= np.linalg.solve(hessian, gradient.reshape(-1)).reshape(weights.shape)
    result = chances(new)
    return result[:, 1] if len(names) == 2 else result


def by_scikit_learn(known: Sequence[Row], unseen: Sequence[Row], target: str) -> np.ndarray:
    pytest.importorskip("sklearn")
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = [*NUMBERS, *TEXTS]

    def table(rows: Iterable[Row]) -> np.ndarray:
        return np.array(
            [[np.nan if row[name] is None else row[name] for name in columns] for row in rows], dtype=object
        )

    prepared = ColumnTransformer(
        [
            ("median", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
            ("mean", make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()), [2]),
            ("hot", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), [3]),
        ]
    )
    y = [row[target] for row in known]
    if target == "price in 1000":
        return make_pipeline(prepared, LinearRegression()).fit(table(known), y).predict(table(unseen))
    logistic = LogisticRegression(C=np.inf, tol=1e-12, max_iter=100_000)
    result = make_pipeline(prepared, logistic).fit(table(known), y).predict_proba(table(unseen))
    return result[:, 1] if len(set(y)) == 2 else result


PEERS: Mapping[str, Callable[[Sequence[Row], Sequence[Row], str], np.ndarray]] = {
    "numpy": by_numpy,
    "scikit-learn": by_scikit_learn,
}


# --------------------------------------------------------------------------------------- nothing learned in secret


@pytest.mark.parametrize(
    "validation", ["0.25", "{ share = 0.25, shuffle = true }", '{ share = 0.25, stratify = "sold" }']
)
def test_nothing_is_learned_from_rows_that_are_held_out(tmp_path: Path, validation: str) -> None:
    rows = houses(200, seed=5)
    case = CASES["price in 1000"] | {"epochs": 5}
    text = LINEAR.format(target="price in 1000", **case).replace("validation = 0.25", f"validation = {validation}")
    text = text.replace('neighbourhood = "one_hot"', 'neighbourhood = { kind = "one_hot", unknown = "ignore" }')
    learned = []
    for held_out in ([], held_out_rows(tmp_path, text, rows)):
        changed = [outlier(row) if i in held_out else row for i, row in enumerate(rows)]
        write_messy(tmp_path / "houses.csv", changed)
        (tmp_path / "model.toml").write_text(text, encoding="utf-8")
        model = dataflow.load(tmp_path / "model.toml")
        dataflow.train(model)
        write_messy(tmp_path / "unseen.csv", houses(20, seed=6))
        learned.append(
            ({name: model.parameters[name] for name in model.parameters}, model.predict(tmp_path / "unseen.csv"))
        )
    (parameters, predicted), (others, otherwise) = learned
    assert all(np.array_equal(parameters[name], others[name]) for name in parameters)
    assert all(np.array_equal(predicted[name], otherwise[name]) for name in predicted)


def held_out_rows(folder: Path, text: str, rows: Sequence[Row]) -> set[int]:
    """The rows that a trainer holds out, found by a number that each row carries in ``rooms``."""
    numbered = [row | {"rooms": i} for i, row in enumerate(rows)]
    write_messy(folder / "houses.csv", numbered)
    (folder / "numbered.toml").write_text(text.replace('standardize = ["x", "y"]', ""), encoding="utf-8")
    trainer = dataflow.Trainer(dataflow.load(folder / "numbered.toml"))
    held_out = {int(number) for number in trainer.held_out["x"][:, 1]}
    assert len(held_out) == len(rows) // 4
    return held_out


def outlier(row: Row) -> Row:
    """The row with numbers beyond all others and words that no other row has."""
    return row | {
        "living area (m²)": 1e7,
        "rooms": 10**6,
        "year built": None,
        "neighbourhood": "Mars",
        "price in 1000": 1e9,
    }
