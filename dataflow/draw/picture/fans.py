"""Fold wide fans: many nodes of one kind that the same nodes use are drawn as one, such as 50 inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.subject import Subject
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER
from dataflow.notation.letters import plain

MOST = 12
"""So many alike are still drawn one by one."""
MOST_SAID = 4
"""The most fans that a note names."""
WORDS = {INPUT: "inputs", PARAMETER: "parameters", CONSTANT: "constants"}


@dataclass(frozen=True)
class Fan:
    """Nodes that are drawn as one: what they are called together, and the node of the graph that each is about."""

    title: str
    names: tuple[str, ...]


def find_fans(
    subject: Subject,
    calls: Calls,
    key_of: Mapping[str, str],
    main_of: Mapping[str, str],
    collapsed: Mapping[str, str],
    single: Collection[str],
) -> dict[str, tuple[Fan, list[str]]]:
    """The fans by new keys, each with the keys that it stands for. ``key_of`` has the key of each node that is drawn,
    ``main_of`` the node that a key is about, ``collapsed`` the keys that are calls; ``single`` are nodes that stay
    alone. Nodes with the same users never lie on one path, so that folding them makes no circle; what nobody uses has
    to have the same sources. The backward pass is folded where the forward pass is."""
    graph, belongs = subject.graph, subject.belongs
    joined = {name: key_of.get(name, name) for name in subject.forward}
    about = {key: main_of.get(key, key) for key in joined.values()}
    kept = {key for key, main in about.items() if main in single or _is_repeated(calls, graph.node_of(main).block)}
    fans: dict[str, list[str]] = {}
    is_changed = len(about) > MOST
    while is_changed:
        users: dict[str, set[str]] = {key: set() for key in joined.values()}
        sources: dict[str, set[str]] = {key: set() for key in joined.values()}
        for name in subject.forward:
            for source in graph.predecessors(name):
                if joined[source] != joined[name]:
                    users[joined[source]].add(joined[name])
                    sources[joined[name]].add(joined[source])
        alike: dict[Any, list[str]] = {}
        for key, using in users.items():
            if key not in kept and key not in fans:
                near = frozenset(using), None if using else frozenset(sources[key])
                alike.setdefault((_what(subject, calls, about[key], collapsed.get(key)), near), []).append(key)
        new = {_key(keys): keys for keys in alike.values() if len(keys) > MOST}
        fans |= new
        fan_of = {key: fan for fan, keys in new.items() for key in keys}
        joined = {name: fan_of.get(key, key) for name, key in joined.items()}
        is_changed = bool(new)
    back: dict[Any, list[str]] = {}
    position = {name: i for i, name in enumerate(subject.forward)}
    back_keys = dict.fromkeys(key_of[name] for name in subject.backward)
    for key in sorted(back_keys, key=lambda key: position[belongs[main_of[key]]]):
        main = main_of[key]
        fan = joined.get(belongs[main])
        if fan in fans:
            back.setdefault((fan, _what(subject, calls, main, collapsed.get(key))), []).append(key)
    groups = [[key for key in keys if key in main_of] for keys in (*fans.values(), *back.values())]
    about |= main_of
    return {
        _key(keys): (Fan(_title(subject, calls, keys, about, collapsed), tuple(about[key] for key in keys)), keys)
        for keys in groups
        if len(keys) > MOST
    }


def note_of(fans: Iterable[Fan]) -> str:
    """What the user is told of fans."""
    texts = [f"{fan.title} ({plain(fan.names[0], 24)} … {plain(fan.names[-1], 24)})" for fan in fans]
    said = texts[:MOST_SAID] + ([f"{len(texts) - MOST_SAID} more"] if len(texts) > MOST_SAID else [])
    return f"what is used alike is drawn as one node: {', '.join(said)}; --no-repeats draws each"


def _key(keys: list[str]) -> str:
    return f"{keys[0]} … {keys[-1]}"


def _is_repeated(calls: Calls, path: str | None) -> bool:
    return path is not None and calls.count(path) > 1


def _what(subject: Subject, calls: Calls, main: str, call: str | None) -> tuple[Any, ...]:
    """What nodes of one fan have in common."""
    if call is not None:
        return ("call", calls.calls[call]["block"], calls.parent[call])
    node = subject.graph.node_of(main)
    return (node.kind, node.op, node.block, main in subject.cotangent_of)


def _title(
    subject: Subject, calls: Calls, keys: list[str], main_of: Mapping[str, str], collapsed: Mapping[str, str]
) -> str:
    main, count = main_of[keys[0]], len(keys)
    if main in subject.cotangent_of:
        return f"{count} gradients"
    if keys[0] in collapsed:
        return f"{count} × {calls.calls[collapsed[keys[0]]]['block']}"
    node = subject.graph.node_of(main)
    return f"{count} × {node.op}" if node.kind == OP else f"{count} {WORDS[node.kind]}"
