"""Ops with several named outputs: declaring, calling, differentiating, saving."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import dataflow
from dataflow import DataflowError, Graph, GraphError, Model, OpError, PluginError, RuleError, op, primitive, sample
from dataflow.autodiff.reverse import gradient_graph
from dataflow.autodiff.weighting import weighted_graph
from dataflow.execution.program import Program
from dataflow.files.msgpack.binary import pack_model
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.files.toml.read import loads_toml
from dataflow.model.composition import compose
from dataflow.ops import exp, mean, split, tanh, topk
from dataflow.ops import sum as sum_of
from dataflow.registry import registry
from dataflow.testing import check_op
from dataflow.testing.cases import every_op

TEXT = """
dataflow = 1
inputs.x = {shape = ["n", 5]}
inputs.y = {shape = ["n"]}
parameters.W = {shape = [5, 4], init = "he_normal"}

[nodes]
h = "tanh(x @ W)"
t = "topk(relu(h), k=2)"
s = "split(h, parts=2, axis=1)"
a = "t['values'][:, 0] + 2 * split(h, axis=1)['1'][:, 1] + s[0][:, 1]"
loss = "mse(a, y)"

[model]
loss = "loss"
outputs = ["t:values", "a", "s:1"]
"""


@op(outputs=("total", "growth"))
def both(x):
    """Twice x, and its exponential, with one rule."""
    return x * 2, exp(x)


@both.vjp
def _(g, y, x):
    return g.total * 2 + g["growth"] * y.growth


@primitive(outputs=("low", "high"))
def bounds(x):
    """The smallest and the largest entry."""
    return np.min(x), np.max(x)


@bounds.shape
def _(x):
    return (), ()


def model():
    return loads_toml(TEXT)


def data():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(3, 5)), "y": rng.normal(size=3)}


def test_arrays_give_a_tuple_with_names() -> None:
    result = topk(np.array([3.0, 1.0, 3.0, 2.0]), k=3)
    values, indices = result
    assert values.tolist() == [3, 3, 2]
    assert indices.tolist() == [0, 2, 3]  # of equal entries the first comes first
    assert result.values is result["values"] is result[0] is values
    assert (result.names, len(result)) == (("values", "indices"), 2)
    assert [part.tolist() for part in split(np.arange(5), parts=3)] == [[0, 1], [2, 3], [4]]


def test_values_give_nodes_when_they_are_asked_for() -> None:
    graph = Graph("g")
    x = graph.input("x", (4,))
    graph.node("y", topk(tanh(x), k=2)["values"] * 2)
    assert list(graph) == ["x", "y.tanh", "y.topk:values", "y"]
    graph.node("t", topk(x, k=2))
    assert list(graph)[-2:] == ["t:values", "t:indices"]
    assert graph.value("t:indices").dtype == np.int64


def test_a_rule_gets_the_cotangents_of_all_outputs() -> None:
    assert check_op(both) == []
    graph = Graph("g")
    graph.node("b", both(graph.input("x", (3,))))
    graph.node("f", graph.value("b:total") * 3 + graph.value("b:growth"))
    x = np.array([0.1, 0.2, 0.3])
    gradient = Model(graph).gradients(of="f", wrt="x", x=x)["x"]
    np.testing.assert_allclose(gradient, 6 + np.exp(x))
    found = gradient_graph(graph, "f", ["x"])
    np.testing.assert_array_equal(Model(found.graph).run(x=x)[found.cotangents["x"]], gradient)


def test_the_body_runs_once_for_all_outputs() -> None:
    calls = []

    @primitive(outputs=("low", "high"))
    def counted(x):
        """The smallest and the largest entry, and a tally."""
        calls.append(1)
        return np.min(x), np.max(x)

    @counted.shape
    def _(x):
        return (), ()

    graph = Graph("g")
    graph.node("b", counted(graph.input("x", (3,))))
    assert Model(graph).run(x=[2.0, 1.0, 3.0])["b:high"] == 3
    assert len(calls) == 1


@pytest.mark.parametrize("form", ["toml", "msgpack"])
def test_files_give_the_same_nodes_back(form, tmp_path) -> None:
    first = model()
    dataflow.save(first, tmp_path / f"m.{form}")
    again = dataflow.load(tmp_path / f"m.{form}")
    assert list(again.graph) == list(first.graph)
    assert again.outputs == ["t:values", "a", "s:1"]
    for name, value in first.run(**data()).items():
        np.testing.assert_array_equal(again.run(**data())[name], value)
    if form == "toml":
        assert 't = "topk(relu(h), k=2)"' in (tmp_path / "m.toml").read_text()


def test_a_name_that_is_no_output_s_is_refused_in_a_file(tmp_path) -> None:
    graph = Graph("g")
    graph.node("y", graph.input("x", (4,)) * 2)
    container = pack_model(Model(graph), tmp_path)
    for node in 0, 1:
        rows = [list(row) for row in container.header["nodes"]]
        rows[node][0] = "t:values"
        with pytest.raises(GraphError, match="'t:values' would be an output of an op with several"):
            unpack_model({**container.header, "nodes": rows, "outputs": []}, container.tensors, tmp_path)


def test_weights_of_examples_and_models_of_models() -> None:
    @op(outputs=("centred", "middle"))
    def centre(x):
        """x less its mean over the batch, and the mean."""
        middle = mean(x, axis=0)
        return x - middle, middle

    graph = Graph("g")
    x = graph.input("x", ("n",))
    w = graph.parameter("w", value=[2.0])
    graph.node("c", centre(x * w))
    graph.node("loss", sum_of(graph.value("c:centred") * x))
    one = Model(graph, outputs=["c:middle"], loss="loss")
    twice = compose(one, one, {"x": "c:centred"})
    assert {"c:middle", "c:centred", "c_2:middle", "c_2:centred"} <= set(twice.graph)
    weighted, weights = weighted_graph(graph, "loss", ["c:middle"])
    found = Model(weighted).run(x=[1.0, 3.0], **{weights: [3.0, 1.0]})
    assert found["c:middle"] == 3  # the mean of 2, 2, 2, 6
    assert found["loss"] == 3 * 1 * (2 - 3) + 1 * 3 * (6 - 3)


def test_one_output_alone_has_a_line_of_its_own(tmp_path) -> None:
    graph = Graph("g")
    graph.apply(topk.output("values"), [graph.input("x", (4,))], {"k": 2}, name="t:values")
    with pytest.warns(dataflow.DataflowWarning, match="'t:values' as 't_values'"):
        dataflow.save(Model(graph), tmp_path / "m.toml")
    assert list(dataflow.load(tmp_path / "m.toml").graph) == ["x", "t_values"]


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_backends_and_passes(backend) -> None:
    first = model()
    expected = first.run(**data())
    for name in first.outputs:
        program = Program(first.graph, [name], backend)
        known = {**data(), **{p: first.parameters[p] for p in first.parameters}}
        np.testing.assert_allclose(program.run(known)[0], expected[name], rtol=1e-12)
    assert first.gradients(**data())["W"].shape == (5, 4)
    assert copy.deepcopy(first).outputs == pickle.loads(pickle.dumps(first)).outputs == first.outputs
    own = Graph("own")
    own.node("b", bounds(own.input("x", (3,))))
    assert list(pickle.loads(pickle.dumps(own))) == ["x", "b:low", "b:high"]


def test_the_registry_knows_outputs() -> None:
    assert registry.lookup("topk:values") is topk.output("values")
    assert "topk:values" not in registry.all_ops()
    assert {"topk:values", "topk:indices", "split:0", "split:1"} <= every_op().keys()
    assert topk.output("values").signature == 'topk(x, k, axis=-1, largest=True)["values"]'
    with pytest.raises(OpError, match="op 'topk' has no output 'value'; did you mean 'values'"):
        registry.lookup("topk:value")


def wrong_length():
    @op(outputs=("a", "b"))
    def short(x):
        """One too few."""
        return (x,)

    short(np.ones(2))


def declared(outputs):
    def declare():
        @op(outputs=outputs)
        def named(x):
            """An op."""
            return x, x

    return declare


def named_by_hand():
    graph = Graph("g")
    graph.node("t:values", graph.input("x", (4,)) * 2)


def in_arithmetic():
    graph = Graph("g")
    x = graph.input("x", (4,))
    return x + topk(x, k=1)


def with_kernel_rule():
    @both.into
    def _(out, x):
        return ()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (wrong_length, RuleError, "op 'short' gives a tuple of its outputs: a, b"),
        (declared(("a", "a")), PluginError, "two of its outputs have one name: a, a"),
        (declared(("a b",)), PluginError, "its outputs are names"),
        (declared(lambda k: ()), PluginError, "its outputs rule takes 'k', which is not an attribute of the op"),
        (named_by_hand, GraphError, "'t:values' would be an output of an op with several"),
        (in_arithmetic, OpError, r"an input has several outputs; choose one: \[\"values\"\], \[\"indices\"\]"),
        (with_kernel_rule, PluginError, "op 'both' has several outputs, for which there is no into rule"),
        (lambda: topk([1.0], k=1)["value"], OpError, "op 'topk' has no output 'value'; did you mean 'values'"),
        (lambda: exp(topk([1.0], k=1)), OpError, "an input has several outputs"),
        (lambda: model().graph.value("t"), GraphError, "node 't' has several outputs; choose one: t:values, t:indices"),
        (lambda: split(np.ones(3), parts=10**9), OpError, "parts is a number from 1 to 10000"),
    ],
)
def test_what_is_wrong_is_said(act, error, message) -> None:
    with pytest.raises(error, match=message):
        act()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("t + 1", "an input has several outputs; choose one"),
        ("t.T", "needs one array, and this has several outputs"),
        ("topk(t, k=1)", "an input has several outputs"),
        ("t['valus']", "did you mean 'values'"),
        ("x['a']", "only an op with several outputs has one called 'a'"),
        ("t['values', 0]", "expected ']' after the name of an output"),
        ("t", "have a name already, 't:values'"),
        ("b(t)", "an input has several outputs"),
        ("c(x)", "the output of a block is one array"),
    ],
)
def test_expressions_say_it(expression, message) -> None:
    blocks = """
    [blocks.b]
    inputs = ["x"]
    output = "z"
    nodes.z = "tanh(x)"
    [blocks.c]
    inputs = ["x"]
    output = "z"
    nodes.z = "topk(x, k=1)"
    """
    text = TEXT.replace('loss = "mse', f'q = "{expression}"\nloss = "mse') + blocks
    with pytest.raises(DataflowError, match=message.replace("[", r"\[")):
        loads_toml(text)


def test_samples_of_other_ops_are_left() -> None:
    @op(outputs=lambda parts: [f"p{i}" for i in range(parts)])
    def shares(x, *, parts: int = 1):
        """x in equal shares."""
        return tuple(x / parts for _ in range(parts))

    @shares.samples
    def _(rng):
        yield sample(rng.normal(size=3))
        yield sample(rng.normal(size=3), parts=2)

    assert check_op(shares) == []
    assert len(list(shares.output("p1").samples_rule(np.random.default_rng(0)))) == 1
