"""Widths that data decide: names in the shapes of parameters that inputs have, too, such as ``"features"``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dataflow.errors import ShapeError, nearest
from dataflow.graph.node import INPUT, PARAMETER, Node
from dataflow.graph.node_graph import NodeGraph
from dataflow.shapes import Shape, Size


def check_parameter_shapes(graph: NodeGraph, shapes: Mapping[str, Shape]) -> set[str]:
    """A ``ShapeError`` unless each size of these parameters is a number, or of names that an input has beyond its first
    axis: the first tells how many examples there are. Returns all such names."""
    inputs = [graph.node_of(name).shape for name in graph.names(INPUT)]
    counts = {size.as_symbol for shape in inputs for size in shape[:1] if isinstance(size, Size)}
    widths = {size.as_symbol for shape in inputs for size in shape[1:] if isinstance(size, Size)} - counts
    known = {width for width in widths if width is not None}
    for name, shape in shapes.items():
        for symbol in sorted(names_in(shape) - known):
            if symbol in counts:
                message = f"'{symbol}' is how many examples there are; no size of a parameter is that"
                raise ShapeError(message, node=name)
            what = f"parameter '{name}' has the size '{symbol}'"
            raise ShapeError(f"{what}; its sizes are numbers, or widths of inputs{nearest(symbol, known)}", node=name)
    return known


def names_in(shape: Shape) -> set[str]:
    """The names of a shape's sizes."""
    return {name for size in shape if isinstance(size, Size) for name in size.names}


class Widths:
    """The widths of a graph that data decide. They are put into its nodes in place, and can be taken out again."""

    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self.names = sorted({name for node in graph.names(PARAMETER) for name in names_in(graph.node_of(node).shape)})
        self._open: dict[str, Node] = {}
        self.known: dict[str, int] = {}
        """What the widths are now, if they are in the nodes."""
        self._last: dict[str, int] = {}

    def bind(self, sizes: Mapping[str, int], forget: Callable[[str], None]) -> None:
        """Put the widths into the nodes, if ``sizes`` has all of them. Where they are others than before, ``forget`` is
        called for each parameter of which they are a size, in its old shape."""
        known = {name: sizes[name] for name in self.names if name in sizes} or self._last
        if len(known) < len(self.names):
            return
        if self._last and known != self._last:
            self._substitute(self._last)
            for name in self._open:
                if self._graph.node_of(name).kind == PARAMETER:
                    forget(name)
            self.release()
        self._substitute(known)
        self.known = self._last = known

    def release(self) -> None:
        """Take the widths out again."""
        for name, node in self._open.items():
            if name in self._graph:
                self._graph.set_node(name, node)
        self._open, self.known = {}, {}

    def _substitute(self, sizes: Mapping[str, int]) -> None:
        for name, node in list(self._graph.node_items()):
            shape = tuple([_substituted(size, sizes) for size in node.shape])
            attributes = {key: _substituted(value, sizes) for key, value in node.attributes.items()}
            if shape != node.shape or attributes != dict(node.attributes):
                self._open[name] = node
                self._graph.set_node(name, replace(node, shape=shape, attributes=attributes))


def _substituted(value: Any, sizes: Mapping[str, int]) -> Any:
    """A size, or whatever else an attribute is, with numbers for the names."""
    if isinstance(value, Size):
        return value.substitute(sizes)
    return tuple([_substituted(item, sizes) for item in value]) if isinstance(value, tuple) else value
