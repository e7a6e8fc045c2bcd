"""Rectangles, and a grid that finds those nearby."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dataflow.draw.layout.layout import Place, Point

CELL = 48.0
"""The side of a square of the grid, in points."""


class Box(NamedTuple):
    """A rectangle with sides along the axes."""

    left: float
    low: float
    right: float
    high: float

    @staticmethod
    def around(place: Place, gap: float = 0.0) -> Box:
        """The rectangle of a node, or of anything with a size and a middle."""
        x, y = place.width / 2 + gap, place.height / 2 + gap
        return Box(place.x - x, place.y - y, place.x + x, place.y + y)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.high - self.low)

    def holds(self, point: Point) -> bool:
        return self.left <= point[0] <= self.right and self.low <= point[1] <= self.high

    def has_corner(self, point: Point) -> bool:
        return point[0] in (self.left, self.right) and point[1] in (self.low, self.high)

    def overlap(self, other: Box) -> float:
        """The area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.high, other.high) - max(self.low, other.low)
        return width * height if width > 0 and height > 0 else 0.0

    def entered_by(self, a: Point, b: Point) -> float | None:
        """Where the straight line from ``a`` to ``b`` enters, between 0 and 1; ``None`` if it does not."""
        enter, leave = 0.0, 1.0
        for start, end, low, high in ((a[0], b[0], self.left, self.right), (a[1], b[1], self.low, self.high)):
            step = end - start
            if step == 0:
                if not low < start < high:
                    return None  # along a side is not inside
                continue
            first, last = sorted(((low - start) / step, (high - start) / step))
            enter, leave = max(enter, first), min(leave, last)
        return enter if enter < leave else None


class Grid:
    """Rectangles by their place."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[tuple[str, Box]]] = {}

    def add(self, box: Box, name: str = "") -> None:
        for cell in cells(box):
            self._cells.setdefault(cell, []).append((name, box))

    def near(self, box: Box) -> set[tuple[str, Box]]:
        """Those that may overlap a box."""
        return {item for cell in cells(box) for item in self._cells.get(cell, ())}

    def along(self, a: Point, b: Point) -> set[tuple[str, Box]]:
        """Those that a straight line may cross."""
        items: set[tuple[str, Box]] = set()
        parts = max(1, round(max(abs(b[0] - a[0]), abs(b[1] - a[1])) / CELL))
        for k in range(parts):
            ends = [(a[0] + (b[0] - a[0]) * t / parts, a[1] + (b[1] - a[1]) * t / parts) for t in (k, k + 1)]
            (ax, ay), (bx, by) = ends
            items |= self.near(Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))
        return items


def cells(box: Box) -> Iterator[tuple[int, int]]:
    """The squares of the grid that a rectangle lies in."""
    for x in range(int(box.left // CELL), int(box.right // CELL) + 1):
        for y in range(int(box.low // CELL), int(box.high // CELL) + 1):
            yield x, y
