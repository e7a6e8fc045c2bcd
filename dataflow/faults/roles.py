"""What the parts of a net are for, as far as a graph tells."""

from __future__ import annotations

from dataflow.graph import OP, Graph

LINEAR = {"identity", "negative", "transpose", "reshape", "cast", "sum", "index", "broadcast_to"}
"""Ops of one array that are no activations."""


def is_bias(graph: Graph, name: str) -> bool:
    """Whether a parameter is only ever added to something: by ``+``, or as the third input of ``linear``."""
    users = list(graph.successors(name))

    def adds(user: str) -> bool:
        op = graph.nodes[user]["op"]
        return op == "add" or (op == "linear" and graph.arguments(user).index(name) == 2)

    return bool(users) and all(map(adds, users))


def is_activation(graph: Graph, name: str) -> bool:
    """Whether a node is an op of one array that keeps its shape and is not linear."""
    data = graph.nodes[name]
    if data["kind"] != OP or data["op"] in LINEAR:
        return False
    sources = graph.arguments(name)
    return len(sources) == 1 and isinstance(sources[0], str) and graph.nodes[sources[0]]["shape"] == data["shape"]
