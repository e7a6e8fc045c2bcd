"""Hostile ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def _model(
    nodes: Sequence[Any], tensors: Sequence[Any] = (), opset: int = 17, shape: Any = (2,), **more: Any
) -> ModelProto:
    x = helper.make_tensor_value_info("x", more.pop("dtype", FLOAT), shape)
    graph = helper.make_graph(nodes, "net", [x], [helper.make_tensor_value_info("y", FLOAT, None)], tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, producer_name="", **more)


def _add(name: str = "W") -> Any:
    return helper.make_node("Add", ["x", name], ["y"], name="sum")


def _tensor(name: str = "W", dims: Sequence[int] = (2,), dtype: int = FLOAT, raw: bytes = bytes(8)) -> TensorProto:
    return TensorProto(name=name, dims=dims, data_type=dtype, raw_data=raw)


def _outside(location: str, **told: str) -> ModelProto:
    tensor = TensorProto(name="W", dims=[2], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **told}.items():
        tensor.external_data.add(key=key, value=value)
    return _model([_add()], [tensor])


def _function(name: str, calls: str, times: int = 1) -> Any:
    nodes, last = [], "a"
    for i in range(times):
        nodes.append(
            helper.make_node(
                calls, [last] * (2 if calls == "Add" else 1), [f"b{i}"], domain="" if calls == "Add" else "own"
            )
        )
        last = f"b{i}"
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], [last], nodes, imports)


def _call(name: str) -> Any:
    return helper.make_node(name, ["x"], ["y"], domain="own", name="call")


def _doubling(levels: int) -> ModelProto:
    """2^levels nodes from a few: each function calls the next one twice."""
    functions = [_function(f"F{i}", f"F{i + 1}", 2) for i in range(levels)] + [_function(f"F{levels}", "Add")]
    return _model([_call("F0")], functions=functions)


def _nested(levels: int) -> bytes:
    """A branch in a branch, written from the inside, as protobuf would count them all again on each level."""
    data = GraphProto(name="g").SerializeToString()
    for _ in range(levels):
        attribute = b"\x0a\x01b" + b"\x32" + _length(data) + data
        node = b"\x2a" + _length(attribute) + attribute
        data = b"\x0a" + _length(node) + node
    return b"\x3a" + _length(data) + data


def _length(data: bytes) -> bytes:
    number, result = len(data), b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


def _texts(count: int) -> TensorProto:
    return TensorProto(name="W", dims=[count], data_type=TensorProto.STRING, string_data=[b"one"])


def _trees(**changes: Any) -> Any:
    sound: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0],
        "target_nodeids": [1],
        "target_ids": [0],
        "target_weights": [1.0],
    }
    return helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], name="trees", domain="ai.onnx.ml", **sound | changes)


def _constant(value: int, then: str) -> ModelProto:
    shape = helper.make_node("Constant", [], ["s"], value_ints=[value])
    return _model([shape, helper.make_node(then, ["s"], ["W"], name="many"), _add()])


def _kept(text: str) -> ModelProto:
    model = _model([_add("x")])
    model.metadata_props.add(key="dataflow", value=text)
    return model


def _without_type() -> ModelProto:
    model = _model([_add("x")])
    model.graph.input[0].ClearField("type")
    return model


def files() -> dict[str, bytes]:
    """All files by name, without the ending."""
    sound = _model([_add()], [numpy_helper.from_array(np.ones(2, np.float32), "W")])
    models: dict[str, ModelProto] = {
        "attribute-missing": _model([helper.make_node("Concat", ["x", "x"], ["y"], name="join")]),
        "attribute-of-another-type": _model([helper.make_node("Concat", ["x", "x"], ["y"], name="join", axis="end")]),
        "axis-beyond": _model([helper.make_node("Concat", ["x", "x"], ["y"], name="join", axis=2**40)]),
        "dims-negative": _model([_add()], [_tensor(dims=[-2])]),
        "dims-overflow": _model([_add()], [_tensor(dims=[2**62, 2**62])]),
        "dims-too-large": _model([_add()], [_tensor(dims=[10**9])]),
        "external-absolute": _outside("/etc/passwd"),
        "external-gone": _outside("weights.bin"),
        "external-offset": _outside("host.toml", offset="-8"),
        "external-offset-beyond": _outside("host.toml", offset=str(2**62)),
        "external-offset-text": _outside("host.toml", offset="0x0"),
        "external-twice-up": _outside("a/../../host.toml"),
        "external-up": _outside("../corpus/tiny.toml"),
        "external-windows": _outside("..\\host.toml"),
        "function-calls-itself": _model([_call("F")], functions=[_function("F", "F")]),
        "functions-in-a-circle": _model([_call("F")], functions=[_function("F", "G"), _function("G", "F")]),
        "functions-that-double": _doubling(30),
        "input-axes": _model([_add("x")], shape=(1,) * 40),
        "input-negative": _model([_add("x")], shape=(-2,)),
        "input-of-texts": _model([_add("x")], dtype=TensorProto.STRING),
        "texts-too-few": _model([helper.make_node("Identity", ["W"], ["y"], name="same")], [_texts(10**9)]),
        "trees-of-many-results": _model([_trees(n_targets=10**12)]),
        "trees-in-a-circle": _model([_trees(nodes_falsenodeids=[0, 0, 0])]),
        "input-of-complex": _model([_add("x")], dtype=TensorProto.COMPLEX64),
        "input-without-type": _without_type(),
        "kept-model-no-base64": _kept("§"),
        "kept-model-of-nothing": _kept(""),
        "many-entries": _constant(10**9, "ConstantOfShape"),
        "many-entries-overflow": _constant(2**62, "ConstantOfShape"),
        "name-twice": _model([helper.make_node("Neg", ["x"], ["x"], name="minus"), _add("x")]),
        "no-graph": ModelProto(ir_version=10),
        "no-such-input": _model([_add("gone")]),
        "op-missing": _model([helper.make_node("Gone", ["x"], ["y"]), helper.make_node("__import__", ["x"], ["z"])]),
        "op-of-another-domain": _model([helper.make_node("Add", ["x", "x"], ["y"], domain="com.example")]),
        "opset-newer": _model([_add("x")], opset=10**6),
        "opset-old": _model([_add("x")], opset=6),
        "output-of-nothing": _model([helper.make_node("Neg", ["x"], ["z"])]),
        "range-endless": _model(
            [
                *(helper.make_node("Constant", [], [f"c{i}"], value_int=n) for i, n in enumerate((0, 2**40, 1))),
                helper.make_node("Range", ["c0", "c1", "c2"], ["W"], name="many"),
                _add(),
            ]
        ),
        "reshape-of-zero": _model(
            [helper.make_node("Reshape", ["x", "W"], ["y"], name="other")],
            [_tensor(dtype=7, dims=[1], raw=b"\x05" + bytes(7))],
        ),
        "tensor-cut": _model([_add()], [_tensor(raw=bytes(7))]),
        "tensor-of-no-type": _model([_add()], [_tensor(dtype=999)]),
        "weight-of-another-shape": _model([_add()], [_tensor(dims=[3], raw=bytes(12))]),
    }
    result = {name: model.SerializeToString(deterministic=True) for name, model in models.items()}
    data = sound.SerializeToString(deterministic=True)
    return result | {
        "branches-deep": _nested(400),
        "cut": data[: len(data) // 2],
        "empty": b"",
        "is-text": b"dataflow = 1\n",
        "length-beyond": b"\x3a\xff\xff\xff\xff\x0f" + data,
        "length-without-end": b"\x3a" + b"\xff" * 40,
        "zeros": bytes(100),
    }
