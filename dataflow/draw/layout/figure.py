"""A picture laid out to the last stroke: outlines, curves and texts, in points from the lower left corner.

Styles that place everything themselves lay a picture out as a figure, and need no layout engine for it. Colours are the
names of a theme's, or those of the kinds of nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import hypot
from typing import TypeAlias

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.layout import Place, Point
from dataflow.draw.layout.text_metrics import LINE, formula_width

HEAD = 8.0
"""The length of an arrow's head."""
INSET = 3.0
"""From a double outline to its second line, which is inside it."""


@dataclass(frozen=True)
class Outline:
    """What a node looks like: a ``circle`` (an ellipse), a ``box`` with round corners, or a ``pill``."""

    form: str
    place: Place
    fill: str
    stroke: str = "line"
    width: float = 1.2
    dash: str = ""
    """Or "dashed", or "dotted"."""
    double: bool = False


@dataclass(frozen=True)
class Curve:
    """A line of cubic Bézier curves; with a ``tip`` it ends in an arrow's head between its last point and that."""

    points: tuple[Point, ...]
    tip: Point | None = None
    color: str = "line"
    width: float = 1.2
    dash: str = ""
    double: bool = False


@dataclass(frozen=True)
class Span:
    """A part of a line of text. ``latex`` is the same in LaTeX's mathematical mode, if it is mathematics."""

    text: str
    color: str = "text"
    latex: str = ""
    underlined: bool = False
    pale: bool = False
    hidden: bool = False
    """Not there, but in its place."""


@dataclass(frozen=True)
class Text:
    """A line of text; ``x`` is that of its ``start``, ``middle`` or ``end``, ``y`` that of the middle of its height."""

    x: float
    y: float
    spans: tuple[Span, ...]
    size: float
    anchor: str = "middle"
    italic: bool = False

    @property
    def width(self) -> float:
        """In the widest of the usual fonts."""
        return sum(formula_width(span.text, self.size) for span in self.spans)

    @property
    def left(self) -> float:
        return self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * self.width

    @property
    def box(self) -> Box:
        """The rectangle that the line takes."""
        half = LINE * self.size / 2
        return Box(self.left, self.y - half, self.left + self.width, self.y + half)


Item: TypeAlias = Outline | Curve | Text


@dataclass(frozen=True)
class Group:
    """What belongs to one element of the picture: ``node-1``, ``edge-1``, or an ``aside`` such as a title."""

    key: str
    items: tuple[Item, ...]
    pale: bool = False
    """Not yet there, in a picture that is built up step by step."""


@dataclass(frozen=True)
class Figure:
    """All groups, in the order in which they are drawn."""

    width: float
    height: float
    groups: tuple[Group, ...] = field(default=())

    def moved(self, dx: float, dy: float, width: float, height: float) -> Figure:
        """The same elsewhere, in a frame of another size."""
        return Figure(width, height, tuple(_mapped(group, 1.0, dx, dy) for group in self.groups))

    def scaled(self, factor: float) -> Figure:
        """The same in another size."""
        groups = tuple(_mapped(group, factor, 0.0, 0.0) for group in self.groups)
        return Figure(self.width * factor, self.height * factor, groups)


def _mapped(group: Group, factor: float, dx: float, dy: float) -> Group:
    """The same in another size, and then elsewhere."""

    def point(x: float, y: float) -> Point:
        return factor * x + dx, factor * y + dy

    def mapped(item: Item) -> Item:
        if isinstance(item, Outline):
            place = item.place
            moved = Place(*point(place.x, place.y), factor * place.width, factor * place.height)
            return replace(item, place=moved, width=item.width * factor)
        if isinstance(item, Curve):
            points = tuple(point(*control) for control in item.points)
            tip = None if item.tip is None else point(*item.tip)
            return replace(item, points=points, tip=tip, width=item.width * factor)
        x, y = point(item.x, item.y)
        return replace(item, x=x, y=y, size=item.size * factor)

    return replace(group, items=tuple(map(mapped, group.items)))


def head(base: Point, tip: Point) -> list[Point]:
    """The corners of an arrow's head."""
    dx, dy = tip[0] - base[0], tip[1] - base[1]
    length = hypot(dx, dy) or 1.0
    half = 0.42 * max(length, HEAD)
    across = (-dy / length * half, dx / length * half)
    return [tip, (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1])]


def bounds(items: Iterator[Item] | Sequence[Item]) -> Box:
    """The smallest rectangle around the items; of a curve, around its control points."""
    boxes = []
    for item in items:
        if isinstance(item, Outline):
            boxes.append(Box.around(item.place, item.width / 2))
        elif isinstance(item, Text):
            boxes.append(item.box)
        else:
            ends = [*item.points, *([item.tip] if item.tip else [])]
            xs, ys = [x for x, _ in ends], [y for _, y in ends]
            boxes.append(Box(min(xs) - 3, min(ys) - 3, max(xs) + 3, max(ys) + 3))
    if not boxes:
        return Box(0, 0, 0, 0)
    return Box(*(function(box[i] for box in boxes) for i, function in enumerate((min, min, max, max))))
