"""Folding: which nodes of the graph make one node of the picture.

Inner nodes of an expression go into the node that the file names, repetitions of a block into the first, collapsed
calls into one node, and where that is still too many, bands of layers into one node each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dataflow.draw.calls import Calls, own_name
from dataflow.draw.subject import Subject
from dataflow.errors import GraphError
from dataflow.graph import CONSTANT, INPUT, OP, PARAMETER, Graph

BANDS = 16
"""How many nodes a pass comes to when it is folded by layers."""
KEPT = 12
"""So many inputs, and so many results, still stand for themselves then."""


@dataclass
class Grouping:
    """For each node that is drawn the key of its node in the picture, and what is known of the keys."""

    keys: dict[str, str] = field(default_factory=dict)
    main: dict[str, str] = field(default_factory=dict)
    """The node of the graph that a key's label is about."""
    paths: dict[str, str | None] = field(default_factory=dict)
    """The call that a key's node stands in."""
    calls: dict[str, str] = field(default_factory=dict)
    """The collapsed call that a key stands for."""
    bands: set[str] = field(default_factory=set)
    """The keys that stand for layers."""
    hosts: dict[str, str] = field(default_factory=dict)
    """For each node the one that it is shown in, repetitions apart."""
    notes: list[str] = field(default_factory=list)

    def members(self) -> dict[str, list[str]]:
        """The nodes of each key, in the order of their evaluation."""
        found: dict[str, list[str]] = {}
        for name, key in self.keys.items():
            found.setdefault(key, []).append(name)
        return found


def group(subject: Subject, calls: Calls, pinned: Collection[str], *, inner: bool, max_nodes: int) -> Grouping:
    """Fold as far as was asked, and then as far as it takes to come to ``max_nodes``."""
    hosts = _hosts(subject, pinned, inner)
    found = _by_call(subject, calls, hosts)
    count = len(found.main)
    if count > max_nodes and calls.calls:
        calls.collapse_all()
        found = _by_call(subject, calls, hosts)
        if len(found.main) <= max_nodes:
            found.notes.append(f"{count:,} nodes are too many to lay out: all blocks were collapsed")
    if len(found.main) > max_nodes:
        found = _by_layer(subject)
        if len(found.main) > max_nodes:
            raise GraphError(
                f"the picture cannot have {max_nodes} nodes or fewer: folded by layers there are {len(found.main)}; "
                f"allow more with --max-nodes"
            )
        found.notes.append(
            f"{count:,} nodes are too many to lay out: they were folded by layers; group nodes into blocks and "
            f"collapse them with --collapse, or allow more with --max-nodes"
        )
    return found


# ------------------------------------------------------------------------------------------------ expressions


def _hosts(subject: Subject, pinned: Collection[str], inner: bool) -> dict[str, str]:
    """For each node the one that it is shown in: itself, the only one whose expression it is part of, or the one that
    it is a view of."""
    graph = subject.graph
    stands_alone = partial(_stands_alone, graph, pinned, inner)
    hosts = _folded(graph, subject.forward, stands_alone)
    hosts |= {name: source for name, source in _saved_views(subject) if not stands_alone(name)}
    if subject.backward:
        results = set(subject.gradients.values())

        def is_cotangent(name: str) -> bool:
            known = subject.cotangent_of.get(name, ())
            return inner or name in results or any(_is_named(graph, node) or node in pinned for node in known)

        hosts |= _folded(graph, subject.backward, is_cotangent)
    return hosts


def _stands_alone(graph: Graph, pinned: Collection[str], inner: bool, name: str) -> bool:
    return inner or graph.nodes[name]["kind"] not in (OP, CONSTANT) or _is_named(graph, name) or name in pinned


def _folded(graph: Graph, order: Sequence[str], stands_alone: Callable[[str], bool]) -> dict[str, str]:
    """An inner node goes to the one that uses it, if that is one and in the same call. Uses from outside ``order``,
    such as those of saved values, do not count."""
    inside = set(order)
    hosts: dict[str, str] = {}
    for name in reversed(order):
        hosts[name] = name
        if graph.nodes[name]["kind"] not in (OP, CONSTANT) or stands_alone(name):
            continue
        users = {hosts[user] for user in graph.successors(name) if user in inside}
        if len(users) == 1 and _same_call(graph, name, *users):
            hosts[name] = users.pop()
    return {name: hosts[name] for name in order}


