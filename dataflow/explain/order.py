"""In which order a Jacobian is accumulated, and how many multiplications that takes.

A graph's Jacobian is found by eliminating its inner vertices one after the other: eliminating v connects each node
u that v depends on with each node w that depends on v, by the product ∂w/∂v · ∂v/∂u, which takes |w|·|v|·|u|
multiplications (Griewank and Walther, 2008, "Evaluating Derivatives", chapters 9 and 10). Eliminating in
topological order is the forward mode, in reverse order the reverse mode. The best order is hard to find in general
(Naumann, 2008, "Optimal Jacobian accumulation is NP-complete"); for a chain it is the order of a product of
matrices, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dataflow.errors import GraphError, nearest
from dataflow.operators import product_error

Edge: TypeAlias = tuple[str, str]
"""(source, target): the target is computed from the source."""

EXACT_LIMIT = 14
"""Up to this many inner vertices the best order of any graph is found by exact search."""


@dataclass(frozen=True)
class Elimination:
    """An order of the inner vertices, what it costs, and how it was found."""

    method: str
    order: tuple[str, ...]
    multiplications: int
    is_best: bool = False
    """Whether no order takes fewer multiplications."""


def orders(
    sizes: Mapping[str, int], edges: Iterable[Edge], wrt: str | Sequence[str], of: str
) -> dict[str, Elimination]:
    """Forward, reverse, lowest Markowitz degree and, where it can be found, the best order. ``sizes`` gives each node's
    number of entries, ``edges`` must be in an order in which sources come from nodes met before, or its reverse."""
    elimination = _Graph(sizes, edges, [wrt] if isinstance(wrt, str) else wrt, of)
    inner = elimination.topological
    found = {
        "forward": elimination.priced("forward", inner),
        "reverse": elimination.priced("reverse", inner[::-1]),
        "Markowitz": elimination.priced("Markowitz", elimination.markowitz()),
    }
    if elimination.is_chain:
        found["best"] = elimination.priced("dynamic programming", elimination.chain_order(), is_best=True)
    elif len(inner) <= EXACT_LIMIT:
        found["best"] = elimination.priced("exact search", elimination.exact_order(), is_best=True)
    return found


def best_order(sizes: Mapping[str, int], edges: Iterable[Edge], wrt: str | Sequence[str], of: str) -> Elimination:
    """The best order, or the cheapest of those that are known where the graph is too large to search."""
    found = orders(sizes, edges, wrt, of)
    return found.get("best") or min(found.values(), key=lambda one: one.multiplications)


def price(
    sizes: Mapping[str, int], edges: Iterable[Edge], wrt: Sequence[str], of: str, order: Sequence[str]
) -> Elimination:
    """What an order costs; a ``GraphError`` where it is not one of all inner vertices."""
    graph = _Graph(sizes, edges, wrt, of)
    graph.check(order)
    return graph.priced("chosen", order)


def accumulate(
    jacobians: Mapping[Edge, np.ndarray], wrt: Sequence[str], of: str, order: Sequence[str]
) -> tuple[dict[str, np.ndarray], int]:
    """The Jacobian of ``of`` with respect to each wrt, from those of neighbours (rows are the target's entries), by
    eliminating the inner vertices in the given order; and the multiplications that it took."""
    sizes: dict[str, int] = {}
    for (source, target), matrix in jacobians.items():
        for name, size in ((target, matrix.shape[0]), (source, matrix.shape[1])):
            if sizes.setdefault(name, size) != size:
                other = next(m.shape for e, m in jacobians.items() if name in e and m is not matrix)
                raise product_error((other[0], other[1]), (matrix.shape[0], matrix.shape[1]))
    graph = _Graph(sizes, jacobians, wrt, of)
    graph.check(order)
    known = dict(jacobians)
    count = 0
    for vertex in order:
        incoming = {source: matrix for (source, target), matrix in known.items() if target == vertex}
        outgoing = {target: matrix for (source, target), matrix in known.items() if source == vertex}
        known = {edge: matrix for edge, matrix in known.items() if vertex not in edge}
        for source, right in incoming.items():
            for target, left in outgoing.items():
                product = left @ right
                count += left.shape[0] * left.shape[1] * right.shape[1]
                known[source, target] = known[source, target] + product if (source, target) in known else product
    zero = {name: np.zeros((sizes.get(of, 0), sizes.get(name, 0))) for name in wrt}
    return {name: known.get((name, of), zero[name]) for name in wrt}, count


class _Graph:
    """A DAG with its inner vertices in topological order."""

    def __init__(self, sizes: Mapping[str, int], edges: Iterable[Edge], wrt: Sequence[str], of: str) -> None:
        self.sizes = sizes
        self.of = of
        self.wrt = list(wrt)
        self.before: dict[str, dict[str, None]] = {}
        self.after: dict[str, dict[str, None]] = {}
        for source, target in edges:
            self.before.setdefault(target, {})[source] = None
            self.after.setdefault(source, {})[target] = None
        self.topological = self._sorted()

    @property
    def is_chain(self) -> bool:
        """Whether every inner vertex has one node before it and one behind it, and there is one wrt."""
        ones = all(len(self.before.get(v, {})) == 1 and len(self.after.get(v, {})) == 1 for v in self.topological)
        return len(self.wrt) == 1 and ones and len(self.before.get(self.of, {})) <= 1

    def check(self, order: Sequence[str]) -> None:
        """A ``GraphError`` unless ``order`` has every inner vertex once."""
        inner = set(self.topological)
        for name in order:
            if name not in inner:
                raise GraphError(f"'{name}' is no inner vertex of this derivative{nearest(name, inner)}")
        missing = [name for name in self.topological if name not in set(order)]
        if missing or len(set(order)) != len(order):
            what = f"'{missing[0]}' is missing" if missing else "a vertex stands twice"
            raise GraphError(f"an order has each inner vertex once ({', '.join(self.topological)}); {what}")

    def priced(self, method: str, order: Sequence[str], *, is_best: bool = False) -> Elimination:
        before = {name: set(found) for name, found in self.before.items()}
        after = {name: set(found) for name, found in self.after.items()}
        total = 0
        for vertex in order:
            total += self._eliminate(before, after, vertex)
        return Elimination(method, tuple(order), total, is_best)

    def markowitz(self) -> list[str]:
        """Always the vertex that is cheapest to eliminate next; the first in topological order among equals."""
        before = {name: set(found) for name, found in self.before.items()}
        after = {name: set(found) for name, found in self.after.items()}
        left, order = list(self.topological), []
        while left:
            vertex = min(left, key=lambda name: self._cost(before, after, name))
            self._eliminate(before, after, vertex)
            left.remove(vertex)
            order.append(vertex)
        return order

    def chain_order(self) -> list[str]:
        """Of a chain, by dynamic programming over its parts."""
        names = [*self.wrt, *self.topological, self.of]
        size = [self.sizes[name] for name in names]
        last = len(names) - 1
        cost = {(i, i + 1): 0 for i in range(last)}
        split: dict[tuple[int, int], int] = {}
        for length in range(2, last + 1):
            for i in range(last - length + 1):
                j = i + length
                split[i, j] = min(range(i + 1, j), key=lambda k: cost[i, k] + cost[k, j] + size[i] * size[k] * size[j])
                k = split[i, j]
                cost[i, j] = cost[i, k] + cost[k, j] + size[i] * size[k] * size[j]
        order, parts = [], [(0, last)]
        while parts:
            i, j = parts.pop()
            if (i, j) in split:
                order.append(names[split[i, j]])
                parts += [(i, split[i, j]), (split[i, j], j)]
        return order[::-1]

    def exact_order(self) -> list[str]:
        """Of any graph, by dynamic programming over the sets of vertices that are gone: which nodes meet at a
        vertex depends on that set alone, not on the order in which it went."""
        inner = self.topological
        number = {name: i for i, name in enumerate(inner)}
        best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
        for _ in inner:
            following: dict[int, tuple[int, tuple[int, ...]]] = {}
            for gone, (cost, order) in best.items():
                for i, name in enumerate(inner):
                    if gone >> i & 1:
                        continue
                    price = cost + self.sizes[name] * self._met(self.before, name, gone, number) * self._met(
                        self.after, name, gone, number
                    )
                    known = following.get(gone | 1 << i)
                    if known is None or price < known[0]:
                        following[gone | 1 << i] = (price, (*order, i))
            best = following
        return [inner[i] for i in best[(1 << len(inner)) - 1][1]]

    def _met(
        self, neighbours: Mapping[str, Mapping[str, None]], name: str, gone: int, number: Mapping[str, int]
    ) -> int:
        """The entries of all nodes that are next to ``name`` once the vertices in ``gone`` are eliminated."""
        found, frontier, total = set(), [name], 0
        while frontier:
            for other in neighbours.get(frontier.pop(), {}):
                if other not in found:
                    found.add(other)
                    if other in number and gone >> number[other] & 1:
                        frontier.append(other)
                    else:
                        total += self.sizes[other]
        return total

    def _cost(self, before: Mapping[str, set[str]], after: Mapping[str, set[str]], vertex: str) -> int:
        into = sum(self.sizes[name] for name in before.get(vertex, ()))
        return into * self.sizes[vertex] * sum(self.sizes[name] for name in after.get(vertex, ()))

    def _eliminate(self, before: dict[str, set[str]], after: dict[str, set[str]], vertex: str) -> int:
        cost = self._cost(before, after, vertex)
        sources, targets = before.pop(vertex, set()), after.pop(vertex, set())
        for source in sources:
            after[source].discard(vertex)
            after[source] |= targets
        for target in targets:
            before[target].discard(vertex)
            before[target] |= sources
        return cost

    def _sorted(self) -> list[str]:
        nodes = dict.fromkeys([*self.wrt, *self.after, *self.before])
        waiting = {name: len(self.before.get(name, {})) for name in nodes}
        ready = [name for name in nodes if not waiting[name]]
        order = []
        for name in ready:
            order.append(name)
            for target in self.after.get(name, {}):
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        ends = {self.of, *self.wrt}
        return [name for name in order if name not in ends]
