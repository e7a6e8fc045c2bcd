"""Models and graphs in a notebook: their picture, where it can be drawn quickly."""

from __future__ import annotations

from collections.abc import Container, Mapping

from dataflow.draw.drawer import draw
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.support.mimebundle import bundle

MOST_NODES = 120
"""A graph of more nodes is folded, so that its picture fits on a screen or two."""
TIME_LIMIT = 10.0
"""In seconds."""


def mimebundle(
    shown: Model | Graph, include: Container[str] | None = None, exclude: Container[str] | None = None
) -> Mapping[str, str]:
    """The picture of the forward pass, and the object's repr; where there can be no picture, the reason."""
    forms = {
        "text/plain": shown.__repr__,
        "image/svg+xml": lambda: draw(shown, max_nodes=MOST_NODES, time_limit=TIME_LIMIT).fitting_svg(),
    }
    return bundle(forms, include, exclude)