def _saved_views(subject: Subject) -> Iterator[tuple[str, str]]:
    """Values that the backward pass uses and that only rearrange an input or a parameter, such as ``W.T``, with that:
    they are saved by it rather than by the expression that they stand in."""
    graph = subject.graph
    for name in subject.saved():
        if graph.nodes[name]["kind"] == OP and graph.op_of(name).structure == "selection":
            origins = set(graph.predecessors(name))
            leaves = [origin for origin in origins if graph.nodes[origin]["kind"] in (INPUT, PARAMETER)]
            if len(origins) == 1 and leaves and _same_call(graph, name, leaves[0]):
                yield name, leaves[0]


def _is_named(graph: Graph, name: str) -> bool:
    data = graph.nodes[name]
    return name not in graph.unnamed and "." not in own_name(name, data.get("block"))


def _same_call(graph: Graph, name: str, other: str) -> bool:
    return bool(graph.nodes[name].get("block") == graph.nodes[other].get("block"))


# ------------------------------------------------------------------------------------------------ calls


def _by_call(subject: Subject, calls: Calls, hosts: Mapping[str, str]) -> Grouping:
    found = Grouping(hosts=dict(hosts))
    graph = subject.graph
    for name in subject.shown():
        host = hosts[name]
        owner = subject.belongs.get(host)
        path = graph.nodes[host if owner is None else owner].get("block")
        standing, canonical_path = calls.canonical(host if owner is None else owner, path)
        hidden = calls.hidden_in(canonical_path)
        if owner is not None:
            rest = host.removeprefix(subject.prefix + ".").removeprefix(owner)
            key = f"{subject.prefix}.{standing}{rest}" if hidden is None else f"{subject.prefix}.{hidden}"
        else:
            key = standing if hidden is None else hidden
        found.keys[name] = key
        if key not in found.main or name == key:
            found.main[key] = host
        if hidden is not None:
            found.calls[key] = hidden
            found.paths[key] = calls.parent[hidden]
        else:
            found.paths[key] = canonical_path
    return found


# ------------------------------------------------------------------------------------------------ layers


def _by_layer(subject: Subject) -> Grouping:
    """Bands of nodes at a like distance from the inputs; a parameter stands with the first node that uses it."""
    found = Grouping(hosts={name: name for name in (*subject.forward, *subject.backward)})
    shown = set(subject.shown())
    results = set(subject.gradients.values())
    for side, order in ("forward", subject.forward), ("backward", subject.backward):
        names = [name for name in order if name in shown]
        kept = _ends(subject, names, results if side == "backward" else None)
        for name, band in _bands(subject.graph, names).items():
            key = name if name in kept else f"{side} layers {band + 1}"
            found.keys[name] = key
            found.main.setdefault(key, name)
            found.paths[key] = None
            if key != name:
                found.bands.add(key)
    return found


def _ends(subject: Subject, names: Sequence[str], results: Collection[str] | None) -> set[str]:
    """The inputs and the results of a pass, if they are few."""
    graph = subject.graph
    if results is None:
        inside = set(names)
        starts = [name for name in names if graph.nodes[name]["kind"] == "input"]
        ends = [name for name in names if not any(user in inside for user in graph.successors(name))]
    else:
        starts = [name for name in names[:1] if name in subject.cotangent_of]
        inside = set(subject.backward)
        ends = [name for name in results if not any(user in inside for user in graph.successors(name))]
    return {name for kept in (starts, ends) if len(kept) <= KEPT for name in kept}


def _bands(graph: Graph, names: Sequence[str]) -> dict[str, int]:
    depths = _depths(graph, names)
    deepest = max(depths.values(), default=0) + 1
    return {name: depth * min(BANDS, deepest) // deepest for name, depth in depths.items()}


def _depths(graph: Graph, names: Sequence[str]) -> dict[str, int]:
    inside = set(names)
    depths: dict[str, int] = {}
    for name in names:
        sources = [depths[source] for source in graph.predecessors(name) if source in inside]
        depths[name] = 1 + max(sources) if sources else 0
    for name in names:
        users = _depths_of(depths, graph.successors(name))
        if users and not any(source in inside for source in graph.predecessors(name)):
            depths[name] = max(0, min(users) - 1)
    return depths


def _depths_of(depths: Mapping[str, int], names: Iterable[str]) -> list[int]:
    return [depths[name] for name in names if name in depths]
