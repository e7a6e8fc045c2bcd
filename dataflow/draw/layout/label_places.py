"""Place the labels of edges: each nearest to its own line, and clear of nodes, lines and other labels.

Graphviz leaves room for the labels of edges between ranks, but lines may end up on them, or nearer than their own. A
label for which there is no such place is left out, and the picture says so: a text beside a wrong line says what is not
true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from dataflow.draw.layout.boxes import Box, Grid
from dataflow.draw.layout.layout import Layout, Place, Point
from dataflow.draw.layout.raster import Raster
from dataflow.draw.layout.text_metrics import LINE, text_width
from dataflow.draw.picture.picture import Picture
from dataflow.draw.picture.styles import SMALL

GAPS = 3.0, 1.5, 5.0, 8.0
"""Between a label and its line, in points; the first is the best."""
FARTHEST = 12.0
"""Where Graphviz puts a label farther from its line than this, it moves."""
STEP, FINE = 4.0, 1.5
"""Between the points that stand for a line, and between those that stand for lines from which labels keep away."""
MARGIN = 0.5
"""How much nearer a label is to its own line than to any other, at least."""
ON_A_FRAME, NEAR_A_LINE, ASIDE, NARROW = 6.0, 0.2, 0.03, 0.5
"""The cost of each point of a frame under a label, of each point of a line near it, of each point of distance from the
middle of the line, and of the next of the gaps."""
NEAR = 8.0
"""So near are lines that cost, in points."""
AT_ONCE = 32
"""Of so many places it is asked at once whether they are nearest to their line."""
MOST_POINTS = 200
"""The most points of a line beside which a place for its label is tried."""
TWIN = 2.0
"""Lines that are nowhere farther apart than this, in points, are as good as one."""
ROUNDS = 6
"""What finds no room is placed first in the next round; so many are tried."""
SIDES = np.array(
    [
        *((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)),
        *((1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0.5, 1), (0.5, -1), (-0.5, 1), (-0.5, -1)),
    ]
)
"""A label is beside a point of its line, over or under it, at a corner, or between these."""


def place_labels(picture: Picture, layout: Layout) -> Layout:
    """The same layout with the labels of edges in the best places there are; those without room have no place."""
    texts = {f"edge-{number}": edge.label for number, edge in enumerate(picture.edges, 1) if edge.label}
    room = _Room(layout)
    sizes = {key: text_size(texts[key]) for key in layout.edges if key in texts}
    kept: dict[str, Point] = {}
    for key, size in sizes.items():
        place = layout.edges[key].label
        if place is not None and room.fits(key, place, size):
            kept[key] = place
    candidates: dict[str, _Tried] = {}
    first: list[str] = []
    best: dict[str, Point] = {}
    for _ in range(ROUNDS):
        places = _place_all(room, sizes, kept, first, candidates)
        best = max(best, places, key=len)
        missing = [key for key in sizes if key not in places]
        if not missing or set(missing) <= set(first[: len(missing)]):
            break
        first = [*missing, *(key for key in first if key not in missing)]
    edges = {key: replace(spline, label=best.get(key)) for key, spline in layout.edges.items()}
    return replace(layout, edges=edges)


def _place_all(
    room: _Room,
    sizes: Mapping[str, Point],
    kept: Mapping[str, Point],
    first: Sequence[str],
    candidates: dict[str, _Tried],
) -> dict[str, Point]:
    """One round: what had no room in an earlier one, then what may stay, then what goes around all that. ``candidates``
    keeps the places of each label for the next round."""
    taken = Grid()
    places: dict[str, Point] = {}

    def take(key: str, tried: Iterable[Point]) -> None:
        for place in tried:
            box = _box(place, sizes[key])
            if not any(box.overlap(label) for _, label in taken.near(box)):
                taken.add(box, key)
                places[key] = place
                return

    def take_best(key: str) -> None:
        if key not in candidates:
            candidates[key] = _Tried(room.candidates(key, sizes[key]))
        take(key, candidates[key])

    for key in first:
        take_best(key)
    for key, place in kept.items():
        if key not in first:
            take(key, [place])
    for key in sizes:
        if key not in places and key not in first:
            take_best(key)
    return places


class _Tried:
    """Places that are found when they are asked for, and kept."""

    def __init__(self, places: Iterator[Point]) -> None:
        self.places = places
        self.known: list[Point] = []

    def __iter__(self) -> Iterator[Point]:
        yield from self.known
        for place in self.places:
            self.known.append(place)
            yield place


def text_size(text: str) -> Point:
    """The width and the height of an edge's label, in points."""
    return text_width(text, SMALL), LINE * SMALL


def line_points(control: Sequence[Point], step: float = STEP) -> np.ndarray:
    """Points about ``step`` apart on a line of cubic Bézier curves: an array of (count, 2)."""
    points = [np.array(control[-1:])]
    for i in range(0, len(control) - 3, 3):
        curve = np.array(control[i : i + 4])
        length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
        t = np.linspace(0, 1, max(2, round(length / step)), endpoint=False)[:, None]
        weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
        points.insert(-1, weights @ curve)
    return np.concatenate(points)


