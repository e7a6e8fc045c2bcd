"""Where Graphviz puts things, in points, from the lower left corner."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from dataflow.errors import DataflowError

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """A node, or the title of a frame: its middle and its size."""

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Spline:
    """The line of an edge, in the direction of its arrow: Bézier points, the tip, and the middle of the label
    where there is room for it."""

    points: list[Point]
    end: Point | None
    label: Point | None


@dataclass(frozen=True)
class Layout:
    """The places of all elements by their ``id`` in the DOT file; ``bottom`` is where the lowest ends. ``boxes`` and
    ``titles`` are those of the frames: left, low, right, high."""

    width: float
    height: float
    bottom: float
    nodes: dict[str, Place]
    edges: dict[str, Spline]
    boxes: dict[str, list[float]]
    titles: dict[str, Place] = field(default_factory=dict)

    def moved(self, names: Collection[str], dx: float, dy: float) -> Layout:
        """With some of the elements elsewhere."""

        def point(place: Point) -> Point:
            return place[0] + dx, place[1] + dy

        def middle(place: Place) -> Place:
            return replace(place, x=place.x + dx, y=place.y + dy)

        def line(spline: Spline) -> Spline:
            end, label = (None if place is None else point(place) for place in (spline.end, spline.label))
            return Spline([point(place) for place in spline.points], end, label)

        def box(sides: Sequence[float]) -> list[float]:
            return [*point((sides[0], sides[1])), *point((sides[2], sides[3]))]

        return replace(
            self,
            width=self.width + max(0.0, dx),
            bottom=self.bottom + min(0.0, dy),
            nodes={key: middle(place) if key in names else place for key, place in self.nodes.items()},
            edges={key: line(spline) if key in names else spline for key, spline in self.edges.items()},
            boxes={key: box(sides) if key in names else sides for key, sides in self.boxes.items()},
            titles={key: middle(place) if key in names else place for key, place in self.titles.items()},
        )


def read_layout(layout: bytes) -> Layout:
    """What Graphviz says in the format ``json0``; a ``DataflowError`` if it says something else."""
    try:
        found: dict[str, Any] = json.loads(layout)
        box = _numbers(found["bb"])
        nodes, boxes, titles = {}, {}, {}
        for item in found.get("objects", []):
            identity = str(item.get("id", ""))
            if identity.startswith("cluster-"):
                boxes[identity] = _numbers(item["bb"])
                if "lp" in item:
                    titles[identity] = _place(item["lp"], item["lwidth"], item["lheight"])
            elif identity:
                nodes[identity] = _place(item["pos"], item["width"], item["height"])
        edges = {str(item["id"]): _spline(item) for item in found.get("edges", []) if "pos" in item and "id" in item}
        low = min([y for _, y, *_ in boxes.values()] + [p.y - p.height / 2 for p in nodes.values()], default=0.0)
        return Layout(box[2], box[3], low, nodes, edges, boxes, titles)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataflowError(f"the layout engine's JSON cannot be read: {error}") from None


def _place(middle: str, width: str, height: str) -> Place:
    """Graphviz gives sizes in inches."""
    x, y = _numbers(middle)
    return Place(x, y, 72 * float(width), 72 * float(height))


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
    label = _numbers(str(item["lp"])) if "lp" in item else None
    return Spline(points[::-1] if backwards else points, end, (label[0], label[1]) if label else None)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
