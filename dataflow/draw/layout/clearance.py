"""What is wrong with a figure: texts that lie on something, lines through nodes, labels nearer to another line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.figure import Curve, Figure, Group, Outline, Text, bounds
from dataflow.draw.layout.label_places import arrow_points

SLACK = 1.0
"""So little, in points, is no overlap."""


def curve_points(curve: Curve) -> np.ndarray:
    """Points along a curve and its arrow's head."""
    return arrow_points(curve.points, curve.tip)


def distance(box: Box, points: np.ndarray) -> float:
    """From a rectangle to the nearest of the points; 0 where one lies in it."""
    low, high = np.array([box.left, box.low]), np.array([box.right, box.high])
    outside = np.maximum(np.maximum(low - points, points - high), 0.0)
    return float(np.sqrt((outside**2).sum(axis=1)).min(initial=np.inf))


def flaws(figure: Figure, ends: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Sentences about what is wrong. ``ends`` has the two nodes of each edge, all by their groups' keys."""
    texts = [
        (group.key, item, shrunk(item.box)) for group in figure.groups for item in group.items if isinstance(item, Text)
    ]
    outlines = [
        (group.key, Box.around(item.place, -SLACK))
        for group in figure.groups
        for item in group.items
        if isinstance(item, Outline)
    ]
    lines = [(group.key, _points_of(group)) for group in figure.groups if group.key in ends]
    lines = [(key, points) for key, points in lines if len(points)]
    for key, text, box in texts:
        words = "".join(span.text for span in text.spans)
        if box.left < 0 or box.low < 0 or box.right > figure.width or box.high > figure.height:
            yield f"'{words}' is cut at the edge"
        for other, outline in outlines:
            inside = other == key and outline.left <= box.left and box.right <= outline.right
            if box.overlap(outline) and not inside:
                yield f"'{words}' of {key} lies on {other}"
        for other, points in lines:
            if distance(box, points) == 0:
                yield f"{other} runs through '{words}' of {key}"
    for group in figure.groups:
        label = [item for item in group.items if isinstance(item, Text)]
        own = [distance(bounds(label), points) for key, points in lines if key == group.key]
        if group.key in ends and label and own:
            for other, points in lines:
                if other != group.key and distance(bounds(label), points) < own[0]:
                    yield f"'{label[0].spans[0].text}' of {group.key} is nearer to {other}"
    for (key, text, box), (other, other_text, other_box) in combinations(texts, 2):
        if box.overlap(other_box):
            yield f"'{text.spans[0].text}' of {key} lies on '{other_text.spans[0].text}' of {other}"
    for (key, box), (other, other_box) in combinations(outlines, 2):
        if key != other and box.overlap(other_box):
            yield f"{key} lies on {other}"
    for key, points in lines:
        for other, outline in outlines:
            if other not in ends[key] and distance(outline, points) == 0:
                yield f"{key} runs through {other}"


def shrunk(box: Box) -> Box:
    """A little smaller on all sides."""
    return Box(box.left + SLACK, box.low + SLACK, box.right - SLACK, box.high - SLACK)


def _points_of(group: Group) -> np.ndarray:
    points = [curve_points(item) for item in group.items if isinstance(item, Curve)]
    return np.concatenate(points) if points else np.zeros((0, 2))
