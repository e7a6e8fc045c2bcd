"""The chain rule on a model's graph: which nodes a derivative passes, each factor on the way, and every path.

Factors run between the nodes that the model's file names; the nodes inside one expression make one factor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from dataflow.execution.inputs import batch_symbol, is_by_example
from dataflow.explain.local import Call, local_jacobian, through
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP, concrete_attributes
from dataflow.graph.node_graph import reachable
from dataflow.limits import spend
from dataflow.notation.names import is_inner
from dataflow.operations.jacobians import Jacobian
from dataflow.shapes import substitute

Edge: TypeAlias = tuple[str, str, int | None]
"""A factor's ``of`` and ``wrt``, and by which argument where the one is applied to the other several times: x · x
has two."""

_Trail: TypeAlias = "tuple[Edge, _Trail] | None"
"""A path's last edge and the path before it."""

MOST_PATHS = 100
"""An explanation of more paths than this goes by node instead."""
FACTOR = 60
"""Steps of work to find, multiply and write a factor."""


@dataclass(frozen=True)
class Factor:
    """∂of/∂wrt between two neighbouring nodes."""

    of: str
    wrt: str
    op: str
    jacobian: Jacobian
    argument: int | None = None
    """The position of the argument, where the op has the same node for several."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.jacobian.shape

    @property
    def structure(self) -> str:
        return self.jacobian.structure


@dataclass
class Chain:
    """All paths from ``of`` back to ``wrt`` between named nodes, with the values of a forward pass."""

    graph: Graph
    of: str
    wrt: Sequence[str]
    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    inner: bool = False
    """Whether the nodes inside expressions count too."""
    visible: Collection[str] | None = None
    """The nodes between which factors run, where it is not those that the file names."""
    _factors: dict[Edge, Factor] = field(default_factory=dict)
    _leading: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def order(self) -> list[str]:
        """The nodes on any path, in topological order; a wrt first, ``of`` last."""
        active = self.graph.depending_on(self.wrt)
        wanted = {self.of, *self.wrt}
        return [
            name
            for name in self._schedule
            if name in active and (name in wanted or self._is_visible(name)) and self.graph.spec(name).is_float
        ]

    @cached_property
    def sources(self) -> dict[str, list[tuple[str, int | None]]]:
        """For each node on a path, the nodes on a path that it is computed from, in order of its arguments; the
        same one several times, with the arguments' positions, where the node's own op is applied to it several
        times."""
        sources = {}
        for name in self.order:
            inside = self._carrying(name)
            own = [a for a in self.graph.arguments(name) if inside and isinstance(a, str)]
            indirect = {a for inner in inside if inner != name for a in self.graph.arguments(inner)}
            direct: dict[tuple[str, int | None], None] = {}
            for inner in reversed(inside):
                for position, argument in enumerate(self.graph.arguments(inner)):
                    if isinstance(argument, str) and argument in self._nodes:
                        several = inner == name and own.count(argument) > 1 and argument not in indirect
                        direct[argument, position if several else None] = None
            sources[name] = list(direct)
        return sources

    def factor(self, of: str, wrt: str, argument: int | None = None) -> Factor:
        """Return ∂of/∂wrt for neighbours; it is computed once and kept."""
        key = (of, wrt, argument)
        if key not in self._factors:
            spend(FACTOR, of)
            jacobian = self._through(of, wrt) if argument is None else self._local(of, argument)
            self._factors[key] = Factor(of, wrt, self.graph.node_of(of).op, jacobian, argument)
        return self._factors[key]

    def path_count(self, wrt: str) -> int:
        """Count the paths from ``of`` to ``wrt``; the number may be very large."""
        counts = {self.of: 1}
        for name in reversed(self.order):
            for source, _ in self.sources[name]:
                counts[source] = counts.get(source, 0) + counts.get(name, 0)
        return counts.get(wrt, 0) if wrt != self.of else 1

    def paths(self, wrt: str) -> list[list[Edge]] | None:
        """Each path as its edges from ``of`` to ``wrt``; ``None`` if there are more than ``MOST_PATHS``."""
        if self.path_count(wrt) > MOST_PATHS:
            return None
        leading = self.leading_to(wrt)
        done: list[list[Edge]] = []
        unfinished: list[tuple[str, _Trail]] = [(self.of, None)]
        while unfinished:
            name, trail = unfinished.pop()
            if name == wrt:
                done.append(_walked(trail))
                continue
            for source, argument in reversed(self.sources[name]):
                if source in leading:
                    unfinished.append((source, ((name, source, argument), trail)))
        return done

    def leading_to(self, wrt: str) -> set[str]:
        """The nodes on a path from ``of`` to ``wrt``."""
        if wrt not in self._leading:
            self._leading[wrt] = self._find_leading(wrt)
        return self._leading[wrt]

    def _find_leading(self, wrt: str) -> set[str]:
        spend(3 * len(self.order), wrt)  # for this walk, and those that count and list its edges
        forward = {wrt}
        for name in self.order:
            if any(source in forward for source, _ in self.sources[name]):
                forward.add(name)
        back = {self.of}
        for name in reversed(self.order):
            if name in back and name != wrt:
                back.update(source for source, _ in self.sources[name] if source in forward)
        return forward & back

    def edges(self, wrt: str) -> list[Edge]:
        """All factors on paths to ``wrt``, in the order of the backward pass."""
        on = self.leading_to(wrt)
        names = [name for name in reversed(self.order) if name in on and name != wrt]
        return [(name, source, argument) for name in names for source, argument in self.sources[name] if source in on]

    @cached_property
    def example_sizes(self) -> dict[str, int]:
        """Return how many entries each node has for one example of the batch."""
        sizes = {**self.sizes, **({self.batch: 1} if self.batch else {})}
        return {
            name: int(np.prod(substitute(self.graph.node_of(name).shape, sizes), dtype=object)) for name in self.order
        }

    @cached_property
    def batch(self) -> str | None:
        """The symbolic size of the batch, if there is one."""
        return batch_symbol(self.graph, self.of)

    def is_by_example(self, name: str) -> bool:
        """Whether the first axis of a node is the batch's."""
        return is_by_example(self.graph, name, self.batch)

    # -------------------------------------------------------------------------------------------- internals

    @cached_property
    def _schedule(self) -> list[str]:
        return self.graph.schedule([self.of])

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._schedule)}

    @cached_property
    def _nodes(self) -> set[str]:
        return set(self.order)

    def _is_visible(self, name: str) -> bool:
        if self.visible is not None:
            return name in self.visible
        return self.inner or not is_inner(self.graph, name)

    def inside(self, name: str) -> list[str]:
        """A node and those between it and the named nodes that it is computed from, in topological order."""
        if self.graph.node_of(name).kind != OP:
            return []

        def hidden_sources(node: str) -> list[str]:
            return [
                source
                for source in self.graph.predecessors(node)
                if source not in self._nodes and self.graph.node_of(source).kind == OP and not self._is_visible(source)
            ]

        return sorted(reachable([name], hidden_sources), key=self._position.__getitem__)

    def entering(self, inside: Sequence[str]) -> list[str]:
        """The nodes outside that those inside are computed from, in the order in which they are read."""
        nodes = set(inside)
        read = (argument for name in inside for argument in self.graph.arguments(name) if isinstance(argument, str))
        return [name for name in dict.fromkeys(read) if name not in nodes]

    def _carrying(self, name: str) -> list[str]:
        """Those of ``inside`` that a derivative passes on its way to ``name``: not what decides a comparison."""
        inside = self.inside(name)
        nodes, carrying = set(inside), {name}
        for node in reversed(inside):
            if node in carrying:
                carrying.update(a for a in self.graph.arguments(node) if a in nodes and self.graph.spec(a).is_float)
        return [node for node in inside if node in carrying]

    def _through(self, of: str, wrt: str) -> Jacobian:
        inside, after = self.inside(of), {wrt}
        for name in inside:
            if self.graph.spec(name).is_float and not after.isdisjoint(self.graph.pred[name]):
                after.add(name)
        way = [name for name in inside if name in after]
        jacobian = through(way, self.graph.arguments, of, wrt, self.values[of].size, self._local)
        assert jacobian is not None, "neighbours are connected"
        return jacobian

    def _local(self, name: str, position: int) -> Jacobian:
        op, node = self.graph.op_of(name), self.graph.node_of(name)
        sources = self.graph.arguments(name)
        arguments: list[Any] = [self.values[s] if isinstance(s, str) else s for s in sources]
        by_example = [isinstance(s, str) and self.is_by_example(s) for s in sources]
        examples = self.sizes.get(self.batch) if self.batch and self.is_by_example(name) else None
        attributes = concrete_attributes(op, node, self.sizes)
        return local_jacobian(
            Call(op, op.complete(arguments), attributes, self.values[name], examples, by_example), position
        )


def _walked(trail: _Trail) -> list[Edge]:
    edges = []
    while trail is not None:
        edge, trail = trail
        edges.append(edge)
    return edges[::-1]
