"""Fills, categories and standardizing against scikit-learn's transformers, fitted on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from later import Later

import dataflow
from dataflow.data.preparation.apply import apply
from dataflow.data.preparation.learn import learn
from dataflow.data.preparation.rules import Categories, Missing, Rules
from dataflow.data.raw_table import RawColumn, RawTable

impute = Later("sklearn.impute")
pipeline = Later("sklearn.pipeline")
preprocessing = Later("sklearn.preprocessing")

ROWS, TRAINING = 300, 200
RNG = np.random.default_rng(5)
NUMBERS = np.round(RNG.normal(50, 20, (ROWS, 3)), 1)
ABSENT = RNG.random((ROWS, 3)) < 0.2
TEXTS = RNG.choice(["Mitte", "Nord", "Süd", "élan"], ROWS).astype(object)
TEXT_ABSENT = RNG.random(ROWS) < 0.1
CONSTANT = np.full(ROWS, 0.1)

TABLE = RawTable(
    {
        **{f"a{i}": RawColumn(np.where(ABSENT[:, i], 0, NUMBERS[:, i]), ABSENT[:, i]) for i in range(3)},
        "kind": RawColumn(np.where(TEXT_ABSENT, "", TEXTS), TEXT_ABSENT),
        "constant": RawColumn(CONSTANT, None),
    },
    None,
    "the table",
)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
@pytest.mark.parametrize("indicator", [False, True])
def test_the_same_columns_as_a_pipeline(strategy: str, indicator: bool) -> None:
    names = ["a0", "a1", "a2", "constant"]
    rules = Rules(
        {"x": [*names, "kind"]},
        {**{name: Missing(strategy, indicator) for name in names}, "kind": Missing("most_frequent")},
        {"kind": Categories("one_hot", unknown="ignore")},
        standardize=["x"],
    )
    graph = dataflow.Graph("net")
    graph.input("x", ("n", "features"))
    found = apply(TABLE, rules, learn(TABLE, rules, np.arange(TRAINING)), graph)

    raw = np.column_stack([np.where(ABSENT, np.nan, NUMBERS), CONSTANT])
    texts = np.where(TEXT_ABSENT, None, TEXTS).reshape(-1, 1)
    number_steps = pipeline.make_pipeline(impute.SimpleImputer(strategy=strategy), preprocessing.StandardScaler())
    text_steps = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent", missing_values=None),
        preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    )
    numbers = number_steps.fit(raw[:TRAINING]).transform(raw)
    categories = text_steps.fit(texts[:TRAINING]).transform(texts)
    where = impute.MissingIndicator(features="all").fit(raw[:TRAINING]).transform(raw)
    parts = [x for i in range(4) for x in (numbers[:, i], *([where[:, i]] if indicator else []))]
    np.testing.assert_allclose(found.arrays["x"], np.column_stack([*parts, categories]), rtol=0, atol=1e-12)
    names_found = [label.removeprefix("kind=") for label in found.labels["x"] if label.startswith("kind=")]
    assert names_found == text_steps[-1].categories_[0].tolist()


def test_ordinal_codes() -> None:
    order = ["Süd", "Mitte", "élan", "Nord"]
    rules = Rules({"x": ["kind"]}, {"kind": Missing("Nord")}, {"kind": Categories("index", tuple(order))})
    graph = dataflow.Graph("net")
    graph.input("x", ("n",), "int64")
    found = apply(TABLE, rules, learn(TABLE, rules), graph).arrays["x"]
    encoder = preprocessing.OrdinalEncoder(categories=[order])
    expected = encoder.fit_transform(np.where(TEXT_ABSENT, "Nord", TEXTS).reshape(-1, 1))
    assert found.tolist() == expected[:, 0].tolist()
