"""Graphs that attributes of a msgpack file hold. Nothing that the file says is trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, FileFormatError
from dataflow.files.node_limits import NodeLimits
from dataflow.files.plain_checks import (
    brief,
    check_keys,
    is_number_in_array,
    is_op_name,
    name_of,
    row_of,
    sequence,
    typed,
)
from dataflow.graph.graph import Graph
from dataflow.graph.node_names import check_name
from dataflow.graph.subgraph import MAX_DEPTH, Subgraph
from dataflow.operations.op import Op
from dataflow.shapes import TensorSpec, parse_dtype, parse_shape, substitute

_KEYS = {"name", "inputs", "constants", "nodes", "outputs"}


class SubgraphReader:
    """Reads them for one file, of which ``limits`` has counted what is besides."""

    def __init__(self, op_called: Callable[[str], Op], limits: NodeLimits) -> None:
        self._op_called = op_called
        self._limits = limits

    def with_graphs(self, op: Op, given: Mapping[str, Any], depth: int = 1) -> dict[str, Any]:
        """The attributes of a call, in which graphs stand for the maps that say them."""
        graphs = {key: self._read(given[key], depth) for key in op.graph_attributes if given.get(key) is not None}
        return {**given, **graphs}

    def _read(self, content: Any, depth: int) -> Subgraph:
        if depth > MAX_DEPTH:
            raise FileFormatError(f"graphs in attributes are nested more than {MAX_DEPTH} deep")
        check_keys(content, _KEYS, "a graph in an attribute")
        name = _checked(name_of(content["name"], "a graph in an attribute"))
        parts = {key: sequence(content[key], f"{key} of graph '{name}'") for key in sorted(_KEYS - {"name"})}
        self._limits.add_nodes(sum(map(len, parts.values())), "with the graphs in attributes ")
        graph = Graph(name)
        try:
            inputs = [self._input(graph, row) for row in parts["inputs"]]
            for row in parts["constants"]:
                self._constant(graph, row)
            for row in parts["nodes"]:
                self._node(graph, row, depth)
            pairs = [row_of(row, 2, "an output") for row in parts["outputs"]]
            outputs = {typed(output, str, "an output"): typed(node, str, "an output") for output, node in pairs}
            return Subgraph(graph, inputs, outputs, name=name)
        except DataflowError as error:
            error.message = f"graph '{name}': {error.message}"
            raise

    def _input(self, graph: Graph, row: Any) -> str:
        name, dtype, shape = row_of(row, 3, "an input")
        graph.input(_checked(name), parse_shape(shape), parse_dtype(typed(dtype, str, "a dtype")))
        return str(name)

    def _constant(self, graph: Graph, row: Any) -> None:
        name, dtype, shape, value = row_of(row, 4, "a constant")
        spec = TensorSpec(parse_shape(shape), parse_dtype(typed(dtype, str, "a dtype")))
        array = np.zeros(substitute(spec.shape, {}), spec.dtype) if 0 in spec.shape else value
        found = graph.constant(_checked(name), array, spec.dtype).spec
        if found != spec:
            raise FileFormatError(f"constant '{name}' is declared as {spec}, and its value is {found}")

    def _node(self, graph: Graph, row: Any, depth: int) -> None:
        name, called, arguments, attributes = row_of(row, 4, "a node")
        _checked(name)
        if not is_op_name(called):
            raise FileFormatError(f"node '{name}': {brief(called)} is not the name of an op")
        if not isinstance(arguments, list) or not isinstance(attributes, dict):
            raise FileFormatError(f"node '{name}' has an array of arguments and a map of attributes")
        self._limits.add_inputs(len(arguments), name)
        operands: list[Any] = []
        for argument in arguments:
            if isinstance(argument, str):
                operands.append(graph.value(argument))
            elif argument is None:
                operands.append(None)
            elif is_number_in_array(argument):
                operands.append(argument[0])
            else:
                raise FileFormatError(f"node '{name}': an argument is a name, an array around a plain number, or nil")
        op = self._op_called(called)
        graph.apply(op, operands, op.bind(self.with_graphs(op, attributes, depth + 1)), name=name)


def _checked(name: Any) -> str:
    check_name(name)
    return str(name)
