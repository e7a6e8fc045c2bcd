"""What the labels of a picture say: shapes, dtypes, numbers, or nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import main
from dataflow.draw.layout.text_metrics import text_width
from dataflow.draw.lecture.board_numbers import matrix_lines
from dataflow.draw.picture.aligned import SPACE
from dataflow.draw.picture.labels import value_lines
from dataflow.errors import DataError
from dataflow.files.toml.read import loads_toml

MIXED = """dataflow = 1
[inputs]
x = { shape = ["n", 3] }
k = { shape = [], dtype = "int64" }
[nodes]
loss = "sum(x) * k"
[model]
loss = "loss"
"""


@pytest.fixture
def xor():
    return dataflow.load(ROOT / "models" / "xor.toml")


def edges(model, **options):
    picture = dataflow.draw(model, style="graph", **options).picture
    return {(edge.source, edge.target): edge.label for edge in picture.edges}


def test_dtypes_are_shown_where_they_are_mixed(xor):
    assert edges(xor)["x", "z"] == "(n, 2)"
    assert edges(xor, labels="dtypes")["x", "z"] == "(n, 2) float64"
    assert edges(loads_toml(MIXED)) == {("x", "loss"): "(n, 3) float64", ("k", "loss"): "() int64"}


def test_shapes_are_concrete_where_an_example_or_data_are_given(xor):
    assert edges(xor, example=3)["x", "z"] == "(1, 2)"
    assert edges(xor, x=np.zeros((7, 2)))["z", "h"] == "(7, 2)"
    assert edges(xor, both=True, example=0)["W2", "grad.h"] == "W⁽²⁾ᵀ: (2, 1)"


@pytest.mark.parametrize("labels", ["none", "values"])
def test_without_labels_and_with_numbers_arrows_have_no_shapes(xor, labels):
    texts = set(edges(xor, both=True, labels=labels).values())
    assert texts == ({""} if labels == "none" else {"", "W⁽²⁾ᵀ"})


def test_values_are_a_kind_of_labels(xor):
    assert dataflow.draw(xor, labels="values").source == dataflow.draw(xor, values=True).source
    for labels in ("none", "shapes", "dtypes"):
        with pytest.raises(DataError, match=f"take either values or labels='{labels}'"):
            dataflow.draw(xor, values=True, labels=labels)
    with pytest.raises(DataError, match="the labels are one of 'none'"):
        dataflow.draw(xor, labels="all")


def test_the_lecture_style_has_shapes_where_they_are_asked_for(xor):
    def notes(**options):
        picture = dataflow.draw(xor, both=True, style="lecture", **options).picture
        return {node.key: node.lines[-1].text for node in picture.nodes}

    assert notes(labels="shapes", example=2)["h"] == "(1, 2)"
    assert notes(labels="dtypes")["W1"] == "(2, 2) float64"
    assert notes(labels="none") == notes()


def test_the_command_takes_labels(tmp_path):
    model = str(ROOT / "models" / "xor.toml")
    for words, found in ((["--example", "1"], "(1, 2)"), (["--set", "x=[[1, 2], [3, 4]]"], "(2, 2)")):
        done = CliRunner().invoke(main, ["draw", model, *words, "-o", str(tmp_path / "xor.dot")])
        assert done.exit_code == 0, done.output
        assert f'label="{found}"' in (tmp_path / "xor.dot").read_text(encoding="utf-8").replace('" (', '"(')
    done = CliRunner().invoke(main, ["draw", model, "--values", "--labels", "none", "-o", "xor.svg"])
    assert done.exit_code == 2
    assert "take either --values or --labels none" in done.stderr


MATRICES = [
    [[0.7, -1.3], [12.0, 3.25]],
    [[1.0, 2.0], [3.0, 4.0]],
    [[-0.0001, 1234.5, 0], [5, -0.25, 1e-9], [1e20, 3, 100]],
]


@pytest.mark.parametrize(
    "write", [lambda m: [line.text for line in value_lines(m)], matrix_lines], ids=["graph", "row"]
)
@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_columns_of_matrices_stand_under_each_other(matrix, write):
    """Where the points stand is added up from the widths of DejaVu Sans."""
    rows = write(np.array(matrix))
    slack = text_width(SPACE, 12)
    widths = [text_width(row, 12) for row in rows]
    assert max(widths) - min(widths) <= slack
    for column in range(len(matrix[0])):
        points = []
        for row in rows:
            start, end = [(m.start(), m.end()) for m in re.finditer(r"[-−+.\de]+", row)][column]
            cell = row[start:end]
            points.append(text_width(row[:start] + cell.partition(".")[0], 12))
        assert max(points) - min(points) <= slack * (column + 1)
