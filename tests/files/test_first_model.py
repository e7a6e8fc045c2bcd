"""The text of a model file to begin with: TOML that declares what the table's columns need."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest

from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.errors import DataError
from dataflow.files.toml.first_model import FirstModel, first_model

ROWS = 120
SIZE = np.linspace(30, 200, ROWS) ** 1.1
AREA = np.array((["north", "south", "west"] * ROWS)[:ROWS], dtype=object)
SOLD = np.array((["no", "yes", "yes", "no", "yes"] * ROWS)[:ROWS], dtype=object)
SOME = np.arange(ROWS) % 10 == 3


def table(**columns: np.ndarray | RawColumn) -> RawTable:
    listed = {name: col if isinstance(col, RawColumn) else RawColumn(col) for name, col in columns.items()}
    return RawTable(listed, None, "the table")


def draft(columns: RawTable, target: str, **more: Any) -> tuple[FirstModel, dict[str, Any]]:
    model = first_model(columns, target, **({"name": "houses", "file": "houses.csv"} | more))
    assert all(len(line) <= 130 for line in model.text.splitlines())
    return model, tomllib.loads(model.text)


def test_a_number_from_numbers_and_texts_with_missing_cells() -> None:
    known = table(
        **{
            "living area": RawColumn(SIZE, SOME),
            "id": np.arange(ROWS) * 3,
            "where": RawColumn(np.where(SOME, "", AREA), SOME),
            "price": RawColumn(SIZE * 2, SOME),
        }
    )
    model, file = draft(known, "price")
    assert file["dataflow"] == 2
    assert model.inputs == ("living area", "where")
    assert model.left_out == {"id": "another number in each row, as identifiers have"}
    assert '    # "id",' in model.text
    assert file["data"] == {
        "file": "houses.csv",
        "standardize": ["x", "y"],
        "columns": {"x": ["living area", "where"], "y": "price"},
        "missing": {"living area": "median", "where": "most_frequent", "price": "drop"},
        "categories": {"where": "one_hot"},
    }
    assert file["nodes"]["loss"] == 'mse(prediction, y, reduction="mean")'
    assert file["parameters"]["W2"]["shape"] == [1, 16]
    assert file["train"]["validation"] == {"share": 0.2, "shuffle": True}
    assert file["train"]["early_stopping"]["metric"] == "validation_loss"


def test_one_of_several_classes() -> None:
    _, file = draft(table(size=SIZE, area=AREA), "area")
    assert file["data"]["one_hot"] == {"y": ["north", "south", "west"]}
    assert file["data"]["standardize"] == ["x"]
    assert file["inputs"]["y"]["shape"] == ["n", 3]
    assert file["parameters"]["W2"]["shape"] == [3, 16]
    assert "softmax_cross_entropy" in file["nodes"]["loss"]
    assert file["train"]["validation"]["stratify"] == "area"


def test_many_long_names_of_classes_stand_below_each_other() -> None:
    names = [f"a rather long name of class {i}" for i in range(12)]
    _, file = draft(table(size=SIZE, kind=np.array(names * 10, dtype=object)), "kind")
    assert file["data"]["one_hot"]["y"] == sorted(names)


def test_numbers_from_0_on_are_classes_by_number() -> None:
    _, file = draft(table(size=SIZE, digit=np.arange(ROWS) % 10), "digit")
    assert file["data"]["one_hot"] == {"y": 10}


def test_two_classes_have_one_logit() -> None:
    _, file = draft(table(size=SIZE, sold=SOLD), "sold")
    assert file["data"]["categories"] == {"sold": {"kind": "index", "names": ["no", "yes"]}}
    assert file["inputs"]["y"]["shape"] == ["n", 1]
    assert file["nodes"]["loss"] == 'sigmoid_cross_entropy(logit, y, reduction="mean")'
    assert file["model"]["targets"] == {"probability": "y"}
    _, file = draft(table(size=SIZE, sold=SOLD == "yes"), "sold")
    assert file["data"]["categories"]["sold"]["names"] == ["false", "true"]
    _, file = draft(table(size=SIZE, sold=(SOLD == "yes") + 1.0), "sold")
    assert file["data"]["categories"]["sold"]["names"] == ["1", "2"]


def test_texts_alone_are_not_standardized() -> None:
    assert "standardize" not in draft(table(area=AREA, sold=SOLD), "sold")[1]["data"]


def test_a_rare_category_may_be_unknown() -> None:
    rare = AREA.copy()
    rare[5] = "an island"
    _, file = draft(table(area=rare, price=SIZE), "price")
    assert file["data"]["categories"] == {"area": {"kind": "one_hot", "unknown": "ignore"}}


def test_columns_that_differ_in_a_number_are_a_range_and_what_is_left_out_breaks_it() -> None:
    pixels = {f"p{i}": (SIZE * (i + 1)) % 7 for i in range(20)} | {"p9": np.zeros(ROWS)}
    model, file = draft(table(**pixels, price=SIZE), "price")
    assert file["data"]["columns"]["x"] == ["p0:p8", "p10:p19"]
    assert '    # "p9",' in model.text
    others = dict(zip("abcdefgh", pixels.values(), strict=False))
    assert draft(table(**others, price=SIZE), "price")[1]["data"]["columns"]["x"] == list("abcdefgh")


@pytest.mark.parametrize("name", ["a:b", 'say "a"', "it's", "back\\slash", "new\nline", "Größe (m²)", "", "a.b", "*"])
def test_any_name_of_a_column_can_be_written(name: str) -> None:
    known = {f"c{i}": SIZE * i for i in range(1, 4)} | {name: RawColumn(SIZE, SOME), "price": SIZE}
    _, file = draft(table(**known), "price", file="my houses.csv")
    assert name in file["data"]["columns"]["x"]
    assert file["data"]["missing"] == {name: "median"}
    known = {"size": SIZE, name: RawColumn(SOLD, SOME)}
    assert draft(table(**known), name)[1]["data"]["missing"] == {name: "drop"}


def test_few_rows_are_all_trained_on() -> None:
    few = {"size": SIZE[:49], "price": SIZE[:49]}
    assert not {"validation", "early_stopping"} & draft(table(**few), "price")[1]["train"].keys()
    enough = {"size": SIZE[:50], "price": SIZE[:50]}
    assert {"validation", "early_stopping"} <= draft(table(**enough), "price")[1]["train"].keys()


def test_nothing_to_learn_from() -> None:
    with pytest.raises(
        DataError, match=r"no column is left to predict 'price' from \('id': another number in each row"
    ):
        first_model(table(id=np.arange(ROWS), price=SIZE), "price", name="a", file="a.csv")
    with pytest.raises(DataError, match="no column is left to predict 'price' from$"):
        first_model(table(price=SIZE), "price", name="a", file="a.csv")
