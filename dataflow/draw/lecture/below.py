"""What stands below a picture: the products, broken where they are long, the title and the legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from dataflow.draw.layout.figure import Curve, Figure, Group, Item, Outline, Span, Text, bounds
from dataflow.draw.layout.layout import Place
from dataflow.draw.layout.legend_places import entries, place_entries, sample_and_word
from dataflow.draw.layout.text_metrics import LINE, formula_width
from dataflow.draw.picture.picture import Kind, Mark, Part, Picture, PictureEdge, PictureNode
from dataflow.draw.picture.styles import SMALL

PRODUCT = 13.0
"""The size of the font of products."""
SPACE_ABOVE, SPACE_BETWEEN = 22.0, 7.0
MARGIN = 16.0


DrawLine: TypeAlias = Callable[[PictureEdge, Place], Curve]
"""Draws a sample of a line, for the legend."""


def with_texts_below(placed: Sequence[Group], picture: Picture, narrowest: float, draw_line: DrawLine) -> Figure:
    """What was placed, with the picture's texts below it, in lines as wide as it is, or as ``narrowest``."""
    box = bounds([item for group in placed for item in group.items])
    texts = below(picture, max(box.right - box.left, narrowest), draw_line)
    under = bounds([item for group in texts for item in group.items])
    width, height = max(box.right - box.left, under.right), box.high - box.low
    aside = (width - (box.right - box.left)) / 2
    figure = Figure(0, 0, tuple(placed)).moved(
        MARGIN + aside - box.left, MARGIN - under.low - box.low, width + 2 * MARGIN, height - under.low + 2 * MARGIN
    )
    lower = Figure(0, 0, tuple(texts)).moved(MARGIN, MARGIN - under.low, 0, 0)
    return Figure(figure.width, figure.height, (*figure.groups, *lower.groups))


def below(picture: Picture, width: float, draw_line: DrawLine) -> list[Group]:
    """Groups of text from 0 downwards, in lines of at most this width where they can be broken. What the products are
    equal to begins at the same place in all of them."""
    groups: list[Group] = []
    y = -SPACE_ABOVE
    indent = max((formula_width(caption.parts[0].text + " ", PRODUCT) for caption in picture.captions), default=0.0)
    for number, caption in enumerate(picture.captions, 1):
        middle = y - LINE * PRODUCT / 2
        lines = [Text(0.0, middle, (_span(caption.parts[0]),), PRODUCT, "start")]
        for parts in broken(caption.parts[1:], width - indent):
            lines.append(Text(indent, y - LINE * PRODUCT / 2, tuple(map(_span, parts)), PRODUCT, "start"))
            y -= LINE * PRODUCT + 2
        groups.append(Group(f"caption-{number}", tuple(lines)))
        y -= SPACE_BETWEEN
    for number, (entry, place) in enumerate(zip(entries(picture), place_entries(picture, width), strict=True)):
        sample, word = sample_and_word(entry, replace(place, y=place.y + y))
        text = Text(*word, (Span(entry.text, "faint"),), SMALL, "start")
        items: list[Item] = [text]
        if isinstance(entry.like, PictureNode):
            items = [_outline(entry.like, sample), text]
        elif entry.like is not None:
            items = [draw_line(entry.like, sample), text]
        groups.append(Group(f"legend-{number}" if number else "title", tuple(items)))
    return groups


def _outline(node: PictureNode, place: Place) -> Outline:
    """A sample of a node."""
    if node.kind == Kind.PARAMETER:
        return Outline("box", place, node.kind)
    return Outline("circle", replace(place, width=place.height), node.kind, double=node.kind == Kind.LOSS)


def broken(parts: Sequence[Part], width: float) -> list[list[Part]]:
    """The parts line by line: all on one, or each equation on its own, broken before its operators if need be."""
    equations: list[list[Part]] = []
    for part in parts:
        if part.text.strip() == "=" or not equations:
            equations.append([])
        equations[-1].append(part)
    if sum(map(_width, equations)) <= width:
        equations = [list(parts)]
    return [_trimmed(line) for equation in equations for line in _filled_with_factors(equation, width)]


def _filled_with_factors(parts: Sequence[Part], width: float) -> list[list[Part]]:
    lines: list[list[Part]] = [[]]
    pending: list[Part] = []
    for part in parts:
        pending.append(part)
        if part.is_operator:
            continue
        if lines[-1] and _width([*lines[-1], *pending]) > width:
            lines.append([])
        lines[-1] += pending
        pending = []
    lines[-1] += pending
    return lines


def _trimmed(parts: list[Part]) -> list[Part]:
    return [replace(parts[0], text=parts[0].text.lstrip()), *parts[1:]]


def _width(parts: Sequence[Part]) -> float:
    return formula_width("".join(part.text for part in parts), PRODUCT)


def _span(part: Part) -> Span:
    color = {Mark.PATH: "path", Mark.SHARED: "shared"}.get(part.mark, "text")
    return Span(
        part.text, color, part.latex, part.mark == Mark.SHARED, part.pending, part.pending and part.comes_with_numbers
    )
