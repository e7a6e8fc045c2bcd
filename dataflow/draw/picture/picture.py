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
    """What a node is. Each has a shape of its own, so that it is recognized without colour."""

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
    """A line of a label. ``text`` is for every writer; ``latex`` is the same in LaTeX's mathematical mode, for those
    that set it, where the line is mathematics."""

    role: Role
    text: str
    latex: str = ""

    @property
    def is_result(self) -> bool:
        """Whether it tells what only the computation gives."""
        return self.role == Role.VALUE

    @property
    def written(self) -> str:
        """The text as it stands in the node: notes are in parentheses."""
        return f"({self.text})" if self.role == Role.NOTE else self.text


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
    step: int = field(default=0, repr=False)
    """The step that computes it, in a picture that is built up; what is given is there at step 0."""
    pending: bool = field(default=False, repr=False)
    """Not computed yet, in a picture of a step: pale, in its place, and without its numbers."""

    @property
    def written(self) -> list[str]:
        """Its lines; a number that is not computed yet leaves its line free."""
        return ["\u00a0" if self.pending and line.is_result else line.written for line in self.lines]


@dataclass(frozen=True)
class PictureEdge:
    """One edge of the picture."""

    source: str
    target: str
    flow: Flow
    label: str
    """Its lines are separated by line breaks, as those of ``latex`` are."""
    members: tuple[GraphEdge, ...]
    mark: Mark = Mark.NONE
    latex: str = ""
    strength: float | None = field(default=None, repr=False)
    """How large its number is, from −1 to 1, in a style that shows that by the line."""
    step: int = field(default=0, repr=False)
    pending: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Part:
    """A part of a line of mathematics below a picture, such as a factor of a product."""

    text: str
    latex: str = ""
    mark: Mark = Mark.NONE
    factor: tuple[str, str] | None = None
    """Of and wrt, if the part stands for the arrow between these."""
    is_result: bool = False
    """Whether it tells what only the computation gives: of a factor, its numbers; else that of the whole product."""
    leads_to_result: bool = field(default=False, repr=False)
    """Whether it is an operator before such a number."""
    step: int = field(default=0, repr=False)
    pending: bool = field(default=False, repr=False)

    @property
    def comes_with_numbers(self) -> bool:
        return self.is_result or self.leads_to_result

    @property
    def is_operator(self) -> bool:
        """Whether it joins the part before it to the one after it."""
        return self.text.strip() in ("=", "+", "·", "→")


@dataclass(frozen=True)
class Caption:
    """A line of mathematics below a picture. It may be broken before each of its parts."""

    parts: tuple[Part, ...]
    wrt: str = ""
    """Of a gradient: the node that it is with respect to."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Sample:
    """An entry of the legend: a small sample that looks like what is in the picture, and what that is."""

    text: str
    like: PictureNode | PictureEdge | None = None
    form: str = ""
    """The look of the sample, for where none can be drawn."""

    @property
    def words(self) -> str:
        """The entry without a sample."""
        return f"{self.form}: {self.text}" if self.form else self.text


def sample_of_node(text: str, form: str, kind: Kind, *, computed: bool = True) -> Sample:
    """An entry for a kind of node."""
    return Sample(text, PictureNode("", kind, (), (), computed=computed), form)


def sample_of_line(
    text: str, form: str, flow: Flow, mark: Mark = Mark.NONE, *, strength: float | None = None
) -> Sample:
    """An entry for a kind of line."""
    return Sample(text, PictureEdge("", "", flow, "", (), mark, strength=strength), form)


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
    legend: tuple[Sample, ...] = ()
    down: bool = True
    """From top to bottom; else from left to right."""
    dark: bool = False
    is_tight: bool = field(default=False, repr=False)
    """With little room between its elements."""
    auto: bool = False
    """As SVG, as light or dark as the page around it; in other formats light."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the user should be told: what was folded, what has no path."""
    style: str = "graph"
    only_backward: bool = field(default=False, repr=False)
    """Whether the arrows of the forward pass are there for orientation alone."""
    captions: tuple[Caption, ...] = ()

    @property
    def elements(self) -> tuple[PictureNode | PictureEdge, ...]:
        """Nodes, then edges."""
        return (*self.nodes, *self.edges)

    @property
    def steps(self) -> int:
        """How many steps it is built up in."""
        return max((element.step for element in self.elements), default=0)

    @property
    def is_partial(self) -> bool:
        """Whether anything is not computed yet."""
        return any(element.pending for element in self.elements)

    def in_cluster(self, cluster: str | None) -> Iterator[PictureNode]:
        """The nodes that stand directly in a cluster."""
        return (node for node in self.nodes if node.cluster == cluster)

    def inner_clusters(self, cluster: str | None) -> Iterator[Cluster]:
        """The clusters that stand directly in a cluster."""
        return (inner for inner in self.clusters if inner.parent == cluster)
