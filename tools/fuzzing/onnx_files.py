"""Hostile ONNX files: sound ones whose parts are changed, left out and put twice."""

from __future__ import annotations

from random import Random
from typing import Any

from onnx import ModelProto, NodeProto

from fuzzing.values import INTEGERS


def structure(rng: Random, seeds: list[bytes]) -> bytes:
    """A model with a few of its parts changed; what dataflow keeps beside the graph goes, most of the time."""
    model = ModelProto.FromString(rng.choice(seeds))
    if rng.random() < 0.8:
        del model.metadata_props[:]
    for _ in range(rng.randrange(1, 4)):
        rng.choice(CHANGES)(rng, model)
    return bytes(model.SerializeToString())


def _names(model: ModelProto) -> list[str]:
    graph = model.graph
    known = [name for node in graph.node for name in (*node.input, *node.output)]
    return [*known, *(tensor.name for tensor in graph.initializer), "", "gone"]


def _node(rng: Random, model: ModelProto) -> NodeProto:
    return rng.choice(model.graph.node) if model.graph.node else model.graph.node.add()


def _change_input(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    if node.input and rng.random() < 0.7:
        node.input[rng.randrange(len(node.input))] = rng.choice(_names(model))
    else:
        node.input.append(rng.choice(_names(model)))


def _change_output(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    if node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(_names(model))


def _change_op(rng: Random, model: ModelProto) -> None:
    ops = ["Add", "Gemm", "Conv", "Slice", "Reshape", "Split", "TopK", "LSTM", "If", "Loop", "Resize", "Einsum", "Gone"]
    _node(rng, model).op_type = rng.choice(ops)


def _change_attribute(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    attribute: Any = rng.choice(node.attribute) if node.attribute else node.attribute.add()
    attribute.name = rng.choice([attribute.name, "axis", "perm", "to", "kernel_shape", "pads", "value", "k"])
    attribute.type = rng.choice([attribute.type, *range(1, 15)])
    attribute.i = _within(rng.choice(INTEGERS))
    attribute.ints.append(_within(rng.choice(INTEGERS)))


def _within(number: int) -> int:
    return max(-(2**63), min(2**63 - 1, number))


def _change_tensor(rng: Random, model: ModelProto) -> None:
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    change = rng.randrange(4)
    if change == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = _within(rng.choice(INTEGERS))
    elif change == 1:
        tensor.data_type = rng.randrange(30)
    elif change == 2:
        tensor.raw_data = bytes(rng.randrange(40))
    else:
        tensor.data_location = 1
        tensor.external_data.add(key="location", value=rng.choice(["/etc/passwd", "../x", "x", ".", ""]))


def _change_size(rng: Random, model: ModelProto) -> None:
    infos = [*model.graph.input, *model.graph.output]
    if not infos:
        return
    tensor = rng.choice(infos).type.tensor_type
    tensor.elem_type = rng.choice([tensor.elem_type, rng.randrange(30)])
    if tensor.shape.dim:
        rng.choice(tensor.shape.dim).dim_value = _within(rng.choice(INTEGERS))


def _repeat_or_remove(rng: Random, model: ModelProto) -> None:
    parts: Any = rng.choice([model.graph.node, model.graph.initializer, model.graph.input, model.graph.output])
    if parts and rng.random() < 0.5:
        del parts[rng.randrange(len(parts))]
    elif parts:
        parts.add().CopyFrom(rng.choice(parts))


def _change_opset(rng: Random, model: ModelProto) -> None:
    if model.opset_import:
        model.opset_import[0].version = rng.choice([0, 1, 7, 9, 11, 13, 17, 25, 99, 2**40])


CHANGES = (
    _change_input,
    _change_output,
    _change_op,
    _change_attribute,
    _change_tensor,
    _change_size,
    _repeat_or_remove,
    _change_opset,
)
