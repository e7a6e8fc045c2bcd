"""The passes, in their order, and ``make_plan``, which runs them all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from dataflow.graph.graph import Graph
from dataflow.plan.lower import lower
from dataflow.plan.memory_reuse import arena
from dataflow.plan.passes.common_subexpressions import drop, share
from dataflow.plan.passes.constant_folding import fold
from dataflow.plan.passes.elementwise_regions import regions
from dataflow.plan.passes.instruction_order import order
from dataflow.plan.passes.matrix_products import products
from dataflow.plan.passes.placements import placements
from dataflow.plan.passes.recompute import within
from dataflow.plan.passes.simplify import simplify
from dataflow.plan.passes.views import views
from dataflow.plan.structure import Plan
from dataflow.shapes import TensorSpec
from dataflow.support.gc_pause import LARGE, collector_paused

PASSES: tuple[tuple[str, Callable[[Plan], Plan]], ...] = (
    ("fold", fold),
    ("simplify", simplify),
    ("share", share),
    ("products", products),
    ("placements", placements),
    ("drop", drop),
    ("views", views),
    ("order", order),
)
"""The passes over the plan that ``lower`` makes of a graph; each gives a plan with the same results."""

LAYOUT: tuple[tuple[str, Callable[[Plan], Plan]], ...] = (("regions", regions), ("arena", arena))
"""The last passes, which decide where everything lies."""


def make_plan(
    graph: Graph,
    outputs: Sequence[str],
    arguments: Mapping[str, TensorSpec],
    known: Mapping[str, int] | None = None,
    memory_limit: int | None = None,
) -> Plan:
    """Compile what ``outputs`` need, for arguments of these concrete shapes; ``known`` says what symbolic sizes stand
    for that no argument has.

    With a ``memory_limit``, in bytes, results are forgotten and computed again until what is neither an argument nor an
    output fits into it. No instruction runs more than twice, and the results are the same.

    An input or parameter that is needed and not among the arguments is a ``GraphError``; shapes that do not fit the
    declared ones are refused, as is a size that no argument determines. A limit that cannot be met is a
    ``MemoryLimitError``.
    """
    with collector_paused(stays=len(graph) > LARGE):
        (_, plan) = deque(stages(graph, outputs, arguments, known, memory_limit), maxlen=1).pop()
        return plan


def stages(
    graph: Graph,
    outputs: Sequence[str],
    arguments: Mapping[str, TensorSpec],
    known: Mapping[str, int] | None = None,
    memory_limit: int | None = None,
) -> Iterator[tuple[str, Plan]]:
    """The plan after each pass, with the name of the pass; the first is called ``lower``. The last is what
    ``make_plan`` gives."""
    plan = lower(graph, outputs, arguments, known)
    yield "lower", plan
    for name, improve in PASSES:
        plan = improve(plan)
        yield name, plan
    if memory_limit is not None:
        yield "recompute", within(plan, memory_limit, _laid_out)
        return
    for name, lay_out in LAYOUT:
        plan = lay_out(plan)
        yield name, plan


def _laid_out(plan: Plan) -> Plan:
    return arena(regions(plan))
