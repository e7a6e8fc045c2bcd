"""If and Loop whose conditions are computed: against the same in Python, and their gradients."""

import numpy as np
import pytest

import dataflow
from dataflow import Graph, Model, TensorSpec, ops
from dataflow.errors import DataflowError
from dataflow.graph.subgraph import Subgraph

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from dataflow_onnx.load import build_model  # noqa: E402
from dataflow_onnx.saving.save import build_proto  # noqa: E402


def tensor(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


@pytest.fixture
def model():
    """Doubles x until its sum is 50 or more, then adds w to it where the sum is even less than 60."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["h", "h"], ["next"]),
            helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "fifty"], ["more"]),
            helper.make_node("Identity", ["next"], ["kept"]),
        ],
        "double",
        [tensor("i", kind=TensorProto.INT64), tensor("on", kind=TensorProto.BOOL), tensor("h", 2)],
        [tensor("more", kind=TensorProto.BOOL), tensor("next", 2), tensor("kept", 2)],
    )
    then = helper.make_graph([helper.make_node("Add", ["last", "w"], ["added"])], "add", [], [tensor("added", 2)])
    same = helper.make_graph([helper.make_node("Identity", ["last"], ["same"])], "same", [], [tensor("same", 2)])
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["", "begin", "x"], ["last", "all"], body=body),
            helper.make_node("ReduceSum", ["last"], ["sum"], keepdims=0),
            helper.make_node("Less", ["sum", "sixty"], ["small"]),
            helper.make_node("If", ["small"], ["y"], then_branch=then, else_branch=same),
        ],
        "g",
        [tensor("x", 2)],
        [tensor("y", 2), tensor("all", "k", 2)],
        [
            helper.make_tensor("begin", TensorProto.BOOL, [], [True]),
            helper.make_tensor("fifty", TensorProto.FLOAT, [], [50.0]),
            helper.make_tensor("sixty", TensorProto.FLOAT, [], [60.0]),
            helper.make_tensor("w", TensorProto.FLOAT, [2], [5.0, 7.0]),
        ],
    )
    return build_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


@pytest.mark.parametrize(("x", "steps", "added"), [([1.0, 2.5], 4, True), ([20.0, 11.0], 1, False)])
def test_what_values_decide_is_decided_when_it_runs(model, x, steps, added, tmp_path):
    x = np.array(x, np.float32)
    dataflow.save(model, tmp_path / "m.msgpack")
    for each in (model, dataflow.load(tmp_path / "m.msgpack")):
        values = each.run(x=x)
        assert np.array_equal(values["y"], x * 2**steps + (np.array([5, 7]) if added else 0))
        assert values["all"].shape == (steps, 2)
        gradients = each.gradients(of="y", wrt=["x", "w"], x=x)
        assert np.array_equal(gradients["x"], [2**steps] * 2)
        assert np.array_equal(gradients["w"], [float(added)] * 2)


@pytest.mark.parametrize("x", [[1.0, 2.5], [20.0, 11.0], [60.0, 1.0]])
def test_choices_and_loops_are_written(model, x):
    """The file without what dataflow keeps beside it, in onnx's own evaluator and read again."""
    proto, x = build_proto(model), np.array(x, np.float32)
    assert {node.op_type for node in proto.graph.node} >= {"Loop", "If"}
    theirs = dict(zip(model.outputs, ReferenceEvaluator(proto).run(None, {"x": x}), strict=True))
    again = build_model(proto)
    for name in model.outputs:
        value = model.run(x=x)[name]
        np.testing.assert_array_equal(theirs[name], value)
        np.testing.assert_array_equal(again.run(x=x)[name], value)
    gradients = [each.gradients(of="y", wrt=["x", "w"], x=x) for each in (model, again)]
    np.testing.assert_array_equal(gradients[0]["w"], gradients[1]["w"])
    np.testing.assert_array_equal(gradients[0]["x"], gradients[1]["x"])


@pytest.mark.parametrize("reverse", [False, True])
def test_graphs_in_graphs_are_written(reverse):
    """A scan over rows of a symbolic number, with a choice in each step that takes two values from outside
    of it, one of them from outside of the scan."""
    graph = Graph("g")
    x, w = graph.input("x", ("n", 2)), graph.parameter("w", (2,), init="ones")
    of_two = {"h": TensorSpec((2,), np.dtype("float64")), "v": TensorSpec((2,), np.dtype("float64"))}
    branches = {
        "then": Subgraph.traced(lambda h, v: [h + v], of_two, ["z"], "add"),
        "orelse": Subgraph.traced(lambda h, v: [h], of_two, ["z"], "same"),
    }

    def step(h, row, v):
        (z,) = ops.__getattr__("if")(ops.sum(row) > 0, h, v, **branches)
        return [z * row, z]

    specs = {name: TensorSpec((2,), np.dtype("float64")) for name in ("h", "row", "v")}
    body = Subgraph.traced(step, specs, ["h", "kept"], "step")
    results = ops.scan(graph.constant("start", np.ones(2)), x, w * 3, body=body, reverse=reverse)
    model = Model(graph, [graph.node("last", results.h).name, graph.node("kept", results.kept).name])
    rows = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 0.25]])
    h, kept = np.ones(2), []
    for row in rows[::-1] if reverse else rows:
        z = h + 3 if row.sum() > 0 else h
        kept, h = [*kept, z], z * row
    kept = kept[::-1] if reverse else kept
    proto = build_proto(model)
    results = [[each.run(x=rows)[name] for name in model.outputs] for each in (model, build_model(proto))]
    if not reverse:  # which onnx's evaluator does not do
        results.append(ReferenceEvaluator(proto).run(None, {"x": rows}))
    session = pytest.importorskip("onnxruntime").InferenceSession(proto.SerializeToString())
    for found in (*results, session.run(None, {"x": rows})):
        np.testing.assert_allclose(found[0], h, rtol=1e-12)
        np.testing.assert_allclose(found[1], kept, rtol=1e-12)


