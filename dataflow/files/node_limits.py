"""How many nodes and edges a file may have, counted as it is read and as it is written: what is saved can be loaded."""

from __future__ import annotations

from dataflow.errors import FileFormatError, GraphError
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP
from dataflow.limits import advice, current


class NodeLimits:
    """What has been counted of one file, against the limits that hold."""

    def __init__(self) -> None:
        self._limits = current()
        self._nodes = self._edges = 0

    def add_nodes(self, count: int, where: str = "") -> None:
        """Count so many nodes. More than a file may have are a ``FileFormatError``."""
        self._nodes += count
        if self._nodes > self._limits.nodes:
            message = f"{where}there are {self._nodes} nodes; a file has at most {self._limits.nodes}"
            raise FileFormatError(message + advice("nodes", self._nodes))

    def add_inputs(self, count: int, node: str | None = None) -> None:
        """Count the inputs of a node: an edge takes a byte of a file, and much memory. Too many are a ``GraphError``,
        for the node and for all together."""
        check_inputs(count, node)
        self._edges += count
        if self._edges > 4 * (most := self._limits.nodes):
            message = f"there are more than {4 * most} edges, four for each node that a file may have"
            raise GraphError(message + advice("nodes", 2 * most), node=node)


def check_inputs(count: int, node: str | None = None) -> None:
    """A ``GraphError`` for more inputs than a node in a file may have."""
    if count > (most := current().inputs):
        raise GraphError(f"it has {count} inputs; a node has at most {most}{advice('inputs', count)}", node=node)


def check_nodes(graph: Graph) -> None:
    """Refuse a graph with more nodes, or more inputs of a node, than a file may have, whatever its format."""
    NodeLimits().add_nodes(len(graph))
    for name, node in graph.node_items():
        if node.kind == OP:
            check_inputs(len(graph.arguments(name)), name)
