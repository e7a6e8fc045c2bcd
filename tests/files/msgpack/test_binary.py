from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_graph import graphs
from hypothesis import given, settings

import dataflow
from dataflow import ops
from dataflow.autodiff.reverse import gradient_graph
from dataflow.data.source import DataSource
from dataflow.files.msgpack.container import read_container, write_container
from dataflow.graph.graph import Graph

NUMBERS = [0, -3, 2**63 - 1, -(2**63), 0.1, -0.0, 5e-324, 1e300, math.inf, -math.inf, math.nan, True, False]


def example() -> dataflow.Model:
    graph = Graph("net", dtype="float32")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 3), "float64")
    W = graph.parameter("W", (3, 2), init={"name": "normal", "std": 0.5})
    b = graph.parameter("b", value=[0.1, -0.0, np.nan])
    c = graph.constant("c", [True, False, True])
    h = graph.node("h", ops.relu(x @ W.T + b))
    graph.node("picked", ops.where(c, h, -2.5)[:, 1:])
    graph.node("loss", ops.mse(h, y, reduction="mean"))
    data = DataSource({"x": [[0, 1], [1, 0]], "y": np.ones((2, 3))}, scale={"x": 0.5})
    train = dataflow.TrainSettings({"name": "adam", "learning_rate": 0.01}, 7, 2, True, 3, 0.25)
    model = dataflow.Model(graph, ["h", "picked"], "loss", doc="A net.\nOf one layer.", data=data, train=train)
    model.training = {
        "epoch": 7,
        "loss": [0.5, math.inf, math.nan],
        "state": {"mean": np.arange(9, dtype=np.float32), "steps": [{"count": np.array(3)}, None, True]},
        "generator": {"state": 2**127 + 1, "text": "PCG64"},
    }
    return model


def saved(model: dataflow.Model, path: Path) -> bytes:
    dataflow.save(model, path)
    return path.read_bytes()


def assert_same(a: dataflow.Model, b: dataflow.Model) -> None:
    """The same graph in the same order, to the bit."""
    assert list(a.graph) == list(b.graph)
    assert sorted(a.graph.edges(keys=True)) == sorted(b.graph.edges(keys=True))
    assert a.graph.schedule() == b.graph.schedule()
    assert (a.graph.name, a.graph.dtype) == (b.graph.name, b.graph.dtype)
    for name in a.graph:
        left, right = a.graph.node_of(name), b.graph.node_of(name)
        for key in {field.name for field in fields(left)} - {"value", "literals"}:
            assert repr(getattr(left, key)) == repr(getattr(right, key)), (name, key)
        assert repr(a.graph.arguments(name)) == repr(b.graph.arguments(name))
        if left.value is not None:
            assert left.value.dtype == right.value.dtype
            assert left.value.shape == right.value.shape
            assert left.value.tobytes() == right.value.tobytes()
    assert (a.outputs, a.loss, a.doc, a.train_settings) == (b.outputs, b.loss, b.doc, b.train_settings)
    for name in a.parameters:
        assert a.parameters[name].tobytes() == b.parameters[name].tobytes()


