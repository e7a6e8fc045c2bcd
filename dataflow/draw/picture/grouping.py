"""Fold a graph: decide which nodes make one node of the picture.

Inner nodes of an expression go into the node that the file names, repetitions of a block into the first, collapsed
calls into one node, and where that is still too many, bands of layers into one node each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.fans import Fan, find_fans, note_of
from dataflow.draw.picture.subject import Subject
from dataflow.errors import GraphError
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER
from dataflow.notation.names import is_inner

BANDS = 16
"""The number of nodes of a pass that is folded by layers."""
KEPT = 12
"""The most inputs, and the most results, that stay nodes of their own then."""


@dataclass
class Grouping:
    """The key in the picture of each node that is drawn, and what each key stands for."""

    keys: dict[str, str] = field(default_factory=dict)
    main: dict[str, str] = field(default_factory=dict)
    """The node of the graph that a key's label is about."""
    paths: dict[str, str | None] = field(default_factory=dict)
    """The call that a key's node stands in."""
    calls: dict[str, str] = field(default_factory=dict)
    """The collapsed call that a key stands for."""
    fans: dict[str, Fan] = field(default_factory=dict)
    """The keys that stand for many nodes used alike."""
    bands: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The keys that stand for layers, with the first and the last of these in the order of the pass."""
    hosts: dict[str, str] = field(default_factory=dict)
    """For each node the one that it is shown in, repetitions apart."""
    notes: list[str] = field(default_factory=list)

    def members(self) -> dict[str, list[str]]:
        """The nodes of each key, in the order of their evaluation."""
        members: dict[str, list[str]] = {}
        for name, key in self.keys.items():
            members.setdefault(key, []).append(name)
        return members


def group(
    subject: Subject,
    calls: Calls,
    pinned: Collection[str],
    single: Collection[str],
    *,
    inner: bool,
    fold_fans: bool,
    max_nodes: int,
) -> Grouping:
    """Fold what the options ask for, and then as much as ``max_nodes`` requires. ``pinned`` nodes are in no expression
    of another, ``single`` ones in no fan."""
    hosts = _hosts(subject, pinned, inner)

    def fold() -> Grouping:
        grouping = _by_call(subject, calls, hosts)
        if fold_fans:
            _fold_fans(subject, calls, grouping, single)
        return grouping

    grouping = fold()
    count = len(grouping.main)
    if count > max_nodes and calls.calls:
        calls.collapse_all()
        grouping = fold()
        if len(grouping.main) <= max_nodes:
            grouping.notes.append(f"{count:,} nodes are too many for one picture: all blocks were collapsed")
    if len(grouping.main) > max_nodes:
        grouping = _by_layer(subject, hosts)
        if len(grouping.main) > max_nodes:
            raise GraphError(
                f"the picture cannot have {max_nodes} nodes or fewer: folded by layers there are {len(grouping.main)}; "
                f"allow more with --max-nodes"
            )
        first, last = next(iter(grouping.bands.values()))
        grouping.notes.append(
            f"{count:,} nodes are too many for one picture: layers were folded, such as {layers_text(first, last)}; "
            f"group nodes into blocks and collapse them with --collapse, or allow more with --max-nodes"
        )
    return grouping


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
    return inner or graph.node_of(name).kind not in (OP, CONSTANT) or _is_named(graph, name) or name in pinned


def _folded(graph: Graph, order: Sequence[str], stands_alone: Callable[[str], bool]) -> dict[str, str]:
    """An inner node goes to the one that uses it, if that is one and in the same call. Uses from outside ``order``,
    such as those of saved values, do not count."""
    inside = set(order)
    hosts: dict[str, str] = {}
    for name in reversed(order):
        hosts[name] = name
        if graph.node_of(name).kind not in (OP, CONSTANT) or stands_alone(name):
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
        if graph.node_of(name).kind == OP and graph.op_of(name).structure == "selection":
            origins = set(graph.predecessors(name))
            leaves = [origin for origin in origins if graph.node_of(origin).kind in (INPUT, PARAMETER)]
            if len(origins) == 1 and leaves and _same_call(graph, name, leaves[0]):
                yield name, leaves[0]


def _is_named(graph: Graph, name: str) -> bool:
    return name not in graph.unnamed and not is_inner(graph, name)


def _same_call(graph: Graph, name: str, other: str) -> bool:
    return bool(graph.node_of(name).block == graph.node_of(other).block)


# ------------------------------------------------------------------------------------------------ calls


def _by_call(subject: Subject, calls: Calls, hosts: Mapping[str, str]) -> Grouping:
    grouping = Grouping(hosts=dict(hosts))
    graph = subject.graph
    for name in subject.shown():
        host = hosts[name]
        owner = subject.belongs.get(host)
        path = graph.node_of(host if owner is None else owner).block
        standing, canonical_path = calls.canonical(host if owner is None else owner, path)
        hidden = calls.hidden_in(canonical_path)
        if owner is not None:
            rest = host.removeprefix(subject.prefix + ".").removeprefix(owner)
            key = f"{subject.prefix}.{standing}{rest}" if hidden is None else f"{subject.prefix}.{hidden}"
        else:
            key = standing if hidden is None else hidden
        grouping.keys[name] = key
        if key not in grouping.main or name == key:
            grouping.main[key] = host
        if hidden is not None:
            grouping.calls[key] = hidden
            grouping.paths[key] = calls.parent[hidden]
        else:
            grouping.paths[key] = canonical_path
    return grouping


def _fold_fans(subject: Subject, calls: Calls, grouping: Grouping, single: Collection[str]) -> None:
    key_of = {name: grouping.keys.get(name, host) for name, host in grouping.hosts.items()}
    fans = find_fans(subject, calls, key_of, grouping.main, grouping.calls, single)
    fan_of = {key: fan for fan, (_, keys) in fans.items() for key in keys}
    for fan, (what, keys) in fans.items():
        grouping.fans[fan] = what
        grouping.main[fan], grouping.paths[fan] = what.names[0], grouping.paths[keys[0]]
        if keys[0] in grouping.calls:
            grouping.calls[fan] = grouping.calls[keys[0]]
    grouping.keys = {name: fan_of.get(key, key) for name, key in grouping.keys.items()}
    if fans:
        grouping.notes.append(note_of(grouping.fans.values()))


# ------------------------------------------------------------------------------------------------ layers


def layers_text(first: int, last: int) -> str:
    """``layers 2 to 9``; those of a backward pass count down."""
    return f"layer {first}" if first == last else f"layers {first} to {last}"


def _by_layer(subject: Subject, hosts: Mapping[str, str]) -> Grouping:
    """Bands of nodes at a like distance from the inputs. An inner node stands with its expression, a parameter with the
    first that uses it."""
    grouping = Grouping(hosts={name: name for name in (*subject.forward, *subject.backward)})
    shown = set(subject.shown())
    results = set(subject.gradients.values())
    layer_of = _depths(subject.graph, subject.forward, hosts)
    layer_of |= {name: layer_of[owner] for name, owner in subject.belongs.items()}
    for side, order in ("forward", subject.forward), ("backward", subject.backward):
        names = [name for name in order if name in shown]
        kept = _ends(subject, names, results if side == "backward" else None)
        layers: dict[str, list[int]] = {}
        for name, band in _bands(subject.graph, names, hosts).items():
            key = name if name in kept else f"{side} layers {band + 1}"
            grouping.keys[name] = key
            grouping.main.setdefault(key, name)
            grouping.paths[key] = None
            if key != name:
                layers.setdefault(key, []).append(layer_of[name])
        for key, numbers in layers.items():
            first = min((number for number in numbers if number), default=0)
            grouping.bands[key] = (first, max(numbers)) if side == "forward" else (max(numbers), first)
    return grouping


def _ends(subject: Subject, names: Sequence[str], results: Collection[str] | None) -> set[str]:
    """The inputs and the results of a pass, if they are few."""
    graph = subject.graph
    if results is None:
        inside = set(names)
        starts = [name for name in names if graph.node_of(name).kind == INPUT]
        ends = [name for name in names if not any(user in inside for user in graph.successors(name))]
    else:
        starts = [name for name in names[:1] if name in subject.cotangent_of]
        inside = set(subject.backward)
        ends = [name for name in results if not any(user in inside for user in graph.successors(name))]
    return {name for kept in (starts, ends) if len(kept) <= KEPT for name in kept}


def _bands(graph: Graph, names: Sequence[str], hosts: Mapping[str, str]) -> dict[str, int]:
    depths = _depths(graph, names, hosts)
    deepest = max(depths.values(), default=0) + 1
    bands = {name: depths.get(hosts[name], depth) * min(BANDS, deepest) // deepest for name, depth in depths.items()}
    for name in names:
        users = [bands[user] for user in graph.successors(name) if user in bands]
        if users and not any(source in bands for source in graph.predecessors(name)):
            bands[name] = min(users)
    return bands


def _depths(graph: Graph, names: Sequence[str], hosts: Mapping[str, str]) -> dict[str, int]:
    """In which layer each node stands, the inputs in 0: an expression is one layer, whatever is inside it."""
    inside = set(names)
    depths: dict[str, int] = {}
    for name in names:
        sources = [source for source in graph.predecessors(name) if source in inside]
        depths[name] = max((depths[source] + (hosts[source] != hosts[name]) for source in sources), default=0)
    return depths
