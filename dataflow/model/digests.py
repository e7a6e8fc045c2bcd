"""Digests that tell whether two models are the same, whatever files they are in."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from dataflow.graph.node import CONSTANT, OP
from dataflow.model.model import Model
from dataflow.operations.attributes import plain
from dataflow.shapes import format_shape


def graph_digest(model: Model) -> str:
    """The SHA-256 of all that decides what the model computes, apart from its parameters: nodes, ops, attributes,
    shapes, dtypes, constants, outputs and loss. The same for one model in any file format."""
    graph = model.graph
    digest = hashlib.sha256()
    for name in sorted(graph):
        node = graph.node_of(name)
        row: list[Any] = [name, node.kind, format_shape(node.shape), node.dtype.name]
        if node.kind == OP:
            attributes = {key: plain(value) for key, value in node.attributes.items()}
            row += [
                node.op,
                attributes,
                [x if isinstance(x, str) else ["number", repr(x)] for x in graph.arguments(name)],
            ]
        elif node.kind == CONSTANT:
            row.append(_array_digest(node.value))
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    digest.update(json.dumps([model.outputs, model.loss]).encode())
    return digest.hexdigest()


def parameter_digest(model: Model) -> str:
    """The SHA-256 of the names, dtypes, shapes and bytes of all parameters."""
    rows = [(name, _array_digest(model.parameters[name])) for name in sorted(model.parameters)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _array_digest(array: np.ndarray) -> list[Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return [array.dtype.name, list(array.shape), hashlib.sha256(little.tobytes()).hexdigest()]
