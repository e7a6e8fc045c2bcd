"""Draw a picture in the lecture style, once everything has its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np

from dataflow.draw.layout.clearance import curve_points, flaws
from dataflow.draw.layout.figure import HEAD, Curve, Figure, Group, Item, Outline, Span, Text, bounds
from dataflow.draw.layout.layout import Place, Point
from dataflow.draw.layout.legend_places import arrow_in
from dataflow.draw.layout.straight_lines import straight
from dataflow.draw.lecture.arrow_labels import best, candidates
from dataflow.draw.lecture.arrow_routes import Route, Trunk
from dataflow.draw.lecture.axes import rounded
from dataflow.draw.lecture.below import with_texts_below
from dataflow.draw.lecture.fan import LABEL, Slot
from dataflow.draw.lecture.members import TRACK, LineNode
from dataflow.draw.lecture.node_places import GAP, Places, branch_name, route_name
from dataflow.draw.lecture.set_texts import ENTERING, NAME, back_color, box_of, node_texts
from dataflow.draw.picture.fit import FitError
from dataflow.draw.picture.picture import Flow, Kind, Mark, Picture, PictureEdge, PictureNode

NARROWEST = 400.0
"""The width of texts below a small picture, in points."""
LARGEST = 1600
"""Width and height of the largest picture in points: with its texts as large as here, more is on no slide."""


def lay_out_lecture(picture: Picture) -> Figure:
    """Everything in its place, in points. A ``FitError`` where something would lie on something else."""
    figure = assemble(picture)
    if max(figure.width, figure.height) > LARGEST:
        size = f"{figure.width:,.0f} × {figure.height:,.0f} points"
        raise FitError(f"in the lecture style the picture is {size} large, and a slide holds {LARGEST:,}")
    numbers = {node.key: f"node-{number}" for number, node in enumerate(picture.nodes, 1)}
    ends = {f"edge-{i}": (numbers[edge.source], numbers[edge.target]) for i, edge in enumerate(picture.edges, 1)}
    if any(flaws(figure, ends)):
        raise FitError("the lecture style has no room for all lines and labels of this graph")
    return figure


def assemble(picture: Picture) -> Figure:
    """The picture with the texts below it."""
    drawer = _Drawer(picture)
    return with_texts_below(drawer.groups(), picture, NARROWEST, drawer.sample_of_line)


class Look(TypedDict, total=False):
    """What a line looks like."""

    color: str
    width: float
    double: bool


class _Drawer(Places):
    def groups(self) -> list[Group]:
        self.edges: dict[int, list[Item]] = {}
        nodes: list[Group] = []
        for key, node in self.nodes.items():
            nodes.append(self.draw_node(key, node))
            for slot in node.fan.slots:
                if slot.body is not None:
                    c = node.c - node.fan.foot(node.body) - slot.body.beside
                    nodes.append(self.draw_box(slot.source, node.a + slot.axis, c))
                    self.draw_fan_lines(node, slot)
        for trunk in self.trunks:
            nodes.append(self.draw_box(trunk.source, trunk.a, trunk.c))
            for user in trunk.users:
                self.draw_branch(trunk, user)
        for route in self.routes:
            self.draw_route(route)
        self.place_labels(nodes)
        lines = []
        for number in sorted(self.edges):
            pending = self.picture.edges[number - 1].pending
            items = [item for item in self.edges[number] if not (pending and isinstance(item, Text))]
            lines.append(Group(f"edge-{number}", tuple(items), pending))
        return [*lines, *nodes]

    def place_labels(self, nodes: list[Group]) -> None:
        """Those of lines that are not straight, when everything else has its place."""
        curves = {
            number: np.concatenate([curve_points(item) for item in items if isinstance(item, Curve)])
            for number, items in self.edges.items()
        }
        boxes = [bounds([item]) for group in nodes for item in group.items]
        boxes += [item.box for items in self.edges.values() for item in items if isinstance(item, Text)]
        for route in self.routes:
            if route.kind != "straight" and route.back is not None and route.label:
                others = [points for number, points in curves.items() if number != route.back]
                places = candidates(route.label, self.corners(route, is_back=True), self.axes)
                texts = best(places, curves[route.back], others, boxes)
                boxes += [text.box for text in texts]
                self.edges[route.back] += texts

    def draw_node(self, key: str, node: LineNode) -> Group:
        x, y = self.axes.point(node.a, node.c)
        width, height = (2 * side for side in self.axes.size(node.body.along, node.body.beside))
        form = "circle" if width == height else "pill"
        outline = self.outline(node.node, form, Place(x, y, width, height))
        name = node.node.lines[0]
        label = Text(x, y, (Span(name.text, "text", name.latex),), NAME, italic=True)
        texts = self.axes.across(node.texts, node.a, node.c + self.text_c(self.columns.lane[key]), 1, LABEL)
        texts = without_results(node.node, texts)
        return Group(node.group, (outline, label, *texts), node.node.pending)

    def draw_box(self, key: str, a: float, c: float) -> Group:
        number, drawn = self.all[key]
        body = box_of(drawn, self.axes)
        x, y = self.axes.point(a, c)
        width, height = (2 * side for side in self.axes.size(body.along, body.beside))
        outline = self.outline(drawn, "box", Place(x, y, width, height))
        name = drawn.lines[0]
        label = Text(x, y, (Span(name.text, "text", name.latex),), ENTERING, italic=True)
        texts = without_results(drawn, self.axes.across(node_texts(drawn), a, c - body.beside - 4, -1, LABEL))
        return Group(f"node-{number}", (outline, label, *texts), drawn.pending)

    def outline(self, node: PictureNode, form: str, place: Place) -> Outline:
        dash = "" if node.computed else "dotted"
        stroke, width = ("path", 2.4) if node.mark else ("line", 1.2)
        return Outline(form, place, str(node.kind), stroke, width, dash, double=node.kind == Kind.LOSS)

    def draw_fan_lines(self, node: LineNode, slot: Slot, *before: list[Point]) -> None:
        """The arrows between a node and what enters it, or the ends of longer ones: ``before`` has what comes before
        these, forward and back."""
        forward = self.numbers[slot.source, node.node.key, Flow.VALUE]
        attached = node.fan.attached(node.body)
        foot = -node.fan.foot(node.body)

        def way(offset: float, is_back: bool) -> list[Point]:
            points = node.fan.line(offset, attached[slot.source, is_back], node.body, foot)
            placed = [(node.a + a, node.c + c) for a, c in points]
            return [*before[is_back], *placed[1:]] if before else placed

        self.edges[forward] = [self.forward_curve(way(slot.forward, False))]
        back = self.backs.get((slot.source, node.node.key))
        if back is not None:
            middle = node.c - (node.fan.foot(node.body) - node.fan.straight / 2 - 1)
            texts = self.axes.aside(slot.label, node.a + slot.back + 7 * slot.side, middle, slot.side, LABEL)
            self.edges[back] = [self.back_curve(back, way(slot.back, True)[::-1]), *texts]

    def draw_branch(self, trunk: Trunk, user: str) -> None:
        """The arrows between a shared source and one that uses it."""
        node, slot = self.nodes[user], self.slot_of(trunk.source, user)
        box = box_of(self.all[trunk.source][1], self.axes)
        ways = []
        for is_back, offset in (False, slot.forward), (True, slot.back):
            shift = (1 if is_back else -1) * 4.5 * slot.side if slot.has_back else 0.0
            rail = self.rail_c(trunk.rail, is_back=is_back)
            corners = [(trunk.a + shift, trunk.c + box.beside), (trunk.a + shift, rail)]
            if user in trunk.branches:
                gap, second = trunk.branches[user]
                turn = self.turn_a[gap, branch_name(trunk.source, user), is_back]
                corners += [(turn, rail), (turn, self.rail_c(second, is_back=is_back))]
            a = node.a + offset
            corners += [(a, corners[-1][1]), (a, node.c - node.fan.foot(node.body))]
            if abs(corners[0][0] - a) < 2 and user not in trunk.branches:
                corners = [(a, corners[0][1]), corners[-1]]
            ways.append(rounded(corners))
        self.draw_fan_lines(node, slot, *ways)

    def forward_curve(self, way: list[Point]) -> Curve:
        return self.axes.curve(way, **self.forward_look)

    def back_curve(self, number: int, way: list[Point]) -> Curve:
        return self.axes.curve(way, **self.back_look(self.picture.edges[number - 1]))

    @property
    def forward_look(self) -> Look:
        return {"color": "frame" if self.picture.only_backward else "line", "width": 1.2}

    def back_look(self, edge: PictureEdge) -> Look:
        width = {Mark.PATH: 2.4, Mark.SHARED: 1.2}.get(edge.mark, 1.4)
        return {"color": back_color(edge, self.is_asked), "width": width, "double": edge.mark == Mark.SHARED}

    def sample_of_line(self, edge: PictureEdge, place: Place) -> Curve:
        """For the legend."""
        look = self.forward_look if edge.flow == Flow.VALUE else self.back_look(edge)
        points, tip = arrow_in(place, HEAD)
        return Curve(tuple(points), tip, **look)

    def draw_route(self, route: Route) -> None:
        if route.kind == "straight":
            self.draw_straight(route)
            return
        self.edges[route.forward] = [self.forward_curve(rounded(self.corners(route, is_back=False)))]
        if route.back is not None:
            corners = self.corners(route, is_back=True)[::-1]
            self.edges[route.back] = [self.back_curve(route.back, rounded(corners))]

    def corners(self, route: Route, *, is_back: bool) -> list[Point]:
        """The way of a line that is not straight, from its source to its target."""
        source, target = self.nodes[route.source], self.nodes[route.target]
        edge = route.back if is_back and route.back is not None else route.forward
        out, into = source.ports[edge, "out"], target.ports[edge, "in"]
        start = (source.a + source.body.reach_along(out), source.c + out)
        end = (target.a - target.body.reach_along(into), target.c + into)
        turns = [self.turn_a[gap, route_name(route), is_back] for gap, _ in route.turns]
        if route.rail is None:
            return [start, (turns[0], start[1]), (turns[0], end[1]), end]
        c = self.rail_c(route.rail, is_back=is_back)
        return [start, (turns[0], start[1]), (turns[0], c), (turns[1], c), (turns[1], end[1]), end]

    def draw_straight(self, route: Route) -> None:
        source, target = self.nodes[route.source], self.nodes[route.target]
        if source.c != target.c:
            self.draw_to_next_row(route, source, target)
            return
        start, end = (source.a + source.body.along, source.c), (target.a - target.body.along, target.c)
        self.edges[route.forward] = [self.forward_curve(straight(start, end))]
        if route.back is None:
            return
        low = source.c + self.bulge(self.columns.lane[route.source])
        ends = []
        for node, side in ((target, -1), (source, 1)):
            offset = 0.72 * node.body.beside
            ends.append((node.a + side * node.body.reach_along(offset), node.c + offset))
        (a1, c1), (a2, c2) = ends
        lean = 0.28 * (a1 - a2)
        controls = [(a1 - lean, c1 + (low - c1) / 0.75), (a2 + lean, c2 + (low - c2) / 0.75)]
        # to the side of lines that cross below the lane
        first = max([a2, *self.crossing(route)])
        middle = (a1 + a2) / 2 if first == a2 else (first + GAP + a1 + 0.3 * target.body.along) / 2
        # a line of text has room above it, and none beside it
        texts = self.axes.across(route.label, middle, low + (8 if self.axes.down else 4), 1, LABEL)
        self.edges[route.back] = [self.back_curve(route.back, [ends[0], *controls, ends[1]]), *texts]

    def draw_to_next_row(self, route: Route, source: LineNode, target: LineNode) -> None:
        """Around the end of a row and back to the beginning of the next."""
        last, first = self.row_ends()
        between = source.c + self.depth + TRACK + 4
        offset = 0.36 * source.body.beside
        ways = []
        for shift, port, inside in (0.0, 0.0, 0.0), (TRACK, offset, TRACK):
            start = (source.a + source.body.reach_along(port), source.c + port)
            end = (target.a - target.body.reach_along(port), target.c + port)
            rail, turn, back = between - shift, last - inside, first - inside
            ways.append([start, (turn, start[1]), (turn, rail), (back, rail), (back, end[1]), end])
        self.edges[route.forward] = [self.forward_curve(rounded(ways[0]))]
        if route.back is not None:
            texts = self.axes.across(route.label, (first + last) / 2, between - TRACK - 4, -1, LABEL)
            self.edges[route.back] = [self.back_curve(route.back, rounded(ways[1][::-1])), *texts]

    def crossing(self, route: Route) -> Iterator[float]:
        """Where along lines cross what is below the end of a straight route."""
        gap, lane = self.columns.column[route.target] - 1, self.columns.lane[route.target]
        for other in self.routes:
            if other.rail is None and any(turn == gap for turn, _ in other.turns) and self.passes(other, lane):
                yield from (self.turn_a.get((gap, route_name(other), back), -1e9) for back in (False, True))
        for trunk in self.trunks:
            for user, (turn, rail) in trunk.branches.items():
                if turn == gap and trunk.rail.lane <= lane < rail.lane:
                    yield self.turn_a[gap, branch_name(trunk.source, user), True]

    def passes(self, route: Route, lane: int) -> bool:
        """Whether a route that changes lanes crosses what is below a lane."""
        lanes = sorted((self.columns.lane[route.source], self.columns.lane[route.target]))
        return lanes[0] <= lane < lanes[1]


def without_results(node: PictureNode, texts: list[Text]) -> list[Text]:
    """Of a node that is not computed yet, the texts that are known before."""
    return [text for text in texts if not (node.pending and text.spans[0].color == "value")]
