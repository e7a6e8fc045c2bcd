"""How models and graphs are pickled and copied: as their msgpack files, in memory.

A registered op goes by its name, another by that of the module in which it stands, like a function. Nothing here reads
a pickle; who unpickles what a stranger wrote runs the stranger's code, whatever it holds.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataflow.data.source import DataSource
from dataflow.files.msgpack.binary import pack_model
from dataflow.files.msgpack.container import container_bytes, parse_container
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.limits import unlimited
from dataflow.model.model import Model
from dataflow.operations.op import Op
from dataflow.registry import registry


def _packed(model: Model) -> tuple[bytes, dict[str, Op]]:
    own = {name: op for name, op in model.graph.ops.items() if not registry.is_registered(op)}
    with unlimited():
        container = pack_model(model, Path(), for_file=False)
        return container_bytes({**container.header, "name": ""}, container.tensors), own  # a file's is short, on a line


def _unpacked(data: bytes, ops: Mapping[str, Op]) -> Model:
    with unlimited():
        container = parse_container(data)
        return unpack_model(container.header, container.tensors, Path(), ops)


def _model(data: bytes, ops: Mapping[str, Op], name: str, source: DataSource | None) -> Model:
    model = _unpacked(data, ops)
    model.graph.name, model.data = name, source
    return model


def _graph(data: bytes, ops: Mapping[str, Op], name: str, naming: tuple[dict[str, int], dict[str, int]]) -> Graph:
    graph = _unpacked(data, ops).graph
    graph.name = name
    graph._unnamed, graph._counts = naming
    return graph


def _reduce_model(model: Model) -> tuple[Any, ...]:
    return _model, (*_packed(model), model.name, None if model.data is None else replace(model.data))


def _reduce_graph(graph: Graph) -> tuple[Any, ...]:
    return _graph, (*_packed(Model(graph)), graph.name, (dict(graph._unnamed), dict(graph._counts)))


def _reduce_value(value: Value) -> tuple[Any, ...]:
    return Graph.value, (value.graph, value.name)


def _reduce_op(op: Op) -> str | tuple[Any, ...]:
    if registry.is_registered(op):
        return registry.lookup, (op.name,)
    return op.function.__qualname__ if op.family is None else (Op.output, (op.family, op.output_name))


copyreg.pickle(Model, _reduce_model)
copyreg.pickle(Graph, _reduce_graph)
copyreg.pickle(Value, _reduce_value)
copyreg.pickle(Op, _reduce_op)
