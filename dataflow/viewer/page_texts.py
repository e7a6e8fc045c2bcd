"""What the page says of a node and of a factor, whatever the numbers are: names, formulas, how entries are made."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dataflow.draw.picture.labels import one_line
from dataflow.draw.picture.picture import Kind, Picture, PictureNode, Role
from dataflow.execution.inputs import batch_symbol, is_by_example
from dataflow.graph.node import OP
from dataflow.graph.node_graph import reachable
from dataflow.model.model import Model
from dataflow.notation.formulas import forward_formula, local_formula
from dataflow.notation.names import Names
from dataflow.shapes import format_shape
from dataflow.viewer.recipes import recipe_of

LONGEST = 160
"""Characters of a formula; a longer one is left out."""


@dataclass
class NodeWriter:
    """Writes what is the same in every pass."""

    model: Model
    picture: Picture
    names: Names
    number: Mapping[str, int]
    visible: Collection[str] | None
    """The nodes between which there are steps, where layers are folded."""

    def node(self, name: str) -> dict[str, Any]:
        """Plain data of a node of the page."""
        model, graph, data = self.model, self.model.graph, self.model.graph.node_of(name)
        symbol = self.names.symbol(name)
        entry: dict[str, Any] = {
            "name": name,
            "text": symbol.as_text,
            "symbol": [symbol.text, symbol.below, symbol.is_raw],
            "by_example": is_by_example(graph, name, self._batch),
            "kind": data.kind,
            "role": "loss" if name == model.loss else "output" if name in model.outputs else "",
            "shape": format_shape(data.shape),
            "dtype": data.dtype.name,
            "arguments": [],
        }
        if data.kind != OP:
            return entry
        members = self._members(name)
        op = graph.op_of(name)
        drawn = self._drawn.get(name)
        own = drawn is not None and drawn.kind != Kind.LAYERS
        lines = [line.text for line in drawn.lines if line.role == Role.EXPRESSION] if drawn is not None and own else []
        return {
            **entry,
            "arguments": [self.number[source] for source in self._sources(name) if source in self.number],
            "expression": one_line(lines),
            "formula": self._formula(name) if own else "",
            "op": data.op,
            "ops": [str(graph.node_of(member).op) for member in members if graph.node_of(member).kind == OP],
            "folded": [] if own or len(members) == 1 else [member for member in members if member != name],
            "signature": op.signature,
            "summary": op.summary,
            "recipe": recipe_of(graph, name, self.number),
        }

    def local_formula(self, of: str, wrt: str, argument: int | None) -> list[str | int] | None:
        """The formula of a factor, cut at the nodes' symbols, in whose places their numbers stand."""
        if argument is not None or (self.visible is not None and len(self._members(of)) > 1):
            return None
        formula = local_formula(self.model.graph, of, wrt, self.names)
        if formula is None or len(formula.text) > LONGEST:
            return None
        near = {of, wrt, *(source for source in self._sources(of) if source in self.number)}
        symbols = {self.names.text(name): self.number[name] for name in near}
        pattern = "|".join(re.escape(text) for text in sorted(symbols, key=len, reverse=True))
        parts = re.split(rf"(?<![^\W\d_])({pattern})(?![^\W_₀-₉ᵀ]|[⁽₀-₉])", formula.text)
        return [symbols[part] if i % 2 else part for i, part in enumerate(parts)]

    # -------------------------------------------------------------------------------------------- internals

    @cached_property
    def _batch(self) -> str | None:
        return batch_symbol(self.model.graph)

    @cached_property
    def _drawn(self) -> dict[str, PictureNode]:
        """The node of the picture that a node stands in, by the one or, of folded layers, by each."""
        drawn = {node.key: node for node in self.picture.nodes}
        layers = [node for node in self.picture.nodes if node.kind == Kind.LAYERS]
        return {member: node for node in layers for member in node.members} | drawn

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.model.graph.schedule())}

    def _members(self, name: str) -> list[str]:
        """A node and those that are no steps of their own between it and the nodes that are."""
        if self.visible is None:
            drawn = self._drawn.get(name)
            return list(drawn.members) if drawn is not None else [name]
        graph, visible = self.model.graph, self.visible

        def hidden(node: str) -> list[str]:
            return [
                source
                for source in graph.predecessors(node)
                if source not in visible and source not in self.number and graph.node_of(source).kind == OP
            ]

        return sorted(reachable([name], hidden), key=self._position.__getitem__)

    def _sources(self, name: str) -> list[str]:
        """The nodes that a node is computed from, in the order in which its expression names them."""
        members, waiting = set(self._members(name)), [name]
        reached: dict[str, None] = {}
        while waiting:
            node = waiting.pop()
            if node not in reached and node in members:
                arguments = (source for source in self.model.graph.arguments(node) if isinstance(source, str))
                waiting += list(arguments)[::-1]
            reached[node] = None
        return [node for node in reached if node not in members]

    def _formula(self, name: str) -> str:
        """The formula in mathematical symbols; none where it says no more than the name."""
        if self.names.notation == "plain":
            return ""
        text = forward_formula(self.model.graph, name, self.names).text
        return "" if text == self.names.text(name) or len(text) > LONGEST else text
