"""Blocks: what calls are called, whose parameters they have, and what is kept so that a file can be given back."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dataflow import Graph, Model
from dataflow.files.toml.read import loads_toml
from dataflow.ops import relu, tanh

LAYER = """\
[blocks.layer]
inputs = ["a"]
output = "z"
doc = "A layer with a factor."
[blocks.layer.parameters]
W = { shape = [2, 2], init = "normal" }
[blocks.layer.constants]
k = { value = 2.0 }
[blocks.layer.nodes]
z = "relu(t)"
t = "a @ W.T * k"
"""
HEAD = 'dataflow = 1\n[inputs]\nx = { shape = ["n", 2] }\n' + LAYER
PAIR = """\
[blocks.pair]
inputs = ["a", "s"]
output = "o"
[blocks.pair.nodes]
first = "layer(a)"
same = "layer(first, share='first')"
o = "tanh(layer(same)) * s"
"""
X = np.random.default_rng(0).normal(size=(3, 2))


def read(nodes: str, head: str = HEAD) -> Model:
    return loads_toml(f"{head}[nodes]\n{nodes}")


def layer(a: np.ndarray, W: np.ndarray) -> np.ndarray:
    return np.maximum(a @ W.T * 2, 0)


def test_a_call_that_is_a_whole_node_has_its_name() -> None:
    model = read("h = 'layer(x)'")
    assert list(model.graph) == ["x", "h.W", "h.k", "h.t.transpose", "h.t.matmul", "h.t", "h"]
    blocks = [node.block for _, node in model.graph.node_items()]
    assert blocks == [None, *["h"] * 6]
    np.testing.assert_allclose(model.run(x=X)["h"], layer(X, model.parameters["h.W"]), rtol=1e-14)


def test_what_is_declared_and_called_is_kept() -> None:
    model = read("h = 'layer(x)'\ng = 'layer(h, share=\"h\")'")
    assert model.graph.calls == {
        "h": {"block": "layer", "share": None, "inputs": ["x"]},
        "g": {"block": "layer", "share": "h", "inputs": ["h"]},
    }
    assert model.graph.blocks["layer"] == {
        "inputs": ["a"],
        "output": "z",
        "doc": "A layer with a factor.",
        "parameters": {"W": {"shape": [2, 2], "init": "normal"}},
        "constants": {"k": {"value": 2.0}},
        "nodes": {"z": "relu(t)", "t": "a @ W.T * k"},
    }


def test_calls_inside_an_expression_are_numbered_in_the_order_of_evaluation() -> None:
    model = read("h = 'x * 3 + layer(x * 2) * layer(tanh(x)) + exp(x) * 1'")
    calls = model.graph.calls
    assert {path: call["inputs"] for path, call in calls.items()} == {
        "h.layer": ["h.multiply_2"],
        "h.layer_2": ["h.tanh"],
    }
    outside = [name for name, node in model.graph.node_items() if node.block is None]
    assert outside == [
        *("x", "h.multiply", "h.multiply_2", "h.tanh", "h.multiply_3", "h.add"),
        *("h.exp", "h.multiply_4", "h"),
    ]
    values, p = model.run(x=X), model.parameters
    expected = X * 3 + layer(X * 2, p["h.layer.W"]) * layer(np.tanh(X), p["h.layer_2.W"]) + np.exp(X)
    np.testing.assert_allclose(values["h"], expected, rtol=1e-14)


def test_a_call_of_a_call() -> None:
    model = read("h = 'layer(layer(x))'")
    assert list(model.parameters) == ["h.layer.W", "h.W"]
    inner = layer(X, model.parameters["h.layer.W"])
    np.testing.assert_allclose(model.run(x=X)["h"], layer(inner, model.parameters["h.W"]), rtol=1e-14)


def test_blocks_within_blocks_and_shares_of_their_parameters() -> None:
    nodes = "p = 'pair(x * 2, 3)'\nq = 'tanh(pair(p, 2.0, share=\"p\"))'\nr = 'layer(q, share=\"p.o.layer\")'"
    model = read(nodes, HEAD + PAIR)
    assert list(model.parameters) == ["p.first.W", "p.o.layer.W"]
    calls = model.graph.calls
    assert {path: (call["block"], call["share"]) for path, call in calls.items()} == {
        "p": ("pair", None),
        "p.first": ("layer", None),
        "p.same": ("layer", "p.first"),
        "p.o.layer": ("layer", None),
        "q.pair": ("pair", "p"),
        "q.pair.first": ("layer", "p.first"),
        "q.pair.same": ("layer", "p.first"),
        "q.pair.o.layer": ("layer", "p.o.layer"),
        "r": ("layer", "p.o.layer"),
    }
    assert calls["p"]["inputs"] == ["p.multiply", 3]
    assert model.graph.node_of("p").block == "p"
    assert model.graph.node_of("p.o.tanh").block == "p"
    assert model.graph.node_of("p.multiply").block is None
    first, last = model.parameters["p.first.W"], model.parameters["p.o.layer.W"]

    def pair(a: np.ndarray, s: float) -> np.ndarray:
        return np.tanh(layer(layer(layer(a, first), first), last)) * s

    values = model.run(x=X)
    np.testing.assert_allclose(values["p"], pair(X * 2, 3), rtol=1e-13)
    np.testing.assert_allclose(values["r"], layer(np.tanh(pair(values["p"], 2)), last), rtol=1e-13)


def test_a_share_may_be_declared_before_its_owner_and_shared_on() -> None:
    model = read("a = 'layer(x, share=\"b\")'\nb = 'layer(x, share=\"c\")'\nc = 'layer(a)'")
    assert list(model.parameters) == ["c.W"]
    assert model.graph.calls["a"]["share"] == "c"
    values = model.run(x=X)
    np.testing.assert_array_equal(values["a"], values["b"])
    np.testing.assert_array_equal(values["c"], layer(values["a"], model.parameters["c.W"]))


@pytest.mark.slow
def test_a_long_chain_of_shares() -> None:
    count = 3000
    chain = "".join(f"h{i} = 'layer(x, share=\"h{i + 1}\")'\n" for i in range(count)) + f"h{count} = 'layer(x)'"
    assert list(read(chain).parameters) == [f"h{count}.W"]


def test_gradients_of_shared_parameters_add_up() -> None:
    shared = read("h = 'layer(x)'\ng = 'layer(h, share=\"h\")'\nloss = 'sum(g)'")
    apart = read("h = 'layer(x)'\ng = 'layer(h)'\nloss = 'sum(g)'")
    W = [[1.0, 2.0], [0.5, -1.0]]
    for model in (shared, apart):
        for name in model.parameters:
            model.parameters[name] = W
    one, two = shared.gradients(of="loss", x=X), apart.gradients(of="loss", x=X)
    np.testing.assert_allclose(one["h.W"], two["h.W"] + two["g.W"], rtol=1e-13)


def test_a_call_in_the_long_form() -> None:
    short = read("h = 'layer(x)'\ng = 'layer(h, share=\"h\")'")
    attributes = '{ share = "h" }'
    nodes = "h = { op = 'layer', inputs = ['x'] }\ng = { op = 'layer', inputs = ['h'], attributes = %s }"
    long = read(nodes % attributes)
    assert list(long.graph) == list(short.graph)
    assert long.graph.calls == short.graph.calls


@pytest.mark.parametrize(
    ("output", "expected"),
    [("a", X), ("W", np.full((2, 2), 3.0)), ("k", 2.0), ("inner", np.tanh(X))],
)
def test_an_output_that_is_no_node_of_the_block_goes_through_identity(output: str, expected: np.ndarray) -> None:
    head = f"""\
