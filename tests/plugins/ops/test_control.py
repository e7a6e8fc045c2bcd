"""Ops whose attributes are graphs: against what the same loops in Python give, in files, and what is refused."""

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataflowError
from dataflow.graph.subgraph import MAX_DEPTH, Subgraph
from dataflow.limits import Limits
from dataflow.model.comparison import same_model
from dataflow.ops import loop, mse, scan, tanh
from dataflow.ops import sum as sum_of
from dataflow.shapes import TensorSpec, parse_shape

RNN = """
dataflow = 2

[inputs]
x = { shape = ["steps", "n", 2] }
y = { shape = ["n", 3] }
big = { shape = [], dtype = "bool" }

[parameters]
W = { value = [[0.1, 0.2, -0.3], [0.5, -0.4, 0.2]] }
R = { value = [[0.3, 0.1, 0.0], [-0.2, 0.4, 0.1], [0.0, 0.2, -0.5]] }

[blocks.cell]
inputs = ["h", "x", "W", "R"]
outputs = { h = "new", y = "new" }
[blocks.cell.nodes]
new = "tanh(x @ W + h @ R)"

[blocks.double]
inputs = ["a"]
output = "b"
[blocks.double.constants]
two = { value = [2.0] }
[blocks.double.nodes]
b = "a * two"

[blocks.same]
inputs = ["a"]
output = "b"
[blocks.same.nodes]
b = "a"

[nodes]
run = "scan(y * 0, x, W, R, body='cell')"
last = { op = "if", inputs = ["big", "run:h"], attributes = { then = "double", orelse = "same" } }
loss = "mse(last['b'], y)"

[model]
outputs = ["last:b"]
loss = "loss"
"""


def spec(*shape, dtype="float64"):
    return TensorSpec(parse_shape(shape), np.dtype(dtype))


@pytest.fixture
def rnn(tmp_path):
    (tmp_path / "rnn.toml").write_text(RNN)
    return dataflow.load(tmp_path / "rnn.toml")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(5, 4, 2)), "y": rng.normal(size=(4, 3))}


@pytest.mark.parametrize("big", [True, False])
def test_a_scan_and_a_choice_are_what_python_makes_of_them(rnn, data, big):
    h, W, R = np.zeros((4, 3)), rnn.parameters["W"], rnn.parameters["R"]
    for x in data["x"]:
        h = np.tanh(x @ W + h @ R)
    values = rnn.run(**data, big=np.array(big))
    assert np.allclose(values["last:b"], 2 * h if big else h, rtol=1e-14)
    assert values["run:y"].shape == (5, 4, 3)


@pytest.mark.parametrize("big", [True, False])
def test_gradients_node_by_node_in_a_plan_and_by_differences_agree(rnn, data, big):
    data["big"] = np.array(big)
    node_by_node = rnn.gradients(**data)
    _, planned = rnn.compile(gradients=["W", "R"])(**data)
    for name, gradient in node_by_node.items():
        assert np.allclose(planned[name], gradient, rtol=1e-12)
        step = np.zeros_like(gradient)
        step[1, 2] = 1e-6
        first = rnn.parameters[name]
        losses = []
        for sign in (1, -1):
            rnn.parameters[name] = first + sign * step
            losses.append(rnn.run(**data)["loss"])
        rnn.parameters[name] = first
        assert np.isclose((losses[0] - losses[1]) / 2e-6, gradient[1, 2], rtol=1e-7)


def test_the_plan_takes_a_scan_apart(rnn, data):
    rnn.compile(gradients=["W"])(**data, big=np.array(True))
    plan = rnn.graph.copy()
    from dataflow.plan import make_plan

    specs = {"x": spec(5, 4, 2), "y": spec(4, 3), "W": spec(2, 3), "R": spec(3, 3)}
    ops = [instruction.op.name for instruction in make_plan(plan, ["run:h"], specs).instructions]
    assert "scan:h" not in ops
    assert ops.count("tanh") == 5


@pytest.mark.parametrize("ending", ["toml", "msgpack"])
def test_files_give_graphs_back(rnn, data, ending, tmp_path):
    dataflow.save(rnn, tmp_path / f"again.{ending}")
    again = dataflow.load(tmp_path / f"again.{ending}")
    assert same_model(rnn, again)
    rnn.graph.blocks.clear()  # as of a model that was made in Python
    dataflow.save(rnn, tmp_path / f"third.{ending}")
    assert same_model(rnn, dataflow.load(tmp_path / f"third.{ending}"))


