"""Ops beside the engine's own: elementwise functions, logic, reductions, indexing, shaping, joining."""

from __future__ import annotations

from collections.abc import Iterable

from dataflow import Op, hookimpl, ops_in
from dataflow_ops import (
    arithmetic,
    contraction,
    control,
    cumulative,
    functions,
    gathering,
    joining,
    logic,
    reductions,
    rounding,
    selecting,
    shaping,
    sorting,
    statistics,
    trees,
    value_dependent,
)

MODULES = (
    *(arithmetic, functions, rounding, logic),
    *(reductions, statistics, cumulative, sorting, contraction),
    *(joining, shaping, gathering, selecting),
    *(control, value_dependent, trees),
)


@hookimpl
def register_ops() -> Iterable[Op]:
    """All ops of this package."""
    return [op for module in MODULES for op in ops_in(module)]
