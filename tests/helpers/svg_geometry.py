"""What an SVG shows, read from its elements alone: boxes of texts, outlines of nodes, points on lines."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

from dataflow.draw.layout.text_metrics import formula_width

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]
"""Left, upper, right, lower."""


@dataclass
class Element:
    """A group of the SVG: a node, an edge, or texts that belong to neither."""

    words: list[str]
    title: str
    texts: dict[str, Box] = field(default_factory=dict)
    outlines: list[Box] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)

    @property
    def is_edge(self) -> bool:
        return "edge" in self.words

    @property
    def label(self) -> Box:
        """Around all texts."""
        sides = np.array(list(self.texts.values()))
        return (*sides[:, :2].min(axis=0), *sides[:, 2:].max(axis=0))


def elements(source: bytes) -> tuple[list[Element], Box]:
    """The groups, and the picture's frame."""
    root = ET.fromstring(source)
    groups = []
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        element = Element(group.get("class", "").split(), "" if title is None else str(title.text))
        for shape in group:
            kind = shape.tag.removeprefix(SVG)
            values = {key: float(value) for key, value in shape.attrib.items() if re.fullmatch(r"[-\d.]+", value)}
            if kind == "text":
                words = "".join(shape.itertext())
                width, size = formula_width(words, values["font-size"]), values["font-size"]
                left = values["x"] - width * {"start": 0, "middle": 0.5, "end": 1}[shape.get("text-anchor")]
                element.texts[words] = (left, values["y"] - 0.8 * size, left + width, values["y"] + 0.2 * size)
            elif kind == "ellipse":
                x, y, across, along = (values[key] for key in ("cx", "cy", "rx", "ry"))
                element.outlines.append((x - across, y - along, x + across, y + along))
            elif kind == "rect":
                x, y, width, height = (values[key] for key in ("x", "y", "width", "height"))
                element.outlines.append((x, y, x + width, y + height))
            elif kind == "path":
                element.points.append(sampled(shape.get("d")))
            elif kind == "polygon":
                corners = [list(map(float, pair.split(","))) for pair in shape.get("points").split()]
                element.points.append(np.array(corners))
        groups.append(element)
    return groups, tuple(map(float, root.get("viewBox").split()))


def sampled(path: str) -> np.ndarray:
    """Points on a path of cubic Bézier curves, 40 on each."""
    numbers = np.array(list(map(float, re.findall(r"-?[\d.]+", path)))).reshape(-1, 2)
    t = np.linspace(0, 1, 40)[:, None]
    curves = [numbers[i : i + 4] for i in range(0, len(numbers) - 3, 3)]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return np.concatenate([weights @ curve for curve in curves])


def gap(box: Box, points: np.ndarray) -> float:
    """From a box to the nearest point; 0 inside."""
    low, high = np.array(box[:2]), np.array(box[2:])
    return float(np.hypot(*np.maximum(np.maximum(low - points, points - high), 0).T).min())


def overlap(a: Box, b: Box, slack: float = 1.5) -> bool:
    """Whether two boxes share more than their edges."""
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def holds(outer: Box, inner: Box) -> bool:
    """Whether one box lies in another one."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def faults(source: bytes) -> list[str]:
    """Texts outside their boxes, on a node, on a line or on another text; labels nearer to another line; lines through
    nodes."""
    groups, frame = elements(source)
    found = []
    every = [(group, words, box) for group in groups for words, box in group.texts.items()]
    outlines = [(group, box) for group in groups for box in group.outlines[:1]]
    lines = [(group, np.concatenate(group.points)) for group in groups if group.is_edge]
    for i, (group, words, box) in enumerate(every):
        found += [] if holds(frame, box) else [f"{words} is cut"]
        found += [f"{words} on {other}" for _, other, place in every[i + 1 :] if overlap(box, place)]
        for owner, outline in outlines:
            if overlap(box, outline) and not (owner is group and holds(outline, box)):
                found.append(f"{words} on the node {owner.title!r}")
        found += [f"{words} on the line {line.title!r}" for line, points in lines if gap(inner(box), points) == 0]
    for group, points in lines:
        if group.texts:
            own = gap(group.label, points)
            found += [
                f"{group.title!r} is nearer to {other.title!r}"
                for other, others in lines
                if other is not group and gap(group.label, others) < own
            ]
        touched = [owner for owner, outline in outlines if gap(inner(outline), points) == 0]
        found += [f"{group.title!r} through {owner.title!r}" for owner in touched[2:]]
    return found


def inner(box: Box) -> Box:
    """A little less than a box."""
    return box[0] + 1.5, box[1] + 1.5, box[2] - 1.5, box[3] - 1.5
