"""Explanations: the chain rule, factor by factor, with every local Jacobian and what it costs.

The module can be called: ``dataflow.explain(model, of="loss", wrt="W1")`` is ``explainer.explain``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dataflow.explain.explainer import explain
from dataflow.explain.explanation import Explanation

__all__ = ["Explanation", "explain"]


class _Callable(ModuleType):
    """So that one name serves for the function and for the package that it stands in, whichever is imported first."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Explanation:
        return explain(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