def test_a_graph_of_a_hostile_file_is_refused():
    from dataflow.files.msgpack.unpack_subgraph import SubgraphReader
    from dataflow.files.node_limits import NodeLimits
    from dataflow.registry import registry

    scan = registry.lookup("scan").output("h")
    body = {"name": "b", "inputs": [["x", "float64", []]], "constants": [], "nodes": [], "outputs": [["h", "x"]]}
    for _ in range(9):
        inner = {"body": body, "states": 0, "sequences": 1, "reverse": False}
        body = {**body, "inputs": [["x", "float64", [2]]], "nodes": [["y", "scan:h", ["x"], inner]]}
    with pytest.raises(DataflowError, match="nested more than 8 deep"):
        SubgraphReader(registry.lookup, NodeLimits()).with_graphs(scan, {"body": body})
    many = {**body, "nodes": [["y", "identity", ["x"], {}]] * 200_000}
    with pytest.raises(DataflowError, match="a file has at most"):
        SubgraphReader(registry.lookup, NodeLimits()).with_graphs(scan, {"body": many})
    for wrong in ({**body, "nodes": [["y", "no_op", ["x"], {}]]}, {**body, "outputs": [["h", "z"]]}, {"name": "b"}, 3):
        with pytest.raises(DataflowError) as caught:
            SubgraphReader(registry.lookup, NodeLimits()).with_graphs(scan, {"body": wrong})
        assert "\n" not in str(caught.value)


def _loaded(nodes, inputs, outputs):
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    return build_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_sequences_are_resolved_while_a_model_is_loaded():
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=0),
        helper.make_node("Constant", [], ["last"], value_int=-1),
        helper.make_node("SequenceAt", ["parts", "last"], ["third"]),
        helper.make_node("SequenceErase", ["parts", "last"], ["two"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("SequenceInsert", ["two", "third", "zero"], ["turned"]),
        helper.make_node("ConcatFromSequence", ["turned"], ["y"], axis=1, new_axis=1),
    ]
    sequence = helper.make_tensor_sequence_value_info("two", TensorProto.FLOAT, ["n"])
    model = _loaded(nodes, [tensor("x", "n", 3)], [tensor("y", "n", 3), sequence])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    values = model.run(x=x)
    assert np.array_equal(values["y"], x[:, [2, 0, 1]])
    assert model.outputs == ["y", "two_0", "two_1"]
    assert np.array_equal(values["two_1"], x[:, 1])
    assert np.array_equal(model.gradients(of="two_1", wrt=["x"], x=x)["x"], [[0, 1, 0]] * 2)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("SequenceConstruct", ["x"], ["s"]), ("Relu", ["s"], ["y"])], "'s' is a sequence; an array is expected"),
        ([("SequenceLength", ["x"], ["y"])], "SequenceLength takes a sequence as input 1"),
        ([("SplitToSequence", ["x"], ["s"]), ("SequenceAt", ["s", "x"], ["y"])], "only data tell"),
        ([("Optional", [], ["o"]), ("OptionalGetElement", ["o"], ["y"])], "is empty and has no element"),
        ([("Relu", ["x", "x"], ["y"])], r"Relu takes 1 input\(s\), not 2"),
    ],
)
def test_what_sequences_cannot_be_is_refused(nodes, message):
    with pytest.raises(DataflowError, match=message):
        _loaded([helper.make_node(*node) for node in nodes], [tensor("x", "n")], [tensor("y", "n")])
