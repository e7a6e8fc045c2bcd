"""Where the labels of edges go: beside their lines, clear of nodes, of each other and of other lines.

Graphviz leaves room for the labels of edges between ranks, but lines may end up on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from dataflow.draw.boxes import Box, Grid
from dataflow.draw.layout import Layout, Place, Point
from dataflow.draw.picture import Picture
from dataflow.draw.styles import SMALL

GAP = 3.0
"""Between a label and its line, in points."""
STEP = 4.0
"""Between the points that stand for a line."""
ON_A_LINE, ON_A_LABEL, ON_A_NODE = 6.0, 150.0, 300.0
"""What it costs for each point of a line, and for all of the label's area."""
ASIDE = 0.03
"""What it costs for each point of distance from the middle of the line."""
CELL, MOST_CELLS = 1.5, 4e6
"""The side of a cell of the rasters, in points; it is larger where a picture would have more cells."""
MOST_POINTS = 200
"""Beside so many points of a line a place is looked for."""
SIDES = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
"""A label is beside a point of its line, over or under it, or at a corner."""


def place_labels(picture: Picture, found: Layout) -> Layout:
    """The same layout with the labels of edges in the best places there are."""
    costs = _Costs(found)
    labels = {f"edge-{number}": edge.label for number, edge in enumerate(picture.edges, 1)}
    edges = dict(found.edges)
    pending = []
    for key, spline in found.edges.items():
        size = text_size(labels.get(key, ""))
        if spline.label is None or not costs.take_if_free(spline.label, size):
            pending.append((key, spline, size))
    for key, spline, size in pending:  # what has room stays, and these go around it
        edges[key] = replace(spline, label=costs.take_best(line_points(spline.points), size))
    return replace(found, edges=edges)


def text_size(text: str) -> Point:
    """About the width and the height of an edge's label, in points."""
    return SMALL * sum(0.63 if c.isalnum() else 0.38 for c in text) + 0.1, 1.2 * SMALL


def line_points(control: Sequence[Point]) -> np.ndarray:
    """Points about ``STEP`` apart on a line of cubic Bézier curves: an array of (count, 2)."""
    found = [np.array(control[-1:])]
    for i in range(0, len(control) - 3, 3):
        curve = np.array(control[i : i + 4])
        length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
        t = np.linspace(0, 1, max(2, round(length / STEP)), endpoint=False)[:, None]
        weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
        found.insert(-1, weights @ curve)
    return np.concatenate(found)


class _Costs:
    """What it costs a label to lie on what is there, and on the labels that have their places already."""

    def __init__(self, found: Layout) -> None:
        boxes = [Box.around(place, 1.0) for place in (*found.nodes.values(), *found.titles.values())]
        lines = [
            line_points([*spline.points, *([spline.end] * 3 if spline.end else [])]) for spline in found.edges.values()
        ]
        lines += [_frame_points(sides) for sides in found.boxes.values()]
        points = np.concatenate([*lines, [(0.0, 0.0), (found.width, found.height)]])
        corner = points.min(axis=0) - CELL
        extent = points.max(axis=0) + CELL - corner
        cell = max(CELL, float(np.sqrt(extent.prod() / MOST_CELLS)))
        self._lines = _Raster(corner, extent, cell)
        self._lines.add_points(points)
        self._nodes = _Raster(corner, extent, cell)
        for box in boxes:
            self._nodes.fill(box)
        self._labels = Grid()

    def take_if_free(self, place: Point, size: Point) -> bool:
        """Take a place if nothing is there."""
        box = _box(place, size)
        free = self._static(np.array([place]), size)[0] == 0 and not self._on_labels(box)
        if free:
            self._labels.add(box)
        return free

    def take_best(self, line: np.ndarray, size: Point) -> Point:
        """The best place beside a line, near to its middle if there is a choice."""
        every = 1 + len(line) // MOST_POINTS
        aside = STEP * np.abs(np.arange(len(line)) - len(line) // 2)[::every]
        line = line[::every]
        shifts = SIDES * (np.array(size) / 2 + GAP)
        places = (line[:, None, :] + shifts).reshape(-1, 2)
        costs = self._static(places, size) + ASIDE * (aside[:, None] + (SIDES[:, 0] < 0)).ravel()
        best, lowest = int(costs.argmin()), np.inf
        for i in costs.argsort(kind="stable"):
            if costs[i] >= lowest:
                break
            cost = costs[i] + self._on_labels(_box(places[i], size))
            if cost < lowest:
                best, lowest = i, cost
        self._labels.add(_box(places[best], size))
        return float(places[best][0]), float(places[best][1])

    def _static(self, places: np.ndarray, size: Point) -> np.ndarray:
        """What it costs to lie on lines and nodes."""
        lows, highs = places - np.array(size) / 2, places + np.array(size) / 2
        on_line = self._lines.sums(lows, highs)
        on_node = self._nodes.sums(lows, highs) * self._nodes.cell**2 / (size[0] * size[1])
        return ON_A_LINE * on_line + ON_A_NODE * on_node

    def _on_labels(self, box: Box) -> float:
        return ON_A_LABEL * sum(box.overlap(one) for _, one in self._labels.near(box)) / box.area


class _Raster:
    """Counts in square cells, of which sums over rectangles are wanted."""

    def __init__(self, corner: np.ndarray, extent: np.ndarray, cell: float) -> None:
        self.corner, self.cell = corner, cell
        self.counts = np.zeros(np.ceil(extent / cell).astype(int) + 1, dtype=np.int32)
        self._table: np.ndarray | None = None

    def add_points(self, points: np.ndarray) -> None:
        np.add.at(self.counts, tuple(self._cells(points).T), 1)

    def fill(self, box: Box) -> None:
        (left, low), (right, high) = self._cells(np.array([(box.left, box.low), (box.right, box.high)]))
        self.counts[left : right + 1, low : high + 1] = 1

    def sums(self, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
        """Over each rectangle between two rows of corners."""
        if self._table is None:
            self._table = np.pad(self.counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        (left, low), (right, high) = self._cells(lows).T, self._cells(highs).T + 1
        table = self._table
        found: np.ndarray = table[right, high] - table[left, high] - table[right, low] + table[left, low]
        return found

    def _cells(self, points: np.ndarray) -> np.ndarray:
        cells: np.ndarray = np.floor((points - self.corner) / self.cell).astype(int)
        return cells.clip(0, np.array(self.counts.shape) - 1)


def _frame_points(sides: Sequence[float]) -> np.ndarray:
    left, low, right, high = sides
    corners = np.array([(left, low), (left, high), (right, high), (right, low), (left, low)])
    return np.concatenate([_segment(a, b) for a, b in pairwise(corners)])


def _segment(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linspace(a, b, max(1, round(float(np.abs(b - a).max()) / STEP)), endpoint=False)


def _box(place: Point | np.ndarray, size: Point) -> Box:
    return Box.around(Place(float(place[0]), float(place[1]), *size))
