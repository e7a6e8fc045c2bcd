"""Pictures of models: the forward and the backward pass, in SVG, PNG, PDF, DOT, TikZ and Mermaid.

The module can be called: ``dataflow.draw(model, backward=True)`` is ``drawer.draw``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dataflow.draw.drawer import draw
from dataflow.draw.drawing import Drawing

__all__ = ["Drawing", "draw"]


class _Callable(ModuleType):
    """So that one name serves for the function and for the package that it stands in, whichever is imported first."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Drawing:
        return draw(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
