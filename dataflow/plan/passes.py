"""The passes, in their order, and ``make_plan``, which runs them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dataflow.collector import collector_paused
from dataflow.graph import Graph
from dataflow.plan.arena import arena
from dataflow.plan.fold import fold
from dataflow.plan.lower import lower
from dataflow.plan.order import order
from dataflow.plan.products import products
from dataflow.plan.recompute import within
from dataflow.plan.regions import regions
from dataflow.plan.share import drop, share
from dataflow.plan.simplify import simplify
from dataflow.plan.structure import Plan
from dataflow.plan.views import views
from dataflow.shapes import TensorSpec

PASSES: tuple[tuple[str, Callable[[Plan], Plan]], ...] = (
    ("fold", fold),
    ("simplify", simplify),
    ("share", share),
    ("products", products),
    ("drop", drop),
    ("views", views),
    ("order", order),
)
"""What is done to the plan that ``lower`` makes of a graph; each gives a plan with the same results."""

LAYOUT: tuple[tuple[str, Callable[[Plan], Plan]], ...] = (("regions", regions), ("arena", arena))
"""The last passes, which say where everything lies."""


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
    with collector_paused():
        plan = lower(graph, outputs, arguments, known)
        for _, one in PASSES:
            plan = one(plan)
        return _laid_out(plan) if memory_limit is None else within(plan, memory_limit, _laid_out)


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
    for name, one in PASSES:
        plan = one(plan)
        yield name, plan
    if memory_limit is not None:
        yield "recompute", within(plan, memory_limit, _laid_out)
        return
    for name, one in LAYOUT:
        plan = one(plan)
        yield name, plan


def _laid_out(plan: Plan) -> Plan:
    for _, one in LAYOUT:
        plan = one(plan)
    return plan
