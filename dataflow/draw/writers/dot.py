r"""A picture in Graphviz's language. Attributes come from a fixed list, and no text of a model is read as anything but
text: neither as a record, as markup, as an escape such as ``\G`` nor as an entity."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as escape_markup
from itertools import pairwise
from typing import TYPE_CHECKING

from dataflow.draw.layout.difficulty import is_crossing
from dataflow.draw.layout.layout import Layout, Place, Point, Spline
from dataflow.draw.layout.legend_places import SAMPLE, arrow_in, entries, sample_and_word
from dataflow.draw.layout.spine import WEIGHT, find_spacers, find_spines
from dataflow.draw.layout.text_metrics import LINE, node_size
from dataflow.draw.picture.picture import Flow, Kind, Mark, Picture, PictureEdge, PictureNode, Sample
from dataflow.draw.picture.styles import (
    FONT,
    FONT_SIZE,
    LINES,
    SHAPES,
    SMALL,
    THICK,
    TITLE,
    mark_color,
    node_style,
    paled,
    theme,
)
from dataflow.notation.letters import printable

if TYPE_CHECKING:
    import graphviz

PER_LINE = 4
HEAD = 7.0
"""The length of an arrow's head."""
DOUBLE, OUTSIDE = (Kind.OUTPUT, Kind.LOSS), 8.0
"""What has a second outline, and how much larger that is: Graphviz draws it around the first."""
TABLE_STYLES, DOUBLE_LINE = ("rounded", "dashed", "dotted"), 4.0
"""What a table can have of the style of a node, and the height of one whose sides are a double line."""
HIDDEN = "transparent"
HIGHEST = 1000
"""As good as no limit to a height, in inches."""
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
TIGHT = {"ranksep": "0.3", "nodesep": "0.15"}
"""What a picture with little room between its elements has instead."""


def dot_source(
    picture: Picture,
    *,
    font: str = FONT,
    dpi: float | None = None,
    width: float | None = None,
    layout: Layout | None = None,
    crossing: bool = True,
    edge_labels: bool = True,
    words: bool = True,
) -> str:
    """The text of a DOT file. A node is called what it is called in the graph; its ``id`` is ``node-1`` and so on.

    With a ``layout`` everything has its place, and Graphviz need only draw it. Without ``crossing``, the edges from one
    of two passes to the other are left out: what they would do to a layout is nothing good. Without ``edge_labels``, no
    room is made for those; without ``words``, none for the title and the legend, and with a layout these are where it
    puts them.
    """
    import graphviz

    writer = _Writer(picture, layout, crossing=crossing, edge_labels=edge_labels)
    label = {"label": writer.words_below()} if words else {}
    attributes = _graph_attributes(picture, font) | label | size_attributes(dpi, width)
    dot = graphviz.Digraph("picture", graph_attr=attributes)
    writer.write(dot, font)
    return str(dot.source)


def size_attributes(dpi: float | None, width: float | None) -> dict[str, str]:
    """How large Graphviz draws what has its place: its resolution, and its largest width in points."""
    attributes = {} if dpi is None else {"dpi": f"{dpi:.6g}"}
    return attributes | ({} if width is None else {"size": f"{width / 72:.4f},{HIGHEST}", "margin": "0"})


def escape(lines: Iterable[str]) -> str:
    r"""Lines as a label: backslashes and entities mean themselves, and the lines are centred."""
    return "\\n".join(printable(line).replace("&", "&amp;").replace("\\", "\\\\") for line in lines)


def _graph_attributes(picture: Picture, font: str) -> dict[str, str]:
    colors = theme(picture.dark)
    return {
        **LAYOUT,
        **(TIGHT if picture.is_tight else {}),
        "rankdir": "TB" if picture.down else "LR",
        "bgcolor": colors.paper,
        "fontname": font,
        "fontsize": str(SMALL),
        "fontcolor": colors.faint,
    }


