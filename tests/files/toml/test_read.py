"""Reading TOML: what every section means; blocks."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from checkout import ROOT

import dataflow
from dataflow.errors import DataflowError
from dataflow.files.toml.read import load_toml, loads_toml

MODELS = sorted((ROOT / "models").glob("*.toml"))
SCHEMA = json.loads((ROOT / "dataflow" / "files" / "schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_fits_the_schema_loads_and_runs(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), SCHEMA)
    model = load_toml(path)
    values = model.run()
    assert all(name in values for name in model.outputs)
    assert all(np.isfinite(values[name]).all() for name in values if values[name].dtype.kind == "f")


@pytest.mark.parametrize(
    "text",
    [
        "dataflow = 3",
        "dataflow = 1\nnme = 'x'",
        "dataflow = 1\n[inputs]\nx = { shpe = [] }",
        "dataflow = 1\n[train]\nepochs = 'many'",
        "dataflow = 1\n[parameters]\nW = { shape = [2] , init = 'zeros', value = 3 }",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), SCHEMA)
    with pytest.raises(DataflowError):
        loads_toml(text)


def test_the_order_of_nodes_does_not_matter() -> None:
    text = (ROOT / "models" / "xor.toml").read_text(encoding="utf-8")
    head, rest = text.split("[nodes]\n")
    nodes, tail = rest.split("\n\n[model]")
    expected = load_toml(ROOT / "models" / "xor.toml").run()
    lines = nodes.split("\n")
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        values = loads_toml(head + "[nodes]\n" + "\n".join(lines) + "\n\n[model]" + tail).run()
        assert set(values) == set(expected)
        np.testing.assert_array_equal(values["loss"], expected["loss"])


def test_inner_nodes_are_named_in_the_order_of_evaluation() -> None:
    model = loads_toml("""
    dataflow = 1
    [inputs]
    x = { shape = ["n", 2] }
    [nodes]
    y = "x * 2 + relu(x) * 3 + [1, 2]"
    long = { op = "sum", inputs = ["y"], attributes = { axis = 1 } }
    """)
    inner = [name for name in model.graph if name.startswith("y.")]
    assert inner == ["y.multiply", "y.relu", "y.multiply_2", "y.add", "y.constant"] or inner[:4] == [
        "y.multiply",
        "y.relu",
        "y.multiply_2",
        "y.add",
    ]
    np.testing.assert_array_equal(model.run(x=[[1, -1]])["long"], [2 - 2 + 3 + 0 + 1 + 2])


def test_dtypes_constants_unicode_and_pi() -> None:
    model = loads_toml("""
    dataflow = 1
    dtype = "float32"
    [inputs]
    "größe" = { shape = [] }
    k = { shape = [], dtype = "int64" }
    [constants]
    c = { value = [1.5, 2.5] }
    [nodes]
    y = "größe * c * pi ** k"
    """)
    values = model.run(data={"größe": 2, "k": 1})
    assert values["y"].dtype == model.graph.node_of("y").dtype
    np.testing.assert_allclose(values["y"], 2 * np.array([1.5, 2.5]) * np.pi, rtol=1e-6)


BLOCKS = """
dataflow = 1
[inputs]
x = { shape = ["n", 2] }
[blocks.layer]
inputs = ["x"]
output = "h"
[blocks.layer.parameters]
W = { shape = [2, 2], init = "he_normal" }
b = { shape = [2], init = "zeros" }
[blocks.layer.nodes]
z = "x @ W.T + b"
h = "relu(z)"
[nodes]
first = "layer(x)"
second = "layer(first) + 1"
third = "layer(x, share='first')"
[model]
outputs = ["second", "third"]
"""


def test_a_block_is_called_with_parameters_of_its_own_or_shared_ones() -> None:
    model = loads_toml(BLOCKS)
    assert list(model.parameters) == ["first.W", "first.b", "second.layer.W", "second.layer.b"]
    assert model.graph.node_of("first.z").block == "first"
    x = np.random.default_rng(0).normal(size=(3, 2))
    values = model.run(x=x)
    np.testing.assert_array_equal(values["third"], values["first"])
    W, b = model.parameters["second.layer.W"], model.parameters["second.layer.b"]
    np.testing.assert_allclose(values["second"], np.maximum(values["first"] @ W.T + b, 0) + 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer(x)", "layer(x, x)", "layer"),
        ("layer(x)", "layer()", "layer"),
        ("share='first'", "share='frist'", "first"),
        ("share='first'", "shar='first'", "share"),
        ('z = "x @ W.T + b"', 'z = "layer(x)"', "layer"),
        ('output = "h"', 'output = "hh"', "did you mean"),
        ('output = "h"', "", "output"),
        ('z = "x @ W.T + b"', 'z = "x @ W.T + c"', "'c'"),
        ("b = { shape = [2]", "b = { shape = [3]", "does not fit|do not broadcast"),
    ],
)
def test_blocks_that_are_wrong(old: str, new: str, message: str) -> None:
    with pytest.raises(DataflowError, match=message) as caught:
        loads_toml(BLOCKS.replace(old, new), "blocks.toml")
    assert caught.value.line is not None


def test_what_is_drawn_depends_on_seed_and_name_alone() -> None:
    one = loads_toml(BLOCKS)
    other = loads_toml(BLOCKS.replace('second = "layer(first) + 1"', 'zero = "layer(x)"\nsecond = "layer(first) + 1"'))
    np.testing.assert_array_equal(one.parameters["second.layer.W"], other.parameters["second.layer.W"])
    seeded = loads_toml(BLOCKS + "[train]\nseed = 1\n")
    assert not np.array_equal(seeded.parameters["first.W"], one.parameters["first.W"])


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.csv", "a/../../b.csv"])
def test_data_stays_in_the_folder_of_the_model(tmp_path: Path, path: str) -> None:
    text = (
        'dataflow = 1\n[inputs]\nx = { shape = ["n", 2] }\n[nodes]\ny = "x * 2"\n'
        f'[data]\nfile = "{path}"\ncolumns = {{ x = "a:b" }}\n'
    )
    (tmp_path / "model.toml").write_text(text)
    (tmp_path.parent / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataflowError, match="folder"):
        dataflow.load(tmp_path / "model.toml").run()


def test_numbers_of_the_examples() -> None:
    assert len(MODELS) == 13
    assert all(dataflow.load(path).doc for path in MODELS)
