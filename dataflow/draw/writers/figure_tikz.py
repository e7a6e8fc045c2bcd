"""A figure in TikZ; its mathematics is set by LaTeX."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow.draw.layout.figure import INSET, Curve, Figure, Group, Item, Outline, Span, Text, head
from dataflow.draw.picture.picture import Picture
from dataflow.draw.picture.styles import PALE
from dataflow.draw.writers.tikz import LARGEST, curve, document, text

ANCHORS = {"start": "mid west", "middle": "mid", "end": "mid east"}


def figure_tikz(picture: Picture, figure: Figure) -> str:
    """A document with one picture; smaller where LaTeX has no page of that size."""
    scale = min(1.0, LARGEST / max(figure.width, figure.height, 1.0))
    figure = figure.scaled(scale) if scale < 1 else figure
    size = f"paperwidth={figure.width:.0f}bp,paperheight={figure.height:.0f}bp,margin=0bp"
    lines = [
        r"\begin{tikzpicture}[remember picture,overlay,shift={(current page.south west)},x=1bp,y=1bp,",
        r"  every node/.style={inner sep=0pt,outer sep=0pt,font=\sffamily}]",
    ]
    for group in figure.groups:
        lines += _write_group(group)
    return document(picture, size, lines)


def _write_group(group: Group) -> Iterator[str]:
    if group.pale:
        yield rf"\begin{{scope}}[opacity={PALE:g}]"
    for item in group.items:
        yield from _write_item(item)
    if group.pale:
        yield r"\end{scope}"


def _write_item(item: Item) -> Iterator[str]:
    if isinstance(item, Text):
        words = "".join(map(_span, item.spans))
        size = rf"\fontsize{{{item.size:.4g}bp}}{{{1.2 * item.size:.4g}bp}}\selectfont"
        yield rf"\node[anchor={ANCHORS[item.anchor]}] at ({item.x:.2f},{item.y:.2f}) {{{size}{words}}};"
    elif isinstance(item, Outline):
        yield from _outline(item)
    else:
        yield from _curve(item)


def _span(span: Span) -> str:
    words = f"${span.latex}$" if span.latex else text(span.text)
    words = rf"\underline{{{words}}}" if span.underlined else words
    words = rf"\phantom{{{words}}}" if span.hidden else words
    color = _color(span.color) + (f"!{100 * PALE:.0f}!paper" if span.pale else "")
    return rf"\textcolor{{{color}}}{{{words}}}"


def _outline(item: Outline) -> Iterator[str]:
    place = item.place
    style = f"draw={_color(item.stroke)},fill={_color(item.fill)},line width={item.width:g}bp"
    style += f",{item.dash}" if item.dash else ""
    for inset in (0.0, INSET) if item.double else (0.0,):
        across, along = place.width / 2 - inset, place.height / 2 - inset
        if item.form == "circle":
            shape = f"({place.x:.2f},{place.y:.2f}) circle [x radius={across:.2f}, y radius={along:.2f}]"
            yield rf"\draw[{style}] {shape};"
        else:
            corner = min(across, along) - 0.01 if item.form == "pill" else 4.0
            low = f"({place.x - across:.2f},{place.y - along:.2f})"
            high = f"({place.x + across:.2f},{place.y + along:.2f})"
            yield rf"\draw[{style},rounded corners={corner:.2f}bp] {low} rectangle {high};"


def _curve(item: Curve) -> Iterator[str]:
    color = _color(item.color)
    style = f"draw={color},line width={item.width:g}bp" + (f",{item.dash}" if item.dash else "")
    style += ",double=paper,double distance=1.4bp" if item.double else ""
    yield rf"\draw[{style}] {curve(item.points)};"
    if item.tip is not None:
        corners = " -- ".join(f"({x:.2f},{y:.2f})" for x, y in head(item.points[-1], item.tip))
        yield rf"\fill[fill={color}] {corners} -- cycle;"


def _color(name: str) -> str:
    return {"text": "ink", "frame": "framecolor"}.get(name, name)