class _Writer:
    """Writes the elements of one picture, in its order."""

    def __init__(self, picture: Picture, layout: Layout | None, *, crossing: bool, edge_labels: bool) -> None:
        self.picture = picture
        self.layout = layout
        self.crossing = crossing
        self.edge_labels = edge_labels
        self.colors = theme(picture.dark)
        self.pale = paled(self.colors)
        self.numbers = {node.key: number for number, node in enumerate(picture.nodes, 1)}
        self.names = node_names(picture)
        self.spines = find_spines(picture) if layout is None else []
        self.spine_of = {key: f"spine {number}" for number, spine in enumerate(self.spines, 1) for key in spine}
        self.vertebrae = {frozenset(pair) for spine in self.spines for pair in pairwise(spine)}

    def write(self, dot: graphviz.Digraph, font: str) -> None:
        common = {"fontname": font, "fontcolor": self.colors.text}
        dot.attr("node", fontsize=str(FONT_SIZE), fixedsize="true", **common)
        dot.attr("edge", fontsize=str(SMALL), arrowsize="0.7", **{**common, "fontcolor": self.colors.faint})
        self.inside(dot, None)
        for pair in self.picture.beside if self.layout is None else ():
            with dot.subgraph() as same:
                same.attr(rank="same")
                for key in pair:
                    same.node(self.names[key])
        for number, edge in enumerate(self.picture.edges, 1):
            self.edge(dot, edge, f"edge-{number}")
        for before, after in () if self.crossing else find_spacers(self.picture, self.spines):
            dot.edge(self.names[before], self.names[after], style="invis", weight="0")

        if self.layout is not None:
            for number, (entry, place) in enumerate(zip(entries(self.picture), self.layout.below, strict=False)):
                self.entry(dot, number, entry, place)

    def words_below(self) -> str:
        """The title and the legend as the graph's label. It has no nodes, so that a sample is a cell of a table, with
        the fill and the line of what it explains; the shape is said in words."""
        legend = self.picture.legend
        if not legend:
            return quoted([" ", self.picture.title])  # a gap above
        rows = [legend[i : i + PER_LINE] for i in range(0, len(legend), PER_LINE)]
        below = "".join(f"<tr>{''.join(map(self.cells, row))}</tr>" for row in rows)
        title = f'<tr><td colspan="{2 * len(rows[0])}">{_markup(self.picture.title)}</td></tr>'
        return f'<<table border="0" cellborder="0" cellspacing="6" cellpadding="0">{title}{below}</table>>'

    def cells(self, entry: Sample) -> str:
        """A sample, and its word; a sample of a line is the lower side of a low table, or both sides where it is
        double."""
        word = f'<td align="left">{_markup(entry.words)}</td>'
        if isinstance(entry.like, PictureNode):
            look, height = self.look_of_node(entry.like), SAMPLE[1]
            lines = [line for line in look["style"].split(",") if line in TABLE_STYLES]
            more = f' bgcolor="{look["fillcolor"]}"'
        elif entry.like is not None:
            look, height = self.look_of_edge(entry.like), DOUBLE_LINE
            lines = [look["style"]]
            more = ' sides="TB"' if entry.like.mark == Mark.SHARED else ' sides="B"'
        else:
            return f"<td></td>{word}"
        color, width = look["color"].partition(":")[0], round(float(look["penwidth"]))
        size = f'fixedsize="true" width="{SAMPLE[0]:g}" height="{height:g}" cellborder="0" cellspacing="0"'
        look_of_table = f'border="{width}" style="{",".join(lines)}" color="{color}"{more}'
        return f"<td><table {size} {look_of_table}><tr><td></td></tr></table></td>{word}"

    def entry(self, dot: graphviz.Digraph, number: int, entry: Sample, place: Place) -> None:
        """The title, or an entry of the legend: a sample, and its word as a node without an outline."""
        sample, (x, y) = sample_and_word(entry, place)
        width = place.x + place.width / 2 - x
        name = f"legend {number}"  # no name of a node of the picture
        word = {"label": quoted([entry.text]) + "\\l", "shape": "none", "margin": "0", "fontsize": str(SMALL)}
        size = {"width": f"{width / 72:.4f}", "height": f"{LINE * SMALL / 72:.4f}"}
        dot.node(name, pos=point((x + width / 2, y)), fontcolor=self.colors.faint, **word, **size)
        if isinstance(entry.like, PictureNode):
            second = OUTSIDE if entry.like.kind in DOUBLE else 0.0
            size = {"width": f"{(sample.width - second) / 72:.4f}", "height": f"{(sample.height - second) / 72:.4f}"}
            place_of_sample = {"pos": point((sample.x, sample.y)), "id": f"legend-{number}"}
            dot.node(f"sample {number}", label="", **size, **place_of_sample, **self.look_of_node(entry.like))
        elif entry.like is not None:
            points, tip = arrow_in(sample, HEAD)
            look = self.look_of_edge(entry.like)
            dot.edge("legend 0", name, id=f"legend-{number}", **look, **_place_of_edge(Spline(points, tip, None)))

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
                    label=quoted([inner.label]),
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
        width, height = node_size(node.kind, [printable(line.written) for line in node.lines])
        attributes = {"fontcolor": self.pale.text} if node.pending else {}
        if node.key in self.spine_of:
            attributes["group"] = self.spine_of[node.key]
        dot.node(
            self.names[node.key],
            label=quoted(node.written),
            width=f"{width / 72:.4f}",
            height=f"{height / 72:.4f}",
            id=identity,
            **self.look_of_node(node),
            **attributes,
            **self.place_of_node(identity),
        )

    def look_of_node(self, node: PictureNode) -> dict[str, str]:
        colors = self.pale if node.pending else self.colors
        return {
            "style": node_style(node),
            "fillcolor": colors.fills[node.kind],
            "color": mark_color(node.mark, colors.line, colors),
            "penwidth": str(THICK if node.mark else 1),
            **SHAPES[node.kind],
        }

    def look_of_edge(self, edge: PictureEdge) -> dict[str, str]:
        colors = self.pale if edge.pending else self.colors
        color = mark_color(edge.mark, colors.line, colors)
        return {
            "style": LINES[edge.flow],
            "color": f"{color}:{color}" if edge.mark == Mark.SHARED else color,  # two lines
            "penwidth": str(1 if edge.mark in (Mark.SHARED, Mark.NONE) else THICK),
        }

    def edge(self, dot: graphviz.Digraph, edge: PictureEdge, identity: str) -> None:
        attributes = {"id": identity, **self.look_of_edge(edge)}
        if edge.pending:
            attributes["fontcolor"] = HIDDEN  # a text takes its room though it is not shown
        if edge.label and (self.edge_labels if self.layout is None else _has_room(self.layout.edges.get(identity))):
            attributes["label"] = quoted([edge.label if self.layout else f" {edge.label}"])  # a gap to the line
        source, target = edge.source, edge.target
        if {source, target} in self.vertebrae and edge.flow in (Flow.VALUE, Flow.GRADIENT):
            attributes["weight"] = str(WEIGHT)
        crosses = is_crossing(edge.flow, self.picture)
        if crosses and not self.crossing:
            return
        if self.layout is not None:
            attributes |= _place_of_edge(self.layout.edges.get(identity))
        elif crosses:
            attributes["constraint"] = "false"
            if edge.label:  # Graphviz has no room for it between the ranks
                attributes["xlabel"] = attributes.pop("label")
        elif edge.flow == Flow.REPEAT:
            attributes["constraint"] = "false"
        elif edge.flow == Flow.GRADIENT and self.picture.beside:
            source, target = target, source  # the backward pass runs up, beside the forward pass
            attributes["dir"] = "back"
        dot.edge(self.names[source], self.names[target], **attributes)

    def place_of_node(self, identity: str) -> dict[str, str]:
        place = self.layout.nodes.get(identity) if self.layout else None
        return {} if place is None else {"pos": point((place.x, place.y))}

    def place_of_frame(self, identity: str) -> dict[str, str]:
        if self.layout is None or identity not in self.layout.boxes:
            return {}
        place = {"bb": ",".join(f"{side:.2f}" for side in self.layout.boxes[identity])}
        title = self.layout.titles.get(identity)
        if title is not None:
            size = {"lwidth": f"{title.width / 72:.2f}", "lheight": f"{title.height / 72:.2f}"}
            place |= {"lp": point((title.x, title.y)), **size}
        return place


