"""Room for the labels of weights: on their own lines, where no other line, unit or label is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.layout import Point

PLACES = np.linspace(0.1, 0.9, 41)
"""Where on its line a label is tried, as shares of the line's length."""
PREFERRED = (0.5, 0.34, 0.66, 0.24, 0.76)
CLEAR = 2.5
"""What is left free around a label, in points."""
MOST_LABELS = 64
"""The labels of more lines between two columns are not looked for a place for."""


@dataclass(frozen=True)
class Wire:
    """A straight line from left to right, and the size of its label."""

    start: Point
    end: Point
    label: Point


def crosses(wires: Sequence[Wire], boxes: Sequence[Box]) -> bool:
    """Whether a line runs through a box."""
    if not wires or not boxes:
        return False
    return bool(_through(np.array([*map(tuple, boxes)]), *_ends(wires)).any())


def label_places(wires: Sequence[Wire], obstacles: Sequence[Box]) -> list[Point] | None:
    """The middle of each label; ``None`` where not all of them have room."""
    if len(wires) > MOST_LABELS:
        return None
    starts, ends = _ends(wires)
    sizes = np.array([wire.label for wire in wires])
    middles = starts[:, None, :] + PLACES[None, :, None] * (ends - starts)[:, None, :]
    half = (sizes / 2 + CLEAR)[:, None, :]
    boxes = np.concatenate([middles - half, middles + half], axis=2)  # (wires, places, 4)
    free = np.zeros(boxes.shape[:2], dtype=bool)
    for i in range(len(wires)):
        inside = (boxes[i, :, 0] > starts[i, 0] + CLEAR) & (boxes[i, :, 2] < ends[i, 0] - CLEAR)
        others = np.arange(len(wires)) != i
        crossed = _through(boxes[i], starts[others], ends[others]).any(axis=1)
        covered = np.zeros(len(PLACES), dtype=bool)
        for box in obstacles:
            covered |= _overlap(boxes[i], np.array(box))
        free[i] = inside & ~crossed & ~covered
    if not free.any(axis=1).all():
        return None
    found = [chosen for preferred in PREFERRED if (chosen := _choose(boxes, free, preferred)) is not None]
    if not found:
        return None
    spread = [round(float(np.ptp(PLACES[chosen])), 3) for chosen in found]  # labels under each other, if they can be
    best = found[int(np.argmin(spread))]
    return [(float(middles[i, place, 0]), float(middles[i, place, 1])) for i, place in enumerate(best)]


def _choose(boxes: np.ndarray, free: np.ndarray, preferred: float) -> np.ndarray | None:
    """A place for each label near to the preferred one; those with the least choice come first."""
    chosen = np.full(len(boxes), -1)
    taken: list[np.ndarray] = []
    for i in np.argsort(free.sum(axis=1), kind="stable"):
        for place in np.argsort(np.abs(PLACES - preferred), kind="stable"):
            if free[i, place] and not any(_overlap(boxes[i, place][None], box)[0] for box in taken):
                chosen[i] = place
                taken.append(boxes[i, place])
                break
        else:
            return None
    return chosen


def _ends(wires: Sequence[Wire]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([wire.start for wire in wires]), np.array([wire.end for wire in wires])


def _through(boxes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """For each box (left, low, right, high) and each line whether the line runs through the box."""
    slopes = (ends[:, 1] - starts[:, 1]) / (ends[:, 0] - starts[:, 0])
    left = np.maximum(boxes[:, None, 0], starts[None, :, 0])
    right = np.minimum(boxes[:, None, 2], ends[None, :, 0])
    at_left = starts[None, :, 1] + slopes * (left - starts[None, :, 0])
    at_right = starts[None, :, 1] + slopes * (right - starts[None, :, 0])
    low, high = np.minimum(at_left, at_right), np.maximum(at_left, at_right)
    return np.asarray((left < right) & (low < boxes[:, None, 3]) & (high > boxes[:, None, 1]))


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 0] < box[2]) & (boxes[:, 2] > box[0]) & (boxes[:, 1] < box[3]) & (boxes[:, 3] > box[1]))