dataflow = 1
inputs.x = {{ shape = ["n", 2] }}
[blocks.through]
inputs = ["a"]
output = "a"
nodes.t = "tanh(a)"
[blocks.b]
inputs = ["a"]
output = "{output}"
parameters.W = {{ shape = [2, 2], init = {{ name = "constant", value = 3 }} }}
constants.k = {{ value = 2 }}
nodes.inner = "through(tanh(a))"
"""
    model = read("h = 'b(x)'", head)
    assert model.graph.node_of("h").op == "identity"
    assert model.graph.node_of("h").block == "h"
    np.testing.assert_allclose(model.run(x=X)["h"], expected, rtol=1e-14)


def test_numbers_may_be_given_to_a_block() -> None:
    head = "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['a', 's']\noutput = 'y'\nnodes.y = 'a * s'\n"
    values = read("h = 'b(x, 2)'\ng = 'b(3, 4)'\nf = 'b(pi, x)'", head).run(x=5)
    assert values == {"x": 5, "h": 10, "g.y.constant": 12, "g": 12, "f": pytest.approx(5 * np.pi)}


def test_arguments_that_a_block_does_not_use_keep_their_names() -> None:
    head = "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['a', 's']\noutput = 'y'\nnodes.y = 'a + 1'\n"
    model = read("h = 'b(x, exp(x)) * 2'", head)
    assert list(model.graph) == ["x", "h.exp", "h.b", "h"]


def test_the_order_of_declarations_does_not_matter() -> None:
    nodes = ["p = 'pair(x * 2, 3)'", "q = 'tanh(pair(p, 2.0, share=\"p\"))'", "r = 'layer(q) + p'", "s = 'r * q'"]
    expected = read("\n".join(nodes), HEAD + PAIR)
    values = expected.run(x=X)
    for seed in range(6):
        shuffled = random.Random(seed).sample(nodes, len(nodes))
        model = read("\n".join(shuffled), HEAD + PAIR)
        assert {name: model.graph.arguments(name) for name in model.graph} == {
            name: expected.graph.arguments(name) for name in expected.graph
        }
        for name, value in model.run(x=X).items():
            np.testing.assert_array_equal(value, values[name])


def test_a_block_is_what_one_would_build_by_hand() -> None:
    model = read("h = 'layer(tanh(x))'")
    graph = Graph()
    x, W = graph.input("x", ("n", 2)), graph.parameter("W", (2, 2), init="zeros")
    graph.node("h", relu(tanh(x) @ W.T * graph.constant("k", 2.0)))
    by_hand = Model(graph, ["h"])
    by_hand.parameters["W"] = model.parameters["h.W"]
    assert by_hand.run(x=X)["h"].tobytes() == model.run(x=X)["h"].tobytes()


def test_blocks_that_are_not_called_add_nothing() -> None:
    model = read("h = 'x + 1'", HEAD + PAIR)
    assert list(model.graph) == ["x", "h"]
    assert model.graph.calls == {}
    assert list(model.graph.blocks) == ["layer", "pair"]
