"""Where derivatives end: at nodes that hold no floats, such as a comparison or the leaf that a tree leads to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataflow.graph.graph import Graph


def derivative_ends(graph: Graph, order: Sequence[str], names: Iterable[str]) -> list[str]:
    """The nodes among ``order`` at which the derivatives with respect to nodes end, as they hold whole numbers or
    booleans: the first ones on the paths that lead on from there."""
    reached, ends = set(names), []
    for node in order:
        if node not in reached and reached.intersection(graph.predecessors(node)):
            if graph.node_of(node).dtype.kind == "f":
                reached.add(node)
            else:
                ends.append(node)
    return ends
