"""The texts of a picture in the lecture style, and the outlines that are large enough for them."""

from __future__ import annotations

from dataflow.draw.layout.figure import Span
from dataflow.draw.layout.text_metrics import formula_width
from dataflow.draw.lecture.axes import Axes, Body, Lines
from dataflow.draw.picture.picture import Mark, PictureEdge, PictureNode, Role

NAME, ENTERING = 17.0, 14.0
"""The sizes of the fonts of names, in a line and beside it."""
CIRCLE = 26.0
"""The radius of a node whose name is short."""


def body_of(node: PictureNode, axes: Axes) -> Body:
    """A circle, or something longer for a long name."""
    width = formula_width(node.lines[0].text, NAME)
    if width <= 1.7 * CIRCLE:
        return Body(CIRCLE, CIRCLE)
    return Body(*axes.size(width / 2 + 13, CIRCLE - 3))


def box_of(node: PictureNode, axes: Axes) -> Body:
    """The box of what enters from the side."""
    width = formula_width(node.lines[0].text, ENTERING)
    return Body(*axes.size(max(17.0, width / 2 + 9), 14.0), is_box=True)


def node_texts(node: PictureNode) -> Lines:
    """The value, the formula and the shape of a node."""
    values = [line for line in node.lines if line.role == Role.VALUE]
    formulas = [line for line in node.lines if line.role in (Role.EXPRESSION, Role.NOTE)]
    lines: list[tuple[Span, ...]] = [(Span(line.text, "value", line.latex),) for line in values]
    return lines + [(Span(line.text, "faint", line.latex),) for line in formulas]


def label_lines(edge: PictureEdge, is_asked: bool, break_lines: bool) -> Lines:
    """The label of an arrow back; with ``break_lines`` its numbers are on a line of their own."""
    text, latex = edge.label, edge.latex
    if not text:
        return []
    if break_lines and " = " in text:
        text, latex = text.replace(" = ", "\n= "), latex.replace(" = ", "\n= ")
    texts, latexes = text.split("\n"), latex.split("\n")
    latexes = latexes if len(latexes) == len(texts) else [""] * len(texts)
    color = back_color(edge, is_asked)
    return [(Span(line, color, line_latex),) for line, line_latex in zip(texts, latexes, strict=True)]


def back_color(edge: PictureEdge, is_asked: bool) -> str:
    """The colour of an arrow back and of its label."""
    if edge.mark == Mark.SHARED:
        return "shared"
    return "path" if edge.mark or not is_asked else "faint"
