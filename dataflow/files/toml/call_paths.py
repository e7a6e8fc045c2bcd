"""How often one call was repeated, by the paths of calls."""

from __future__ import annotations

from dataflow.graph.graph import Graph
from dataflow.graph.node_names import is_repetition
from dataflow.operations.engine_ops import identity


def repetitions(graph: Graph, name: str) -> int:
    """How many calls, one after the other, one call with ``repeat`` was, if the node is the result of one; else 0."""
    calls = graph.calls
    if f"{name}.1" not in calls or graph.node_of(name).op != identity.name:
        return 0
    last = str(graph.arguments(name)[0])
    number = last.removeprefix(f"{name}.")
    if not (last.startswith(f"{name}.") and is_repetition(number)):
        return 0
    row = [calls.get(f"{name}.{i}") for i in range(1, int(number) + 1)] if last in calls else [None]
    first = row[0]
    for i, call in enumerate(row):
        if first is None or call is None or call["share"] is not None or call["block"] != first["block"]:
            return 0
        if call.get("attributes") != first.get("attributes") or (i and call["inputs"] != [f"{name}.{i}"]):
            return 0
    return len(row)
