"""The published schema: it says something of every key, knows the keys that the reader knows, and agrees with it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from bad_input import ROWS
from checkout import ROOT

from dataflow.errors import DataflowError
from dataflow.files.toml.known_keys import KEYS, VERSION
from dataflow.files.toml.read import loads_toml
from dataflow.model.model import TrainSettings
from dataflow.shapes import DTYPES

SCHEMA = json.loads((ROOT / "dataflow" / "files" / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD = [
    "dataflow = 1",
    "dataflow = 1\n[inputs]\nx = {}\ny = { shape = [] }\nz = { shape = ['2*n+1', 0], dtype = 'bool' }",
    "dataflow = 1\n[inputs]\n'größe' = {}\n'_x1' = {}\n'λ' = {}",
    "dataflow = 1\n[parameters]\na = { value = 3 }\nb = { value = [[1, 2.5]], shape = [1, 2], dtype = 'float32' }",
    "dataflow = 1\n[parameters]\na = { shape = [2], init = { name = 'normal', std = 0.1 } }",
    "dataflow = 1\n[constants]\nm = { value = [true, false] }\nk = { value = 3, dtype = 'int64' }",
    "dataflow = 1\n[inputs]\nx = {}\n[nodes]\na = 'x + 1'\nb = { op = 'add', inputs = ['x', 1.5] }",
    "dataflow = 1\n[inputs]\nx = {shape = [2]}\n[nodes]\na = { op = 'sum', inputs = ['x'], attributes = { axis = 0 } }",
    "dataflow = 1\n[inputs]\nx = {}\n[blocks.b]\ninputs = ['v']\noutput = 'v'\ndoc = 'Nothing.'\n[nodes]\ny = 'b(x)'",
    "dataflow = 1\n[inputs]\nx = {}\n[model]\noutputs = ['x']\nloss = 'x'",
    "dataflow = 1\n[inputs]\nx = {shape = ['n']}\n[data]\nx = [1, 2]\nscale = { x = 0.5 }",
    "dataflow = 1\n[inputs]\nx = {shape = ['n', 3]}\n[data]\nx = [1, 2]\none_hot = { x = 3 }",
    "dataflow = 1\n[inputs]\nx = {shape = ['n', 2]}\n[data]\nfile = 'a/b.csv'\ncolumns = { x = ['p', 'q'] }",
    "dataflow = 1\n[inputs]\nx = {shape = ['n', 2]}\n[data]\ncolumns = { x = 'p:q' }",
    "dataflow = 2\n[inputs]\nx = {shape = ['n', 'k']}\n[parameters]\nW = { shape = [2, 'k'], init = 'zeros' }",
    "dataflow = 2\n[inputs]\nx = {shape = ['n', 'k']}\n[data]\nmissing = { a = 0, b = { fill = 0 } }\nweights = 'w'",
    "dataflow = 2\n[inputs]\nx = {shape = ['n', 'k']}\n[data]\ncategories = { c = 'index' }\nstandardize = ['x']",
    "dataflow = 2\n[inputs]\nx = {shape = ['n', 'k']}\n[data]\nfile = 'a.csv'\none_hot = { x = ['no', 'yes'] }",
    "dataflow = 1\n[inputs]\nmissing = {shape = ['n']}\n[data]\nmissing = [1, 2]",
    "dataflow = 1\n[train]\noptimizer = 'adam'\nepochs = 0\nbatch_size = 1\nshuffle = true\nvalidation = 0.25",
]


def tables() -> dict[str, dict[str, Any]]:
    """The schema's table for each kind of table that the reader knows."""
    definitions = SCHEMA["$defs"]
    named = {kind: definitions[kind] for kind in KEYS if kind != "file"}
    return {**named, "file": SCHEMA, "node": definitions["node"]["anyOf"][1]}


@pytest.mark.parametrize("kind", KEYS)
def test_the_reader_and_the_schema_know_the_same_keys(kind: str) -> None:
    assert set(tables()[kind]["properties"]) == set(KEYS[kind])


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for item in schema:
            yield from properties(item, path)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((f"{path}.{name}", entry) for name, entry in value.items() if entry is not False)
            yield from properties(value, f"{path}.{key}")


