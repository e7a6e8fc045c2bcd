"""Graphs that attributes hold as blocks of a TOML file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

import numpy as np

from dataflow.autodiff.rewrite_ops import free_word
from dataflow.errors import ExpressionError
from dataflow.expressions.render import piece_of_name
from dataflow.files.toml.folding import Line, fold
from dataflow.files.toml.toml_values import string, table, value
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, OP, Node
from dataflow.graph.subgraph import Subgraph, subgraphs_of
from dataflow.registry import registry

Pairs: TypeAlias = "list[tuple[str, str]]"


def name_bodies(graph: Graph, declared: Collection[str]) -> tuple[Graph, list[Subgraph]]:
    """The graph in which each graph of an attribute has a name of its own, and those that are to be written: all but
    those whose names are ``declared``. What is in a graph stands before it."""
    names: dict[Subgraph, Subgraph] = {}
    taken = {*declared, *registry.registry().blocks, *registry.registry().ops}
    result = _renamed(graph, names, taken, declared)
    return result, [body for body in names.values() if body.name not in declared]


def _renamed(graph: Graph, names: dict[Subgraph, Subgraph], taken: set[str], declared: Collection[str]) -> Graph:
    if not subgraphs_of(graph):
        return graph
    result = graph.copy()
    for body in subgraphs_of(graph):
        if body not in names:
            inner = _renamed(body.graph, names, taken, declared)
            base = "".join(c if c.isalnum() or c == "_" else "_" for c in body.name)
            name = body.name
            if name not in declared:
                name = free_word(base, taken)
                piece_of_name(name)
            taken.add(name)
            outputs = dict(zip(body.outputs, body.nodes, strict=True))
            names[body] = Subgraph(inner, body.inputs, outputs, name=name)
    for node in graph.names(OP):
        attributes = dict(graph.node_of(node).attributes)
        for key in graph.op_of(node).graph_attributes:
            attributes[key] = names.get(attributes[key], attributes[key])
        result.change_node(node, attributes=attributes)
    return result


def constant(node: Node, default: np.dtype) -> str:
    """A constant as it is declared; ``default`` is the dtype of what says nothing else, and booleans say it."""
    return table([("value", value(node.value)), *([] if node.dtype == np.bool_ else dtype_pairs(node, default))])


def dtype_pairs(node: Node, default: np.dtype) -> Pairs:
    """The dtype of a declaration, where it is not the ``default``."""
    return [] if node.dtype == default else [("dtype", string(node.dtype.name))]


def body_sections(body: Subgraph, default: np.dtype, declare: Callable[[Line], str]) -> Iterable[tuple[str, Pairs]]:
    """The tables of a block, each with its header and its lines; ``declare`` writes a node."""
    graph = body.graph
    folded = fold(graph, set(body.nodes), with_calls=False)
    names = folded.names
    if missing := [name for name in (*body.inputs, *body.nodes) if name not in names and name not in graph]:
        raise ExpressionError(f"'{missing[0]}' cannot be written")
    outputs = {name: names.get(node, node) for name, node in zip(body.outputs, body.nodes, strict=True)}
    header = f"blocks.{body.name}"
    yield header, [("inputs", value([names.get(x, x) for x in body.inputs])), ("outputs", value(outputs))]
    constants = []
    for name in graph.names(CONSTANT):
        node = graph.node_of(name)
        if name not in folded.folded:
            constants.append((names.get(name, name), constant(node, default)))
    yield f"{header}.constants", constants
    yield f"{header}.nodes", [(line.name, declare(line)) for line in folded.lines]
