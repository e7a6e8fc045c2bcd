"""What there is to place in a picture in the lecture style: nodes with what enters them, and lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dataflow.draw.lecture.arrow_routes import Rail, Route, find_kind, plan_route, plan_trunk, ports, stack
from dataflow.draw.lecture.axes import Axes, Body, Lines
from dataflow.draw.lecture.column_search import Columns, arrange
from dataflow.draw.lecture.fan import LABEL, Fan, Slot
from dataflow.draw.lecture.set_texts import body_of, box_of, label_lines, node_texts
from dataflow.draw.picture.picture import Flow, Picture, PictureNode

TRACK = 9.0
"""Between two lines side by side."""


@dataclass
class LineNode:
    """A node of a line, and what enters it."""

    node: PictureNode
    group: str
    body: Body
    texts: Lines
    """Its value and its formula, in the order in which they stand away from it."""
    fan: Fan
    a: float = 0.0
    c: float = 0.0
    before: float = 0.0
    after: float = 0.0
    ports: dict[tuple[int, str], float] = field(default_factory=dict)
    """Offsets across of the lines at its sides, by the edge's number and "in" or "out"."""


class Members:
    """The nodes of a picture with what enters them, and its lines with their levels and ports."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.axes = Axes(picture.down)
        self.columns: Columns = arrange(picture)
        self.numbers = {(edge.source, edge.target, edge.flow): i for i, edge in enumerate(picture.edges, 1)}
        self.backs = {
            (edge.target, edge.source): i for i, edge in enumerate(picture.edges, 1) if edge.flow == Flow.GRADIENT
        }
        self.all = {node.key: (i, node) for i, node in enumerate(picture.nodes, 1)}
        self.shared = {key: users for key, users in self.columns.users.items() if len(users) != 1}
        self.nodes = {key: self.line_node(key) for key in self.columns.column}
        self.routes = list(self.find_routes())
        self.trunks = [plan_trunk(self.columns, source, users) for source, users in self.shared.items()]
        self.assign_levels()
        self.assign_ports()

    def in_lane(self, lane: int) -> list[LineNode]:
        return [node for key, node in self.nodes.items() if self.columns.lane[key] == lane]

    # -------------------------------------------------------------------------------------------- what there is

    def line_node(self, key: str) -> LineNode:
        number, node = self.all[key]
        fan = Fan([self.slot(source, key) for source in self.entering(key)], self.axes)
        return LineNode(node, f"node-{number}", body_of(node, self.axes), node_texts(node), fan)

    def entering(self, key: str) -> list[str]:
        """What enters a node from the side, in the order of its arguments."""
        edges = [edge for edge in self.picture.edges if edge.flow == Flow.VALUE and edge.target == key]
        return [edge.source for edge in edges if edge.source in self.columns.users]

    def slot(self, source: str, target: str) -> Slot:
        back = self.backs.get((source, target))
        body = None if source in self.shared else box_of(self.all[source][1], self.axes)
        text = self.axes.block_size(node_texts(self.all[source][1]), LABEL)[0] / 2 if body is not None else 0.0
        label = self.label(back, break_lines=not self.axes.down)
        return Slot(source, body, text, label, back is not None)

    def label(self, edge: int | None, *, break_lines: bool = False) -> Lines:
        """The label of an arrow back."""
        return [] if edge is None else label_lines(self.picture.edges[edge - 1], self.is_asked, break_lines)

    @property
    def is_asked(self) -> bool:
        """Whether some gradients are marked."""
        return any(edge.mark for edge in self.picture.edges)

    def find_routes(self) -> Iterator[Route]:
        for number, edge in enumerate(self.picture.edges, 1):
            if edge.flow == Flow.VALUE and edge.source in self.nodes:
                back = self.backs.get((edge.source, edge.target))
                kind = find_kind(self.columns, edge.source, edge.target)
                route = Route(edge.source, edge.target, number, back, self.label(back), kind)
                plan_route(self.columns, route)
                yield route

    # -------------------------------------------------------------------------------------------- levels and ports

    def assign_levels(self) -> None:
        """Arcs above each lane, the longer ones higher, and above them the lines of sources that are shared."""
        self.rails: list[Rail] = []
        for route in self.routes:
            if route.rail is not None:
                label = self.axes.block_size(route.label, LABEL)[1]
                route.rail.height = 14 + (TRACK + label + 6 if route.back else 0.0)
                self.rails.append(route.rail)
        self.rails.sort(key=lambda rail: (rail.last - rail.first, rail.first))
        for trunk in self.trunks:
            for rail in trunk.rail, *(rail for _, rail in trunk.branches.values()):
                rail.height = 2 * TRACK + 4
                self.rails.append(rail)
        for lane in range(self.columns.lanes):
            stack(rail for rail in self.rails if rail.lane == lane)

    def assign_ports(self) -> None:
        lane = self.columns.lane
        for key, node in self.nodes.items():
            for end in "out", "in":
                up: list[tuple[float, int]] = []
                down: list[tuple[float, int]] = []
                for route in self.routes:
                    if (route.source if end == "out" else route.target) != key or route.kind == "straight":
                        continue
                    other = route.target if end == "out" else route.source
                    rises = route.kind == "arc" or lane[other] < lane[key]
                    rank = 100.0 + route.rail.level if route.rail else float(lane[key] - lane[other])
                    outer, inner = (route.back, route.forward) if rises else (route.forward, route.back)
                    if not rises:
                        outer, inner = inner, outer
                    for shift, edge in ((0.5, outer), (0.0, inner)):
                        if edge is not None:
                            (up if rises else down).append((rank + shift if rises else -rank + shift, edge))
                ups, downs = ports(len(up), len(down), node.body.beside)
                for (_, edge), offset in zip(sorted(up, reverse=True), ups, strict=True):
                    node.ports[edge, end] = offset
                for (_, edge), offset in zip(sorted(down), downs, strict=True):
                    node.ports[edge, end] = offset

    def slot_of(self, source: str, user: str) -> Slot:
        return next(slot for slot in self.nodes[user].fan.slots if slot.source == source)
