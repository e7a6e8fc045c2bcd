"""What a picture shows, as plain data: nodes, edges and clusters, before any of it is laid out or written.

Every node and every edge of the graph that is drawn is a member of exactly one node or edge of its picture; an edge
between two nodes that were folded into one is inside that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

GraphEdge: TypeAlias = tuple[str, str, int]
"""An edge of a graph: source, target, position of the argument."""


class Kind(StrEnum):
    """What a node is. Each has a shape of its own, so that it is recognised without colour."""

    INPUT = "input"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    OP = "op"
    OUTPUT = "output"
    LOSS = "loss"
    COTANGENT = "cotangent"
    BLOCK = "block"
    LAYERS = "layers"


class Flow(StrEnum):
    """What an edge carries."""

    VALUE = "value"
    GRADIENT = "gradient"
    SAVED = "saved"
    """A value of the forward pass that the backward pass uses."""
    REPEAT = "repeat"
    """What one repetition of a block passes to the next."""


class Mark(StrEnum):
    """How an element stands to the gradient that was asked for."""

    NONE = ""
    PATH = "path"
    SHARED = "shared"
    """On its path, and computed for another gradient too."""


class Role(StrEnum):
    """What a line of a label says."""

    NAME = "name"
    PARTIAL = "partial"
    EXPRESSION = "expression"
    VALUE = "value"
    NOTE = "note"


@dataclass(frozen=True)
class Line:
    """A line of a label. ``text`` is for every writer; ``partials`` has the names in ∂of/∂wrt, for those that set
    mathematics."""

    role: Role
    text: str
    partials: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PictureNode:
    """One node of the picture."""

    key: str
    kind: Kind
    lines: tuple[Line, ...]
    members: tuple[str, ...]
    """The nodes of the graph that it stands for."""
    cluster: str | None = None
    backward: bool = False
    saved: bool = False
    """A value of the forward pass in a picture of the backward pass alone."""
    computed: bool = True
    """False where numbers were asked for and there are none."""
    mark: Mark = Mark.NONE


@dataclass(frozen=True)
class PictureEdge:
    """One edge of the picture."""

    source: str
    target: str
    flow: Flow
    label: str
    members: tuple[GraphEdge, ...]
    mark: Mark = Mark.NONE


@dataclass(frozen=True)
class Cluster:
    """A frame around nodes: a call of a block, or one of the two passes."""

    key: str
    label: str
    parent: str | None = None
    is_pass: bool = False
    backward: bool = False


@dataclass(frozen=True)
class Picture:
    """All of a picture, in an order that depends on the graph alone."""

    title: str
    description: str
    nodes: tuple[PictureNode, ...]
    edges: tuple[PictureEdge, ...]
    clusters: tuple[Cluster, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()
    """Pairs of a node and its cotangent, which stand side by side."""
    legend: tuple[str, ...] = ()
    down: bool = True
    """From top to bottom; else from left to right."""
    dark: bool = False
    auto: bool = False
    """As SVG, as light or dark as the page around it; in other formats light."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the user should be told: what was folded, what has no path."""

    def in_cluster(self, cluster: str | None) -> Iterator[PictureNode]:
        """The nodes that stand directly in a cluster."""
        return (node for node in self.nodes if node.cluster == cluster)

    def inner_clusters(self, cluster: str | None) -> Iterator[Cluster]:
        """The clusters that stand directly in a cluster."""
        return (inner for inner in self.clusters if inner.parent == cluster)