def arrow_points(control: Sequence[Point], tip: Point | None, step: float = STEP) -> np.ndarray:
    """Points on a line and on its arrow's head."""
    return line_points([*control, *([tip] * 3 if tip else [])], step)


class _Room:
    """What labels keep away from, and where there is room for them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.points = {key: arrow_points(line.points, line.end, FINE) for key, line in layout.edges.items()}
        every_point = list(self.points.values())
        frames = [_frame_points(sides) for sides in layout.boxes.values()]
        corners = np.array([(0.0, 0.0), (layout.width, layout.height)])
        points = np.concatenate([*every_point, *frames, corners])
        low, high = points.min(axis=0), points.max(axis=0)
        self.lines, self.frames, self.nodes = (Raster(low, high) for _ in range(3))
        for line in every_point:
            self.lines.add_points(line)
        for frame in frames:
            self.frames.add_points(frame)
        for place in (*layout.nodes.values(), *layout.titles.values()):
            self.nodes.fill(Box.around(place, 1.0))

        self.points |= _merge_twins(self.points)

    def fits(self, key: str, place: Point, size: Point) -> bool:
        """Whether a label may stay where Graphviz put it."""
        places = np.array([place])
        on_frames = self.frames.sums(*_corners(places, size))[0]
        return bool(self.is_free(places, size)[0] and not on_frames and self.is_nearest(key, places, size)[0])

    def candidates(self, key: str, size: Point) -> Iterator[Point]:
        """All places beside a line that are free and nearest to this line, the best ones first."""
        line = line_points(self.layout.edges[key].points)
        every = 1 + len(line) // MOST_POINTS
        aside = STEP * np.abs(np.arange(len(line)) - len(line) // 2)[::every]
        shifts = [SIDES * (np.array(size) / 2 + gap) for gap in GAPS]
        places = (line[::every, None, None, :] + np.array(shifts)).reshape(-1, 2)
        costs = ASIDE * (aside[:, None, None] + (SIDES[:, 0] < 0)) + NARROW * np.arange(len(GAPS))[:, None]
        free = self.is_free(places, size)
        places, costs = places[free], costs.ravel()[free]
        costs += ON_A_FRAME * self.frames.sums(*_corners(places, size))
        costs += NEAR_A_LINE * self.lines.sums(*_corners(places, size, NEAR))
        places = places[costs.argsort(kind="stable")]
        for i in range(0, len(places), AT_ONCE):
            tried = places[i : i + AT_ONCE]
            yield from map(tuple, tried[self.is_nearest(key, tried, size)].tolist())

    def is_free(self, places: np.ndarray, size: Point) -> np.ndarray:
        """Whether each place is inside of the picture, on no node and on no line."""
        lows, highs = _corners(places, size)
        inside = (lows >= (0.0, self.layout.bottom)) & (highs <= (self.layout.width, self.layout.height))
        covered = self.nodes.sums(lows, highs) + self.lines.sums(lows, highs)
        free: np.ndarray = (inside & (covered == 0)[:, None]).all(axis=1)
        return free

    def is_nearest(self, key: str, places: np.ndarray, size: Point) -> np.ndarray:
        """Whether each place is near to the label's own line, and farther from all others."""
        lows, highs = _corners(places, size, FARTHEST)
        line = self.points[key]
        line = line[((line >= lows.min(axis=0)) & (line <= highs.max(axis=0))).all(axis=1)]
        outside = (np.abs(places[:, None, :] - line) - np.array(size) / 2).clip(0)
        own = np.hypot(outside[..., 0], outside[..., 1]).min(axis=1, initial=np.inf)
        lows, highs = _corners(places, size, np.minimum(own, FARTHEST)[:, None] + MARGIN)
        others = self.lines.sums(lows, highs) - self.lines.held(lows, highs, line)
        nearest: np.ndarray = (own <= FARTHEST) & (others == 0)
        return nearest


def _merge_twins(lines: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each line that lies on another one, as those there and back between two nodes may, the points of both: a
    label beside the one is beside the other, whatever is done."""
    groups: dict[tuple[Point, ...], list[str]] = {}
    for key, line in lines.items():
        ends = sorted((round(x / TWIN), round(y / TWIN)) for x, y in (line[0], line[-1]))
        groups.setdefault(tuple(ends), []).append(key)
    merged = {}
    for group in groups.values():
        for key in group if len(group) > 1 else ():
            line = lines[key]
            twins = [
                lines[other]
                for other in group
                if np.hypot(*np.moveaxis(line[:, None] - lines[other], -1, 0)).min(axis=1).max() < TWIN
            ]
            merged[key] = np.concatenate(twins)
    return merged


def _corners(places: np.ndarray, size: Point, gap: float | np.ndarray = 0.0) -> tuple[np.ndarray, np.ndarray]:
    half = np.array(size) / 2 + gap
    return places - half, places + half


def _frame_points(sides: Sequence[float]) -> np.ndarray:
    left, low, right, high = sides
    corners = np.array([(left, low), (left, high), (right, high), (right, low), (left, low)])
    return np.concatenate([_segment(a, b) for a, b in pairwise(corners)])


def _segment(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linspace(a, b, max(1, round(float(np.abs(b - a).max()) / STEP)), endpoint=False)


def _box(place: Point, size: Point) -> Box:
    return Box.around(Place(*place, *size))
