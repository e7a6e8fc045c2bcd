"""Where the data that a model's file names may lie, and how a user allows it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import said

import dataflow
from dataflow.data.allowed_folders import split_upwards

MODEL = """dataflow = {version}
[inputs]
x = {{ shape = ["n"] }}
y = {{ shape = ["n"] }}
[parameters]
w = {{ value = 0.5 }}
[nodes]
loss = "mse(w * x, y)"
[model]
loss = "loss"
[data]
{place}
[train]
epochs = 2
"""
WAYS = {"root": (2, 'file = "data/a.csv"\nroot = ".."'), "upwards": (1, 'file = "../data/a.csv"')}


@pytest.fixture(params=WAYS)
def model(request, tmp_path) -> Path:
    """A model in one folder, its data in another."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x,y\n1,2\n2,4\n")
    version, place = WAYS[request.param]
    path = tmp_path / "models" / "m.toml"
    path.write_text(MODEL.format(version=version, place=place))
    return path


COMMANDS = {
    "run": [],
    "check": [],
    "train": ["--quiet"],
    "gradients": [],
    "jacobian": ["--of", "loss", "--wrt", "w"],
    "explain": ["--of", "loss", "--wrt", "w"],
    "profile": [],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_data_outside_is_read_where_the_user_allows_it(model, name):
    top = model.parents[1]
    for folder in (top, top / "data", model.parent / ".."):
        said(name, model, *COMMANDS[name], "--data-root", folder)
    for words in ([], ["--data-root", model.parent]):
        error = said(name, model, *COMMANDS[name], *words, status=1)
        assert "the data file '../data/a.csv' lies outside the folder of its model" in error
        assert f"name it with --data, or, if you trust the model, allow that folder: --data-root {top}" in error
        assert error.count("\n") == 1
    if "root" in model.read_text():  # a request, not a fault of the file
        said(name, model, *COMMANDS[name], "--data", top / "data" / "a.csv")


def test_what_is_allowed_ends_with_the_command(model):
    said("run", model, "--data-root", model.parents[1])
    said("run", model, status=1)


def test_from_python(model):
    with pytest.raises(dataflow.DataError, match="--data-root"):
        _ = dataflow.load(model).run()
    loaded = dataflow.load(model, data_root=model.parents[1])
    assert loaded.run()["x"].tolist() == [1, 2]
    dataflow.train(loaded, epochs=1)
    with pytest.raises(dataflow.DataError, match="--data-root takes a folder"):
        dataflow.load(model, data_root=model)


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
@pytest.mark.filterwarnings("ignore:TOML holds the model")
def test_a_trained_file_asks_for_the_same(model, ending):
    top = model.parents[1]
    (top / "deep" / "er").mkdir(parents=True)
    for folder in (model.parent, top / "deep" / "er"):
        trained = folder / f"t{ending}"
        said("train", model, "--data-root", top, "-o", trained, "--quiet")
        assert "--data-root" in said("run", trained, status=1)
        expected = dataflow.load(trained).run(x=[1.0, 2.0], y=[2.0, 4.0])["loss"]
        assert json.loads(said("run", trained, "--data-root", top, "--json"))["loss"] == float(expected)
    inside = top / f"t{ending}"
    said("train", model, "--data-root", top, "-o", inside, "--quiet")
    assert dataflow.load(inside).data.root is None
    assert np.isfinite(json.loads(said("run", inside, "--json"))["loss"])


def test_a_granted_folder_is_no_way_to_others(tmp_path, model):
    top = model.parents[1]
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(top / "data" / "a.csv", secret / "a.csv")
    if hasattr(os, "symlink"):
        (top / "data" / "link.csv").symlink_to(secret / "a.csv")
    places = ['file = "link.csv"\nroot = "../data"', 'file = "../secret/a.csv"\nroot = "../data"']
    places += [f'file = "a.csv"\nroot = "{secret}"', f'file = "{secret}/a.csv"', 'file = "a.csv"\nroot = "../secret"']
    for place in places:
        model.write_text(MODEL.format(version=2, place=place))
        error = said("run", model, "--data-root", top / "data", status=1)
        assert "lies outside the folder of its model" in error


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("a.csv", (None, "a.csv")),
        ("../a.csv", ("..", "a.csv")),
        ("../../data/a.csv", ("../..", "data/a.csv")),
        ("data/../a.csv", (None, "data/../a.csv")),
        ("..", (None, "..")),
        ("..a.csv", (None, "..a.csv")),
    ],
)
def test_requests_are_taken_apart(file, split):
    assert split_upwards(file) == split
