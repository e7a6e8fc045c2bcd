"""The chain rule on a model's graph: which nodes a derivative passes, each factor on the way, and every path.

Factors run between the nodes that the model's file names; the nodes inside one expression make one factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from dataflow.explain.local import Call, local_jacobian, through
from dataflow.feeding import batch_symbol
from dataflow.graph import OP, Graph, concrete_attributes
from dataflow.operators import Jacobian
from dataflow.shapes import Size, substitute

Edge: TypeAlias = tuple[str, str, int | None]
"""A factor's ``of`` and ``wrt``, and by which argument where the one is applied to the other several times: x · x
has two."""

_Trail: TypeAlias = "tuple[Edge, _Trail] | None"
"""A path's last edge and the path before it."""

MOST_PATHS = 100
"""With more paths than this an explanation goes by node."""


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
    """All ways from ``of`` back to ``wrt``, between named nodes, with the values of a forward pass."""

    graph: Graph
    of: str
    wrt: Sequence[str]
    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    inner: bool = False
    """Whether the nodes inside expressions count too."""
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
        nodes = set(self.order)
        found = {}
        for name in self.order:
            inside = self._carrying(name)
            own = [a for a in self.graph.arguments(name) if inside and isinstance(a, str)]
            indirect = {a for one in inside if one != name for a in self.graph.arguments(one)}
            direct: dict[tuple[str, int | None], None] = {}
            for one in reversed(inside):
                for position, argument in enumerate(self.graph.arguments(one)):
                    if isinstance(argument, str) and argument in nodes:
                        several = one == name and own.count(argument) > 1 and argument not in indirect
                        direct[argument, position if several else None] = None
            found[name] = list(direct)
        return found

    def factor(self, of: str, wrt: str, argument: int | None = None) -> Factor:
        """∂of/∂wrt for neighbours, kept once it is made."""
        key = (of, wrt, argument)
        if key not in self._factors:
            op = self.graph.nodes[of]["op"]
            if argument is not None:
                self._factors[key] = Factor(of, wrt, op, self._local(of, argument), argument)
                return self._factors[key]
            after = {wrt}
            for name in self.inside(of):
                if self.graph.spec(name).is_float and not after.isdisjoint(self.graph.pred[name]):
                    after.add(name)
            way = [name for name in self.inside(of) if name in after]
            found = through(way, self.graph.arguments, of, wrt, self.values[of].size, self._local)
            assert found is not None, "neighbours are connected"
            self._factors[key] = Factor(of, wrt, op, found)
        return self._factors[key]

    def path_count(self, wrt: str) -> int:
        """How many paths lead from ``of`` to ``wrt``; it may be astronomical."""
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
        """How many entries each node has for one example of the batch."""
        one = {**self.sizes, **({self.batch: 1} if self.batch else {})}
        return {
            name: int(np.prod(substitute(self.graph.nodes[name]["shape"], one), dtype=object)) for name in self.order
        }

    @cached_property
    def batch(self) -> str | None:
        """The symbolic size of the batch, if there is one."""
        return batch_symbol(self.graph, self.of)

    def is_by_example(self, name: str) -> bool:
        """Whether the first axis of a node is the batch's."""
        shape = self.graph.nodes[name]["shape"]
        return (
            bool(shape) and isinstance(shape[0], Size) and self.batch is not None and shape[0].as_symbol == self.batch
        )

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
        if self.inner:
            return True
        block = self.graph.nodes[name].get("block")
        own = name if block is None else name.removeprefix(block).removeprefix(".")
        return "." not in own

    def inside(self, name: str) -> list[str]:
        """A node and those between it and the named nodes that it is computed from, in topological order."""
        if self.graph.nodes[name]["kind"] != OP:
            return []
        found, frontier = {name}, [name]
        while frontier:
            for argument in self.graph.arguments(frontier.pop()):
                if (
                    isinstance(argument, str)
                    and argument not in found
                    and argument not in self._nodes
                    and argument in self._position
                    and self.graph.nodes[argument]["kind"] == OP
                    and not self._is_visible(argument)
                ):
                    found.add(argument)
                    frontier.append(argument)
        return sorted(found, key=self._position.__getitem__)

    def _carrying(self, name: str) -> list[str]:
        """Those of ``inside`` that a derivative passes on its way to ``name``: not what decides a comparison."""
        inside = self.inside(name)
        carrying = {name}
        for one in reversed(inside):
            if one in carrying:
                carrying.update(a for a in self.graph.arguments(one) if a in inside and self.graph.spec(a).is_float)
        return [one for one in inside if one in carrying]

    def _local(self, name: str, position: int) -> Jacobian:
        op, data = self.graph.op_of(name), self.graph.nodes[name]
        sources = self.graph.arguments(name)
        arguments: list[Any] = [self.values[s] if isinstance(s, str) else s for s in sources]
        by_example = [isinstance(s, str) and self.is_by_example(s) for s in sources]
        examples = self.sizes.get(self.batch) if self.batch and self.is_by_example(name) else None
        attributes = concrete_attributes(op, data["attributes"], self.sizes)
        return local_jacobian(
            Call(op, op.complete(arguments), attributes, self.values[name], examples, by_example), position
        )


def _walked(trail: _Trail) -> list[Edge]:
    edges = []
    while trail is not None:
        edge, trail = trail
        edges.append(edge)
    return edges[::-1]
