"""Which columns of a table can be inputs, which cannot and why, and what a target is predicted as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dataflow.data.column_survey import CATEGORIES_LIMIT, predicted_as, survey_columns
from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.errors import DataError

ROWS = 60
NUMBERS = [0.5 * i * i for i in range(ROWS)]


def column(cells: Sequence[str | float | None]) -> RawColumn:
    missing = np.array([cell is None for cell in cells])
    if any(isinstance(cell, str) for cell in cells):
        texts = np.array(["" if cell is None else cell for cell in cells], dtype=object)
        return RawColumn(texts, missing if missing.any() else None)
    return RawColumn(np.array([0 if cell is None else cell for cell in cells]), missing if missing.any() else None)


def table(**cells: Sequence[str | float | None]) -> RawTable:
    return RawTable({name: column(content) for name, content in cells.items()}, None, "the table")


LEFT_OUT = [
    ("id", range(7, 7 + 3 * ROWS, 3), "another number in each row"),
    ("customerId", range(7, 7 + 3 * ROWS, 3), "another number in each row"),
    ("CUSTOMER NO", range(7, 7 + 3 * ROWS, 3), "another number in each row"),
    ("Unnamed: 0", [3, *range(ROWS - 1, 0, -1)][:ROWS], ""),  # 3 twice: no identifier
    ("", range(ROWS), "another number in each row"),
    ("counted", range(1, ROWS + 1), "another number in each row"),
    ("year", range(1950, 1950 + ROWS), ""),
    ("bid", range(7, 7 + 3 * ROWS, 3), ""),
    ("name", [f"house {i}" for i in range(ROWS)], "60 different texts in 60 rows, such as 'house 0'"),
    ("rate", [f"{i},5%" for i in range(ROWS)], "60 different texts in 60 rows, such as '0,5%', numbers but for '%'"),
    ("size", [*map(str, range(ROWS - 1)), "?"], "60 different texts in 60 rows, numbers but for '?'"),
    ("constant", [4] * ROWS, "4 in every row"),
    ("country", ["Peru"] * ROWS, "'Peru' in every row"),
    ("hardly", [1.5, 2.5, *[None] * (ROWS - 2)], "missing in 58 of 60 rows"),
    ("nothing", [None] * ROWS, "missing in 60 of 60 rows"),
    ("area", ["north", "south", "west"] * 20, ""),
    ("half", [1.5, 2.5, None, None] * 15, ""),
    ("flag", [True, False] * 30, ""),
]


@pytest.mark.parametrize(("name", "cells", "reason"), LEFT_OUT, ids=[name or "no name" for name, *_ in LEFT_OUT])
def test_a_column_is_left_out_for_a_reason(name: str, cells: Sequence[float], reason: str) -> None:
    survey = survey_columns(table(**{name: list(cells), "price": NUMBERS}), "price")[name]
    assert survey.left_out.startswith(reason)
    assert bool(survey.left_out) == bool(reason)


def test_in_few_rows_numbers_that_count_them_may_be_amounts() -> None:
    assert survey_columns(table(a=[1, 2, 3], b=[2, 4, 5]), "b")["a"].left_out == ""
    assert survey_columns(table(id=[1, 2, 3], b=[2, 4, 5]), "b")["id"].left_out != ""


def test_too_many_categories_are_none() -> None:
    texts = [f"place {i % (CATEGORIES_LIMIT + 1)}" for i in range(1000)]
    survey = survey_columns(table(place=texts, price=list(range(1000))), "price")["place"]
    assert survey.left_out == "51 different texts in 1000 rows, such as 'place 0'"
    texts = [f"place {i % CATEGORIES_LIMIT}" for i in range(1000)]
    assert survey_columns(table(place=texts, price=list(range(1000))), "price")["place"].left_out == ""


TARGETS = [
    ("number", NUMBERS),
    ("number", [None, *NUMBERS[1:]]),
    ("number", [1, 2, 3] * 20),  # amounts may begin at 1; labels begin at 0
    ("number", [0, 2, 3] * 20),
    ("classes", [0, 1, 2] * 20),
    ("classes", ["red", "green", "blue"] * 20),
    ("two classes", ["no", "yes"] * 30),
    ("two classes", [None, "no", "yes"] * 20),
    ("two classes", [0, 1] * 30),
    ("two classes", [True, False] * 30),
    ("two classes", [1, 2] * 30),
    ("number", [0.5, 1] * 30),
]


@pytest.mark.parametrize(("prediction", "cells"), TARGETS)
def test_what_a_target_is_predicted_as(prediction: str, cells: Sequence[str | float | None]) -> None:
    survey = survey_columns(table(x=NUMBERS, target=cells), "target")["target"]
    assert predicted_as(survey, ROWS) == prediction


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([3] * ROWS, "is 3 in every row that has a value: there is nothing to learn; choose another column"),
        ([None] * ROWS, "has no value in any row; choose another column"),
        (
            [f"house {i}" for i in range(ROWS)],
            "has 60 different texts in 60 rows, such as 'house 0': they are neither numbers nor classes",
        ),
    ],
)
def test_a_target_that_cannot_be_learned(cells: Sequence[str | float | None], message: str) -> None:
    with pytest.raises(DataError, match=f"the target 'target' {message}"):
        survey_columns(table(x=NUMBERS, target=cells), "target")


def test_a_column_that_gives_the_answer_away_is_left_out() -> None:
    kinds = ["dog", "cat", "cow"] * 20
    tell_tale = [{"dog": 5, "cat": 7, "cow": 9}[kind] for kind in kinds]
    surveys = survey_columns(table(kind=kinds, code=tell_tale, other=["a", "b", "b"] * 20, size=NUMBERS), "kind")
    assert [(name, survey.left_out) for name, survey in surveys.items() if survey.left_out] == [
        ("code", "says the same as 'kind'")
    ]