def _has_room(line: Spline | None) -> bool:
    return line is None or line.label is not None


def _place_of_edge(line: Spline | None) -> dict[str, str]:
    if line is None:
        return {}
    tip = [] if line.end is None else [f"e,{point(line.end)}"]
    place = {"pos": " ".join([*tip, *map(point, line.points)])}
    return place if line.label is None else {**place, "lp": point(line.label)}


def point(place: Point) -> str:
    """A place as Graphviz reads it."""
    return f"{place[0]:.2f},{place[1]:.2f}"


def _markup(text: str) -> str:
    """A line as text in a table."""
    return escape_markup(printable(text))


def quoted(lines: Iterable[str]) -> str:
    """Lines as a label that is nothing but text."""
    import graphviz

    text: str = graphviz.nohtml(escape(lines))  # a string of the package's own, which it never takes for HTML
    return text


def node_names(picture: Picture) -> dict[str, str]:
    """What each node is called in the file."""
    return {node.key: _name(node.key, number) for number, node in enumerate(picture.nodes, 1)}


def _name(key: str, number: int) -> str:
    """The key, where Graphviz reads it as nothing but a name; ``edge`` and ``node`` are quoted by the package."""
    fits = len(key) <= 200 and all(part.isidentifier() for part in key.split("."))
    return key if fits else f"node {number}"
