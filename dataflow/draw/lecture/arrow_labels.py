"""Labels of arrows that change lanes or go around: beside their lines, on nothing, and nearest to their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.clearance import distance
from dataflow.draw.layout.figure import Text, bounds
from dataflow.draw.layout.layout import Point
from dataflow.draw.lecture.axes import Axes, Lines
from dataflow.draw.lecture.fan import LABEL

FRACTIONS = (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9)
"""Of a stretch, where a label is tried: first in its middle."""
TO_LINE = (5.0, 3.0)
"""How far from its line a label is tried: closer where it is near others, too."""


def candidates(lines: Lines, corners: Sequence[Point], axes: Axes) -> Iterator[list[Text]]:
    """Places beside each stretch of a line along the axes, the best ones first: those beside its longest stretch."""
    stretches = sorted(pairwise(corners), key=lambda ends: -_length(*ends))
    for to_line, ((a1, c1), (a2, c2)), fraction in product(TO_LINE, stretches, FRACTIONS):
        a, c = a1 + (a2 - a1) * fraction, c1 + (c2 - c1) * fraction
        for side in (-1, 1) if a1 != a2 else (1, -1):
            if a1 == a2:
                yield axes.aside(lines, a + (to_line + 1) * side, c, side, LABEL)
            else:
                yield axes.across(lines, a, c + to_line * side, side, LABEL)


def best(
    places: Iterator[list[Text]], own: np.ndarray, others: Sequence[np.ndarray], boxes: Sequence[Box]
) -> list[Text]:
    """The first place without a fault, or else the one with the fewest."""
    chosen: list[Text] = []
    lowest = np.inf
    for place in places:
        box = bounds(place)
        covered = sum(box.overlap(other) for other in boxes)
        to_own = distance(box, own)
        to_others = min((distance(box, points) for points in others), default=np.inf)
        crossed = to_own == 0 or to_others == 0
        cost = 100 * covered + 1000 * crossed + 10 * max(0.0, to_own + 2 - to_others)
        if cost < lowest:
            chosen, lowest = place, cost
        if not cost:
            break
    return chosen


def _length(start: Point, end: Point) -> float:
    return abs(end[0] - start[0]) + abs(end[1] - start[1])
