"""What a step computes, cut into parts: the cost and the traffic of each node, from the rows of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from dataflow.errors import GraphError, counted
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP, PARAMETER
from dataflow.graph.node_names import known_beginning
from dataflow.profiling.cut import Cut, Part, best_cut
from dataflow.profiling.step import Step
from dataflow.profiling.step_costs import BACKWARD, UPDATE, Row
from dataflow.shapes import byte_count, substitute
from dataflow.support.conversion import whole


def cut_step(base: Graph, step: Step, rows: Sequence[Row], sizes: Mapping[str, int], count: int) -> Cut:
    """Cut what a step computes into ``count`` parts. ``base`` is the graph of its forward pass, ``rows`` what its
    instructions cost. What it costs to compute the gradient of a value that several nodes use is shared equally among
    them. More parts than nodes are a ``GraphError``."""
    order = base.schedule([name for name in step.outputs if name in base])
    places = {name: i for i, name in enumerate(name for name in order if base.node_of(name).kind == OP)}
    if whole("cut", count, 1) > len(places):
        found = counted(len(places), "node")
        raise GraphError(f"a cut into {count} parts needs a node for each, and a step computes {found}; ask for fewer")
    users: dict[str, list[int]] = {name: [] for name in order}
    for name, place in places.items():
        for source in dict.fromkeys(x for x in base.arguments(name) if x in users):
            users[source].append(place)
    nbytes = {name: byte_count(substitute(base.spec(name).shape, sizes), base.spec(name).dtype) for name in order}
    costs = _costs(step, rows, places, users, nbytes)
    returned = base.depending_on(step.wrt) if step.wrt else set[str]()
    forward, backward, held = ([0] * len(places) for _ in range(3))
    for name in order:
        node, used = base.node_of(name), users[name]
        if not used or (node.kind != OP and node.kind != PARAMETER):
            continue  # inputs and constants lie where they are needed
        made = places[name] if node.kind == OP else used[0]
        held[made] += nbytes[name] if node.kind == PARAMETER else 0
        crossed = [forward, backward] if name in returned and node.dtype.kind == "f" else [forward]
        for changes in crossed:
            changes[made] += nbytes[name]
            changes[used[-1]] -= nbytes[name]
    forward, backward = list(accumulate(forward)), list(accumulate(backward))
    ends = best_cut(costs, [there + back for there, back in zip(forward, backward, strict=True)], count)
    names = list(places)
    return Cut(
        tuple(
            Part(
                names[start],
                names[stop - 1],
                stop - start,
                sum(costs[start:stop]),
                sum(held[start:stop]),
                forward[stop - 1],
                backward[stop - 1],
            )
            for start, stop in zip([0, *ends[:-1]], ends, strict=True)
        )
    )


# ------------------------------------------------------------------------------------------------ internals


def _costs(
    step: Step,
    rows: Sequence[Row],
    places: Mapping[str, int],
    users: Mapping[str, Sequence[int]],
    nbytes: Mapping[str, int],
) -> list[int]:
    """The operations of each node, forward, backward and update."""
    costs = [0] * len(places)

    def share(operations: int, among: Sequence[int]) -> None:
        for i, place in enumerate(among):
            costs[place] += (operations + i) // len(among)

    for row in rows:
        operations = row.cost.operations
        if row.phase == UPDATE:
            trained = sum(nbytes[name] for name in step.trained)
            for name in step.trained:
                share(operations * nbytes[name] // max(trained, 1), users[name][:1])
        elif row.node in places:
            share(operations, [places[row.node]])
        elif row.phase == BACKWARD and (name := known_beginning(row.node.partition(".")[2], users)):
            # the rule of a gradient has added words to the name of the node
            share(operations, users[name] or [places[name]])
    return costs
