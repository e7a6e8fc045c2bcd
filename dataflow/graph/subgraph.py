"""A graph as the value of an attribute: the branch of a choice, or the body of a loop.

It has named inputs and outputs, constants and ops, and no parameters. Shapes are those of what it is called on: called
with arrays it computes, called with values it adds its nodes to their graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DataflowError, GraphError, OpError, counted
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER, Node
from dataflow.graph.value import Value
from dataflow.graph.walk import replay, sized_attributes
from dataflow.operations.attributes import GraphAttribute, plain
from dataflow.operations.op import Op
from dataflow.operations.outputs import is_output_name
from dataflow.shapes import Dim, Size, TensorSpec

MAX_DEPTH = 8
"""How deep graphs in attributes may be nested."""

Build: TypeAlias = "Callable[[Sequence[TensorSpec]], Subgraph]"


@dataclass(frozen=True)
class Placed:
    """A subgraph on inputs of certain shapes: a graph, its inputs, and the node of each output."""

    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def order(self) -> list[str]:
        """What the outputs need, in an order in which it can be computed."""
        return self.graph.schedule(self.outputs)

    @property
    def specs(self) -> list[TensorSpec]:
        """What the outputs are."""
        return [self.graph.spec(name) for name in self.outputs]


class Subgraph(GraphAttribute):
    """``Subgraph(graph, ["h", "x"], {"h": "new"})``: the inputs in order, and the node of each output by its name.

    With ``build`` in place of a graph it is made when the shapes of its inputs are known, as that of a block is.
    """

    def __init__(
        self,
        graph: Graph | None,
        inputs: Sequence[str],
        outputs: Mapping[str, str] | Sequence[str],
        *,
        name: str = "",
        build: Build | None = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.nodes = tuple(outputs.values()) if isinstance(outputs, Mapping) else self.outputs
        self.name = name or (graph.name if graph is not None else "") or "body"
        self._graph, self._build = graph, build
        if not self.outputs or not all(map(is_output_name, self.outputs)) or len(set(self.outputs)) < len(self.outputs):
            raise GraphError(f"the outputs of graph '{self.name}' have names, each another, not {self.outputs}")
        if graph is not None:
            self._check(graph)

    @classmethod
    def traced(
        cls, function: Callable[..., Any], specs: Mapping[str, TensorSpec], outputs: Sequence[str], name: str = ""
    ) -> Subgraph:
        """What a function does with values of these specs; it returns a value, or a sequence of them."""
        graph = Graph(name, next((spec.dtype for spec in specs.values() if spec.is_float), "float64"))
        values = [graph.input(key, spec.shape, spec.dtype) for key, spec in specs.items()]
        with np.errstate(all="ignore"):
            results = function(*values)
        results = results if isinstance(results, list | tuple) else [results]
        named = [x if isinstance(x, Value) else graph.constant(None, x) for x in results]
        return cls(graph, list(specs), dict(zip(outputs, [value.name for value in named], strict=True)), name=name)

    @property
    def graph(self) -> Graph:
        """The graph itself, with the shapes for which it was made."""
        if self._graph is None:
            raise GraphError(f"graph '{self.name}' is not built before it is known what it is applied to")
        return self._graph

    # -------------------------------------------------------------------------------------------- using it

    def on(self, specs: Sequence[TensorSpec | None]) -> Placed:
        """The subgraph on inputs of these specs; an ``OpError`` where there are more or fewer than it takes."""
        given = [spec for spec in specs if spec is not None]
        if len(given) != len(self.inputs):
            listed = f" ({', '.join(self.inputs)})" if self.inputs else ""
            raise OpError(f"graph '{self.name}' takes {counted(len(self.inputs), 'input')}{listed}, {len(given)} given")
        if self._graph is None and self._build is not None:
            built = self._build(given)
            self._graph, self.nodes = built.graph, built.nodes
        return _placed(self, tuple(given))

    def __call__(self, *arguments: Any) -> list[Any]:
        """Its outputs for arrays, or for values of another graph, to which its nodes are added."""
        sizes: dict[str, Dim] = {}
        known = dict(zip(self.inputs, arguments, strict=True))
        for name, argument in known.items():
            for own, size in zip(self.graph.node_of(name).shape, getattr(argument, "shape", ()), strict=False):
                if isinstance(own, Size) and (symbol := own.as_symbol) is not None:
                    sizes.setdefault(symbol, size)
        values = replay(self.graph, known, self.nodes, sizes or None)
        return [values[name] for name in self.nodes]

    def first(self, count: int) -> Subgraph:
        """The subgraph with its first outputs alone."""
        return Subgraph(self.graph, self.inputs, dict(zip(self.outputs[:count], self.nodes, strict=False)))

    def with_sizes(self, sizes: Mapping[str, Any]) -> Subgraph:
        """The same, with what symbolic sizes stand for in the attributes of its nodes."""
        changes = {}
        for name, node in self.graph.node_items():
            if node.kind == OP:
                attributes = sized_attributes(self.graph.op_of(name), node.attributes, sizes)
                if attributes != dict(node.attributes):
                    changes[name] = attributes
        if not changes:
            return self
        graph = self.graph.copy()
        for name, attributes in changes.items():
            graph.change_node(name, attributes=attributes)
        return Subgraph(graph, self.inputs, dict(zip(self.outputs, self.nodes, strict=True)), name=self.name)

    # -------------------------------------------------------------------------------------------- what it is

    @cached_property
    def depth(self) -> int:
        """1, and more where attributes of its nodes hold graphs."""
        return 1 + max((inner.depth for inner in self.inner()), default=0)

    @cached_property
    def size(self) -> int:
        """How many nodes it has, with those of the graphs in it."""
        return len(self.graph) + sum(inner.size for inner in self.inner())

    def inner(self) -> list[Subgraph]:
        """The graphs that attributes of its nodes hold."""
        return subgraphs_of(self.graph)

    def plain(self) -> dict[str, Any]:
        """Its name and all that its outputs depend on as plain data."""
        graph = self.graph
        order = graph.schedule(self.nodes)
        return {
            "name": self.name,
            "inputs": [[name, *_plain_spec(graph.node_of(name))] for name in self.inputs],
            "constants": [
                [name, *_plain_spec(node), node.value.tolist()]
                for name in order
                if (node := graph.node_of(name)).kind == CONSTANT
            ],
            "nodes": [_plain_node(graph, name) for name in order if graph.node_of(name).kind == OP],
            "outputs": [list(pair) for pair in zip(self.outputs, self.nodes, strict=True)],
        }

    @cached_property
    def digest(self) -> str:
        """A checksum of what it computes, and of the names of its outputs: not of its own and its nodes'. The shapes of
        its inputs count only where attributes mention their sizes."""
        graph, order = self.graph, self.graph.schedule(self.nodes)
        nodes = [graph.node_of(name) for name in order]
        sized = any(_mentions_sizes(graph.op_of(name), graph.node_of(name)) for name in order if graph.node_of(name).op)
        found = {name: f"input {i}" for i, name in enumerate(self.inputs)}
        if sized:
            found = {name: f"{text} {graph.spec(name)}" for name, text in found.items()}
        for name, node in zip(order, nodes, strict=True):
            if node.kind == CONSTANT:
                found[name] = _checksum([*_plain_spec(node), node.value.tolist()])
            elif node.kind == OP:
                arguments = [found[x] if isinstance(x, str) else [x] for x in graph.arguments(name)]
                attributes = [
                    value.digest if isinstance(value, Subgraph) else plain(value) for value in node.attributes.values()
                ]
                found[name] = _checksum([node.op, arguments, attributes])
        return _checksum([len(self.inputs), self.outputs, [found[name] for name in self.nodes]])

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Subgraph) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        built = "not built yet" if self._graph is None else f"{counted(len(self._graph), 'node')}, {self.digest[:32]}"
        return f"<graph '{self.name}': {built}>"

    def __deepcopy__(self, memo: Any) -> Subgraph:
        return self

    def _check(self, graph: Graph) -> None:
        for name in (*self.inputs, *self.nodes):
            graph.node_of(name)
        if parameters := graph.names(PARAMETER):
            message = f"graph '{self.name}' has the parameter '{parameters[0]}'; give it to the graph as an input"
            raise GraphError(message)
        if sorted(graph.names(INPUT)) != sorted(self.inputs):
            raise GraphError(f"the inputs of graph '{self.name}' are {graph.names(INPUT)}, not {list(self.inputs)}")
        if 1 + max((inner.depth for inner in subgraphs_of(graph)), default=0) > MAX_DEPTH:
            raise GraphError(f"graphs in attributes are nested more than {MAX_DEPTH} deep")


def subgraphs_of(graph: Graph) -> list[Subgraph]:
    """The graphs that attributes of nodes hold, each once."""
    found: dict[Subgraph, None] = {}
    for name in graph.names(OP):
        for attribute in graph.op_of(name).graph_attributes:
            if isinstance(value := graph.node_of(name).attributes[attribute], Subgraph):
                found[value] = None
    return list(found)


@lru_cache(maxsize=512)
def _placed(subgraph: Subgraph, specs: tuple[TensorSpec, ...]) -> Placed:
    own = subgraph.graph
    if [own.spec(name) for name in subgraph.inputs] == list(specs):
        return Placed(own, subgraph.inputs, subgraph.nodes)
    graph = Graph(subgraph.name, own.dtype)
    pairs = zip(subgraph.inputs, specs, strict=True)
    try:
        results = subgraph(*[graph.input(name, spec.shape, spec.dtype) for name, spec in pairs])
    except DataflowError as error:
        if not error.message.startswith("in graph '"):
            error.message = f"in graph '{subgraph.name}': {error.message}"
        raise
    values = [x if isinstance(x, Value) else graph.constant(None, x, np.asarray(x).dtype) for x in results]
    return Placed(graph, subgraph.inputs, tuple(value.name for value in values))


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _mentions_sizes(op: Op, node: Node) -> bool:
    shapes = [node.attributes[name] for name in op.shape_attributes]
    return any(isinstance(size, Size) for shape in shapes if shape is not None for size in shape)


def _plain_spec(node: Node) -> list[Any]:
    return [node.dtype.name, plain(node.shape)]


def _plain_node(graph: Graph, name: str) -> list[Any]:
    node = graph.node_of(name)
    arguments = [x if isinstance(x, str) or x is None else [x] for x in graph.arguments(name)]
    return [name, node.op, arguments, {key: plain(value) for key, value in node.attributes.items()}]
