"""Saving ``.onnx``: onnx's checker takes it (saving asks it), other programs compute the same, and it comes back."""

import itertools
import json
import re
import warnings

import numpy as np
import pytest
from any_graph import numbered
from checkout import ROOT

import dataflow
from dataflow import Graph, Model, ops
from dataflow.cli import main
from dataflow.errors import DataflowError, DataflowWarning
from dataflow.graph.subgraph import Subgraph
from dataflow.model.comparison import same_model
from dataflow.testing.cases import cases_of, every_op

onnx = pytest.importorskip("onnx")
from onnx import numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from dataflow_onnx.saving.save import build_proto  # noqa: E402

REFUSED = ("random_uniform", "shaped_like", "max_pool_spread", "max_pool_gather")
"""Ops that are refused, always or where their sizes follow from values."""
MODELS = ("composition", "digits", "jacobian", "log-exercise", "penguins", "perspectives", "wine", "xor")


def _dense(graph):
    x, W = graph.input("x", ("n", 3)), graph.parameter("W", (4, 3), init="he_normal")
    hidden = ops.linear(x, W, graph.parameter("b", (4,), init="normal"))
    return ops.softmax(ops.gelu(hidden, approximate="tanh") * 2 + ops.expm1(hidden)), {"x": (2, 3)}


def _convolutional(graph):
    x, W = graph.input("x", ("n", 2, 6, "w")), graph.parameter("W", (4, 2, 3, 3), init="he_normal")
    pooled = ops.max_pool(ops.relu(ops.conv(x, W, padding=1)), kernel=2, strides=2)
    return ops.reshape(ops.resize(pooled, scales=2.0), shape=(x.shape[0], 4, -1)), {"x": (2, 2, 6, 4)}


def _normalized(graph):
    x = graph.input("x", ("n", 4, 3))
    scale, bias = graph.parameter("s", (4,), init="normal"), graph.parameter("b", (4,), init="zeros")
    normal = ops.batch_norm(x, scale, bias, bias, ops.abs(scale) + 1)
    return ops.layer_norm(normal, graph.constant("g", [1.0, 2, 3], graph.dtype)), {"x": (2, 4, 3)}


def _recurrent(graph):
    x = graph.input("x", (3, "n", 2))
    weights = [graph.parameter(name, shape, init="normal") for name, shape in (("W", (1, 8, 2)), ("R", (1, 8, 2)))]
    return ops.lstm(x, *weights)["y"], {"x": (3, 2, 2)}


def _choosing(graph):
    x = graph.input("x", ("n", 5))
    best = ops.topk(x, k=2)
    picked = ops.gather_elements(x, best["indices"]) + best["values"]
    spread = ops.scatter_elements(x * 0, best["indices"], picked, combine="add")
    return ops.where(x > 0, spread, ops.cumsum(x))[:, ::-1] + ops.mean(x, axis=0), {"x": (3, 5)}


