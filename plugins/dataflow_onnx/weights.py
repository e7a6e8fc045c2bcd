"""Weights that are nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from dataflow.errors import DataflowError
from dataflow_onnx.call import Operand
from dataflow_onnx.tensors import array_of

_WEIGHTS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


def take_weights(
    nodes: Sequence[onnx.NodeProto], folder: Path | None, scope: dict[str, Operand | None]
) -> list[onnx.NodeProto]:
    """Put the weights of a model that has them in nodes, as Paddle's exporter writes them, into the scope as if they
    were initializers; return the other nodes. A model that has trained initializers keeps all."""
    if any(operand and operand.trained for operand in scope.values()):
        return list(nodes)
    others = []
    for node in nodes:
        tensor = node.attribute[0].t if node.op_type == "Constant" and len(node.attribute) == 1 else None
        name = node.output[0] if node.output else ""
        if tensor is None or not tensor.dims or tensor.data_type not in _WEIGHTS or not name or name in scope:
            others.append(node)
            continue
        try:
            scope[name] = Operand(name, array=array_of(tensor, folder), trained=True)
        except DataflowError as error:
            raise error.at(node=name) from None
    return others
