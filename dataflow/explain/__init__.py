"""Explanations: the chain rule, factor by factor, with every local Jacobian and what it costs.

The module can be called: ``dataflow.explain(model, of="loss", wrt="W1")`` is ``explainer.explain``.
"""

from __future__ import annotations

from dataflow.explain.explainer import explain
from dataflow.explain.explanation import Explanation
from dataflow.support.callable_package import make_callable

__all__ = ["Explanation", "explain"]

make_callable(__name__, explain)
