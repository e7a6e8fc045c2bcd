"""The marked path alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from dataflow.draw.picture.picture import Flow, PictureEdge, PictureNode

Parts: TypeAlias = tuple[tuple[PictureNode, ...], tuple[PictureEdge, ...]]


def only_marked(nodes: Sequence[PictureNode], edges: Sequence[PictureEdge]) -> Parts:
    """The marked edges, the nodes at their ends, and what the forward pass carries between these."""
    ends = {key for edge in edges if edge.mark for key in (edge.source, edge.target)}
    return (
        tuple(node for node in nodes if node.key in ends),
        tuple(edge for edge in edges if edge.mark or (edge.flow == Flow.VALUE and ends.issuperset(_ends(edge)))),
    )


def _ends(edge: PictureEdge) -> tuple[str, str]:
    return edge.source, edge.target
