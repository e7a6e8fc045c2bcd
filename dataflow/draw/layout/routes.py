"""The lines of saved values, which cross from the forward to the backward pass, around what stands between.

Graphviz would lay them out with the rest, in ranks that they have no part in, with long ways round.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from dataflow.draw.layout.boxes import Box, Grid
from dataflow.draw.layout.layout import Layout, Place, Point, Spline
from dataflow.draw.layout.straight_lines import straight, toward
from dataflow.draw.picture.picture import Flow, Kind, Picture

BETWEEN = (80.0, 20.0)
"""Added between the passes where they are side by side, and where one is under the other."""
BETWEEN_TIGHT = 20.0
"""In both cases, where there is little room."""
CLEARANCE = 7.0
"""Between a line and what it goes around, in points."""
ARROW = 7.0
"""The length of an arrow's head."""
BEND = 16.0
"""How far from a corner a line begins to bend."""
APART = 9.0
"""Between lines with the same ends."""
LANES = 6
"""The most lines around the same corner that have ways of their own."""
LANE = 4.0
MOST_TRIED = 300
"""After this many tried corners a line goes straight."""


def separate(picture: Picture, layout: Layout) -> Layout:
    """The same layout with room between the two passes for the labels of what crosses."""
    backward = {node.key for node in picture.nodes if node.backward}
    names = {f"node-{number}" for number, node in enumerate(picture.nodes, 1) if node.backward}
    names |= {f"edge-{number}" for number, edge in enumerate(picture.edges, 1) if edge.source in backward}
    names |= {f"cluster-{number}" for number, cluster in enumerate(picture.clusters, 1) if cluster.backward}
    across, along = (BETWEEN_TIGHT, BETWEEN_TIGHT) if picture.is_tight else BETWEEN
    return layout.moved(names, across, 0.0) if picture.down else layout.moved(names, 0.0, -along)


def add_routes(picture: Picture, layout: Layout) -> Layout:
    """The same layout with a line for every saved value."""
    obstacles = _Obstacles({**layout.nodes, **layout.titles})
    identities = {node.key: f"node-{number}" for number, node in enumerate(picture.nodes, 1)}
    kinds = {node.key: node.kind for node in picture.nodes}
    edges = dict(layout.edges)
    drawn: dict[tuple[str, str], int] = {}
    for number, edge in enumerate(picture.edges, 1):
        if edge.flow != Flow.SAVED:
            continue
        ends = edge.source, edge.target
        source, target = (layout.nodes[identities[key]] for key in ends)
        shift = APART * drawn.setdefault(ends, 0)
        drawn[ends] += 1
        a, b = (source.x, source.y - shift), (target.x, target.y - shift)
        path = obstacles.way(a, b, {identities[key] for key in ends})
        path[0] = _leave(path[0], path[1], source, kinds[edge.source])
        path[-1] = _leave(path[-1], path[-2], target, kinds[edge.target])
        edges[f"edge-{number}"] = _smooth(path)
    return replace(layout, edges=edges)


class _Obstacles:
    """What lines go around: nodes and the titles of frames. Each line around a corner moves the next one away."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = places
        self.lanes = dict.fromkeys(places, 0)
        self.grid = Grid()
        for name in places:
            self.grid.add(self.box(name), name)

    def box(self, name: str) -> Box:
        return Box.around(self.places[name], CLEARANCE + LANE * self.lanes[name])

    def way(self, start: Point, end: Point, own: set[str]) -> list[Point]:
        """The shortest way from corner to corner around what stands between; straight where none is found in
        ``MOST_TRIED`` corners."""
        order = count()
        came: dict[Point, tuple[float, Point | None]] = {start: (0.0, None)}
        open_ends = [(math.dist(start, end), next(order), start)]
        done: set[Point] = set()
        while open_ends and len(done) < MOST_TRIED:
            here = heapq.heappop(open_ends)[2]
            if here == end:
                way = [end]
                while (before := came[way[-1]][1]) is not None:
                    way.append(before)
                self.keep_away_from(way)
                return way[::-1]
            if here in done:
                continue
            done.add(here)
            for there in self.in_sight(here, end, own):
                length = came[here][0] + math.dist(here, there)
                if there not in came or length < came[there][0]:
                    came[there] = length, here
                    heapq.heappush(open_ends, (length + math.dist(there, end), next(order), there))
        return [start, end]

    def in_sight(self, here: Point, end: Point, own: set[str]) -> Iterator[Point]:
        """The end, or the corners of what hides it that can be seen from a point."""
        wanted, hiding = [end], set()
        while wanted:
            there = wanted.pop()
            hit = self.hit(here, there, own)
            if hit is None:
                yield there
            elif hit not in hiding:
                hiding.add(hit)
                left, low, right, high = self.box(hit)
                wanted += [(left, low), (left, high), (right, low), (right, high)]

    def hit(self, a: Point, b: Point, own: set[str]) -> str | None:
        """What a straight line meets first, its own ends apart."""
        hits = [
            (entered, name)
            for name, box in self.grid.along(a, b)
            if name not in own and (entered := box.entered_by(a, b)) is not None
        ]
        return min(hits)[1] if hits else None

    def keep_away_from(self, way: Sequence[Point]) -> None:
        for x, y in way[1:-1]:
            for name, box in self.grid.near(Box(x - 1, y - 1, x + 1, y + 1)):
                if box == self.box(name) and self.lanes[name] < LANES and box.has_corner((x, y)):
                    self.lanes[name] += 1
                    self.grid.add(self.box(name), name)


def _leave(inside: Point, towards: Point, place: Place, kind: Kind) -> Point:
    """Where a line from inside a node crosses its border."""
    dx, dy = towards[0] - inside[0], towards[1] - inside[1]
    x, y = place.width / 2, place.height / 2
    low, high = 0.0, 1.0
    for _ in range(30):
        t = (low + high) / 2
        u, v = (inside[0] + t * dx - place.x) / x, (inside[1] + t * dy - place.y) / y
        within = _within(abs(u), abs(v), kind)
        low, high = (t, high) if within else (low, t)
    return inside[0] + high * dx, inside[1] + high * dy


def _within(u: float, v: float, kind: Kind) -> bool:
    """Whether a point is inside of a node, as shares of half its width and height from its middle."""
    if kind == Kind.INPUT:
        return u * u + v * v < 1
    return max(u, v) < 1 and (kind != Kind.LOSS or u + v < math.sqrt(2))  # a regular octagon, stretched


def _smooth(path: Sequence[Point]) -> Spline:
    """Cubic Bézier curves along a way, bent at its corners."""
    tip = path[-1]
    path = [*path[:-1], toward(tip, path[-2], ARROW)]
    points = [path[0]]
    for i in range(1, len(path) - 1):
        corner = path[i]
        into = toward(corner, path[i - 1], min(BEND, math.dist(corner, path[i - 1]) / 2))
        out = toward(corner, path[i + 1], min(BEND, math.dist(corner, path[i + 1]) / 2))
        points += straight(points[-1], into)[1:]
        points += [toward(into, corner, math.dist(into, corner) * 0.6)]
        points += [toward(out, corner, math.dist(out, corner) * 0.6), out]
    points += straight(points[-1], path[-1])[1:]
    return Spline(points, tip, None)
