"""Find the order in which a Jacobian is accumulated with the fewest multiplications.

A graph's Jacobian is found by eliminating its inner vertices one after the other: eliminating v connects each node
u that v depends on with each node w that depends on v, by the product ∂w/∂v · ∂v/∂u, which takes |w|·|v|·|u|
multiplications (Griewank and Walther, 2008, "Evaluating Derivatives", chapters 9 and 10). Eliminating in
topological order is the forward mode, in reverse order the reverse mode. The best order is hard to find in general
(Naumann, 2008, "Optimal Jacobian accumulation is NP-complete"); for a chain it is the order of a product of
matrices, by dynamic programming.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dataflow.errors import GraphError, ShapeError, counted, nearest
from dataflow.limits import spend
from dataflow.operations.jacobians import product_error
from dataflow.support.topological import topological_order

Edge: TypeAlias = tuple[str, str]
"""(source, target): the target is computed from the source."""

EXACT_LIMIT = 14
"""Up to this many inner vertices the best order of any graph is found by exact search."""
CHAIN_LIMIT = 500
"""Up to this many inner vertices the best order of a chain is found by dynamic programming."""


@dataclass(frozen=True)
class Elimination:
    """An order of the inner vertices, its cost, and how it was found."""

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
    eliminations = {
        "forward": elimination.priced("forward", inner),
        "reverse": elimination.priced("reverse", inner[::-1]),
        "Markowitz": elimination.priced("Markowitz", elimination.markowitz()),
    }
    if elimination.is_chain and len(inner) <= CHAIN_LIMIT:
        eliminations["best"] = elimination.priced("dynamic programming", elimination.chain_order(), is_best=True)
    elif len(inner) <= EXACT_LIMIT:
        eliminations["best"] = elimination.priced("exact search", elimination.exact_order(), is_best=True)
    return eliminations


def cheapest(eliminations: Mapping[str, Elimination]) -> Elimination:
    """Return the best of ``orders``, or the cheapest if the best is not known."""
    return eliminations.get("best") or min(eliminations.values(), key=lambda elimination: elimination.multiplications)


def price(
    sizes: Mapping[str, int], edges: Iterable[Edge], wrt: Sequence[str], of: str, order: Sequence[str]
) -> Elimination:
    """Return what an order costs; an order that misses or repeats inner vertices is a ``GraphError``."""
    graph = _Graph(sizes, edges, wrt, of)
    graph.check(order)
    return graph.priced("chosen", order)


def accumulate(
    jacobians: Mapping[Edge, np.ndarray],
    wrt: Sequence[str],
    of: str,
    order: Sequence[str],
    *,
    limit: int | None = None,
) -> tuple[dict[str, np.ndarray], int]:
    """The Jacobian of ``of`` with respect to each wrt, from those of neighbours (rows are the target's entries), by
    eliminating the inner vertices in the given order; and the multiplications that it took. No wrt may lie on the way
    from another to ``of``: it would have to be eliminated and kept. A product of more than ``limit`` entries is a
    ``ShapeError``."""
    sizes = _agreed_sizes(jacobians)
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
                if limit is not None and left.shape[0] * right.shape[1] > limit:
                    raise ShapeError(
                        f"in this order ∂{target}/∂{source} is needed, a {left.shape[0]}×{right.shape[1]} matrix, too "
                        f"large to multiply densely; take one example (--example) or another order"
                    )
                product = left @ right
                count += left.shape[0] * left.shape[1] * right.shape[1]
                known[source, target] = known[source, target] + product if (source, target) in known else product
    zero = {name: np.zeros((sizes.get(of, 0), sizes.get(name, 0))) for name in wrt}
    return {name: known.get((name, of), zero[name]) for name in wrt}, count


def _agreed_sizes(jacobians: Mapping[Edge, np.ndarray]) -> dict[str, int]:
    """How many entries each node has; a ``ShapeError`` names two factors that do not agree about it."""
    as_rows: dict[str, tuple[int, int]] = {}
    as_columns: dict[str, tuple[int, int]] = {}
    for (source, target), matrix in jacobians.items():
        rows, columns = matrix.shape
        if as_rows.setdefault(target, (rows, columns))[0] != rows:
            raise ShapeError(
                f"'{target}' has {counted(as_rows[target][0], 'entry')} in one factor and {rows} in another"
            )
        if as_columns.setdefault(source, (rows, columns))[1] != columns:
            raise ShapeError(
                f"'{source}' has {counted(as_columns[source][1], 'entry')} in one factor and {columns} in another"
            )
    for name in as_rows.keys() & as_columns.keys():
        if as_columns[name][1] != as_rows[name][0]:
            raise product_error(as_columns[name], as_rows[name])
    return {name: shape[0] for name, shape in as_rows.items()} | {name: shape[1] for name, shape in as_columns.items()}


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
        """Whether every inner vertex has one node before it and one behind it, and only one wrt is asked for."""
        ones = all(len(self.before.get(v, {})) == 1 and len(self.after.get(v, {})) == 1 for v in self.topological)
        return len(self.wrt) == 1 and ones and len(self.before.get(self.of, {})) <= 1

    def check(self, order: Sequence[str]) -> None:
        """A ``GraphError`` unless ``order`` has every inner vertex once, and no wrt lies between another and ``of``."""
        between = next((name for name in self.wrt if name != self.of and self.before.get(name)), None)
        if between is not None:
            raise GraphError(
                f"'{between}' is computed from another of the names ({', '.join(self.wrt)}), so no order eliminates "
                f"the nodes between for all of them; take them one by one"
            )
        inner = set(self.topological)
        for name in order:
            if name not in inner:
                raise GraphError(f"'{name}' is not an inner vertex of this derivative{nearest(name, inner)}")
        missing = [name for name in self.topological if name not in set(order)]
        if missing or len(set(order)) != len(order):
            what = f"'{missing[0]}' is missing" if missing else "a vertex stands twice"
            raise GraphError(f"an order has each inner vertex once ({', '.join(self.topological)}); {what}")

    def priced(self, method: str, order: Sequence[str], *, is_best: bool = False) -> Elimination:
        before = {name: set(neighbours) for name, neighbours in self.before.items()}
        after = {name: set(neighbours) for name, neighbours in self.after.items()}
        total = 0
        for vertex in order:
            total += self._eliminate(before, after, vertex)
        return Elimination(method, tuple(order), total, is_best)

    def markowitz(self) -> list[str]:
        """Eliminate the cheapest vertex next, again and again; among equals the first in topological order."""
        before = {name: set(neighbours) for name, neighbours in self.before.items()}
        after = {name: set(neighbours) for name, neighbours in self.after.items()}
        number = {name: i for i, name in enumerate(self.topological)}
        price = {name: self._cost(before, after, name) for name in number}
        waiting = [(cost, number[name]) for name, cost in price.items()]
        heapq.heapify(waiting)
        order = []
        while waiting:
            cost, i = heapq.heappop(waiting)
            vertex = self.topological[i]
            if price.get(vertex) != cost:
                continue  # gone, or waiting at another price
            del price[vertex]
            touched = before.get(vertex, set()) | after.get(vertex, set())
            self._eliminate(before, after, vertex)
            order.append(vertex)
            for name in touched & price.keys():
                price[name] = self._cost(before, after, name)
                heapq.heappush(waiting, (price[name], number[name]))
        return order

    def chain_order(self) -> list[str]:
        """Find the best order of a chain by dynamic programming over its parts."""
        names = [*self.wrt, *self.topological, self.of]
        size = np.array([self.sizes[name] for name in names], dtype=np.float64)  # exact up to 2^53, and no overflow
        last = len(names) - 1
        spend(last**3 // 3000)
        cost = np.zeros((last + 1, last + 1))
        split = np.zeros((last + 1, last + 1), dtype=np.int64)
        for length in range(2, last + 1):
            i = np.arange(last - length + 1)
            j = i + length
            k = i[:, None] + np.arange(1, length)
            each = cost[i[:, None], k] + cost[k, j[:, None]] + size[k] * (size[i] * size[j])[:, None]
            chosen = each.argmin(axis=1)
            cost[i, j], split[i, j] = each[i, chosen], k[i, chosen]
        order, parts = [], [(0, last)]
        while parts:
            start, end = parts.pop()
            if end - start > 1:
                middle = int(split[start, end])
                order.append(names[middle])
                parts += [(start, middle), (middle, end)]
        return order[::-1]

    def exact_order(self) -> list[str]:
        """Find the best order of any graph by dynamic programming over the sets of eliminated vertices: which nodes
        meet at a vertex depends on that set alone, not on the order of elimination. A set that costs more than a known
        order is left out."""
        inner = self.topological
        limit = min(self.priced("", order).multiplications for order in (inner, inner[::-1], self.markowitz()))
        names = [*inner, *self.wrt, self.of]
        bit = {name: 1 << i for i, name in enumerate(names)}
        sizes = [self.sizes.get(name, 0) for name in names]
        into = [sum(bit[other] for other in self.before.get(name, ())) for name in names]
        out = [sum(bit[other] for other in self.after.get(name, ())) for name in names]
        best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
        for _ in inner:
            spend(len(best) * len(inner) // 4)
            following: dict[int, tuple[int, tuple[int, ...]]] = {}
            for gone, (cost, order) in best.items():
                for i in range(len(inner)):
                    if gone >> i & 1:
                        continue
                    price = cost + sizes[i] * _met(into, i, gone, sizes) * _met(out, i, gone, sizes)
                    known = following.get(gone | 1 << i)
                    if price <= limit and (known is None or price < known[0]):
                        following[gone | 1 << i] = (price, (*order, i))
            best = following
        return [inner[i] for i in best[(1 << len(inner)) - 1][1]]

    def _cost(self, before: Mapping[str, set[str]], after: Mapping[str, set[str]], vertex: str) -> int:
        into = sum(self.sizes[name] for name in before.get(vertex, ()))
        return into * self.sizes[vertex] * sum(self.sizes[name] for name in after.get(vertex, ()))

    def _eliminate(self, before: dict[str, set[str]], after: dict[str, set[str]], vertex: str) -> int:
        cost = self._cost(before, after, vertex)
        sources, targets = before.pop(vertex, set()), after.pop(vertex, set())
        spend(1 + len(sources) * len(targets) // 20, vertex)
        for source in sources:
            after[source].discard(vertex)
            after[source] |= targets
        for target in targets:
            before[target].discard(vertex)
            before[target] |= sources
        return cost

    def _sorted(self) -> list[str]:
        nodes = dict.fromkeys([*self.wrt, *self.after, *self.before])
        order, _ = topological_order({name: self.before.get(name, {}) for name in nodes})
        ends = {self.of, *self.wrt}
        return [name for name in order if name not in ends]


def _met(neighbours: Sequence[int], vertex: int, gone: int, sizes: Sequence[int]) -> int:
    """The entries of all neighbours of a vertex once those in ``gone`` are eliminated; sets are bit masks."""
    reached = neighbours[vertex]
    through = reached & gone
    while through:
        lowest = through & -through
        pairs = neighbours[lowest.bit_length() - 1]
        through = (through ^ lowest) | (pairs & ~reached & gone)
        reached |= pairs
    left, total = reached & ~gone, 0
    while left:
        lowest = left & -left
        total += sizes[lowest.bit_length() - 1]
        left ^= lowest
    return total
