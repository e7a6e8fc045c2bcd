"""Along the line and across it: one set of rules for pictures from left to right and from top to bottom.

``a`` runs with the forward pass, ``c`` away from the side where parameters enter: down in a row, to the right in a
column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import hypot, sqrt
from typing import Any

from dataflow.draw.layout.figure import HEAD, Curve, Span, Text
from dataflow.draw.layout.layout import Point
from dataflow.draw.layout.straight_lines import straight, toward
from dataflow.draw.layout.text_metrics import LINE, formula_width

Lines = Sequence[tuple[Span, ...]]
"""Of a block of text."""
RADIUS = 12.0
"""Of the corners of a line, in points."""


@dataclass(frozen=True)
class Axes:
    """How ``(a, c)`` becomes ``(x, y)``."""

    down: bool

    def point(self, a: float, c: float) -> Point:
        return (c, -a) if self.down else (a, -c)

    def size(self, width: float, height: float) -> tuple[float, float]:
        """How far something reaches along and across; also the other way round."""
        return (height, width) if self.down else (width, height)

    def block_size(self, lines: Lines, font_size: float) -> tuple[float, float]:
        """Along and across."""
        if not lines:
            return 0.0, 0.0
        width = max(sum(formula_width(span.text, font_size) for span in line) for line in lines)
        return self.size(width, LINE * font_size * len(lines))

    def across(self, lines: Lines, a: float, c: float, side: int, font_size: float) -> list[Text]:
        """A block of text that begins at ``c`` and leads away to a side, with its middle at ``a``."""
        return self._block(lines, a, c, side, font_size, beside=self.down)

    def aside(self, lines: Lines, a: float, c: float, side: int, font_size: float) -> list[Text]:
        """A block of text that begins at ``a`` and leads on or back, with its middle at ``c``."""
        return self._block(lines, a, c, side, font_size, beside=not self.down)

    def _block(self, lines: Lines, a: float, c: float, side: int, font_size: float, *, beside: bool) -> list[Text]:
        x, y = (c, a) if self.down else (a, c)
        step = LINE * font_size
        if beside:
            anchor, first = "start" if side > 0 else "end", y - step * (len(lines) - 1) / 2
        else:
            anchor, first = "middle", y + step / 2 if side > 0 else y - step * (len(lines) - 0.5)
        return self.flush([Text(x, -(first + i * step), line, font_size, anchor) for i, line in enumerate(lines)])

    @staticmethod
    def flush(texts: list[Text]) -> list[Text]:
        """The rows of a matrix one right below the other."""
        rows = [text for text in texts if text.spans[0].text.startswith(("[", "\u00a0["))]
        left = min((row.left for row in rows), default=0.0)
        return [replace(text, x=left, anchor="start") if text in rows and len(rows) > 1 else text for text in texts]

    def curve(self, points: Sequence[Point], **style: Any) -> Curve:
        """A curve through control points along and across; its arrow's head takes the last stretch."""
        places = [self.point(*point) for point in points]
        tip, before = places[-1], next(p for p in reversed(places[:-1]) if p != places[-1])
        return Curve((*places[:-1], toward(tip, before, HEAD)), tip, **style)


@dataclass(frozen=True)
class Body:
    """Half the extents of a node along and across; it is round at its ends unless it is a box."""

    along: float
    beside: float
    is_box: bool = False

    def reach_along(self, c: float) -> float:
        """How far the outline is from the middle, along, at an offset across."""
        return _reach(self.along, self.beside, c, self.is_box)

    def reach_across(self, a: float) -> float:
        """How far it is across, at an offset along."""
        return _reach(self.beside, self.along, a, self.is_box)


def _reach(ahead: float, half: float, offset: float, is_box: bool) -> float:
    radius = 0.0 if is_box else min(ahead, half)
    over = abs(offset) - (half - radius)
    return ahead if over <= 0 else ahead - radius + sqrt(max(0.0, radius**2 - over**2))


def rounded(corners: Sequence[Point]) -> list[Point]:
    """A line along the axes with round corners, as Bézier curves."""
    stops = [corner for i, corner in enumerate(corners) if i == 0 or corner != corners[i - 1]]
    points = [stops[0]]
    lengths = [hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(stops)]
    for i in range(1, len(stops) - 1):
        before, corner, after = stops[i - 1], stops[i], stops[i + 1]
        room = min(lengths[i - 1] * (1 if i == 1 else 0.5), lengths[i] * (1 if i == len(stops) - 2 else 0.5))
        cut = min(RADIUS, 0.9 * room)
        enter, leave = toward(corner, before, cut), toward(corner, after, cut)
        points += straight(points[-1], enter)[1:]
        points += [toward(enter, corner, 0.55 * cut), toward(leave, corner, 0.55 * cut), leave]
    return points + straight(points[-1], stops[-1])[1:]
