"""How hard a picture is to lay out, before anything tries."""

from __future__ import annotations

from collections import deque

from dataflow.draw.picture.picture import Flow, Picture

MOST_EFFORT = 4000
"""Graphviz takes some seconds for this, and four times as long for twice as much."""
MOST_WITH_LABELS = 1000
"""Room for the labels of edges makes twice as many ranks: over this there is none, and they go where they can."""


def effort(picture: Picture) -> int:
    """The number of ranks that edges cross, added up: Graphviz makes a place in each rank for each edge that crosses
    it, and its time grows with the square of that."""
    edges = [(e.source, e.target) for e in picture.edges if e.flow != Flow.REPEAT and not is_crossing(e.flow, picture)]
    following: dict[str, list[str]] = {node.key: [] for node in picture.nodes}
    waiting = dict.fromkeys(following, 0)
    for source, target in edges:
        following[source].append(target)
        waiting[target] += 1
    starts = [key for key, count in waiting.items() if not count]
    ranks = dict.fromkeys(following, 0)
    ready = deque(starts)
    while ready:
        key = ready.popleft()
        for target in following[key]:
            ranks[target] = max(ranks[target], ranks[key] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for key in starts:  # inputs and parameters stand just before their first use
        ranks[key] = min((ranks[target] for target in following[key]), default=1) - 1
    return sum(abs(ranks[target] - ranks[source]) for source, target in edges)


def is_crossing(flow: Flow, picture: Picture) -> bool:
    """Whether an edge leads from one of two passes to the other: it has no part in the layout."""
    return flow == Flow.SAVED and bool(picture.beside)
