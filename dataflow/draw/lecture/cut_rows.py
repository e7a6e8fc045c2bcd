"""A long row cut into several, where a single straight line leads from each to the next."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from dataflow.draw.lecture.arrow_routes import Route, Trunk
from dataflow.draw.lecture.column_search import Columns

LONGEST, WANTED = 1500.0, 1200.0
"""A row is cut if it is longer than the one, into rows that are about as long as the other, in points."""


def cut(columns: Columns, routes: Sequence[Route], trunks: Sequence[Trunk], places: Sequence[float]) -> list[int]:
    """The row of each column. ``places`` are those of the columns along; without a place to cut, all are in one row."""
    length = places[-1] - places[0]
    rows = [0] * len(places)
    if length <= LONGEST:
        return rows
    count = ceil(length / WANTED)
    begin = 0
    for column in range(1, len(places)):
        is_full = places[column] - places[begin] > length / count * 0.98
        begin = column if is_full and is_free(columns, routes, trunks, column - 1) else begin
        rows[column] = rows[column - 1] + (begin == column)
    return rows


def is_free(columns: Columns, routes: Sequence[Route], trunks: Sequence[Trunk], gap: int) -> bool:
    """Whether nothing crosses a gap but one straight line."""
    crossing = [route for route in routes if columns.column[route.source] <= gap < columns.column[route.target]]
    is_straight = len(crossing) == 1 and crossing[0].kind == "straight"
    return is_straight and not any(trunk.rail.first < gap < trunk.rail.last - 1 for trunk in trunks)