def test_everything_comes_back(tmp_path: Path) -> None:
    model = example()
    first = saved(model, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    assert not back.parameters.drawn
    assert saved(back, tmp_path / "b.msgpack") == first
    assert repr(back.training["loss"]) == repr(model.training["loss"])
    assert back.training["generator"] == model.training["generator"]
    state = back.training["state"]
    assert state["mean"].dtype == np.float32
    assert state["mean"].tolist() == list(range(9))
    assert state["steps"][0]["count"].shape == ()
    assert state["steps"][1:] == [None, True]
    assert back.data is not None
    assert back.data.load(back.graph)["x"].tolist() == [[0, 0.5], [0.5, 0]]
    assert_same(model, back)


def test_undrawn_parameters_stay_so_and_are_drawn_equal(tmp_path: Path) -> None:
    model = example()
    dataflow.save(model, tmp_path / "a.msgpack")
    assert "parameters/W" not in read_container(tmp_path / "a.msgpack").tensors
    assert np.array_equal(dataflow.load(tmp_path / "a.msgpack").parameters["W"], model.parameters["W"])
    other = example()
    other.parameters.redraw(11)
    dataflow.save(other, tmp_path / "b.msgpack")
    assert np.array_equal(dataflow.load(tmp_path / "b.msgpack").parameters["W"], other.parameters["W"])
    assert not np.array_equal(model.parameters["W"], other.parameters["W"])


def test_drawn_parameters_are_kept_beside_their_init(tmp_path: Path) -> None:
    model = example()
    model.parameters["W"] = np.arange(6).reshape(3, 2)
    model.parameters["b"] = [1, 2, 3]
    first = saved(model, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    assert back.parameters.drawn
    assert back.parameters["W"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert back.parameters["b"].tolist() == [1, 2, 3]
    assert back.graph.node_of("W").init == {"name": "normal", "std": 0.5}
    assert saved(back, tmp_path / "b.msgpack") == first


def test_nothing_done_to_a_loaded_model_reaches_the_file(tmp_path: Path) -> None:
    model = example()
    assert model.parameters["W"].shape == (3, 2)
    first = saved(model, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    for array in (back.parameters["W"], back.graph.node_of("c").value, back.training["state"]["mean"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    back.parameters["W"] = np.full((3, 2), 7)
    assert (tmp_path / "a.msgpack").read_bytes() == first
    second = saved(back, tmp_path / "a.msgpack")
    assert second != first
    assert back.parameters["W"].tolist() == [[7, 7]] * 3


def test_literals_keep_their_types(tmp_path: Path) -> None:
    graph = Graph("literals")
    x = graph.input("x", ("n",))
    for i, number in enumerate(NUMBERS):
        graph.node(f"n{i}", ops.where(x > 0, x, number))
    graph.node("both", graph.apply(ops.exp, [2]))
    model = dataflow.Model(graph, ["both"])
    first = saved(model, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    for i, number in enumerate(NUMBERS):
        found: Any = back.graph.arguments(f"n{i}")[2]
        assert (type(found), repr(found)) == (type(number), repr(number))
    assert saved(back, tmp_path / "b.msgpack") == first
    graph.node("large", x * 2**64)
    with pytest.raises(dataflow.FileFormatError, match="node 'large.*more than 64 bits"):
        dataflow.save(model, tmp_path / "c.msgpack")
    assert not (tmp_path / "c.msgpack").exists()


def test_gradient_graphs_come_back(tmp_path: Path) -> None:
    model = example()
    extended = gradient_graph(model.graph, "loss", ["W", "b"])
    again = gradient_graph(extended.graph, extended.cotangents["W"], ["x"])
    both = dataflow.Model(again.graph, [extended.cotangents["W"]])
    first = saved(both, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    assert saved(back, tmp_path / "b.msgpack") == first
    assert_same(both, back)


def test_an_order_that_is_not_topological_stays(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    inner = ops.exp(x)
    outer = ops.sin(inner)
    graph.input("exp", (2,))  # the unnamed node makes way and stands after what uses it
    graph.node("y", outer)
    order = list(graph)
    graph.input("late", (3,))
    shuffled = Graph()
    shuffled.graph.update(graph.graph)
    names = ["y", *[name for name in graph if name != "y"]]
    for name in names:
        shuffled.set_node(name, graph.node_of(name))
    shuffled.add_edges_from(graph.edges(keys=True))
    for g in (graph, shuffled):
        model = dataflow.Model(g, ["y"])
        first = saved(model, tmp_path / "a.msgpack")
        back = dataflow.load(tmp_path / "a.msgpack")
        assert list(back.graph) == list(g)
        assert saved(back, tmp_path / "b.msgpack") == first
    assert order[0] == "x"


def test_a_data_file_is_found_from_the_new_folder_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.csv").write_text("x\n1\n2\n")
    graph = Graph()
    graph.node("y", graph.input("x", ("n",)) * 2)
    data = DataSource(file=Path("d.csv"), columns={"x": "x"}, scale={"x": 2.0}, folder=tmp_path / "sub")
    model = dataflow.Model(graph, ["y"], data=data)
    for folder, file in ((tmp_path / "sub", "d.csv"), (tmp_path, "sub/d.csv")):
        dataflow.save(model, folder / "m.msgpack")
        back = dataflow.load(folder / "m.msgpack")
        assert back.data is not None
        assert back.data.file == Path(file)
        assert back.run()["y"].tolist() == [4, 8]
    (tmp_path / "other").mkdir()
    with pytest.warns(dataflow.DataflowWarning, match="d.csv.*--data"):
        dataflow.save(model, tmp_path / "other" / "m.msgpack")
    back = dataflow.load(tmp_path / "other" / "m.msgpack")
    assert back.data is not None
    assert (back.data.file, back.data.scale) == (None, {"x": 2.0})
    # A file of that name beside the new one is taken for it; one that has gone is still meant.
    (tmp_path / "other" / "d.csv").write_text("x\n5\n")
    dataflow.save(model, tmp_path / "other" / "m.msgpack")
    (tmp_path / "other" / "d.csv").unlink()
    again = dataflow.load(tmp_path / "other" / "m.msgpack")
    first = (tmp_path / "other" / "m.msgpack").read_bytes()
    assert saved(again, tmp_path / "other" / "n.msgpack") == first


# ------------------------------------------------------------------------------------------------ what cannot be saved


def test_an_op_that_nobody_registered_is_refused(tmp_path: Path) -> None:
    @dataflow.op
    def mine(x):  # type: ignore[no-untyped-def]
        """Twice."""
        return x + x

    graph = Graph()
    graph.node("y", mine(graph.input("x", (2,))))
    with pytest.raises(dataflow.OpError, match=r"m\.msgpack: node 'y': op 'mine' is registered by no plugin"):
        dataflow.save(dataflow.Model(graph, ["y"]), tmp_path / "m.msgpack")


@pytest.mark.parametrize(
    ("training", "message"),
    [({"a": object()}, "holds a object"), ({1: 2}, "no text"), ({"a": np.zeros(2, "c8")}, "complex64")],
)
def test_training_state_that_is_no_plain_data_is_refused(tmp_path: Path, training: Any, message: str) -> None:
    model = example()
    model.training = training
    with pytest.raises(dataflow.FileFormatError, match=message):
        dataflow.save(model, tmp_path / "m.msgpack")


@pytest.mark.parametrize("name", ["m.pickle", "m", ".msgpack", "m.TXT"])
def test_unknown_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(dataflow.FileFormatError, match=rf"{name}.*\.msgpack"):
        dataflow.save(example(), tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(dataflow.FileFormatError, match=rf"{name}.*\.msgpack"):
        dataflow.load(tmp_path / name)


def test_endings_in_capitals_and_plain_text_paths(tmp_path: Path) -> None:
    dataflow.save(example(), str(tmp_path / "m.MSGPACK"))
    assert dataflow.load(str(tmp_path / "m.MSGPACK")).name == "net"


# ------------------------------------------------------------------------------------------------ files that lie


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    graph = Graph("net")
    x = graph.input("x", ("n", 2))
    W = graph.parameter("W", value=[[1.0, 2.0]])
    graph.parameter("V", (2,), init="zeros")
    graph.constant("c", [1.0, 2.0])
    h = graph.node("h", ops.sum(x @ W.T, axis=0))
    graph.node("k", ops.sum(h))
    data = DataSource({"x": [[1, 2]]})
    model = dataflow.Model(graph, ["h"], "k", data=data)
    model.training = {"state": {"a": np.zeros(2)}}
    path = tmp_path_factory.mktemp("binary") / "m.msgpack"
    dataflow.save(model, path)
    read = read_container(path, mapped=False)
    return read.header, read.tensors


NODES = {"x": 0, "W": 1, "V": 2, "c": 3, "h.transpose": 4, "h.matmul": 5, "h": 6, "k": 7}
LIES: dict[str, tuple[list[Any], Any, str]] = {
    # what: path into the header, the lie, the error
    "key": (["surprise"], 1, "header: unknown key 'surprise'"),
    "name": (["name"], 3, "name is text, not 3"),
    "dtype": (["dtype"], "float8", "unknown dtype 'float8'"),
    "doc": (["doc"], None, "doc is text"),
    "outputs": (["outputs"], "h", "outputs is an array"),
    "unknown output": (["outputs"], ["hh"], "unknown node 'hh'.*did you mean 'h'"),
    "output": (["outputs"], [1], "an output: a name of 1 to 1000"),
    "loss": (["loss"], "h", "the loss 'h' is float64"),
    "unknown loss": (["loss"], "nothing", "unknown node 'nothing'"),
    "nodes": (["nodes"], {}, "nodes is an array, not a map of 0"),
    "row": (["nodes", 0], ["x"], "node 0 is an array of 4 to 6"),
    "row type": (["nodes", 0], "x", "node 0 is an array"),
    "node name": (["nodes", 0, 0], 5, "node 0: a name"),
    "no name": (["nodes", 0, 0], "a b", "'a b' is not a name"),
    "dunder path": (["nodes", 0, 0], "../x", "is not a name"),
    "long name": (["nodes", 0, 0], "x" * 1001, "at most|1 to 1000"),
    "name twice": (["nodes", 0, 0], "h", "the name 'h' is used twice"),
    "spec": (["nodes", 0, 1], 99, "node 'x': its spec is a number below"),
    "spec type": (["nodes", 0, 1], "float64", "node 'x': its spec"),
    "negative": (["nodes", 0, 1], -1, "node 'x': its spec"),
    "call": (["nodes", 0, 2], 0, "node 'x': its call"),
    "kind": (["nodes", 0, 3], "output", "node 'x': a node is an input"),
    "kind type": (["nodes", 0, 3], None, "node 'x': a node is an input"),
    "bool kind": (["nodes", 0, 3], True, "node 'x': a node is an input"),
    "application": (["nodes", 6, 3], 99, "node 'h': its application is a number below"),
    "arguments": (["nodes", 6, 4], None, "node 'h': an op has a row of 5"),
    "no arguments": (["nodes", 6, 4], [], "node 'h': an op is applied to at least one node"),
    "numbers": (["nodes", 6, 4], [[1.0]], "node 'h': an op is applied to at least one node"),
    "dangling": (["nodes", 6, 4], [8], "node 'h': its argument is node 8, and there are 8"),
    "minus": (["nodes", 6, 4], [-1], "node 'h': its argument is node -1"),
    "argument": (["nodes", 6, 4], ["x"], "node 'h': an argument is the number of a node"),
    "literal": (["nodes", 6, 4], [["x"]], "node 'h': an argument is the number of a node"),
    "arity": (["nodes", 6, 4], [5, 5], "node 'h': op 'sum' takes 1 input .x., 2 given"),
    "self loop": (["nodes", 6, 4], [6], "cycle: h -> h"),
    "cycle": (["nodes", 4, 4], [6], "cycle: (h.transpose -> h.matmul -> h -> h.transpose|.*)"),
    "no fit": (["nodes", 5, 4], [0, 1], "node 'h.matmul': .*matmul.*does not fit"),
    "shape": (["nodes", 6, 1], 0, "node 'h': the file says .* of it, and op 'sum' gives"),
    "cotangent": (["nodes", 6], ["h", 5, None, 2, [5], 99], "its node is a number below 8"),
    "specs": (["specs"], 5, "specs is an array"),
    "spec row": (["specs", 0], ["float64"], "spec 0 is an array of 2"),
    "spec dtype": (["specs", 0, 0], "object", "spec 0: unknown dtype 'object'"),
    "spec dtype type": (["specs", 0, 0], 8, "spec 0 is text"),
    "spec shape": (["specs", 0, 1], ["n", -2], "spec 0: a size"),
    "spec size": (["specs", 0, 1], ["n", "__import__('os')"], "spec 0: a size"),
    "spec number": (["specs", 0, 1], ["n", "1+1"], "spec 0: a size that is a number"),
    "axes": (["specs", 0, 1], [1] * 33, "spec 0: a shape has at most 32 axes"),
    "applications": (["applications"], None, "applications is an array"),
    "application row": (["applications", 0], "sum", "application 0 is an array of 2"),
    "op": (["applications", 1, 0], "matmull", "node 'h.matmul': unknown op 'matmull'; did you mean 'matmul'"),
    "op type": (["applications", 1, 0], None, "application 1: None is not the name of an op"),
    "op path": (["applications", 1, 0], "os.system", "application 1: 'os.system' is not the name"),
    "attributes": (["applications", 2, 1], [], "attributes of op 'sum' are a map"),
    "attribute": (["applications", 2, 1], {"axes": 0}, "node 'h': op 'sum': unknown attribute 'axes'.*'axis'"),
    "dunder": (["applications", 2, 1], {"__class__": 0}, "unknown attribute '__class__'"),
    "attribute value": (["applications", 2, 1], {"axis": "x"}, "node 'h': op 'sum': attribute 'axis' takes"),
    "axis": (["applications", 2, 1], {"axis": 7}, "node 'h': .*axis 7 is out of range"),
    "init": (["nodes", 2, 4], {"name": "zeroes"}, "node 'V': unknown initializer 'zeroes'.*'zeros'"),
    "init type": (["nodes", 2, 4], "zeros", "node 'V': an initializer is a map"),
    "init attribute": (["nodes", 2, 4], {"name": "zeros", "std": 1.0}, "node 'V': .*unknown attribute 'std'"),
    "no init": (["nodes", 2, 4], None, "node 'V': its value, the tensor 'parameters/V', is not in the file"),
    "unused tensor": (["nodes", 3], ["c", 0, None, "input"], "'constants/c' belongs to nothing"),
    "parameter shape": (["nodes", 1, 1], 0, "node 'W': the file says .*, and its tensor is"),
    "blocks": (["blocks"], [], "blocks is a map"),
    "block name": (["blocks"], {"a b": {}}, "in the blocks: 'a b' is not a name"),
    "block of itself": (
        ["blocks"],
        {"b": {"inputs": ["a"], "nodes": {"o": "b(a)"}, "output": "o"}},
        "in the blocks: block 'b' calls itself",
    ),
    "block of two": (
        ["blocks"],
        {"b": {"inputs": ["a"], "nodes": {"o": "-a", "a": "a"}, "output": "o"}},
        "in the blocks: the name 'a' is used twice: for a node here, and for a block input; rename one",
    ),
    "block like an op": (["blocks"], {"relu": {}}, "there is an op 'relu'"),
    "block of no op": (
        ["blocks"],
        {"b": {"inputs": ["a"], "nodes": {"o": "os(a)"}, "output": "o"}},
        "in the blocks: unknown op 'os'",
    ),
    "node of a constant's name": (["nodes", 0, 0], "True", "True is a constant of expressions and no name"),
    "node of another form": (["nodes", 0, 0], "\uff58", "is written 'x', which Unicode counts as the same name"),
    "block": (["blocks"], {"b": {"code": "1"}}, "in the blocks: unknown key 'code' in block 'b'"),
    "calls": (["calls"], {}, "calls is an array"),
    "call row": (["calls"], [["h"]], "call 0 is an array of 2"),
    "call keys": (["calls"], [["h", {}]], "call 'h': the key 'block' is missing"),
    "call block": (["calls"], [["h", {"block": "b", "share": None, "inputs": []}]], "there is no block 'b'"),
    "call twice": (["calls"], [["h", {"block": "b", "share": None, "inputs": []}]] * 2, "call 'h' is there twice"),
    "data": (["data"], [], "data is a map"),
    "data arrays": (["data", "arrays"], ["y"], "data of 'y' is declared, and there is no tensor"),
    "data twice": (["data", "arrays"], ["x", "x"], "no tensor for it"),
    "data path": (["data", "file"], "../secret.csv", "no path inside the folder"),
    "absolute": (["data", "file"], "/etc/passwd", "no path inside the folder"),
    "drive": (["data", "file"], "c:\\secret.csv", "no path inside the folder"),
    "data file type": (["data", "file"], 5, "no path inside the folder"),
    "columns": (["data", "columns"], {"x": 5}, "columns of 'x' is"),
    "columns name": (["data", "columns"], {"z": "a"}, "unknown input 'z'"),
    "one_hot": (["data", "one_hot"], {"x": 2.0}, "one_hot of 'x' is a whole number"),
    "one_hot count": (["data", "one_hot"], {"x": -2}, "one_hot of 'x': a number of classes"),
    "scale": (["data", "scale"], {"x": "1"}, "scale of 'x' is a number"),
    "scale nan": (["data", "scale"], {"x": math.nan}, "scale of 'x' is a number"),
    "train": (["train"], None, "train is a map"),
    "optimizer": (["train", "optimizer"], {}, "the optimizer: a name"),
    "optimizer attribute": (["train", "optimizer"], {"name": "sgd", "rate": 1.0}, "unknown attribute 'rate'"),
    "epochs": (["train", "epochs"], -1, "epochs is a whole number"),
    "batch_size": (["train", "batch_size"], 0, "batch_size is a whole number, 1 or more"),
    "shuffle": (["train", "shuffle"], 1, "shuffle is true or false"),
    "seed": (["train", "seed"], 1.5, "seed is a whole number"),
    "own seed": (["seed"], -5, "seed is a whole number"),
    "validation": (["train", "validation"], 1.0, "validation is a share"),
    "validation nan": (["train", "validation"], math.nan, "validation is a share"),
    "training": (["training"], [], "training is a map"),
    "parts": (["parts"], None, "parts is an array"),
    "part": (["parts", 0], [[]], "part 0 is an array of 2"),
    "part path": (["parts", 0, 0], ["state", "b"], "nothing waits for it"),
    "part nowhere": (["parts", 0, 0], [], "part 0 of training has no place"),
    "part filled": (["training", "state"], {"a": 1}, "nothing waits for it"),
    "part through": (["parts", 0, 0], ["state", "a", "__class__"], "nothing waits for it"),
    "part type": (["parts", 0, 1], 7, "part 0 of training is a tensor or an integer"),
    "part stolen": (["parts", 0, 1], "parameters/W", "part 0 of training is a tensor or an integer"),
    "part digits": (["parts", 0, 1], {"integer": "zz"}, "part 0 of training is a tensor or an integer"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_lie_in_the_header(what: str, content: Any, tmp_path: Path) -> None:
    header, tensors = copy.deepcopy(content)
    path, lie, message = LIES[what]
    place = header
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = lie
    write_container(tmp_path / "m.msgpack", header, tensors)
    with pytest.raises(dataflow.DataflowError, match=message) as caught:
        dataflow.load(tmp_path / "m.msgpack")
    assert caught.value.file == str(tmp_path / "m.msgpack")
    assert "\n" not in str(caught.value)


def test_the_nodes_are_where_the_lies_suppose(content: Any) -> None:
    assert {row[0]: i for i, row in enumerate(content[0]["nodes"])} == NODES


@pytest.mark.parametrize("key", ["name", "nodes", "data", "parts", "plugins"])
def test_a_missing_key(key: str, content: Any, tmp_path: Path) -> None:
    header = {name: value for name, value in content[0].items() if name != key}
    write_container(tmp_path / "m.msgpack", header, content[1])
    with pytest.raises(dataflow.FileFormatError, match=f"the key '{key}' is missing"):
        dataflow.load(tmp_path / "m.msgpack")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("parameters/W", np.zeros((1, 2), np.float32), "node 'W': the file says .*float32"),
        ("parameters/W", np.zeros((2, 1)), r"node 'W': the file says float64 \(1, 2\).*\(2, 1\)"),
        ("constants/c", np.zeros(2, np.int64), "node 'c': the file says .*int64"),
        ("parameters/V", np.zeros(3), "node 'V': the file says"),
        ("parameters/X", np.zeros(3), "tensor 'parameters/X' belongs to nothing"),
        ("constants/c", None, "node 'c': its value, the tensor 'constants/c', is not in the file"),
    ],
)
def test_a_wrong_tensor(name: str, array: Any, message: str, content: Any, tmp_path: Path) -> None:
    tensors = {key: value for key, value in content[1].items() if key != name}
    if array is not None:
        tensors[name] = array
    write_container(tmp_path / "m.msgpack", content[0], tensors)
    with pytest.raises(dataflow.DataflowError, match=message):
        dataflow.load(tmp_path / "m.msgpack")


def test_an_unknown_op_says_whose_it_was(content: Any, tmp_path: Path) -> None:
    header, tensors = copy.deepcopy(content)
    header["applications"][0][0] = "convolve"
    header["plugins"]["convolve"] = "plugin 'conv' (conv 1.0)\nevil"
    write_container(tmp_path / "m.msgpack", header, tensors)
    with pytest.raises(dataflow.OpError, match="unknown op 'convolve'.*plugin 'conv'") as caught:
        dataflow.load(tmp_path / "m.msgpack")
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_is_not_installed_does_not_hinder_running(content: Any, tmp_path: Path) -> None:
    header, tensors = copy.deepcopy(content)
    header["train"]["optimizer"] = {"name": "tiger", "power": 9000}
    write_container(tmp_path / "m.msgpack", header, tensors)
    assert dataflow.load(tmp_path / "m.msgpack").run()["k"] == 5


# ------------------------------------------------------------------------------------------------ any graph


@settings(max_examples=30)
@given(model=graphs())
def test_any_graph_comes_back(model: dataflow.Model, tmp_path: Path) -> None:
    first = saved(model, tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    assert saved(back, tmp_path / "b.msgpack") == first
    assert_same(model, back)
    x = np.linspace(-2, 2, 12).reshape(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left, right = model.run(x=x), back.run(x=x)
    for name, array in left.items():
        assert array.tobytes() == right[name].tobytes()


# ------------------------------------------------------------------------------------------------ large models


@pytest.mark.parametrize("length", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain(tmp_path: Path, length: int) -> None:
    graph = Graph("chain")
    value = graph.input("x", ("n",))
    for i in range(length):
        value = (
            graph.apply(ops.tanh, [value], name=f"n{i}") if i % 2 else graph.apply(ops.add, [value, i], name=f"n{i}")
        )
    dataflow.save(dataflow.Model(graph, [value.name]), tmp_path / "a.msgpack")
    back = dataflow.load(tmp_path / "a.msgpack")
    assert list(back.graph) == list(graph)
    assert back.graph.arguments(f"n{length - 2}") == (f"n{length - 3}", length - 2)


@pytest.mark.slow
def test_400_megabytes_are_mapped_in_no_time(tmp_path: Path) -> None:
    graph = Graph("large")
    graph.node("y", graph.input("x", ("n", 5000)) @ graph.parameter("W", (5000, 10_000), init="zeros"))
    model = dataflow.Model(graph, ["y"])
    dataflow.save(model, tmp_path / "small.msgpack")
    model.parameters["W"] = np.ones((5000, 10_000))
    dataflow.save(model, tmp_path / "large.msgpack")
    assert (tmp_path / "large.msgpack").stat().st_size > 400e6
    times = []
    for _ in range(5):
        start = time.process_time()
        back = dataflow.load(tmp_path / "large.msgpack")
        times.append(time.process_time() - start)
    assert min(times) < 0.05
    assert back.parameters["W"][4999, 9999] == 1
    before = (tmp_path / "large.msgpack").stat().st_mtime_ns
    back.parameters["W"] = back.parameters["W"] - 1
    assert dataflow.load(tmp_path / "large.msgpack").parameters["W"][0, 0] == 1
    assert (tmp_path / "large.msgpack").stat().st_mtime_ns == before
