"""Models and graphs in a notebook: their picture, as far as there is one that nobody has to wait for."""

from __future__ import annotations

from collections.abc import Container, Mapping

from dataflow.draw.drawer import draw
from dataflow.errors import DataflowError
from dataflow.graph import Graph
from dataflow.model import Model
from dataflow.notebook import bundle

MOST_NODES = 120
"""More than that is folded: nobody asked for the picture, and it should fit on a screen or two."""
TIME_LIMIT = 10.0
"""In seconds."""


def mimebundle(
    shown: Model | Graph, include: Container[str] | None = None, exclude: Container[str] | None = None
) -> Mapping[str, str]:
    """The picture of the forward pass, and what the object says of itself; where there can be no picture, why not."""
    forms = {
        "text/plain": shown.__repr__,
        "image/svg+xml": lambda: draw(shown, max_nodes=MOST_NODES, time_limit=TIME_LIMIT).fitting_svg(),
    }
    try:
        return bundle(forms, include, exclude)
    except DataflowError as error:
        words = f"{shown!r}\n(no picture: {error})"
        return bundle({"text/plain": lambda: words}, include, exclude)
