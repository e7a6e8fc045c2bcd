"""Which output predicts which input, in files of version 2."""

import copy

import pytest

from dataflow import DataflowError, compose, load, save
from dataflow.files.toml.read import loads_toml

TEXT = """\
dataflow = {version}
inputs.x = {{ shape = ["n", 2] }}
inputs.y = {{ shape = ["n", 1] }}
parameters.W = {{ shape = [2, 1], init = "he_normal" }}
[nodes]
yhat = "x @ W"
loss = "sum((yhat - y) ** 2)"
[model]
outputs = ["yhat"]
loss = "loss"
{targets}
"""


def text(targets='targets = { yhat = "y" }', version=2):
    return TEXT.format(targets=targets, version=version)


def test_a_file_says_them():
    assert loads_toml(text()).targets == {"yhat": "y"}
    assert loads_toml(text("")).targets == {}


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
def test_files_keep_them(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    save(loads_toml(text()), path)
    assert load(path).targets == {"yhat": "y"}
    with_them = path.read_bytes()
    save(loads_toml(text("")), path)
    without = path.read_bytes()
    assert (b"targets" in with_them, b"targets" in without) == (True, False)
    if ending == ".toml":
        assert (with_them[:12], without[:12]) == (b"dataflow = 2", b"dataflow = 1")
    else:  # the version is the four bytes after its key
        place = with_them.index(b"version\xce") + 11
        assert (with_them[place], without[place]) == (2, 1)


def test_copies_and_compositions_keep_them():
    model = loads_toml(text())
    assert copy.deepcopy(model).targets == {"yhat": "y"}
    first = loads_toml('dataflow = 1\ninputs.a = { shape = ["n", 2] }\n[nodes]\nb = "a * 2"\n[model]\noutputs = ["b"]')
    composed = compose(model, first, {"x": "b"})
    assert composed.targets == {"yhat": "y"}


@pytest.mark.parametrize(
    ("targets", "place", "message"),
    [
        ('targets = { yhat = "yy" }', "11:21", "'yhat' predicts no input 'yy'; did you mean 'y'"),
        ('targets = { yhat = "W" }', "11:21", "'yhat' predicts no input 'W'"),
        ('targets = { yhut = "y" }', "11:21", "'yhut' is no output; did you mean 'yhat'"),
        ("targets = { yhat = 3 }", "11:20", "takes the name of an input for each output, not 3"),
        ('targets = "y"', "11:12", "takes a table"),
    ],
)
def test_what_is_none(targets, place, message):
    with pytest.raises(DataflowError) as caught:
        loads_toml(text(targets), "m.toml")
    assert str(caught.value).startswith(f"m.toml:{place}: ")
    assert message in str(caught.value)


def test_they_need_version_2():
    with pytest.raises(DataflowError, match="targets needs format 2; begin the file with: dataflow = 2"):
        loads_toml(text(version=1))
