"""Where Graphviz puts things, in points, from the lower left corner."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
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
    below: list[Place] = field(default_factory=list)
    """Of the title of the picture and of each entry of its legend."""

    def moved(self, names: Collection[str], dx: float, dy: float) -> Layout:
        """With some of the elements elsewhere."""
        mapped = self.shifted(dx, dy)
        return replace(
            self,
            width=self.width + max(0.0, dx),
            bottom=self.bottom + min(0.0, dy),
            nodes={key: (mapped if key in names else self).nodes[key] for key in self.nodes},
            edges={key: (mapped if key in names else self).edges[key] for key in self.edges},
            boxes={key: (mapped if key in names else self).boxes[key] for key in self.boxes},
            titles={key: (mapped if key in names else self).titles[key] for key in self.titles},
        )

    def shifted(self, dx: float, dy: float) -> Layout:
        """All of it elsewhere."""
        return self._mapped(lambda place: (place[0] + dx, place[1] + dy), 1.0)

    def scaled(self, factor: float) -> Layout:
        """The same in another size."""
        mapped = self._mapped(lambda place: (place[0] * factor, place[1] * factor), factor)
        return replace(mapped, width=self.width * factor, height=self.height * factor, bottom=self.bottom * factor)

    def _mapped(self, point: Callable[[Point], Point], factor: float) -> Layout:
        def place(old: Place) -> Place:
            return Place(*point((old.x, old.y)), old.width * factor, old.height * factor)

        def line(old: Spline) -> Spline:
            end, label = (None if end_point is None else point(end_point) for end_point in (old.end, old.label))
            return Spline([point(control) for control in old.points], end, label)

        return replace(
            self,
            nodes={key: place(old_place) for key, old_place in self.nodes.items()},
            edges={key: line(old_line) for key, old_line in self.edges.items()},
            boxes={key: [*point((a, b)), *point((c, d))] for key, (a, b, c, d) in self.boxes.items()},
            titles={key: place(old_title) for key, old_title in self.titles.items()},
            below=[place(old_entry) for old_entry in self.below],
        )


def read_layout(layout: bytes) -> Layout:
    """What Graphviz says in the format ``json0``; a ``DataflowError`` if it says something else."""
    try:
        document: dict[str, Any] = json.loads(layout)
        box = _numbers(document["bb"])
        nodes, boxes, titles = {}, {}, {}
        for item in document.get("objects", []):
            identity = str(item.get("id", ""))
            if identity.startswith("cluster-"):
                boxes[identity] = _numbers(item["bb"])
                if "lp" in item:
                    titles[identity] = _place(item["lp"], item["lwidth"], item["lheight"])
            elif identity:
                nodes[identity] = _place(item["pos"], item["width"], item["height"])
        edges = {str(item["id"]): _spline(item) for item in document.get("edges", []) if "pos" in item and "id" in item}
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
