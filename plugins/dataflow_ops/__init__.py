"""The ops that everything else is made of: arithmetic, comparisons, linear algebra, shaping and reductions."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow import Op, hookimpl, ops_in
from dataflow_ops import arithmetic, comparison, linalg, reductions, shaping


@hookimpl
def register_ops() -> Iterable[Op]:
    """All ops of this package."""
    return [op for module in (arithmetic, comparison, linalg, reductions, shaping) for op in ops_in(module)]
