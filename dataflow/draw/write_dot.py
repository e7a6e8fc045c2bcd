r"""A picture in Graphviz's language. Attributes come from a fixed list, and no text of a model is read as anything but
text: neither as a record, as HTML, as an escape such as ``\G`` nor as an entity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

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
    Theme,
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


def dot_source(picture: Picture, *, font: str = FONT, swapped: bool = False, dpi: int | None = None) -> str:
    """The text of a DOT file. A node is called what it is called in the graph; its ``id`` is ``node-1`` and so on.

    ``swapped`` writes the second of two passes first: which one Graphviz puts to the left depends on that, but not
    always in the same way.
    """
    import graphviz

    colors = theme(picture.dark)
    names = {node.key: _name(node.key, number) for number, node in enumerate(picture.nodes, 1)}
    attributes = _graph_attributes(picture, colors, font) | ({} if dpi is None else {"dpi": str(dpi)})
    dot = graphviz.Digraph("picture", graph_attr=attributes)
    common = {"fontname": font, "fontcolor": colors.text}
    dot.attr("node", fontsize=str(FONT_SIZE), margin="0.13,0.07", height="0.4", **common)
    dot.attr("edge", fontsize=str(SMALL), arrowsize="0.7", **{**common, "fontcolor": colors.faint})
    numbers = {node.key: number for number, node in enumerate(picture.nodes, 1)}
    _add_inside(dot, picture, None, names, numbers, colors, swapped)
    for pair in picture.beside:
        with dot.subgraph() as same:
            same.attr(rank="same")
            for key in pair:
                same.node(names[key])
    flat = {frozenset(pair) for pair in picture.beside}
    for number, edge in enumerate(picture.edges, 1):
        _add_edge(dot, picture, edge, number, names, colors, frozenset((edge.source, edge.target)) in flat)
    return str(dot.source)


def escape(lines: Iterable[str]) -> str:
    r"""Lines as a label: backslashes and entities mean themselves, and the lines are centred."""
    return "\\n".join(printable(line).replace("&", "&amp;").replace("\\", "\\\\") for line in lines)


def _graph_attributes(picture: Picture, colors: Theme, font: str) -> dict[str, str]:
    rows = [" · ".join(picture.legend[i : i + PER_LINE]) for i in range(0, len(picture.legend), PER_LINE)]
    return {
        **LAYOUT,
        "rankdir": "TB" if picture.down else "LR",
        "bgcolor": colors.paper,
        "fontname": font,
        "fontsize": str(SMALL),
        "fontcolor": colors.faint,
        "label": _text([picture.title, *rows]),
    }


def _add_inside(
    dot: graphviz.Digraph,
    picture: Picture,
    cluster: str | None,
    names: dict[str, str],
    numbers: dict[str, int],
    colors: Theme,
    swapped: bool = False,
) -> None:
    for node in picture.in_cluster(cluster):
        _add_node(dot, node, names[node.key], numbers[node.key], colors)
    inside = list(picture.inner_clusters(cluster))
    for inner in reversed(inside) if swapped else inside:
        number = picture.clusters.index(inner) + 1
        with dot.subgraph(name=f"cluster_{number}") as frame:
            frame.attr(
                id=f"cluster-{number}",
                label=_text([inner.label]),
                labelloc="b" if inner.is_pass else "t",  # edges between the passes cross their upper ends
                labeljust="l",
                fontsize=str(TITLE if inner.is_pass else FONT_SIZE),
                fontcolor=colors.text,
                color=colors.frame,
                style="solid" if inner.is_pass else "rounded,dashed",
                penwidth="1",
                margin="14",
            )
            _add_inside(frame, picture, inner.key, names, numbers, colors)


def _add_node(dot: graphviz.Digraph, node: PictureNode, name: str, number: int, colors: Theme) -> None:
    dot.node(
        name,
        label=_text(_shown(node.lines)),
        id=f"node-{number}",
        style=node_style(node),
        fillcolor=colors.fills[node.kind],
        color=mark_color(node.mark, colors.line, colors),
        penwidth=str(THICK if node.mark else 1),
        **SHAPES[node.kind],
    )


def _add_edge(
    dot: graphviz.Digraph,
    picture: Picture,
    edge: PictureEdge,
    number: int,
    names: dict[str, str],
    colors: Theme,
    is_flat: bool,
) -> None:
    color = mark_color(edge.mark, colors.line, colors)
    given = {
        "id": f"edge-{number}",
        "label": _text([f" {edge.label}"]),  # a gap to the line
        "style": LINES[edge.flow],
        "color": f"{color}:{color}" if edge.mark == Mark.SHARED else color,  # two lines
        "penwidth": str(1 if edge.mark in (Mark.SHARED, Mark.NONE) else THICK),
    }
    source, target = edge.source, edge.target
    if edge.flow in (Flow.SAVED, Flow.REPEAT) and (picture.beside or edge.flow == Flow.REPEAT):
        given["constraint"] = "false"
    if is_flat or (edge.flow == Flow.SAVED and picture.beside):
        # beside an edge that crosses, Graphviz has no room for a label between the ranks
        given["xlabel"] = given.pop("label")
    if edge.flow == Flow.GRADIENT and picture.beside:
        source, target = target, source  # the backward pass runs up, beside the forward pass
        given["dir"] = "back"
    dot.edge(names[source], names[target], **given)


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
