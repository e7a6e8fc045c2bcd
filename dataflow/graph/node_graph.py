"""The structure of a graph, a networkx ``MultiDiGraph`` of ``Node`` objects, and questions about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Self, TypeAlias

import networkx as nx
import numpy as np

from dataflow.errors import GraphError, nearest
from dataflow.graph.class_texts import check_classes, numbers_of
from dataflow.graph.node import Node
from dataflow.graph.plain_copy import plain_copy
from dataflow.operations.op import Op
from dataflow.operations.operands import Literal
from dataflow.operations.outputs import several_outputs
from dataflow.shapes import TensorSpec, spec_of
from dataflow.support.arguments import checked, describe
from dataflow.support.gc_pause import LARGE, collector_paused

Argument: TypeAlias = "str | Literal | None"


class NodeGraph(nx.MultiDiGraph):
    """Nodes by name, and an edge from each to those that use it. Every node has one attribute, its ``Node``."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.graph.update(ops={}, blocks={}, calls={}, classes={})

    # networkx passes the dictionary ``graph`` on to views and copies, so what belongs to the whole graph is kept there

    @property
    def dtype(self) -> np.dtype:
        """The dtype of nodes that declare no other."""
        dtype: np.dtype = self.graph["dtype"]
        return dtype

    @property
    def ops(self) -> dict[str, Op]:
        """The ops of the nodes by name."""
        ops: dict[str, Op] = self.graph["ops"]
        return ops

    @property
    def blocks(self) -> dict[str, Any]:
        """The blocks that the graph's file declares, by name."""
        blocks: dict[str, Any] = self.graph["blocks"]
        return blocks

    @property
    def makes_sizes(self) -> bool:
        """Whether shapes of nodes depend on values."""
        return "made" in self.graph

    @property
    def calls(self) -> dict[str, dict[str, Any]]:
        """The calls of blocks by path: the block, the call whose parameters it shares, its inputs."""
        calls: dict[str, dict[str, Any]] = self.graph["calls"]
        return calls

    @property
    def classes(self) -> dict[str, list[str]]:
        """For nodes of whole numbers that stand for texts, such as the names of classes: the texts, of which 0 is the
        first, by node; for nodes of floats what the entries along their last axis are called. ``name_classes`` sets
        them."""
        classes: dict[str, list[str]] = self.graph["classes"]
        return classes

    def name_classes(self, name: str, texts: Any) -> None:
        """Say what the whole numbers of a node stand for: texts, of which 0 is the first; or what the entries along the
        last axis of a node of floats are called. A ``GraphError`` for other nodes, and unless the texts differ."""
        check_classes(name, self.node_of(name), texts)
        self.classes[name] = list(texts)

    def has_texts(self, name: str) -> bool:
        """Whether the numbers of a node stand for texts."""
        return name in self.classes and self.node_of(name).dtype.kind in "iu"

    def as_numbers(self, name: str, value: Any) -> Any:
        """What is given for a node, with texts as the numbers that stand for them; a text that none stands for is the
        number behind the last."""
        return numbers_of(value, self.classes[name]) if self.has_texts(name) else value

    def as_texts(self, name: str, numbers: np.ndarray) -> np.ndarray:
        """What numbers of a node stand for, in their shape: texts, as objects."""
        found = [self.text_of(name, number) for number in numbers.reshape(-1).tolist()]
        return np.array(found, object).reshape(numbers.shape)

    def text_of(self, name: str, number: int) -> str:
        """What a number of a node stands for; its own digits where that is no text."""
        texts = self.classes[name]
        return texts[number] if 0 <= number < len(texts) else str(number)

    @property
    def state(self) -> object:
        """An object that is another one once nodes or edges have changed: what was made of the graph goes with it."""
        return self._cache.setdefault("dataflow", object())

    # -------------------------------------------------------------------------------------------- nodes

    def node_of(self, name: str) -> Node:
        """A node by its name; a ``GraphError`` suggests the nearest names."""
        try:
            node: Node = self._node[name]["node"]
        except (KeyError, TypeError):
            raise self._no_node(name) from None
        return node

    def node_items(self) -> Iterator[tuple[str, Node]]:
        """All nodes with their names, in the order in which they were added."""
        return ((name, data["node"] if "node" in data else self.node_of(name)) for name, data in self._node.items())

    def set_node(self, name: str, node: Node) -> None:
        """Add a node, or put another in its place; its edges stay."""
        if (known := self._node.get(name)) is not None:
            known["node"] = node
        else:
            self._succ[name], self._pred[name], self._node[name] = {}, {}, {"node": node}
        self._forget_conversions()

    def connect_all(self, arguments: Iterable[tuple[int, str]], target: str) -> None:
        """Add the edges of a node's arguments, each with its position; ``add_edge`` of networkx takes longer."""
        succ, own = self._succ, self._pred[target]
        for position, source in arguments:
            used = own.get(source)
            if used is None:
                used = succ[source][target] = own[source] = {}
            used[position] = {}
        self._forget_conversions()

    def _forget_conversions(self) -> None:
        if cache := self._cache:
            cache.clear()

    @property
    def _cache(self) -> dict[str, Any]:
        """What networkx clears with each change: of a view, that of the graph behind it."""
        graph: Any = self
        while "_graph" in graph.__dict__:
            graph = graph._graph
        cache: dict[str, Any] = graph.__dict__.setdefault("__networkx_cache__", {})
        return cache

    def change_node(self, name: str, **changes: Any) -> None:
        """Replace fields of a node, such as its block."""
        self.set_node(name, replace(self.node_of(name), **changes))

    def op_of(self, name: str) -> Op:
        """The op of an op node."""
        node = self.node_of(name)
        if not node.op:
            raise GraphError(f"'{name}' is not an op; its kind is {node.kind}", node=name)
        return self.ops[node.op]

    def outputs_of(self, name: str) -> list[str]:
        """The outputs of an op with several that the graph has, if their nodes are called ``name:OUTPUT``."""
        return [node.removeprefix(f"{name}:") for node in self._node if node.startswith(f"{name}:")]

    def spec(self, name: str) -> TensorSpec:
        """The shape and dtype of a node."""
        node = self.node_of(name)
        return spec_of(node.shape, node.dtype)

    def arguments(self, name: str) -> tuple[Argument, ...]:
        """What an op node is applied to, in order: names of nodes, plain numbers, ``None`` where nothing was given."""
        literals = self.node_of(name).literals
        arguments: dict[int, Argument] = {i: source for source, at in self._pred[name].items() for i in at}
        arguments.update(literals)
        try:
            return tuple(map(arguments.__getitem__, range(len(arguments))))
        except KeyError:  # one in between is left out
            return tuple([arguments.get(i) for i in range(max(arguments) + 1)])

    @checked
    def names(self, kind: str) -> list[str]:
        """The names of all inputs, parameters, constants or ops, in the order in which they were added."""
        return [name for name, node in self.node_items() if node.kind == kind]

    @checked
    def schedule(self, targets: Iterable[str] | None = None) -> list[str]:
        """A topological order of all nodes, or of those that ``targets`` need: the order in which they were added where
        that is one. A cycle is a ``GraphError`` that lists its nodes."""
        order = [name for name, _ in self.node_items()]
        if not self._is_ordered():
            position = {name: i for i, name in enumerate(order)}
            try:
                order = list(nx.lexicographical_topological_sort(self, key=position.__getitem__))
            except nx.NetworkXUnfeasible:
                cycle = [edge[0] for edge in nx.find_cycle(self)]
                raise GraphError("the graph has a cycle: " + " -> ".join([*cycle, cycle[0]])) from None
        if targets is None:
            return order
        needed = set(self._there(targets))
        for name in reversed(order):
            needed.update(self._pred[name] if name in needed else ())
        return [name for name in order if name in needed]

    @checked
    def needed_for(self, targets: Iterable[str]) -> set[str]:
        """The targets and everything they depend on."""
        return reachable(self._there(targets), self._pred.__getitem__)

    @checked
    def depending_on(self, sources: Iterable[str], order: Iterable[str] | None = None) -> set[str]:
        """The sources and everything that depends on them; of ``order`` alone, if a topological order is given."""
        starts: Collection[str] = self._there(sources)
        if order is None:
            return reachable(starts, self._succ.__getitem__)
        found, starts = set[str](), set(starts)
        for name in self._there(order):
            if name in starts or not found.isdisjoint(self._pred[name]):
                found.add(name)
        return found

    @checked
    def copy(self, as_view: bool = False) -> Self:
        """An independent graph with the same nodes. All of them count as named."""
        if as_view:
            view: Self = super().copy(as_view)
            return view
        duplicate = self.__class__()
        own = ("ops", "blocks", "calls", "classes")
        duplicate.graph.update(self.graph | {key: dict(self.graph[key]) for key in own})
        succ, pred = duplicate._succ, duplicate._pred
        with collector_paused(stays=len(self) > LARGE):
            for name, data in self._node.items():
                succ[name], pred[name], duplicate._node[name] = {}, {}, dict(data)
            for name, targets in self._succ.items():
                used = succ[name]
                for target, positions in targets.items():
                    used[target] = pred[target][name] = {position: dict(data) for position, data in positions.items()}
        return duplicate

    def to_networkx(self) -> nx.MultiDiGraph:
        """A plain copy whose attributes are texts, so that ``json`` (with ``nx.node_link_data(copy, edges="edges")``),
        ``nx.write_graphml`` and ``nx.write_gml`` can write it. Large arrays are shortened.

        >>> graph = NodeGraph(name="net", dtype=np.dtype("float64"))
        >>> graph.set_node("x", Node("input", (2, 3), np.dtype("float64")))
        >>> graph.to_networkx().nodes["x"]
        {'kind': 'input', 'shape': '(2, 3)', 'dtype': 'float64'}
        """
        return plain_copy(self)

    # -------------------------------------------------------------------------------------------- internals

    def _is_ordered(self) -> bool:
        """Whether each node stands behind all that it is applied to."""
        seen: set[str] = set()
        for name in self._node:
            if not seen.issuperset(self._pred[name]):
                return False
            seen.add(name)
        return True

    def _no_node(self, name: object) -> GraphError:
        if isinstance(name, str) and name in self:
            return GraphError(
                f"node '{name}' was added with networkx's add_node or add_edge, so that it has no shape and no op; "
                "build with graph.input, parameter, constant, apply and node",
                node=name,
            )
        if outputs := self.outputs_of(name) if isinstance(name, str) else ():
            message = several_outputs(f"node '{name}'", outputs, lambda output: f"{name}:{output}")
            return GraphError(message, node=str(name))
        shown = f"'{name}'" if isinstance(name, str) else describe(name)
        return GraphError(f"unknown node {shown}{nearest(str(name), self)}")

    def _there(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        for name in names:
            self.node_of(name)
        return names


def reachable(start: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> set[str]:
    """The nodes to which a path leads from those at the start, themselves included."""
    reached = set(start)
    frontier = list(reached)
    while frontier:
        for name in neighbours(frontier.pop()):
            if name not in reached:
                reached.add(name)
                frontier.append(name)
    return reached
