"""Where Graphviz puts things, in points, from the lower left corner."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dataflow.errors import DataflowError


@dataclass(frozen=True)
class Place:
    """A node: its middle and its size."""

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Spline:
    """The line of an edge, in the direction of its arrow: Bézier points, the tip, and the place of the label."""

    points: list[tuple[float, float]]
    end: tuple[float, float] | None
    label: tuple[float, float] | None


@dataclass(frozen=True)
class Layout:
    """The places of all elements by their ``id`` in the DOT file; ``bottom`` is where the lowest ends."""

    width: float
    height: float
    bottom: float
    nodes: dict[str, Place]
    edges: dict[str, Spline]
    boxes: dict[str, list[float]]


def read_layout(layout: bytes) -> Layout:
    """What Graphviz says in the format ``json0``; a ``DataflowError`` if it says something else."""
    try:
        found: dict[str, Any] = json.loads(layout)
        box = _numbers(found["bb"])
        nodes, boxes = {}, {}
        for item in found.get("objects", []):
            identity = str(item.get("id", ""))
            if identity.startswith("cluster-"):
                boxes[identity] = _numbers(item["bb"])
            elif identity:
                x, y = _numbers(item["pos"])
                nodes[identity] = Place(x, y, 72 * float(item["width"]), 72 * float(item["height"]))
        edges = {str(item["id"]): _spline(item) for item in found.get("edges", []) if "pos" in item and "id" in item}
        low = min([y for _, y, *_ in boxes.values()] + [p.y - p.height / 2 for p in nodes.values()], default=0.0)
        return Layout(box[2], box[3], low, nodes, edges, boxes)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataflowError(f"the layout engine's JSON cannot be read: {error}") from None


def _spline(item: dict[str, Any]) -> Spline:
    """Points in the direction of the arrow, whichever end Graphviz put it at."""
    points, end, backwards = [], None, False
    for part in str(item["pos"]).replace("\\\n", "").split():
        if part.startswith(("e,", "s,")):
            x, y = _numbers(part[2:])
            end, backwards = (x, y), part.startswith("s,")
        else:
            x, y = _numbers(part)
            points.append((x, y))
    place = item.get("lp") or item.get("xlp")
    label = _numbers(str(place)) if place else None
    return Spline(points[::-1] if backwards else points, end, (label[0], label[1]) if label else None)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