def test_pictures_explanations_and_pages_show_the_node(rnn, data):
    data["big"] = np.array(True)
    assert "scan" in dataflow.draw(rnn, backward=True).source
    assert dataflow.explain(rnn, of="loss", wrt="W", **data)
    assert dataflow.view(rnn, **data)


def squares():
    """Squares x until its sum is 100 or more."""
    specs = {"i": spec(dtype="int64"), "h": spec(2)}
    body = Subgraph.traced(lambda i, h: [sum_of(h * h) < 100.0, h * h, h], specs, ["more", "h", "all"], "square")
    graph = dataflow.Graph("squares")
    x = graph.input("x", (2,))
    graph.node("y", loop(graph.constant("most", 50, "int64"), graph.constant("begin", True), x, body=body))
    graph.node("f", sum_of(graph.value("y:h")) + sum_of(graph.value("y:all")))
    return dataflow.Model(graph, ["y:h", "y:all"], loss="f")


def test_a_loop_stops_when_values_say_so():
    x = np.array([1.5, 2.0])
    model = squares()
    values = model.run(x=x)
    assert np.allclose(values["y:all"], [x, x**2, x**4])
    assert np.allclose(values["y:h"], x**8)
    slope = 8 * x**7 + 1 + 2 * x + 4 * x**3
    assert np.allclose(model.gradients(wrt=["x"], x=x)["x"], slope)
    assert np.allclose(model.compile(gradients=["x"])(x=x)[1]["x"], slope)
    assert np.allclose(model.hessian(wrt="x", x=x), np.diag(56 * x**6 + 2 + 12 * x**2))
    assert len(model.run(x=np.array([20.0, 0.0]))["y:all"]) == 1  # the same model, another number of steps


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_what_a_loop_makes_is_in_files_and_is_trained(backend, tmp_path):
    model = squares()
    dataflow.save(model, tmp_path / "squares.msgpack")
    again = dataflow.load(tmp_path / "squares.msgpack")
    assert same_model(model, again)
    graph = again.graph.copy()
    graph.node("loss", graph.value("f") * graph.parameter("w", (), init="ones"))
    trained = dataflow.Model(graph, [], loss="loss")
    x = np.array([1.5, 2.0])
    dataflow.train(trained, data={"x": x}, epochs=2, backend=backend, optimizer={"name": "sgd", "learning_rate": 0.01})
    slope = np.sum(x**8 + x + x**2 + x**4)  # of the loss by w
    assert np.isclose(trained.parameters["w"], 1 - 2 * 0.01 * slope, rtol=1e-12)
    with pytest.raises(DataflowError, match=r"a memory limit bounds plans.*of node 'y:all' depends on values"):
        dataflow.train(trained, data={"x": x}, memory_limit="1MB")
    with pytest.raises(DataflowError, match=r"node 'y:all' \(loop:all\) depends on values.*a scan in place of a loop"):
        dataflow.profile(trained, data={"x": x})


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_parameter_in_a_loop_is_trained_whatever_the_number_of_steps_is(backend):
    graph = dataflow.Graph("power")
    steps, x, y = graph.input("steps", (), "int64"), graph.input("x", ("n",)), graph.input("y", ("n",))
    w = graph.parameter("w", value=1.1)
    specs = {"i": spec(dtype="int64"), "h": spec("n"), "w": spec()}
    body = Subgraph.traced(lambda i, h, w: [i >= 0, h * w], specs, ["more", "h"], "times")
    graph.node("h", loop(steps, graph.constant("begin", True), x, w, body=body)["h"])
    graph.node("loss", mse(graph.value("h"), y))
    model = dataflow.Model(graph, ["h"], loss="loss")
    for count in (3, 1, 0):
        before = float(model.parameters["w"])
        data = {"steps": np.array(count), "x": np.array([1.0, 2.0, -1.0]), "y": np.array([2.0, 1.0, 0.5])}
        # ½ Σ (wᵏ x − y)² has the slope Σ (wᵏ x − y) k wᵏ⁻¹ x, which each of two minibatches adds a part of
        first, second = (data["x"][:2], data["y"][:2]), (data["x"][2:], data["y"][2:])
        expected = before
        for part_x, part_y in (first, second):
            slope = np.sum((expected**count * part_x - part_y) * count * expected ** (count - 1) * part_x)
            expected -= 0.01 * slope
        optimizer = {"name": "sgd", "learning_rate": 0.01}
        dataflow.train(model, data=data, epochs=1, batch_size=2, shuffle=False, backend=backend, optimizer=optimizer)
        assert np.isclose(model.parameters["w"], expected, rtol=1e-12), count


