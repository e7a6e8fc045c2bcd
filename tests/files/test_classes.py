"""The texts that numbers of nodes stand for, in files of version 2."""

import copy
import json

import numpy as np
import pytest

from dataflow import DataflowError, compose, load, save
from dataflow.files.toml.read import loads_toml
from dataflow.model.comparison import compare

TEXT = """\
dataflow = {version}
inputs.x = {{ shape = ["n", 2] }}
[nodes]
label = "argmax(x, axis=1)"
[model]
outputs = ["label"]
{classes}
"""
NAMED = {"label": ["no", 'a "yes"\n']}


def text(classes='classes = { label = ["no", "a \\"yes\\"\\n"] }', version=2):
    return TEXT.format(classes=classes, version=version)


def test_a_file_says_them():
    assert loads_toml(text()).graph.classes == NAMED
    assert loads_toml(text("")).graph.classes == {}


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
def test_files_keep_them(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    save(loads_toml(text()), path)
    assert load(path).graph.classes == NAMED
    with_them = path.read_bytes()
    save(loads_toml(text("")), path)
    assert (b"classes" in with_them, b"classes" in path.read_bytes()) == (True, False)


def test_copies_compositions_and_comparisons_know_them():
    model = loads_toml(text())
    assert copy.deepcopy(model).graph.classes == model.graph.copy().classes == NAMED
    first = loads_toml('dataflow = 1\ninputs.a = { shape = ["n", 2] }\n[nodes]\nb = "a * 2"\n[model]\noutputs = ["b"]')
    assert compose(model, first, {"x": "b"}).graph.classes == NAMED
    assert list(compare(model, loads_toml(text(""))).model) == ["classes.label"]


def test_predictions_are_texts():
    found = loads_toml(text('classes = { label = ["no"] }')).predict({"x": [[2.0, 1], [1, 2]]})["label"]
    assert found.tolist() == ["no", "1"]  # 1 stands for nothing, and is itself


FED = """\
dataflow = 2
inputs.kind = { shape = ["n"], dtype = "int64" }
constants.shares = { value = [[0.25, 0.75], [1, 0], [0.5, 0.5]] }
[nodes]
share = "gather(shares, kind)"
[model]
outputs = ["share"]
classes = { kind = ["cat", "dog"], share = ["no", "yes"] }
"""


@pytest.fixture
def fed(tmp_path):
    (tmp_path / "m.toml").write_text(FED)
    return load(tmp_path / "m.toml")


def test_inputs_take_texts(fed, tmp_path):
    """Each as the number that stands for it; what no number stands for is the one behind the last. Numbers stay."""
    expected = [[1, 0], [0.25, 0.75], [0.5, 0.5]]
    assert fed.run(kind=["dog", "cat", "cow"])["share"].tolist() == expected
    assert fed.run(kind=np.array(["dog", "cat", "cow"]))["share"].tolist() == expected
    assert fed.run(kind=[1, 0, 2])["share"].tolist() == expected
    (tmp_path / "t.csv").write_text("kind\ndog\ncat\ncow\n")
    (tmp_path / "n.csv").write_text("kind\n1\n0\n2\n")
    (tmp_path / "t.json").write_text(json.dumps({"kind": ["dog", "cat", "cow"]}))
    for name in ("t.csv", "n.csv", "t.json"):
        assert fed.predict(tmp_path / name)["share"].tolist() == expected, name
    rows = [{"kind": "dog"}, {"kind": "cat"}, {"kind": "cow"}]
    assert fed.predict(rows)["share"].tolist() == expected


def test_a_missing_text_and_a_text_for_an_input_without_any_are_refused(fed, tmp_path):
    (tmp_path / "t.csv").write_text("kind\ndog\n\ncow\n".replace("\n\n", '\n""\n'))
    with pytest.raises(DataflowError, match="the cell is missing"):
        fed.predict(tmp_path / "t.csv")
    del fed.graph.classes["kind"]
    with pytest.raises(DataflowError, match="a number is expected, 'dog' found"):
        fed.run(kind=["dog"])


def test_entries_along_a_last_axis_have_names(fed, tmp_path):
    predictions = fed.predict({"kind": ["dog", "cat"]})
    assert {name: cells.tolist() for name, cells in predictions.columns().items()} == {
        "share_no": [1, 0.25],
        "share_yes": [0, 0.75],
    }
    assert predictions.arrays()["share_classes"].tolist() == ["no", "yes"]
    for ending in (".toml", ".msgpack"):
        save(fed, tmp_path / f"again{ending}")
        assert load(tmp_path / f"again{ending}").graph.classes == fed.graph.classes


@pytest.mark.parametrize(
    ("classes", "place", "message"),
    [
        ('classes = { lable = ["a"] }', "7:21", "unknown node 'lable'; did you mean 'label'"),
        ('classes = { x = ["a"] }', "7:17", r"'x' is \(n, 2\), and its last axis is to have 1 entries"),
        ("classes = { label = [1] }", "7:21", "of 'label' a list of texts is expected"),
        ('classes = { label = ["a", "a"] }', "7:21", "of 'label' the text 'a' is listed twice"),
        ('classes = "y"', "7:12", "takes a table"),
    ],
)
def test_what_is_none(classes, place, message):
    with pytest.raises(DataflowError, match=message) as caught:
        loads_toml(text(classes), "m.toml")
    assert str(caught.value).startswith(f"m.toml:{place}")


def test_they_need_version_2():
    with pytest.raises(DataflowError, match="classes needs format 2; begin the file with: dataflow = 2"):
        loads_toml(text(version=1))
