from __future__ import annotations

import math
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_graph import graphs, texts
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dataflow
from dataflow import ops
from dataflow.autodiff.reverse import gradient_graph
from dataflow.data.source import DataSource
from dataflow.files.toml import toml_values
from dataflow.files.toml.read import loads_toml
from dataflow.files.toml.write import toml_text
from dataflow.graph.graph import Graph
from dataflow.model.comparison import same_model

HERE = Path()


def written(model: dataflow.Model) -> dict[str, Any]:
    """What the file says, which must be said without a warning."""
    return tomllib.loads(toml_text(model, HERE))


def nodes(graph: Graph, *outputs: str) -> dict[str, Any]:
    found: dict[str, Any] = written(dataflow.Model(graph, list(outputs)))["nodes"]
    return found


def quietly(model: dataflow.Model) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dataflow.DataflowWarning)
        return toml_text(model, HERE)


# ------------------------------------------------------------------------------------------------ expressions


EXPRESSIONS = [
    "relu(x @ W.T + b)",
    "-x ** 2",
    "(-x) ** 2",
    "x - (x - 1)",
    "x[:, 0] * 0.1",
    "sum(x, axis=0, keepdims=True)",
    "mse(x, 0, reduction='mean')",
    "where(x > 0, x, -0.0)",
    "[x, x * 2]",
    "stack(x, x, axis=1)",
    "exp(2.0) * x",
    "reshape(x, shape=('2*n',))",
    "relu(relu(relu(x)))",
    "x * x + x * x",
    "identity(x)",
    "multiply(x, True)",
    "(x < 1) == (x > 2)",
    "2 ** x / 3",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_comes_back_as_it_was(text: str) -> None:
    head = 'dataflow = 1\n[inputs]\nx = { shape = ["n", 2] }\n'
    head += "[parameters]\nW = { value = [[1, 2]] }\nb = { value = [0] }\n"
    model = loads_toml(f'{head}[nodes]\ny = "{text}"\n')
    assert written(model)["nodes"] == {"y": text}
    assert same_model(loads_toml(toml_text(model, HERE)), model)


def test_what_is_used_twice_gets_a_name_of_its_own() -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    both = ops.exp(x)
    graph.node("y", both * ops.sin(both))
    with pytest.warns(dataflow.DataflowWarning, match=r"'y\.exp' as 'y_exp'"):
        assert nodes(graph, "y") == {"y_exp": "exp(x)", "y": "y_exp * sin(y_exp)"}


def test_what_would_be_called_differently_gets_a_name_of_its_own() -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    first, second = ops.exp(x), ops.exp(x + 1)
    graph.node("y", second - first)  # in the order of evaluation they would change places
    with pytest.warns(dataflow.DataflowWarning, match=r"'y\.exp_2' as 'y_exp_2'"):
        model = dataflow.Model(graph, ["y"])
        again = loads_toml(toml_text(model, HERE))
    assert "y_exp_2" in again.graph
    data = {"x": [0.25, 0.5]}
    assert again.evaluate(data=data).values["y"].tobytes() == model.evaluate(data=data).values["y"].tobytes()


def test_an_inner_node_that_is_an_output_gets_a_line() -> None:
    graph = Graph()
    graph.node("y", ops.exp(graph.input("x", (2,)) + 1))
    model = dataflow.Model(graph, ["y", "y.add"])
    with pytest.warns(dataflow.DataflowWarning, match=r"'y\.add' as 'y_add'"):
        found = written(model)
    assert found["nodes"] == {"y_add": "x + 1", "y": "exp(y_add)"}
    assert found["model"]["outputs"] == ["y", "y_add"]


def test_new_names_are_free() -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    graph.node("y_exp", x * 2)
    both = ops.exp(x)
    graph.node("y", both * ops.sin(both))
    with pytest.warns(dataflow.DataflowWarning, match=r"'y\.exp' as 'y_exp_2'"):
        assert list(nodes(graph, "y")) == ["y_exp", "y_exp_2", "y"]


@pytest.mark.slow
def test_depth_and_length_are_kept_within_what_can_be_read() -> None:
    graph = Graph()
    deep = wide = graph.input("x", (2,))
    for _ in range(300):
        deep = ops.sin(deep)
    graph.node("deep", deep)
    for i in range(12_000):
        wide = wide + i
    graph.node("wide", wide)
    model = dataflow.Model(graph, ["deep", "wide"])
    again = loads_toml(quietly(model))
    data = {"x": [0.25, 0.5]}
    for name in model.outputs:
        assert again.evaluate(data=data).values[name].tobytes() == model.evaluate(data=data).values[name].tobytes()


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_literals_that_no_expression_has_take_the_long_form(number: float) -> None:
    graph = Graph()
    graph.node("y", ops.maximum(graph.input("x", (2,)), number))
    found = nodes(graph, "y")["y"]
    assert (found["op"], found["inputs"][0], repr(found["inputs"][1])) == ("maximum", "x", repr(number))
    model = dataflow.Model(graph, ["y"])
    assert same_model(loads_toml(toml_text(model, HERE)), model)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_literals_of_more_than_64_bits_are_refused(number: int, tmp_path: Path) -> None:
    graph = Graph()
    graph.node("y", graph.input("x", (2,)) * number)
    with pytest.raises(dataflow.FileFormatError, match=r"m\.toml: node 'y': .*more than 64 bits"):
        dataflow.save(dataflow.Model(graph, ["y"]), tmp_path / "m.toml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["file", "columns"])
def test_inputs_that_may_not_be_called_so(name: str) -> None:
    graph = Graph()
    graph.node("y", graph.input(name, (2,)) * 2)
    with pytest.warns(dataflow.DataflowWarning, match=f"'{name}' as '{name}_'"):
        assert nodes(graph, "y") == {"y": f"{name}_ * 2"}


def test_gradient_graphs_are_written_with_valid_names() -> None:
    graph = Graph()
    x, W = graph.input("x", ("n", 2)), graph.parameter("W", (3, 2), init="normal")
    graph.node("loss", ops.sum(ops.tanh(x @ W.T) ** 2))
    extended = gradient_graph(graph, "loss", ["W"])
    target = extended.cotangents["W"]
    model = dataflow.Model(extended.graph, [target])
    with pytest.warns(dataflow.DataflowWarning, match=r"'grad\.loss"):
        again = loads_toml(toml_text(model, HERE))
    data = {"x": np.linspace(-1, 1, 8).reshape(4, 2)}
    assert again.outputs == ["grad_W"]
    assert again.evaluate(data=data).values["grad_W"].tobytes() == model.evaluate(data=data).values[target].tobytes()
    assert toml_text(again, HERE) == quietly(model)


# ------------------------------------------------------------------------------------------------ parameters and blocks


def test_init_until_drawn_then_the_value() -> None:
    graph = Graph()
    x, W = graph.input("x", (2,)), graph.parameter("W", (2,), init={"name": "uniform", "low": 0.0})
    graph.parameter("b", (2,), init="zeros", dtype="float32")
    graph.node("y", W * x)
    model = dataflow.Model(graph, ["y"])
    undrawn = written(model)["parameters"]
    assert undrawn["W"] == {"shape": [2], "init": {"name": "uniform", "low": 0.0}}
    again = loads_toml(toml_text(model, HERE))
    assert again.parameters["W"].tobytes() == model.parameters["W"].tobytes()
    found = written(model)["parameters"]
    assert found == {"W": {"value": model.parameters["W"].tolist()}, "b": undrawn["b"]}
    assert undrawn["b"] == {"shape": [2], "init": "zeros", "dtype": "float32"}


def test_another_seed_than_the_file_declares_is_written_as_values() -> None:
    graph = Graph()
    graph.node("y", graph.parameter("W", (2,), init="normal") * graph.input("x", (2,)))
    model = dataflow.Model(graph, ["y"])
    model.parameters.redraw(5)
    again = loads_toml(toml_text(model, HERE))
    assert not model.parameters.drawn  # writing looks at nothing
    assert again.parameters["W"].tobytes() == model.parameters["W"].tobytes()


BLOCKS = """dataflow = 1
name = "blocks"
[inputs]
x = { shape = [3] }
[blocks.layer]
inputs = ["h"]
output = "out"
[blocks.layer.parameters]
V = { shape = [3], init = "normal" }
[blocks.layer.nodes]
out = "relu(h * V)"
[nodes]
a = "layer(x + 1)"
b = "layer(layer(a)) - layer(x)"
c = "layer(x, share='b.layer_2')"
[model]
outputs = ["b", "c"]
"""


def test_blocks_come_back_as_blocks() -> None:
    model = loads_toml(BLOCKS)
    assert tomllib.loads(toml_text(model, HERE)) == tomllib.loads(BLOCKS)
    assert same_model(loads_toml(toml_text(model, HERE)), model)


def test_blocks_whose_parameters_were_drawn_are_written_out() -> None:
    model = loads_toml(BLOCKS)
    dict(model.parameters)
    with pytest.warns(dataflow.DataflowWarning) as caught:
        text = toml_text(model, HERE)
    assert "the blocks are written out" in str(caught[0].message)
    assert "_V'" in str(caught[1].message)
    again = loads_toml(text)
    assert "blocks" not in tomllib.loads(text)
    for name in model.outputs:
        left, right = model.run(x=[1, 2, 3])[name], again.run(x=[1, 2, 3])[name]
        assert left.tobytes() == right.tobytes()
    assert toml_text(again, HERE) == text


def test_a_block_that_is_not_what_its_calls_say_is_written_out() -> None:
    model = loads_toml(BLOCKS)
    declared = model.graph.blocks["layer"]
    model.graph.blocks["layer"] = {**declared, "nodes": {"out": "relu(h + V)"}}
    again = loads_toml(quietly(model))
    left, right = model.run(x=[1, 2, 3]), again.run(x=[1, 2, 3])
    assert left["c"].tobytes() == right["c"].tobytes()


# ------------------------------------------------------------------------------------------------ all else


def test_sections_in_the_order_of_the_interface() -> None:
    graph = Graph("all", "float32")
    x = graph.input("x", ("n", 2))
    graph.input("y", ("n",), "int32")
    c = graph.constant("c", [0.1, 1e-30])
    graph.constant("mask", [True, False])
    graph.constant("k", 3, "int64")
    graph.node("loss", ops.sum(x * graph.parameter("W", (2,), init="ones") + c))
    train = dataflow.TrainSettings({"name": "sgd", "learning_rate": 0.1}, 5, 4, True, 7, 0.5)
    data = DataSource({"x": [[0, 1]], "y": [3]}, scale={"x": 0.5})
    model = dataflow.Model(graph, ["loss"], "loss", doc='One.\n\nTwo \\ """ lines.\n', data=data, train=train)
    text = toml_text(model, HERE)
    assert "c = { value = [0.1, 1e-30] }" in text
    assert 'k = { value = 3, dtype = "int64" }' in text
    assert "mask = { value = [true, false] }" in text
    found = tomllib.loads(text)
    sections = ["inputs", "parameters", "constants", "nodes", "model", "data", "train"]
    assert list(found) == ["dataflow", "name", "dtype", "doc", *sections]
    again = loads_toml(text)
    assert again.doc == model.doc
    assert again.train_settings == train
    assert same_model(again, model)
    assert found["data"] == {"scale": {"x": 0.5}, "x": [[0, 1]], "y": [3]}
    assert toml_text(again, HERE) == text


def test_the_state_of_training_is_dropped_and_said(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("y", graph.input("x", (2,)) * 2)
    model = dataflow.Model(graph, ["y"])
    model.training = {"epochs": 3}
    with pytest.warns(dataflow.DataflowWarning, match="state of its training"):
        dataflow.save(model, tmp_path / "m.toml")
    assert dataflow.load(tmp_path / "m.toml").training == {}


def test_a_data_file_elsewhere_is_dropped_and_said(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("u,v\n1,2\n")
    graph = Graph()
    graph.node("y", graph.input("x", ("n", 2)) * 2)
    data = DataSource(file=Path("d.csv"), columns={"x": "u:v"}, scale={"x": 2.0}, folder=tmp_path)
    model = dataflow.Model(graph, ["y"], data=data)
    dataflow.save(model, tmp_path / "m.toml")
    assert dataflow.load(tmp_path / "m.toml").run()["y"].tolist() == [[4, 8]]
    (tmp_path / "sub").mkdir()
    with pytest.warns(dataflow.DataflowWarning, match="--data"):
        dataflow.save(model, tmp_path / "sub" / "m.toml")
    # What the columns are called stays, for the file that --data names.
    again = dataflow.load(tmp_path / "sub" / "m.toml")
    assert again.data is not None
    assert (again.data.file, again.data.columns, again.data.scale) == (None, {"x": "u:v"}, {"x": 2.0})


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 1)])
def test_empty_arrays_that_toml_has_no_way_to_write(shape: tuple[int, ...], tmp_path: Path) -> None:
    graph = Graph()
    graph.constant("c", np.zeros(shape))
    graph.node("y", graph.input("x", (2,)) * 2)
    with pytest.raises(dataflow.FileFormatError, match="node 'c': .*cannot be written in TOML.*msgpack"):
        dataflow.save(dataflow.Model(graph, ["y"]), tmp_path / "m.toml")


@pytest.mark.parametrize("shape", [(0,), (2, 0), (1, 4, 0), (3, 2, 0), (1, 1, 2, 0)])
def test_empty_rows_come_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    graph = Graph()
    graph.node("y", graph.parameter("p", value=np.zeros(shape)) * 2)
    dataflow.save(dataflow.Model(graph, ["y"]), tmp_path / "m.toml")
    assert dataflow.load(tmp_path / "m.toml").run()["y"].shape == shape


@given(arrays.arrays(st.sampled_from(["f4", "f8", "i4", "i8", "?"]), arrays.array_shapes(min_dims=0, max_side=9)))
def test_arrays_come_back(array: np.ndarray) -> None:
    text = toml_values.array(array)
    back = np.array(tomllib.loads(f"a = {{ value = {text} }}")["a"]["value"]).astype(array.dtype)
    assert np.array_equal(back, array, equal_nan=array.dtype.kind == "f")
    assert np.array_equal(np.signbit(back[array == 0]), np.signbit(array[array == 0]))
    assert max(map(len, text.split("\n"))) <= 130


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf, -0.0])
def test_numbers_keep_their_sign(number: float) -> None:
    for written in (toml_values.number(number), toml_values.narrow(np.float32(number))):
        back = tomllib.loads(f"a = {written}")["a"]
        assert math.copysign(1, back) == math.copysign(1, number)


