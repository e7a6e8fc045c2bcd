"""Blocks with attributes, calls that repeat, and blocks that plugins register: what they mean, that files keep them,
and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dataflow
from dataflow import Model, hookimpl
from dataflow.errors import DataflowError, GraphError, OpError, ShapeError
from dataflow.files.toml.read import loads_toml
from dataflow.limits import Limits
from dataflow.registry import registry
from dataflow.registry.registry import ClashError, Registry

HEAD = """\
dataflow = 2
inputs.x = { shape = ["n", 4] }
[blocks.layer]
inputs = ["h"]
attributes = { width = 4, factor = 1.0, order = [1, 0], exact = true }
output = "out"
parameters.W = { shape = ["2*width", "width"], init = "normal" }
nodes.t = "factor * transpose(h @ W.T, axes=order)"
nodes.out = "transpose(t, axes=order) @ W + width"
[nodes]
"""
X = np.random.default_rng(3).normal(size=(3, 4))


def read(nodes: str, head: str = HEAD) -> Model:
    return loads_toml(head + nodes, "net.toml")


def layer(h: np.ndarray, W: np.ndarray, factor: float = 1.0, width: float = 4) -> np.ndarray:
    return factor * h @ W.T @ W + width


def test_attributes_are_sizes_numbers_and_attributes_of_calls() -> None:
    model = read("y = 'layer(x)'\nz = 'layer(x[:, :2], width=2, factor=3)'")
    assert {name: value.shape for name, value in model.parameters.items()} == {"y.W": (8, 4), "z.W": (4, 2)}
    values, p = model.run(x=X), model.parameters
    np.testing.assert_allclose(values["y"], layer(X, p["y.W"]), rtol=1e-12)
    np.testing.assert_allclose(values["z"], layer(X[:, :2], p["z.W"], 3.0, 2), rtol=1e-12)
    assert model.graph.calls["z"]["attributes"] == {"width": 2, "factor": 3.0}
    assert "attributes" not in model.graph.calls["y"]


def test_a_repeated_call_is_calls_one_after_the_other() -> None:
    again = "w = 'layer(x, share=\"z.2\", factor=0.5)'"
    model = read(f"y = 'tanh(layer(x, repeat=2)) + 1'\nz = 'layer(y, factor=0.5, repeat=3)'\n{again}")
    assert list(model.parameters) == ["y.layer.1.W", "y.layer.2.W", "z.1.W", "z.2.W", "z.3.W"]
    values, p = model.run(x=X), model.parameters
    h = np.tanh(layer(layer(X, p["y.layer.1.W"]), p["y.layer.2.W"])) + 1
    np.testing.assert_allclose(values["y"], h, rtol=1e-12)
    for i in (1, 2, 3):
        h = layer(h, p[f"z.{i}.W"], 0.5)
        np.testing.assert_allclose(values[f"z.{i}"], h, rtol=1e-11)
    np.testing.assert_array_equal(values["z"], values["z.3"])
    np.testing.assert_allclose(values["w"], layer(X, p["z.2.W"], 0.5), rtol=1e-12)


NESTED = HEAD.replace(
    "[nodes]\n",
    """\
[blocks.tower]
inputs = ["x"]
attributes = { size = 4, count = 2 }
output = "top"
nodes.floors = "layer(x, width=size, repeat=count)"
nodes.top = { op = "layer", inputs = ["floors"], attributes = { width = 4, repeat = 1 } }
[nodes]
""",
)
FILES = {
    "attributes": (HEAD, "y = 'layer(x, factor=-2.5, exact=False)'\nz = 'layer(y)'"),
    "repetition": (
        HEAD,
        "y = 'tanh(layer(x, repeat=2))'\nz = 'layer(y, repeat=1)'\nw = 'layer(z, order=(1, 0), repeat=12)'",
    ),
    "nested": (NESTED, "y = 'tower(x)'\nz = 'tower(y, count=3, repeat=2)'\nw = 'layer(z, share=\"y.floors.2\")'"),
    "of a plugin": ('dataflow = 2\ninputs.x = { shape = ["n", 4] }\n[nodes]\n', "y = 'mine(x, repeat=2) * twice(x)'"),
}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A plugin with two blocks, one in a file and one as text."""
    path = tmp_path / "mine.toml"
    path.write_text(
        "dataflow = 2\n[blocks.mine]\ninputs = ['h']\nattributes = { gain = 2.0 }\noutput = 'o'\ndoc = 'A gain.'\n"
        "nodes.o = 'twice(h) * gain'\n"
    )
    text = "dataflow = 1\n[blocks.twice]\ninputs = ['h']\noutput = 'o'\nnodes.o = 'h * 2'\n"
    found = registry.registry()
    taken = Registry(**{**vars(found), "blocks": dict(found.blocks), "owners": dict(found.owners)})
    taken.add(type("Plugin", (), {"register_blocks": staticmethod(hookimpl(lambda: [path, text]))})(), "plugin 'mine'")
    monkeypatch.setattr(registry, "_current", [taken])
    return path


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("ending", [".toml", pytest.param(".msgpack", marks=pytest.mark.slow)])
def test_files_keep_them(case: str, ending: str, tmp_path: Path) -> None:
    head, nodes = FILES[case]
    model = read(nodes, head)
    dataflow.save(model, tmp_path / f"again{ending}")
    again = dataflow.load(tmp_path / f"again{ending}")
    assert list(again.graph) == list(model.graph)
    assert again.graph.calls == model.graph.calls
    assert again.graph.blocks == model.graph.blocks
    for name, value in model.run(x=X).items():
        np.testing.assert_array_equal(again.run(x=X)[name], value)
    if ending == ".toml":
        text = (tmp_path / "again.toml").read_text()
        assert nodes.split("'")[1] in text
        assert ("blocks" in text) == (case != "of a plugin")


