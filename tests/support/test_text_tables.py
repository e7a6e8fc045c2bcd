"""Columns of text, and texts that are cut: the expected lines are written out by hand."""

from __future__ import annotations

import pytest

from dataflow.errors import cut, listed
from dataflow.support.byte_sizes import size_in
from dataflow.support.text_tables import align, display_width
from dataflow.support.texts import shorten


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [["op", "shape", "count"], ["relu", "(4, 2)", "8"], ["sum", "()", "1,024"]]
    assert align(rows, 2) == ["op    shape   count", "relu  (4, 2)      8", "sum   ()      1,024"]
    assert align([["a", ""], ["bc", ""]], 2) == ["a", "bc"]
    assert align([], 1) == []


def test_wide_and_combining_characters_are_counted_as_a_terminal_shows_them() -> None:
    assert display_width("\u53d8\u91cf") == 4  # two ideographs, each of two columns
    assert display_width("e\u0301") == 1
    assert align([["\u53d8", "1"], ["xyz", "2"]], 1) == ["\u53d8   1", "xyz  2"]


@pytest.mark.parametrize("length", [0, 9, 10])
def test_a_text_that_fits_stays(length: int) -> None:
    assert cut("x" * length, 10) == "x" * length


def test_what_is_left_out_is_marked() -> None:
    assert cut("0123456789a", 10) == "0123456..."
    assert cut("0123456789a", 10, end=2) == "01234...9a"
    assert cut("0123456789a", 10, end=4, mark="\u2026") == "01234\u2026789a"
    assert shorten("a\x1b[2J\nb") == "a?[2J?b"
    assert listed(["a", "b", "c"], 2) == "'a', 'b' and 1 more"
    assert listed(["a", "b"]) == "'a', 'b'"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("64MB", 64_000_000), ("1.5 GiB", 1_610_612_736), ("512 kib", 524_288), (" 3 bytes ", 3),
        ("7k", 7000), ("", None), ("9007199254740993", 9007199254740993), ("-1", None),
        ("1e6", None), ("5 parsecs", None), ("x", None),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int | None) -> None:
    assert size_in(text) == size