@given(st.text())
@example("\n")
@example("\n\n")
@example('\n""')
def test_strings_come_back(text: str) -> None:
    assume(not any(0xD800 <= ord(character) < 0xE000 for character in text))
    written = f"{toml_values.key(text)} = {toml_values.string(text)}\nlong = {toml_values.paragraph(text + 'x')}"
    if text != "long":
        assert tomllib.loads(written.replace("\r", "")) == {text: text, "long": text + "x"}


@settings(max_examples=50)
@given(graphs())
def test_any_graph_keeps_its_meaning(model: dataflow.Model) -> None:
    text = quietly(model)
    again = loads_toml(text)
    assert toml_text(again, HERE) == text
    assert again.doc == model.doc
    x = np.linspace(-2, 2, 12).reshape(4, 3)
    left, right = model.evaluate(data={"x": x}).values, again.evaluate(data={"x": x}).values
    (old,), (new,) = model.outputs, again.outputs
    assert left[old].dtype == right[new].dtype
    # To the bit, but that TOML has no word for the payload of a nan.
    assert np.nan_to_num(left[old], nan=7.0).tobytes() == np.nan_to_num(right[new], nan=7.0).tobytes()
    assert np.array_equal(np.isnan(left[old]), np.isnan(right[new]))


@settings(max_examples=15)
@given(texts())
def test_any_file_comes_back_node_by_node(text: str) -> None:
    try:
        model = loads_toml(text)
    except dataflow.DataflowError:
        assume(False)
    again = loads_toml(toml_text(model, HERE))
    assert same_model(again, model)
    assert list(again.graph) == list(model.graph)
    assert toml_text(again, HERE) == toml_text(model, HERE)


@pytest.mark.slow
def test_time_grows_with_the_nodes() -> None:
    """Eight times the layers take eight times as long to write and read, not 64 times."""

    def seconds(layers: int) -> float:
        graph = dataflow.Graph("layers")
        h = graph.input("x", (2, 2))
        for i in range(layers):
            h = graph.node(f"h{i}", ops.tanh(h @ graph.parameter(f"W{i}", (2, 2), init="zeros") + 1.0))
        model, tries = dataflow.Model(graph), []
        for _ in range(3):
            start = time.process_time()
            loads_toml(toml_text(model, HERE))
            tries.append(time.process_time() - start)
        return min(tries)

    assert seconds(4000) < 8 * 3 * seconds(500)
