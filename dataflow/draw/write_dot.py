r"""A picture in Graphviz's language. Attributes come from a fixed list, and no text of a model is read as anything but
text: neither as a record, as HTML, as an escape such as ``\G`` nor as an entity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dataflow.draw.effort import is_crossing
from dataflow.draw.layout import Layout, Point, Spline
from dataflow.draw.notation import printable
from dataflow.draw.picture import Flow, Line, Mark, Picture, PictureEdge, PictureNode, Role
from dataflow.draw.styles import (
    FONT,
    FONT_SIZE,
    LINES,
    SHAPES,
    SMALL,
    THICK,
    TITLE,
    mark_color,
    node_style,
    theme,
)

if TYPE_CHECKING:
    import graphviz

PER_LINE = 4
LAYOUT = {
    "newrank": "true",  # ranks across clusters, for a node and its cotangent side by side
    "compound": "true",
    "splines": "true",
    "ranksep": "0.45",
    "nodesep": "0.35",
    "pad": "0.15",
    "labelloc": "b",
    "labeljust": "c",
}


def dot_source(
    picture: Picture,
    *,
    font: str = FONT,
    dpi: int | None = None,
    layout: Layout | None = None,
    crossing: bool = True,
    edge_labels: bool = True,
) -> str:
    """The text of a DOT file. A node is called what it is called in the graph; its ``id`` is ``node-1`` and so on.

    With a ``layout`` everything has its place, and Graphviz need only draw it. Without ``crossing``, the edges from one
    of two passes to the other are left out: what they would do to a layout is nothing good. Without ``edge_labels``, no
    room is made for those.
    """
    import graphviz

    attributes = _graph_attributes(picture, font) | ({} if dpi is None else {"dpi": str(dpi)})
    dot = graphviz.Digraph("picture", graph_attr=attributes)
    _Writer(picture, layout, crossing=crossing, edge_labels=edge_labels).write(dot, font)
    return str(dot.source)


def escape(lines: Iterable[str]) -> str:
    r"""Lines as a label: backslashes and entities mean themselves, and the lines are centred."""
    return "\\n".join(printable(line).replace("&", "&amp;").replace("\\", "\\\\") for line in lines)


def _graph_attributes(picture: Picture, font: str) -> dict[str, str]:
    colors = theme(picture.dark)
    rows = [" · ".join(picture.legend[i : i + PER_LINE]) for i in range(0, len(picture.legend), PER_LINE)]
    return {
        **LAYOUT,
        "rankdir": "TB" if picture.down else "LR",
        "bgcolor": colors.paper,
        "fontname": font,
        "fontsize": str(SMALL),
        "fontcolor": colors.faint,
        "label": _text([" ", picture.title, *rows]),  # a gap above
    }


class _Writer:
    """Writes the elements of one picture, in its order."""

    def __init__(self, picture: Picture, layout: Layout | None, *, crossing: bool, edge_labels: bool) -> None:
        self.picture = picture
        self.layout = layout
        self.crossing = crossing
        self.edge_labels = edge_labels
        self.colors = theme(picture.dark)
        self.numbers = {node.key: number for number, node in enumerate(picture.nodes, 1)}
        self.names = {key: _name(key, number) for key, number in self.numbers.items()}

    def write(self, dot: graphviz.Digraph, font: str) -> None:
        common = {"fontname": font, "fontcolor": self.colors.text}
        dot.attr("node", fontsize=str(FONT_SIZE), margin="0.13,0.07", height="0.4", **common)
        dot.attr("edge", fontsize=str(SMALL), arrowsize="0.7", **{**common, "fontcolor": self.colors.faint})
        self.inside(dot, None)
        for pair in self.picture.beside if self.layout is None else ():
            with dot.subgraph() as same:
                same.attr(rank="same")
                for key in pair:
                    same.node(self.names[key])
        for number, edge in enumerate(self.picture.edges, 1):
            self.edge(dot, edge, f"edge-{number}")

    def inside(self, dot: graphviz.Digraph, cluster: str | None) -> None:
        """What stands in a frame, and the frames in it."""
        for node in self.picture.in_cluster(cluster):
            self.node(dot, node, f"node-{self.numbers[node.key]}")
        frames = list(self.picture.inner_clusters(cluster))
        # from left to right, Graphviz puts what comes first lowest
        for inner in frames if self.picture.down else reversed(frames):
            number = self.picture.clusters.index(inner) + 1
            with dot.subgraph(name=f"cluster_{number}") as frame:
                frame.attr(
                    id=f"cluster-{number}",
                    label=_text([inner.label]),
                    labelloc="b" if inner.is_pass else "t",  # edges between the passes cross their upper ends
                    labeljust="l",
                    fontsize=str(TITLE if inner.is_pass else FONT_SIZE),
                    fontcolor=self.colors.text,
                    color=self.colors.frame,
                    style="solid" if inner.is_pass else "rounded,dashed",
                    penwidth="1",
                    margin="14",
                    **self.place_of_frame(f"cluster-{number}"),
                )
                self.inside(frame, inner.key)

    def node(self, dot: graphviz.Digraph, node: PictureNode, identity: str) -> None:
        dot.node(
            self.names[node.key],
            label=_text(_shown(node.lines)),
            id=identity,
            style=node_style(node),
            fillcolor=self.colors.fills[node.kind],
            color=mark_color(node.mark, self.colors.line, self.colors),
            penwidth=str(THICK if node.mark else 1),
            **SHAPES[node.kind],
            **self.place_of_node(identity),
        )

    def edge(self, dot: graphviz.Digraph, edge: PictureEdge, identity: str) -> None:
        color = mark_color(edge.mark, self.colors.line, self.colors)
        given = {
            "id": identity,
            "style": LINES[edge.flow],
            "color": f"{color}:{color}" if edge.mark == Mark.SHARED else color,  # two lines
            "penwidth": str(1 if edge.mark in (Mark.SHARED, Mark.NONE) else THICK),
        }
        if self.edge_labels:
            given["label"] = _text([edge.label if self.layout else f" {edge.label}"])  # a gap to the line
        source, target = edge.source, edge.target
        crosses = is_crossing(edge.flow, self.picture)
        if crosses and not self.crossing:
            return
        if self.layout is not None:
            given |= _place_of_edge(self.layout.edges.get(identity))
        elif crosses:
            given["constraint"] = "false"
            given["xlabel"] = given.pop("label")  # Graphviz has no room for it between the ranks
        elif edge.flow == Flow.REPEAT:
            given["constraint"] = "false"
        elif edge.flow == Flow.GRADIENT and self.picture.beside:
            source, target = target, source  # the backward pass runs up, beside the forward pass
            given["dir"] = "back"
        dot.edge(self.names[source], self.names[target], **given)

    def place_of_node(self, identity: str) -> dict[str, str]:
        place = self.layout.nodes.get(identity) if self.layout else None
        return {} if place is None else {"pos": _point((place.x, place.y))}

    def place_of_frame(self, identity: str) -> dict[str, str]:
        if self.layout is None or identity not in self.layout.boxes:
            return {}
        found = {"bb": ",".join(f"{side:.2f}" for side in self.layout.boxes[identity])}
        title = self.layout.titles.get(identity)
        if title is not None:
            size = {"lwidth": f"{title.width / 72:.2f}", "lheight": f"{title.height / 72:.2f}"}
            found |= {"lp": _point((title.x, title.y)), **size}
        return found


def _place_of_edge(line: Spline | None) -> dict[str, str]:
    if line is None:
        return {}
    tip = [] if line.end is None else [f"e,{_point(line.end)}"]
    found = {"pos": " ".join([*tip, *map(_point, line.points)])}
    return found if line.label is None else {**found, "lp": _point(line.label)}


def _point(place: Point) -> str:
    return f"{place[0]:.2f},{place[1]:.2f}"


def _shown(lines: Iterable[Line]) -> list[str]:
    return [f"({line.text})" if line.role == Role.NOTE else line.text for line in lines]


def _text(lines: Iterable[str]) -> str:
    import graphviz

    text: str = graphviz.nohtml(escape(lines))  # a string of the package's own, which it never takes for HTML
    return text


def _name(key: str, number: int) -> str:
    """The key, where Graphviz reads it as nothing but a name; ``edge`` and ``node`` are quoted by the package."""
    fits = len(key) <= 200 and all(part.isidentifier() for part in key.split("."))
    return key if fits else f"node {number}"
