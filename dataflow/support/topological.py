"""The topological sort."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def topological_order(needs: Mapping[T, Iterable[T]]) -> tuple[list[T], list[T]]:
    """Each key after those that it needs, else in the order given; and the keys of a cycle, if there is one, each
    needed by the next, from the one that comes first.

    >>> topological_order({"y": ["x"], "z": ["y"], "x": []})
    (['x', 'y', 'z'], [])
    >>> topological_order({"a": ["c"], "b": ["a"], "c": ["b"]})
    ([], ['a', 'b', 'c'])

    Where the given order is topological it stays, which the sorts of networkx and graphlib do not promise.
    """
    order: list[T] = []
    done: set[T] = set()
    for start in needs:
        if start in done:
            continue
        path: dict[T, None] = {start: None}  # a list that finds a key at once
        waiting = [iter(needs[start])]
        while waiting:
            for key in waiting[-1]:
                if key in path:
                    return order, _cycle(list(path), key, needs)
                if key not in done:
                    path[key] = None
                    waiting.append(iter(needs[key]))
                    break
            else:
                waiting.pop()
                key, _ = path.popitem()
                done.add(key)
                order.append(key)
    return order, []


def _cycle(path: list[T], key: T, needs: Mapping[T, Iterable[T]]) -> list[T]:
    cycle = path[path.index(key) :][::-1]
    members = set(cycle)
    first = cycle.index(next(key for key in needs if key in members))
    return [*cycle[first:], *cycle[:first]]