def test_training_through_a_loop_without_end_is_an_error_and_not_for_ever():
    graph = dataflow.Graph("endless")
    x, w = graph.input("x", ("n",)), graph.parameter("w", value=1.0)
    specs = {"i": spec(dtype="int64"), "h": spec("n"), "w": spec()}
    body = Subgraph.traced(lambda i, h, w: [i >= 0, h * w], specs, ["more", "h"], "cell")
    graph.node("loss", sum_of(loop(10**12, True, x, w, body=body)["h"]))
    with Limits(work=3000), pytest.raises(DataflowError, match="a minibatch takes more than 3,000 steps of work"):
        dataflow.train(dataflow.Model(graph, [], loss="loss"), data={"x": np.ones(2)}, epochs=1)


LITERALS = """
dataflow = 2
inputs = { x = { shape = ["n"] }, steps = { shape = [], dtype = "int64" } }
[blocks]
doubled = { inputs = ["i", "h"], outputs = { more = "more", h = "new" }, nodes = { more = "i >= 0", new = "h * 2" } }
same = { inputs = ["a"], output = "b", nodes = { b = "a" } }
tripled = { inputs = ["a"], output = "b", nodes = { b = "a * 3" } }
[nodes]
y = "loop(steps, 1 < 2, x, body='doubled')['h']"
z = "if(2 < 1, x, then='same', orelse='tripled')['b']"
w = "x * (1 < 2) + where(1 < 2, x, 0)"
[model]
outputs = ["y", "z", "w"]
"""


@pytest.mark.parametrize("backend", [None, "numpy", "llvm"])
def test_a_boolean_that_is_written_out_is_one_beside_floats(backend, tmp_path):
    (tmp_path / "literals.toml").write_text(LITERALS)
    model = dataflow.load(tmp_path / "literals.toml")
    data = {"x": np.array([1.0, -2.0]), "steps": np.array(3)}
    values = model.run(**data) if backend is None else model.compile(values=model.outputs, backend=backend)(**data)[0]
    assert {name: values[name].tolist() for name in "yzw"} == {"y": [8, -16], "z": [3, -6], "w": [2, -4]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("body='cell'", "body='cel'", "there is no block 'cel'; did you mean 'cell'"),
        ("body='cell'", "body=3", "attribute 'body' takes a graph, not 3"),
        ('{ h = "new", y = "new" }', '["neu"]', "block 'cell' has no node 'neu'; did you mean 'new'"),
        ("x, W, R, body", "x, W, body", r"graph 'cell' takes 4 inputs \(h, x, W, R\), 3 given"),
        ('"a * two"', "\"if(a > 0, a, then='double', orelse='same')['b']\"", "is a graph in itself: double -> double"),
        ("dataflow = 2", "dataflow = 1", "needs format 2"),
        ("y * 0, x", "cell(y, y, y, y), x", "several outputs: it is a graph for an op's attribute"),
        ("scan(y * 0", "scan(y[0:1]", r"state 'h' is float64 \(1, 3\) first, and float64 \(n, 3\) after a step"),
        ("[blocks.cell.nodes]", "parameters = { w = { value = 1.0 } }\n[blocks.cell.nodes]", "has the parameter 'w'"),
        ('["big", ', '["y", ', "if takes a single bool as its condition, not float64"),
    ],
)
def test_faults_of_files_are_one_line(old, new, message, tmp_path):
    assert old in RNN
    (tmp_path / "bad.toml").write_text(RNN.replace(old, new, 1))
    with pytest.raises(DataflowError, match=message) as caught:
        dataflow.load(tmp_path / "bad.toml")
    assert "\n" not in str(caught.value)


def test_graphs_are_not_nested_without_end():
    body = Subgraph.traced(lambda h, x: [tanh(h * x)], {"h": spec(), "x": spec()}, ["h"], "inner")
    with pytest.raises(DataflowError, match=f"nested more than {MAX_DEPTH} deep"):
        for _ in range(MAX_DEPTH + 1):
            inner = body
            body = Subgraph.traced(
                lambda h, x, inner=inner: [scan(h, x, body=inner)["h"]],
                {"h": spec(), "x": spec(2) if inner.depth == 1 else spec(*[2] * inner.depth)},
                ["h"],
                "outer",
            )


def test_two_graphs_are_one_whatever_their_nodes_are_called():
    first, second, other = (
        Subgraph.traced(lambda a, b, k=k: [a * b + k], {left: spec(2), "y": spec(2)}, ["z"])
        for left, k in (("x", 1), ("u", 1), ("x", 2))
    )
    assert first == second
    assert hash(first) == hash(second)
    assert first != other
