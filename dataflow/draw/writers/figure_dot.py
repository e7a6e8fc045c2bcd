"""A figure in Graphviz's language, where everything has its place: Graphviz need only draw it (``dot -Knop2``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dataflow.draw.layout.figure import Curve, Figure, Group, Outline, Span, Text
from dataflow.draw.layout.layout import Point
from dataflow.draw.layout.text_metrics import LINE, formula_width
from dataflow.draw.picture.picture import Picture
from dataflow.draw.picture.styles import FONT, Theme, color_of, paled, theme
from dataflow.draw.writers.dot import OUTSIDE, node_names, point, quoted, size_attributes

if TYPE_CHECKING:
    import graphviz

JUSTIFIED = {"start": "\\l", "middle": "", "end": "\\r"}
"""For fonts that are narrower than the one that the widths are of; engines without that one take ∂ for far wider."""
FORMS = {"circle": "ellipse", "box": "box", "pill": "box"}


def figure_dot(
    picture: Picture, figure: Figure, *, font: str = FONT, dpi: float | None = None, width: float | None = None
) -> str:
    """The text of a DOT file. Nodes and edges are those of the picture; each text is a node without an outline."""
    import graphviz

    colors = theme(picture.dark)
    attributes = {"bb": f"0,0,{figure.width:.2f},{figure.height:.2f}", "pad": "0", "bgcolor": colors.paper}
    attributes |= {"splines": "true", "outputorder": "edgesfirst"}
    dot = graphviz.Digraph("picture", graph_attr=attributes | size_attributes(dpi, width))
    dot.attr("node", label="", fixedsize="true", fontname=font)
    dot.attr("edge", arrowhead="none")
    writer = _Writer(dot, picture, colors, font)
    for corner, place in enumerate(((0.0, 0.0), (figure.width, figure.height)), 1):  # the drawing reaches so far
        dot.node(f"corner {corner}", pos=point(place), width="0", height="0", shape="none")
    for group in figure.groups:
        writer.write(group)
    return str(dot.source)


class _Writer:
    def __init__(self, dot: graphviz.Digraph, picture: Picture, colors: Theme, font: str) -> None:
        self.dot, self.colors, self.font = dot, colors, font
        self.names = node_names(picture)
        self.node_keys = {f"node-{number}": node.key for number, node in enumerate(picture.nodes, 1)}
        self.edge_keys = {f"edge-{number}": (edge.source, edge.target) for number, edge in enumerate(picture.edges, 1)}
        self.extras = 0

    def write(self, group: Group) -> None:
        for item in group.items:
            if isinstance(item, Outline):
                self.outline(group, item)
            elif isinstance(item, Curve):
                self.curve(group, item)
            else:
                self.text(group, item)

    def outline(self, group: Group, item: Outline) -> None:
        key = self.node_keys.get(group.key)
        inset = OUTSIDE if item.double else 0.0
        style = ["filled", *(["rounded"] if item.form != "circle" else []), *([item.dash] if item.dash else [])]
        self.dot.node(
            self.extra("shape") if key is None else self.names[key],
            pos=point((item.place.x, item.place.y)),
            width=f"{(item.place.width - inset) / 72:.4f}",
            height=f"{(item.place.height - inset) / 72:.4f}",
            shape=FORMS[item.form],
            peripheries="2" if item.double else "1",
            style=",".join(style),
            fillcolor=self.color(item.fill, group),
            color=self.color(item.stroke, group),
            penwidth=f"{item.width:g}",
            **({} if key is None else {"id": group.key}),
        )

    def curve(self, group: Group, item: Curve) -> None:
        ends = self.edge_keys.get(group.key)
        tail, head = ("corner 1", "corner 2") if ends is None else (self.names[ends[0]], self.names[ends[1]])
        color = self.color(item.color, group)
        arrow: Mapping[str, str] = {}
        tip = []
        if item.tip is not None:
            base = item.points[-1]
            length = ((item.tip[0] - base[0]) ** 2 + (item.tip[1] - base[1]) ** 2) ** 0.5
            arrow = {"arrowhead": "normal", "arrowsize": f"{length / 10:.2f}"}
            tip = [f"e,{point(item.tip)}"]
        self.dot.edge(
            tail,
            head,
            pos=" ".join([*tip, *map(point, item.points)]),
            color=f"{color}:{self.color('paper', group)}:{color}" if item.double else color,
            penwidth=f"{item.width:g}",
            **({"style": item.dash} if item.dash else {}),
            **({} if ends is None else {"id": group.key}),
            **arrow,
        )

    def text(self, group: Group, item: Text) -> None:
        """Each part of a line is a node of its own, as no label has several colours."""
        left = item.left
        for span in item.spans:
            width = formula_width(span.text, item.size)
            if not span.hidden:
                self.span(group, item, span, (left + width / 2, item.y), width)
            left += width

    def span(self, group: Group, item: Text, span: Span, middle: Point, width: float) -> None:
        group = replace(group, pale=group.pale or span.pale)
        color = self.color(span.color, group)
        self.dot.node(
            self.extra("text"),
            label=quoted([span.text]) + ("" if "∂" in span.text else JUSTIFIED[item.anchor]),
            pos=point(middle),
            width=f"{width / 72:.4f}",
            height=f"{LINE * item.size / 72:.4f}",
            shape="none",
            margin="0",
            fontsize=f"{item.size:g}",
            fontcolor=color,
            **({"fontname": f"{self.font} Oblique"} if item.italic and self.font == FONT else {}),
        )
        if span.underlined:
            below = middle[1] - 0.58 * item.size
            ends = [(middle[0] + step * width, below) for step in (-0.5, -0.2, 0.2, 0.5)]
            self.curve(Group("", (), group.pale), Curve(tuple(ends), color=span.color, width=0.8))

    def extra(self, word: str) -> str:
        self.extras += 1
        return f"{word} {self.extras}"

    def color(self, name: str, group: Group) -> str:
        return color_of(name, paled(self.colors) if group.pale else self.colors)
