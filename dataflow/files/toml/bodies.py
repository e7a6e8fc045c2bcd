"""Blocks as the graphs that attributes of ops hold: ``scan(h, x, body="step")``.

What a block is called on decides its shapes, so that its graph is built when the op is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import GraphError
from dataflow.files.toml.blocks import Blocks
from dataflow.files.toml.known_keys import Fields
from dataflow.files.toml.read_block import Block
from dataflow.graph.graph import Graph
from dataflow.graph.subgraph import MAX_DEPTH, Subgraph
from dataflow.graph.value import Value
from dataflow.limits import advice, current
from dataflow.operations.op import Op
from dataflow.shapes import TensorSpec


class Bodies:
    """Makes them. ``add(graph, level, scope, bodies)`` adds the nodes of a level to a graph."""

    def __init__(
        self, blocks: Blocks, dtype: np.dtype, add: Any, count: list[int], inside: tuple[str, ...] = ()
    ) -> None:
        self.blocks, self._dtype, self._add, self._count, self._inside = blocks, dtype, add, count, inside

    def with_graphs(self, op: Op, attributes: Mapping[str, Any], level: Fields) -> Mapping[str, Any]:
        """The attributes of a call at this level, in which graphs stand for the names of blocks."""
        names = {key: attributes[key] for key in op.graph_attributes if isinstance(attributes.get(key), str)}
        return {**attributes, **{key: self._body(name, level) for key, name in names.items()}} if names else attributes

    def _body(self, name: str, level: Fields) -> Subgraph:
        if name in self._inside:
            raise GraphError(f"block '{name}' is a graph in itself: {' -> '.join([*self._inside, name])}")
        if len(self._inside) >= MAX_DEPTH:
            raise GraphError(f"graphs in attributes are nested more than {MAX_DEPTH} deep")
        block = self.blocks.named(name, level)
        parameters = [key for key, declared in block.declarations.items() if declared.kind == "parameter"]
        if parameters:
            message = f"block '{name}' has the parameter '{parameters[0]}', and the graph of an attribute has none"
            raise GraphError(f"{message}; declare it under [parameters], and give it to the op as an input")
        build: Callable[[Sequence[TensorSpec]], Subgraph] = lambda specs: self._build(block, specs)  # noqa: E731
        return Subgraph(None, block.inputs, block.outputs, name=name, build=build)

    def _build(self, block: Block, specs: Sequence[TensorSpec]) -> Subgraph:
        graph = Graph(block.name, self._dtype)
        pairs = zip(block.inputs, specs, strict=True)
        scope: dict[str, Any] = {name: graph.input(name, spec.shape, spec.dtype) for name, spec in pairs}
        scope |= {name: declared.add(graph, name) for name, declared in block.declarations.items()}
        scope |= block.numbers
        inner = Bodies(self.blocks, self._dtype, self._add, self._count, (*self._inside, block.name))
        self._add(graph, block.level, scope, inner)
        self._count[0] += len(graph)
        if self._count[0] > (most := current().nodes):
            message = f"with the graphs in attributes there are more than {most} nodes; a file has at most that many"
            raise GraphError(message + advice("nodes", 2 * self._count[0]))
        outputs = {}
        for name, node in block.outputs.items():
            value = scope.get(node)
            if not isinstance(value, Value):
                raise GraphError(f"the output '{name}' of block '{block.name}' is one array; '{node}' is none")
            outputs[name] = value.name
        return Subgraph(graph, block.inputs, outputs, name=block.name)
