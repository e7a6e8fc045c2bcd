"""What a trained file says of where its parameters come from, and what ``dataflow check`` makes of it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import main
from dataflow.model.digests import graph_digest, parameter_digest

XOR = MODELS / "xor.toml"


def check(path: Path, *words: str) -> Any:
    done = CliRunner().invoke(main, ["check", str(path), *words])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    model = dataflow.load(XOR)
    dataflow.train(model, epochs=3, seed=5, batch_size=3, validation=0.25, optimizer={"name": "adam", "beta1": 0.5})
    path = tmp_path / "trained.msgpack"
    dataflow.save(model, path)
    return path


def test_the_manifest_is_in_the_file(trained: Path) -> None:
    model = dataflow.load(trained)
    found = model.training["manifest"]
    assert found["graph"] == graph_digest(model)
    assert found["parameters"] == parameter_digest(model)
    assert found["dataflow"] == metadata.version("dataflow-autodiff")
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version() == ".".join(map(str, sys.version_info[:3]))
    took_part = {part for parts in found["plugins"].values() for part in parts}
    assert {"op relu", "op mse", "optimizer adam", "backend numpy"} <= took_part
    assert "optimizer sgd" not in took_part
    assert f"plugin 'nn' (dataflow-autodiff {found['dataflow']})" in found["plugins"]
    assert model.training["seed"] == 5


def test_the_digest_of_the_data_is_that_of_the_examples(trained: Path) -> None:
    """Written out here: SHA-256 over each input's name, shape, dtype and bytes, in the order of the names."""
    found = dataflow.load(trained).training["manifest"]
    source = dataflow.load(XOR)
    assert source.data is not None
    arrays = source.data.load(source.graph)
    for key, rows in ("data", slice(0, 3)), ("held_out", slice(3, 4)):
        digest = hashlib.sha256()
        for name in sorted(arrays):
            part = np.ascontiguousarray(arrays[name][rows])
            digest.update(repr((name, part.shape, part.dtype.str)).encode() + part.tobytes())
        assert found[key] == digest.hexdigest()


def test_check_prints_it(trained: Path) -> None:
    found = dataflow.load(trained).training["manifest"]
    printed = check(trained).stdout
    assert "trained     3 epochs of adam, learning_rate 0.001, beta1 0.5" in printed
    assert "batch size 3, shuffle false, seed 5, validation 0.25, backend numpy" in printed
    assert f"by dataflow {found['dataflow']}, numpy {np.__version__}, Python {platform.python_version()}" in printed
    assert "optimizer adam" in printed
    assert f"data      {found['data']}" in printed
    assert "changed since" not in printed
    document = json.loads(check(trained, "--json").stdout)
    assert document["training"]["same_graph"]
    assert document["training"]["same_parameters"]
    assert document["training"]["settings"]["seed"] == 5
    assert document["training"]["plugins"] == found["plugins"]


def test_what_was_changed_since_is_said(trained: Path) -> None:
    model = dataflow.load(trained)
    name = next(iter(model.parameters))
    model.parameters[name] = model.parameters[name] + 1
    dataflow.save(model, trained)
    printed = check(trained).stdout
    assert f"parameters were changed since; then it was {model.training['manifest']['parameters']}" in printed
    assert "graph was changed" not in printed
    assert not json.loads(check(trained, "--json").stdout)["training"]["same_parameters"]


def test_a_model_that_nobody_trained_has_none() -> None:
    assert json.loads(check(XOR, "--json").stdout)["training"] is None
    assert "trained" not in check(XOR).stdout


def test_toml_says_that_it_is_left_out(trained: Path, tmp_path: Path) -> None:
    with pytest.warns(dataflow.DataflowWarning, match="not the state of its training and where that comes from"):
        dataflow.save(dataflow.load(trained), tmp_path / "a.toml")
    assert dataflow.load(tmp_path / "a.toml").training == {}


@pytest.mark.parametrize(
    "lie",
    [
        {},
        {"graph": 3, "plugins": "none", "numpy": ["x"], "data": None},
        {"plugins": {"\x1b]0;owned\x07": ["\n", 3]}, "dataflow": "\x1b[2J", "python": "x" * 5000},
        {"plugins": {"a": 3}, "held_out": {"deep": [1, {"a": None}]}},
    ],
)
@pytest.mark.parametrize(
    "rest", [{}, {"epochs": "many", "optimizer": {"name": 3}}, {"optimizer": {"name": "sgd", "x": 10**400}}]
)
def test_a_manifest_that_is_none_is_printed_safely(lie: dict[str, Any], rest: dict[str, Any], tmp_path: Path) -> None:
    model = dataflow.load(XOR)
    model.training = {"manifest": lie, **rest}
    path = tmp_path / "lie.msgpack"
    dataflow.save(model, path)
    printed = check(path).stdout
    assert all(line.isprintable() and len(line) < 600 for line in printed.splitlines())
    assert "graph was changed since" in printed
    json.loads(check(path, "--json").stdout)


def test_a_record_of_any_content_can_be_told(trained: Path, tmp_path: Path) -> None:
    """A stranger's file may hold anything here: numbers that JSON lacks, and arrays where digests are expected."""
    model = dataflow.load(trained)
    model.training["manifest"] |= {"graph": np.array([1.0, np.nan]), "parameters": math.inf, "numpy": [math.nan, 3]}
    model.training["optimizer"] = {"name": "sgd", "learning_rate": -math.inf}
    path = tmp_path / "hostile.msgpack"
    dataflow.save(model, path)
    told = json.loads(check(path, "--json").stdout, parse_constant=pytest.fail)["training"]
    assert told["graph"] == [1.0, "nan"]
    assert told["parameters"] == "inf"
    assert told["numpy"] == ["nan", 3]
    assert told["settings"]["optimizer"] == {"name": "sgd", "learning_rate": "-inf"}
    assert told["same_graph"] is told["same_parameters"] is False
    assert "graph was changed since" in check(path).stdout