KINDS = {kind.__name__.strip("_"): kind for kind in (_dense, _convolutional, _normalized, _recurrent, _choosing)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning", "ignore::RuntimeWarning")
def test_onnx_computes_the_same(kind, dtype, tmp_path):
    graph = Graph(kind, dtype)
    value, shapes = KINDS[kind](graph)
    model = Model(graph, [graph.node("y", value).name])
    dataflow.save(model, tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    (theirs,) = ReferenceEvaluator(proto).run(None, given)
    _compare(model.run(data=given)["y"], theirs, 1e-5 if dtype == "float32" or _narrowed(proto) else 1e-12)


def _narrowed(proto):
    """Whether something is computed in float32 within float64."""
    return any(node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT for node in proto.graph.node)


def _compare(ours, theirs, tolerance):
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_allclose(theirs, ours, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_a_model_comes_back(name, tmp_path):
    model = dataflow.load(ROOT / "models" / f"{name}.toml")
    dataflow.save(model, tmp_path / "m.onnx")
    again = dataflow.load(tmp_path / "m.onnx")
    assert same_model(model, again)
    for which, file in ((model, "a.toml"), (again, "b.toml")):
        dataflow.save(which, tmp_path / file)
    assert (tmp_path / "a.toml").read_text() == (tmp_path / "b.toml").read_text()


def test_a_trained_model_comes_back_with_its_training_and_takes_new_numbers(tmp_path):
    model = dataflow.load(ROOT / "models" / "xor.toml")
    dataflow.train(model, epochs=3)
    path = tmp_path / "xor.onnx"
    dataflow.save(model, path)
    again = dataflow.load(path)
    assert again.training.keys() == model.training.keys()
    for name in model.parameters:
        np.testing.assert_array_equal(again.parameters[name], model.parameters[name])
    proto = onnx.load(path)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((2, 2)), "W1"))
    path.write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(dataflow.load(path).parameters["W1"], np.ones((2, 2)))


def test_a_graph_that_another_program_changed_counts(tmp_path):
    path = tmp_path / "xor.onnx"
    dataflow.save(dataflow.load(ROOT / "models" / "xor.toml"), path)
    proto = onnx.load(path)
    proto.graph.node[-1].op_type = "Sub"
    path.write_bytes(proto.SerializeToString())
    with pytest.warns(DataflowWarning, match="changed by another program"):
        model = dataflow.load(path)
    assert model.loss is None
    assert "y" not in model.graph


def test_convert(tmp_path, capsys):
    """The names of sizes and the numbers that are drawn are those of the model."""
    path = tmp_path / "xor.onnx"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(ROOT / "models" / "xor.toml"), str(path), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["to"] == str(path)
    proto = onnx.load(path)
    assert [size.dim_param or size.dim_value for size in proto.graph.input[0].type.tensor_type.shape.dim] == ["n", 2]
    model = dataflow.load(ROOT / "models" / "xor.toml")
    np.testing.assert_array_equal(numpy_helper.to_array(proto.graph.initializer[0]), model.parameters["W1"])


def test_what_cannot_be_written_is_named_at_once(tmp_path):
    graph = Graph("chance")
    steps = graph.input("step", (), "int64")
    noise = [ops.random_uniform(steps, shape=(2,), stream=i) for i in range(2)]
    model = Model(graph, [graph.node("y", noise[0] + noise[1]).name])
    with pytest.raises(DataflowError, match=r"m.onnx: .*random_uniform \(ONNX has no such op\) 2×"):
        dataflow.save(model, tmp_path / "m.onnx")
    with pytest.raises(DataflowError, match="no outputs and no loss"):
        dataflow.save(Model(graph), tmp_path / "m.onnx")
    with pytest.raises(DataflowError, match="train the model first"):
        dataflow.save(dataflow.load(ROOT / "models" / "penguin-mass.toml"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_loops_that_are_the_same_but_for_names_are_written():
    """The engine keeps one of them for both."""
    protos = []
    for name in ("first", "second"):
        body = Graph("body")
        total, x = body.input(name, ()), body.input(f"{name}_x", ())
        body.node("next", total + x)
        step = Subgraph(body, [name, f"{name}_x"], {"next": "next"})
        graph = Graph("g")
        x = graph.input("x", ("n",))
        graph.node("y", ops.scan(graph.constant("zero", np.zeros(())), x, body=step, states=1, sequences=1)["next"])
        model = Model(graph, ["y"])
        assert model.run(x=[1.0, 2.0, 4.0])["y"] == 7
        protos.append(build_proto(model))
    for proto in protos:
        assert ReferenceEvaluator(proto).run(None, {"x": np.array([1.0, 2.0, 4.0])})[0] == 7


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_padding_along_a_size_that_data_tell(mode):
    graph = Graph("g")
    padded = ops.pad(graph.input("x", ("n",)), padding=((2, 1),), mode=mode)
    proto, x = build_proto(Model(graph, [graph.node("y", padded).name])), np.arange(5.0)
    np.testing.assert_array_equal(ReferenceEvaluator(proto).run(None, {"x": x})[0], np.pad(x, (2, 1), mode=mode))
    fewer = Model(graph, [graph.node("z", ops.pad(padded, padding=((-1, 2),), mode=mode)).name])
    with pytest.raises(DataflowError, match=f"pad .{mode} and fewer entries along an axis whose size only data tell"):
        build_proto(fewer)


def test_an_input_and_a_value_with_two_names_as_outputs(tmp_path):
    graph = Graph("twice")
    x = graph.input("x", ("n",))
    model = Model(graph, [graph.node("a", x + 1).name, graph.node("b", x + 1).name, "x"])
    dataflow.save(model, tmp_path / "m.onnx")
    assert [entry.name for entry in onnx.load(tmp_path / "m.onnx").graph.output] == ["a", "b", "x_output"]
    assert dataflow.load(tmp_path / "m.onnx").outputs == ["a", "b", "x"]


# ------------------------------------------------------------------------------------------------ in onnxruntime


def _run_elsewhere(proto, given):
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {entry.name: given[entry.name] for entry in session.get_inputs()})


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtypes", [["float16"], ["float32"], ["float64"], ["float32", "float64"], ["float64", "float32"]]
)
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_every_op_in_onnxruntime(dtypes):
    """Each sample of each op is accepted, runs and gives the same numbers; arguments have the dtypes in turn."""
    for name, op in every_op().items():
        for case in cases_of(op, 0):
            if len(case.floats) < len(dtypes):
                continue
            turn = dict(zip(case.floats, itertools.cycle(dtypes), strict=False))
            arguments = [x.astype(turn[i]) if i in turn else x for i, x in enumerate(case.arguments)]
            try:
                graph, given, y = case.with_arguments(arguments).graph()
            except DataflowError:  # it takes them in one dtype alone, or wider ones
                assert dtypes not in (["float32"], ["float64"])
                continue
            model = Model(graph, [y.name])
            try:
                proto = build_proto(model)
            except DataflowError as error:
                assert name.partition(":")[0] in REFUSED, error
                continue
            (theirs,) = _run_elsewhere(proto, given)
            exact = dtypes == ["float64"] and not _narrowed(proto)
            _compare(model.run(data=given)["y"], theirs, 1e-12 if exact else 5e-3 if "float16" in dtypes else 1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_random_graphs_in_onnxruntime():
    """With symbolic sizes, all dtypes and gradients' ops. What is refused is refused for sizes that only data tell."""
    compared = 0
    for number in range(400):
        graph = numbered(7, number)
        model, call = graph.model, graph.calls[0]
        constants = [node.value for _, node in model.graph.node_items() if node.kind == "constant"]
        arrays = [np.asarray(array, float) for array in (*call.inputs.values(), *call.parameters.values(), *constants)]
        if not all(array.size and np.abs(array).max() < 1e6 for array in arrays):  # there, whole numbers are rounded
            continue
        model.parameters = call.parameters
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DataflowWarning)
                proto = build_proto(model)
        except DataflowWarning:
            continue
        except DataflowError as error:
            assert "only data tell" in str(error) or any(name in str(error) for name in REFUSED), error
            continue
        ours = model.run(data=call.inputs)
        try:
            results = _run_elsewhere(proto, call.inputs)
        except Exception as error:
            if not re.search("Mod::Mod|Integer modulo by zero", str(error)):  # onnxruntime's whole numbers have none
                raise
            continue
        for name, array in zip(model.outputs, results, strict=True):
            if ours[name].size and np.isfinite(ours[name]).all():
                _compare(ours[name], array, 1e-4)
                compared += 1
    assert compared > 300