def test_every_key_has_a_description() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 40
    for path, entry in found.items():
        assert entry.get("description", "").endswith("."), path


def test_its_constants_are_those_of_the_engine() -> None:
    assert SCHEMA["properties"]["dataflow"]["enum"] == list(range(1, VERSION + 1))
    assert set(SCHEMA["$defs"]["dtype"]["enum"]) == set(DTYPES)
    train, default = SCHEMA["$defs"]["train"]["properties"], TrainSettings()
    assert train["optimizer"]["default"] == default.optimizer["name"]
    for key in ("epochs", "shuffle", "seed", "validation"):
        assert train[key]["default"] == getattr(default, key)


@pytest.mark.parametrize("text", GOOD)
def test_what_is_good_is_good_for_both(text: str) -> None:
    loads_toml(text)
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []


BAD = [
    "name = 'x'",
    "dataflow = 3",
    "dataflow = '1'",
    "dataflow = 1\nnam = 'x'",
    'dataflow = 1\nname = "a\\nb"',
    "dataflow = 1\ndtype = 'float8'",
    "dataflow = 1\n[[nodes]]\nz = 'x'",
    "dataflow = 1\n[inputs]\nx = 3",
    "dataflow = 1\n[inputs]\nfile = {}",
    "dataflow = 1\n[inputs]\n'a.b' = {}",
    "dataflow = 1\n[inputs]\n2a = {}",
    "dataflow = 1\n[inputs]\na-b = {}",
    "dataflow = 1\n[inputs]\nTrue = {}",
    "dataflow = 1\n[inputs]\nx = { shape = [-1] }",
    "dataflow = 1\n[inputs]\nx = { shape = 2 }",
    "dataflow = 1\n[parameters]\nW = {}",
    "dataflow = 1\n[parameters]\nW = { init = 'zeros' }",
    "dataflow = 1\n[parameters]\nW = { shape = [-1], init = 'zeros' }",
    "dataflow = 1\n[parameters]\nW = { shape = [2], init = { std = 3 } }",
    "dataflow = 1\n[parameters]\nW = { value = ['a'] }",
    "dataflow = 1\n[parameters]\nW = { value = 1, dtype = 'int64' }",
    "dataflow = 1\n[constants]\nk = { shape = [2] }",
    "dataflow = 1\n[constants]\nk = { init = 'zeros', value = 3 }",
    "dataflow = 1\n[nodes]\nz = 3",
    "dataflow = 1\n[nodes]\nz = ''",
    "dataflow = 1\n[nodes]\nz = { op = 'relu' }",
    "dataflow = 1\n[nodes]\nz = { op = 'relu', inputs = [['x']] }",
    "dataflow = 1\n[blocks.b]\ninputs = ['x']",
    "dataflow = 1\n[blocks.b]\ninputs = [3]\noutput = 'x'",
    "dataflow = 1\n[model]\noutputs = 'x'",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nx = 'a'",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nfile = '../a.csv'",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nfile = '/a.csv'",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nfile = 'a.csv'\nx = 3",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nx = 3\ncolumns = { x = 'a' }",
    "dataflow = 1\n[inputs]\nx = {}\n[data]\nfile = 'a.csv'\none_hot = { x = 0 }",
    "dataflow = 1\n[train]\nepoch = 3",
    "dataflow = 1\n[train]\nbatch_size = 0",
    "dataflow = 1\n[train]\nshuffle = 1",
    "dataflow = 1\n[train]\nvalidation = 1",
    "dataflow = 1\n[train]\noptimizer = { learning_rate = 1 }",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_bad_is_bad_for_both(text: str) -> None:
    assert not VALIDATOR.is_valid(tomllib.loads(text))
    with pytest.raises(DataflowError):
        loads_toml(text)


def test_unknown_keys_are_refused_by_both_wherever_they_stand() -> None:
    rows = [row for row in ROWS if "unknown key" in row[4]]
    assert len(rows) >= 7
    for text, *_ in rows:
        assert not VALIDATOR.is_valid(tomllib.loads(text)), text