def test_a_block_of_a_plugin_is_called_like_an_op(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = read("y = 'mine(x, gain=5)'", FILES["of a plugin"][0])
    np.testing.assert_array_equal(model.run(x=X)["y"], X * 10)
    assert list(model.graph.blocks) == ["mine", "twice"]
    dataflow.save(model, tmp_path / "m.msgpack")
    monkeypatch.setattr(registry, "_current", [])
    np.testing.assert_array_equal(dataflow.load(tmp_path / "m.msgpack").run(x=X)["y"], X * 10)  # it holds the block
    with pytest.raises(OpError, match="unknown op 'mine'"):
        read("y = 'mine(x)'", FILES["of a plugin"][0])


@pytest.mark.usefixtures("plugin")
def test_the_files_own_block_wins_and_a_plugin_calls_its_own() -> None:
    head = FILES["of a plugin"][0].replace("[nodes]", "[blocks.mine]\ninputs = ['a']\noutput = 'a'\n[nodes]")
    model = read("y = 'mine(x)'", head)
    np.testing.assert_array_equal(model.run(x=X)["y"], X)
    head = head.replace("blocks.mine", "blocks.twice")
    with pytest.raises(GraphError, match="calls the plugin's block 'twice', and the file has another of that name"):
        read("y = 'mine(x)'", head)


def test_a_block_and_an_op_have_different_names_and_a_plugins_file_holds_blocks_alone(tmp_path: Path) -> None:
    def add(text: str) -> None:
        plugin = type("Plugin", (), {"register_blocks": staticmethod(hookimpl(lambda: [text]))})()
        found = Registry(ops=dict(registry.registry().ops), owners=dict(registry.registry().owners))
        found.add(plugin, "plugin 'mine'")

    with pytest.raises(ClashError, match="the op of plugin 'nn' .* and the block of plugin 'mine' are both called"):
        add("dataflow = 1\n[blocks.relu]\ninputs = ['x']\noutput = 'x'\n")
    with pytest.raises(DataflowError, match="line 2.*holds nothing but .blocks., not 'nodes'|:2:.*holds nothing but"):
        add("dataflow = 1\nnodes.y = 'x'\n")


REFUSED: list[tuple[str, type[DataflowError], str]] = [
    ("y = 'layer(x, widht=3)'", OpError, r"11:6: block 'layer' has no attribute 'widht'; did you mean 'width'\?"),
    ("y = 'layer(x, width=2.5)'", OpError, "11:6: block 'layer': attribute 'width' takes int, not 2.5"),
    ("y = 'layer(x, order=3)'", OpError, "attribute 'order' takes list of int, not 3"),
    ("y = 'layer(x, width=-1)'", ShapeError, r"7:26: a size is an integer ≥ 0 .* with width = -1"),
    ("y = 'layer(x, width=5)'", ShapeError, "for the call 'y' of block 'layer'"),
    ("y = 'layer(x, width=width)'", DataflowError, "expected a constant"),
    (
        "y = 'layer(x, repeat=0)'",
        OpError,
        "11:6: repeat takes how often the block is called, a whole number from 1, not 0",
    ),
    ("y = 'layer(x, repeat=2.0)'", OpError, "a whole number from 1, not 2.0"),
    ("y = 'layer(x, repeat=true)'", OpError, "a whole number from 1, not true"),
    ("y = 'layer(x, repeat=None)'", OpError, "a whole number from 1, not None"),
    ("y = 'layer(x, repeat=1000000000)'", GraphError, "11:6: with all calls of blocks there are .* nodes; a file has"),
    ("y = 'layer(x)'\nz = 'layer(x, repeat=2, share=\"y\")'", OpError, "a call that repeats has parameters of its own"),
    ("y = 'layer(x, repeat=2)'\nz = 'layer(x, share=\"y\")'", OpError, r"no call 'y' of block 'layer'.*'y.1'"),
    ("y = 'layer(x, repeat=2)'\nz = 'layer(x, share=\"y.3\")'", OpError, "no call 'y.3' of block 'layer'"),
    ("y = 'layer(x)'\nz = 'layer(x, factor=2, share=\"y\")'", OpError, "'y' is a call with other attributes"),
    ("y = 'layer(x[:, :2], repeat=2, width=2)'\nz = 'y @ x'", ShapeError, "matmul"),
]


@pytest.mark.parametrize(("nodes", "error", "words"), REFUSED, ids=[case[0].partition("'")[2] for case in REFUSED])
def test_calls_that_are_refused(nodes: str, error: type[DataflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(nodes)


BLOCK = "dataflow = 2\ninputs.x = {{ shape = [2] }}\nnodes.y = 'b(x)'\n[blocks.b]\ninputs = ['a']\noutput = 'o'\n{}\n"
DECLARED: list[tuple[str, type[DataflowError], str]] = [
    ("attributes = { share = 'a' }\nnodes.o = 'a'", DataflowError, "7:16: 'share' names no attribute of a block"),
    ("attributes = { w = [] }\nnodes.o = 'a'", DataflowError, "7:20: attribute 'w' takes a number, text"),
    ("attributes = { w = [1, 'a'] }\nnodes.o = 'a'", DataflowError, "attribute 'w' takes a number, text"),
    ("attributes = { w = { a = 1 } }\nnodes.o = 'a'", DataflowError, "attribute 'w' takes a number, text"),
    ("attributes = { w = 1979-05-27 }\nnodes.o = 'a'", DataflowError, "attribute 'w' takes a number, text"),
    ("attributes = { a = 1 }\nnodes.o = 'a'", GraphError, "the name 'a' is used twice"),
    ("attributes = 3\nnodes.o = 'a'", DataflowError, "attributes of block 'b' takes a table"),
    (
        "attributes = { w = 0.5 }\nparameters.W = { shape = ['w'], init = 'zeros' }\nnodes.o = 'a'",
        ShapeError,
        "a size is a whole",
    ),
    ("attributes = { m = 'sum' }\nnodes.o = 'a + m'", DataflowError, "8:16: the attribute 'm' is 'sum', no number"),
    (
        "attributes = { m = true }\nnodes.o = {{ op = 'exp', inputs = ['m'] }}",
        DataflowError,
        "the attribute 'm' is true, no",
    ),
    ("attributes = { m = 2 }\nnodes.o = 'b(a, m=m)'", GraphError, "block 'b' calls itself"),
]


@pytest.mark.parametrize(("body", "error", "words"), DECLARED)
def test_declarations_that_are_refused(body: str, error: type[DataflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        loads_toml(BLOCK.format(body.replace("{{", "{").replace("}}", "}")), "net.toml")


def test_what_repeats_needs_one_input_and_the_version() -> None:
    two = HEAD.replace('inputs = ["h"]', 'inputs = ["h", "g"]')
    with pytest.raises(
        OpError, match="repeat needs a block with one input, which goes on to the next; 'layer' takes h, g"
    ):
        read("y = 'layer(x, x, repeat=2)'", two)
    old = HEAD.replace("dataflow = 2", "dataflow = 1")
    with pytest.raises(DataflowError, match="a block with attributes needs format 2"):
        read("y = 'layer(x)'", old)
    plain = 'dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ["h"]\noutput = "h"\n[nodes]\n'
    with pytest.raises(DataflowError, match="repeat needs format 2"):
        read("y = 'b(x, repeat=2)'", plain)


def test_blocks_that_are_called_with_ever_other_attributes_end_at_the_limit() -> None:
    count = 24
    text = "dataflow = 2\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
    names = ", ".join(f"p{i} = 0" for i in range(count))
    for i in range(count):
        given = ", ".join(f"p{j}=p{j}" for j in range(count) if j != i)
        inner = f"b{i + 1}(x, p{i}=0, {given}) + b{i + 1}(x, p{i}=1, {given})" if i < count - 1 else "x + p0"
        text += f"[blocks.b{i}]\ninputs = ['x']\nattributes = {{ {names} }}\noutput = 'y'\nnodes.y = '{inner}'\n"
    with Limits(nodes=2000), pytest.raises(GraphError, match="too many different attributes: each time they are read"):
        loads_toml(text)
