"""A picture in Mermaid's language, which code hosts and documentation tools draw by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow.draw.picture.picture import Flow, Kind, Mark, Picture, PictureEdge
from dataflow.draw.picture.styles import THICK, Theme, mark_color, paled, theme
from dataflow.draw.writers.dot import HIDDEN
from dataflow.notation.letters import printable

SHAPES = {
    Kind.INPUT: ("([", "])"),
    Kind.PARAMETER: ("[(", ")]"),
    Kind.CONSTANT: (">", "]"),
    Kind.OP: ("(", ")"),
    Kind.OUTPUT: ("[", "]"),
    Kind.LOSS: ("(((", ")))"),
    Kind.COTANGENT: ("{{", "}}"),
    Kind.BLOCK: ("[[", "]]"),
    Kind.LAYERS: ("[/", "/]"),
}
ARROWS = {Flow.VALUE: "-->", Flow.GRADIENT: "-->", Flow.SAVED: "-.->", Flow.REPEAT: "-.->"}
SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 400}}}%%'
"""An expression stays on the line that it has."""
_SAFE = frozenset(" .,+-=×·∂⁽⁾…→")


def mermaid(picture: Picture) -> str:
    """A flowchart; nodes are called n1, n2, ..."""
    colors = theme(picture.dark)
    lines = [SETTINGS, f"flowchart {'TB' if picture.down else 'LR'}"]
    lines += [f"  accTitle: {_sentence(picture.title)}", f"  accDescr: {_sentence(picture.description)}"]
    names = {node.key: f"n{number}" for number, node in enumerate(picture.nodes, 1)}
    lines += _inside(picture, None, names, "  ")
    for edge in picture.edges:
        label = f'|"{escape(edge.label)}"|' if edge.label else ""
        lines.append(f"  {names[edge.source]} {_arrow(edge)}{label} {names[edge.target]}")
    lines += [
        f"  style c{number} fill:{colors.paper},stroke:{colors.frame},color:{colors.text},stroke-dasharray:5 3"
        for number in range(1, len(picture.clusters) + 1)
    ]
    lines += [f"  linkStyle default stroke:{colors.line}"] if picture.edges else []
    lines += _classes(picture, names, colors)
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text in quotes: whatever could mean something is written as the number of its character."""
    return "".join(c if c.isalnum() or c in _SAFE else f"#{ord(c)};" for c in printable(text))


def _inside(picture: Picture, cluster: str | None, names: dict[str, str], indent: str) -> Iterator[str]:
    for node in picture.in_cluster(cluster):
        opening, closing = SHAPES[node.kind]
        yield f'{indent}{names[node.key]}{opening}"{"<br/>".join(map(escape, node.written))}"{closing}'
    for inner in picture.inner_clusters(cluster):
        number = picture.clusters.index(inner) + 1
        yield f'{indent}subgraph c{number}["{escape(inner.label)}"]'
        yield from _inside(picture, inner.key, names, indent + "  ")
        yield f"{indent}end"


def _arrow(edge: PictureEdge) -> str:
    return "==>" if edge.mark and edge.flow in (Flow.VALUE, Flow.GRADIENT) else ARROWS[edge.flow]


def _classes(picture: Picture, names: dict[str, str], colors: Theme) -> Iterator[str]:
    groups: dict[tuple[Kind, Mark, bool, bool, bool], list[str]] = {}
    for node in picture.nodes:
        look = (node.kind, node.mark, node.computed, node.saved, node.pending)
        groups.setdefault(look, []).append(names[node.key])
    pale = paled(colors)
    for number, ((kind, mark, computed, saved, pending), members) in enumerate(groups.items(), 1):
        node_colors = pale if pending else colors
        width = THICK if mark else 2.5 if kind == Kind.OUTPUT else 1
        dashes = ",stroke-dasharray:1 4" if not computed else ",stroke-dasharray:6 4" if saved else ""
        stroke = mark_color(mark, node_colors.line, node_colors)
        yield (
            f"  classDef k{number} fill:{node_colors.fills[kind]},stroke:{stroke},color:{node_colors.text},"
            f"stroke-width:{width}px{dashes}"
        )
        yield f"  class {','.join(members)} k{number}"
    for mark in (Mark.PATH, Mark.SHARED):
        marked = [str(i) for i, edge in enumerate(picture.edges) if edge.mark == mark]
        if marked:
            dashes = ",stroke-dasharray:10 2" if mark == Mark.SHARED else ""
            yield f"  linkStyle {','.join(marked)} stroke:{mark_color(mark, colors.line, colors)}{dashes}"

    later = [str(i) for i, edge in enumerate(picture.edges) if edge.pending]
    if later:
        yield f"  linkStyle {','.join(later)} stroke:{pale.line},color:{HIDDEN}"


def _sentence(text: str) -> str:
    return "".join(c if c.isalnum() or c in " .,:-_×∂⁽⁾…" else " " for c in printable(text))
