"""The texts that numbers of nodes stand for, in files of version 2."""

import copy

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


@pytest.mark.parametrize(
    ("classes", "place", "message"),
    [
        ('classes = { lable = ["a"] }', "7:21", "unknown node 'lable'; did you mean 'label'"),
        ('classes = { x = ["a"] }', "7:17", "'x' is float64; what stands for texts are whole numbers"),
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
