"""Counts of points in square cells, of which sums over rectangles are wanted."""

from __future__ import annotations

import numpy as np

from dataflow.draw.layout.boxes import Box

CELL, MOST_CELLS = 1.5, 4e6
"""The side of a cell, in points; it is larger where a picture would have more cells."""


class Raster:
    """A raster between two corners; what is beyond counts to the cells at its edge."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.corner = low - CELL
        extent = high + CELL - self.corner
        self.cell = max(CELL, float(np.sqrt(extent.prod() / MOST_CELLS)))
        self.counts = np.zeros(np.ceil(extent / self.cell).astype(int) + 1, dtype=np.int32)
        self._table: np.ndarray | None = None

    def add_points(self, points: np.ndarray) -> None:
        """Count points, an array of (count, 2)."""
        np.add.at(self.counts, tuple(self._cells(points).T), 1)

    def fill(self, box: Box) -> None:
        """Count 1 in every cell of a rectangle."""
        (left, low), (right, high) = self._cells(np.array([(box.left, box.low), (box.right, box.high)]))
        self.counts[left : right + 1, low : high + 1] = 1

    def sums(self, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
        """Over the cells of each rectangle between two rows of corners; no more is counted after the first sum."""
        if self._table is None:
            self._table = np.pad(self.counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        (left, low), (right, high) = self._cells(lows).T, self._cells(highs).T + 1
        table = self._table
        sums: np.ndarray = table[right, high] - table[left, high] - table[right, low] + table[left, low]
        return sums

    def held(self, lows: np.ndarray, highs: np.ndarray, points: np.ndarray) -> np.ndarray:
        """What these points alone count to each of the sums."""
        cells = self._cells(points)
        inside = (self._cells(lows)[:, None] <= cells) & (cells <= self._cells(highs)[:, None])
        counts: np.ndarray = inside.all(axis=2).sum(axis=1)
        return counts

    def _cells(self, points: np.ndarray) -> np.ndarray:
        cells: np.ndarray = np.floor((points - self.corner) / self.cell).astype(int)
        return cells.clip(0, np.array(self.counts.shape) - 1)
