"""From file to file and back: msgpack to the bit, TOML to the same model."""

from __future__ import annotations

import shutil
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dataflow
from dataflow import ops
from dataflow.autodiff import gradient_graph
from dataflow.files.same import same_graph, same_model
from dataflow.files.text import loads_toml
from dataflow.files.write_text import toml_text
from dataflow.graph import Graph

MODELS = Path(__file__).parent.parent / "models"
FILES = sorted(MODELS.glob("*.toml"))


def results(model: dataflow.Model, data: Any = None) -> dict[str, bytes]:
    """All values and gradients, to the bit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {f"value {name}": array for name, array in model.run(data=data).items()}
        if model.loss is not None:
            found |= {f"gradient {name}": array for name, array in model.gradients(data=data).items()}
    return {name: repr((array.dtype, array.shape)).encode() + array.tobytes() for name, array in found.items()}


def test_the_models_are_there() -> None:
    assert len(FILES) >= 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has the data of all models."""
    for file in MODELS.glob("*.csv*"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_toml_to_msgpack_to_toml_to_msgpack(file: Path, folder: Path) -> None:
    original = dataflow.load(file)
    dataflow.save(original, folder / "1.msgpack")
    first = dataflow.load(folder / "1.msgpack")
    dataflow.save(first, folder / "2.toml")
    second = dataflow.load(folder / "2.toml")
    dataflow.save(second, folder / "3.msgpack")
    third = dataflow.load(folder / "3.msgpack")
    dataflow.save(third, folder / "4.toml")
    assert (folder / "1.msgpack").read_bytes() == (folder / "3.msgpack").read_bytes()
    assert (folder / "2.toml").read_bytes() == (folder / "4.toml").read_bytes()
    for model in (first, second, third):
        assert list(model.graph) == list(original.graph)
        assert same_model(model, original)
        assert not any("init" in data and model.parameters.known(name) is not None and data["init"] is not None
                       for name, data in model.graph.nodes(data=True))
    if original.data is not None:
        expected = results(original)
        assert all(results(model) == expected for model in (first, second, third))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_expressions_come_back_as_they_were_written(file: Path) -> None:
    model = dataflow.load(file)
    written = tomllib.loads(toml_text(model, MODELS))
    declared = tomllib.loads(file.read_text(encoding="utf-8"))
    assert list(written["nodes"]) == list(declared["nodes"])
    changed = {
        name: text
        for name, text in declared["nodes"].items()
        if written["nodes"][name].replace("'", '"') != text and "pi" not in text and "(x[0]" not in text
    }
    assert not changed
    for section in ("inputs", "parameters", "constants", "blocks", "model", "data"):
        assert written.get(section) == declared.get(section)


# ------------------------------------------------------------------------------------------------ any graph

PART
    first, path = saved(model, tmp_path / "a.msgpack"), tmp_path / "b.msgpack"
