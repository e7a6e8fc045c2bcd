"""Numbers as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow.support.number_texts import (
    current_format,
    number_format,
    number_text,
    number_texts,
    watched_numbers,
    without_negligible,
)


@pytest.mark.parametrize(
    ("value", "plain", "three", "exact"),
    [
        (2 / 3, "0.666667", "0.667", "0.6666666666666666"),
        (-0.0, "0", "0", "0.0"),
        (2.775558e-17, "2.77556e-17", "2.78e-17", "2.775558e-17"),
        (1234567.0, "1.23457e+06", "1.23e+06", "1234567.0"),
        (float("nan"), "nan", "nan", "nan"),
        (float("-inf"), "-inf", "-inf", "-inf"),
        (12345678, "12345678", "12345678", "12345678"),  # integers are as they are
        (np.True_, "True", "True", "True"),
    ],
)
def test_one_number(value, plain, three, exact) -> None:
    assert number_text(value) == plain
    with number_format(3):
        assert number_text(value) == number_text(value, 9) == three
    with number_format(exact=True):
        assert number_text(value) == exact
    with number_format(3, exact=True):
        assert number_text(value) == three


def test_what_is_negligible_beside_the_largest_is_0_and_is_told() -> None:
    array = np.array([[1.0, 2.775558e-17], [-3e-12, -4.0]])
    with number_format() as form:
        assert number_texts(array) == ["1", "0", "0", "-4"]
        assert form.hides
    with number_format(exact=True) as form:
        assert number_texts(array) == ["1.0", "2.775558e-17", "-3e-12", "-4.0"]
        assert not form.hides
    assert array[0, 1] == 2.775558e-17


@pytest.mark.parametrize(
    "array",
    [
        np.array(1e-30),  # beside nothing it is not small
        np.array([1e-30]),
        np.array([1e-30, 2e-30]),
        np.array([1e-12, 0.5]),
        np.array([1e-5, np.inf, np.nan]),  # what is not finite makes nothing small
        np.array([], float),
        np.array([1, 10**15]),
        np.array([True, False]),
    ],
)
def test_what_is_not_negligible_stays(array: np.ndarray) -> None:
    with number_format() as form:
        assert without_negligible(array) is array
        assert not form.hides


def test_formats_hold_inside_and_what_is_watched_is_told_once() -> None:
    assert current_format().is_plain
    with number_format(2) as outer:
        with watched_numbers() as inner:
            assert number_texts(np.array([1.25, 1e-20])) == ["1.2", "0"]
        assert (inner.hides, outer.hides) == (True, False)
    assert number_text(1.25) == "1.25"
