"""Tell biases and activations from the graph alone."""

from __future__ import annotations

from dataflow.graph.graph import Graph, trace_op
from dataflow.graph.node import OP
from dataflow.operations.engine_ops import add, cast, identity, negative
from dataflow.operations.operands import literals_of


def is_bias(graph: Graph, name: str) -> bool:
    """Whether a node is only ever added to something, by ``+`` or inside an op that does nothing else with it, such as
    ``linear``."""
    users = list(graph.successors(name))
    return bool(users) and all(_adds(graph, user, name) for user in users)


def _adds(graph: Graph, user: str, name: str) -> bool:
    op = graph.op_of(user)
    if op.is_primitive:
        return op is add
    arguments = op.complete(graph.arguments(user))
    specs = [graph.spec(x) if isinstance(x, str) else None for x in arguments]
    trace = trace_op(op, specs, graph.node_of(user).attributes, literals_of(arguments))
    input_names = [trace.inputs[i] for i, argument in enumerate(arguments) if argument == name]
    return all(input_name is not None and is_bias(trace.graph, input_name) for input_name in input_names)


def is_activation(graph: Graph, name: str) -> bool:
    """Whether a node is an op of one array that keeps its shape and is not linear."""
    node = graph.node_of(name)
    if node.kind != OP:
        return False
    op, sources = graph.op_of(name), graph.arguments(name)
    if op.structure is not None or op in (identity, negative, cast):
        return False
    return len(sources) == 1 and isinstance(sources[0], str) and graph.node_of(sources[0]).shape == node.shape
