"""The lines between nodes of a row: straight on, over to another lane, or in an arc above what is in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dataflow.draw.lecture.axes import Lines
from dataflow.draw.lecture.column_search import Columns


@dataclass
class Rail:
    """A stretch along, above the nodes of a lane, on a level that it shares with no other one over the same columns."""

    lane: int
    first: int
    last: int
    height: float = 0.0
    level: int = 0


@dataclass
class Route:
    """The way of an edge, forward and back."""

    source: str
    target: str
    forward: int
    back: int | None
    label: Lines
    kind: str
    turns: list[tuple[int, int]] = field(default_factory=list)
    """Gaps between columns in which it changes its lane, and which group of tracks in it: -1 first, 1 last."""
    rail: Rail | None = None
    """Where it runs, if it is an arc."""


@dataclass
class Trunk:
    """The lines of a source that several nodes share: a rail from which they lead down to each, and where some are in
    another lane, a turn to a rail above that."""

    source: str
    users: list[str]
    rail: Rail
    branches: dict[str, tuple[int, Rail]] = field(default_factory=dict)
    """For users in other lanes, the gap of the turn and the second rail."""
    a: float = 0.0
    c: float = 0.0
    """The middle of its box."""


def find_kind(columns: Columns, source: str, target: str) -> str:
    """``straight``, ``early`` (changes lanes at once), ``late`` (just before its target) or ``arc``."""
    first, last = columns.column[source], columns.column[target]
    own, other = columns.lane[source], columns.lane[target]
    if own == other and columns.is_free(own, first + 1, last - 1):
        return "straight"
    if own != other and columns.is_free(other, first + 1, last - 1):
        return "early"
    if own != other and columns.is_free(own, first + 1, last - 1):
        return "late"
    return "arc"


def plan_route(columns: Columns, route: Route) -> None:
    """Say where a route turns."""
    first, last = columns.column[route.source], columns.column[route.target]
    if route.kind == "early":
        route.turns = [(first, 0)]
    elif route.kind == "late":
        route.turns = [(last - 1, 0)]
    elif route.kind == "arc":
        route.turns = [(first, -1), (last - 1, 1)]
        route.rail = Rail(min(columns.lane[route.source], columns.lane[route.target]), first, last)


def plan_trunk(columns: Columns, source: str, users: Sequence[str]) -> Trunk:
    """The lines of a source to all who use it; the first lane of these has the trunk."""
    lane = min((columns.lane[user] for user in users), default=0)
    places = [columns.column[user] for user in users] or [0]
    trunk = Trunk(source, list(users), Rail(lane, min(places) - 1, max(places) + 1))
    for user in users:
        if columns.lane[user] != lane:
            column = columns.column[user]
            trunk.branches[user] = column - 1, Rail(columns.lane[user], column - 1, column)
    return trunk


def stack(rails: Iterable[Rail]) -> None:
    """Give each rail a level above those before it that it overlaps with."""
    placed: list[Rail] = []
    for rail in rails:
        below = [other.level for other in placed if other.first < rail.last and rail.first < other.last]
        rail.level = max(below, default=-1) + 1
        placed.append(rail)


def ports(count_up: int, count_down: int, half: float) -> tuple[Sequence[float], Sequence[float]]:
    """Offsets across at which lines leave a node's side: those that lead up, the highest first, and those that lead
    down, the lowest last. The middle is left to the straight line."""
    step_up, step_down = (min(7.0, 0.62 * half / max(1, count)) for count in (count_up, count_down))
    up = [-step_up * (count_up - i) for i in range(count_up)]
    return up, [step_down * (i + 1) for i in range(count_down)]
