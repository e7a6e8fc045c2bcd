"""What is said of a value besides its name: its shape, its dtype, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dataflow.draw.picture.subject import Subject
from dataflow.graph.graph import Graph
from dataflow.shapes import format_shape, renamed

NONE, SHAPES, DTYPES, VALUES = LABELS = ("none", "shapes", "dtypes", "values")
"""What the labels say: nothing, shapes (with dtypes where they are mixed), shapes and dtypes, or numbers."""


@dataclass
class Specs:
    """The shapes and dtypes in one picture. ``keys`` has the key in it of each node."""

    subject: Subject
    keys: Mapping[str, str]
    labels: str | None
    sizes: Mapping[str, int]

    def text(self, name: str) -> str:
        """Shape and dtype of a node, as far as they are shown."""
        if self.labels in (NONE, VALUES):
            return ""
        return spec_text(self.subject.graph, name, self.sizes, with_dtype=self.has_dtypes)

    @cached_property
    def has_dtypes(self) -> bool:
        """Whether dtypes are shown: where all are the same, it goes without saying."""
        if self.labels == DTYPES:
            return True
        carried = (a for a, b, _ in self.subject.edges() if self.keys[a] != self.keys[b])
        return len({self.subject.graph.node_of(name).dtype for name in carried}) > 1


def spec_text(graph: Graph, name: str, sizes: Mapping[str, int], *, with_dtype: bool) -> str:
    """The shape of a node, with numbers for the ``sizes`` that are known."""
    node = graph.node_of(name)
    shape = format_shape(renamed(node.shape, sizes))
    return f"{shape} {node.dtype.name}" if with_dtype else shape
