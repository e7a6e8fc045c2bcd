"""If and Loop whose conditions are computed: against the same in Python, and their gradients."""

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataflowError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from dataflow_onnx.load import build_model  # noqa: E402


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


def test_a_graph_of_a_hostile_file_is_refused():
    from dataflow.files.msgpack.unpack_subgraph import SubgraphReader
    from dataflow.registry import registry

    scan = registry.lookup("scan").output("h")
    body = {"name": "b", "inputs": [["x", "float64", []]], "constants": [], "nodes": [], "outputs": [["h", "x"]]}
    for _ in range(9):
        inner = {"body": body, "states": 0, "sequences": 1, "reverse": False}
        body = {**body, "inputs": [["x", "float64", [2]]], "nodes": [["y", "scan:h", ["x"], inner]]}
    with pytest.raises(DataflowError, match="nested more than 8 deep"):
        SubgraphReader(registry.lookup, 0).with_graphs(scan, {"body": body})
    many = {**body, "nodes": [["y", "identity", ["x"], {}]] * 200_000}
    with pytest.raises(DataflowError, match="a file has at most"):
        SubgraphReader(registry.lookup, 0).with_graphs(scan, {"body": many})
    for wrong in ({**body, "nodes": [["y", "no_op", ["x"], {}]]}, {**body, "outputs": [["h", "z"]]}, {"name": "b"}, 3):
        with pytest.raises(DataflowError) as caught:
            SubgraphReader(registry.lookup, 0).with_graphs(scan, {"body": wrong})
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
