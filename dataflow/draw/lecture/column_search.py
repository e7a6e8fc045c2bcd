"""Which nodes stand in a line, in which column and lane, and which enter from the side.

The longest way to what is differentiated takes the first lane; what branches off takes a lane of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dataflow.draw.picture.picture import Flow, Kind, Picture

LEAVES = (Kind.INPUT, Kind.PARAMETER, Kind.CONSTANT)


@dataclass
class Columns:
    """Each node of a line by its column and its lane; each other one by the nodes that it enters."""

    column: dict[str, int] = field(default_factory=dict)
    lane: dict[str, int] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return 1 + max(self.column.values(), default=0)

    @property
    def lanes(self) -> int:
        return 1 + max(self.lane.values(), default=0)

    def is_free(self, lane: int, first: int, last: int) -> bool:
        """Whether no node stands in these columns of a lane."""
        return not any(self.lane[key] == lane and first <= self.column[key] <= last for key in self.lane)


def arrange(picture: Picture) -> Columns:
    """Give each node of the picture its place."""
    kinds = {node.key: node.kind for node in picture.nodes}
    sources: dict[str, list[str]] = {key: [] for key in kinds}
    users: dict[str, list[str]] = {key: [] for key in kinds}
    for edge in picture.edges:
        if edge.flow == Flow.VALUE:
            sources[edge.target].append(edge.source)
            users[edge.source].append(edge.target)
    columns = Columns()
    inner = [key for key, kind in kinds.items() if kind not in LEAVES]
    depth: dict[str, int] = {}
    for key in inner:  # nodes are in topological order
        depth[key] = 1 + max((depth[source] for source in sources[key] if source in depth), default=0)
    starts = [
        key
        for key, kind in kinds.items()
        if kind == Kind.INPUT and any(depth[user] == 1 for user in users[key] if user in depth)
    ]
    columns.column = {**dict.fromkeys(starts, 0), **depth}
    if not inner:  # nothing is computed
        columns.column = dict.fromkeys(kinds, 0)
        columns.lane = {key: lane for lane, key in enumerate(kinds)}
        return columns
    for way in _ways(picture, inner, sources, depth):
        first, last = columns.column[way[0]], columns.column[way[-1]]
        lane = next(lane for lane in range(len(inner) + 1) if columns.is_free(lane, first, last))
        columns.lane |= dict.fromkeys(way, lane)
    for key in starts:
        lanes = [columns.lane[user] for user in users[key] if depth.get(user) == 1]
        lanes += range(columns.lanes, columns.lanes + 1)
        columns.lane[key] = next(lane for lane in lanes if columns.is_free(lane, 0, 0))
    columns.users = {key: list(dict.fromkeys(users[key])) for key in kinds if key not in columns.column}
    return columns


def _ways(
    picture: Picture, inner: Sequence[str], sources: dict[str, list[str]], depth: dict[str, int]
) -> list[list[str]]:
    """The nodes cut into ways along edges, the longest first; the first leads to what is differentiated, or to the
    loss."""
    pending = dict.fromkeys(sorted(inner, key=lambda key: -depth[key]))
    ways = []
    end = _end(picture, inner, depth)
    while pending:
        way = [end]
        while True:
            before = [source for source in sources[way[0]] if source in pending]
            if not before:
                break
            way.insert(0, max(before, key=lambda key: depth[key]))
        for key in way:
            del pending[key]
        ways.append(way)
        end = next(iter(pending), "")
    return ways


def _end(picture: Picture, inner: Sequence[str], depth: dict[str, int]) -> str:
    backward = [edge for edge in picture.edges if edge.flow == Flow.GRADIENT]
    inwards = {edge.target for edge in backward}
    roots = [edge.source for edge in backward if edge.source not in inwards]
    losses = [node.key for node in picture.nodes if node.kind == Kind.LOSS]
    return (roots or losses or [max(inner, key=lambda key: depth[key])])[0]
