"""Pictures of models: the forward and the backward pass, in SVG, PNG, PDF, DOT, TikZ and Mermaid.

The module can be called: ``dataflow.draw(model, backward=True)`` is ``drawer.draw``.
"""

from __future__ import annotations

from dataflow.draw.drawer import draw
from dataflow.draw.drawing import Drawing
from dataflow.support.callable_package import make_callable

__all__ = ["Drawing", "draw"]

make_callable(__name__, draw)
