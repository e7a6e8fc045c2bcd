"""Straight lines, as Bézier curves."""

from __future__ import annotations

from math import dist

from dataflow.draw.layout.layout import Point


def straight(start: Point, end: Point) -> list[Point]:
    """A straight line as a cubic Bézier curve: its ends, and its thirds between them."""
    thirds = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in (1 / 3, 2 / 3)]
    return [start, *thirds, end]


def toward(start: Point, end: Point, distance: float) -> Point:
    """The point so far from the start of a straight line; the start, where both ends are one."""
    length = dist(start, end) or 1.0
    return (start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length)
