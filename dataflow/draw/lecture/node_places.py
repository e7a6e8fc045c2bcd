"""Where everything stands in a picture in the lecture style: nodes in columns and lanes, texts in bands beside them."""

from __future__ import annotations

from dataflow.draw.lecture.arrow_routes import Rail, Route, Trunk
from dataflow.draw.lecture.column_search import Columns
from dataflow.draw.lecture.cut_rows import cut
from dataflow.draw.lecture.fan import LABEL
from dataflow.draw.lecture.members import TRACK, LineNode, Members
from dataflow.draw.lecture.set_texts import box_of, node_texts
from dataflow.draw.picture.picture import Picture

BULGE = 14.0
"""How far the arrow back runs below the nodes that it joins."""
GAP = 8.0
BETWEEN = 30.0
"""The least that is left free between two nodes of a line."""
LANES = 26.0
BETWEEN_ROWS = 44.0
SNAP = 40.0
"""A shared source stands right above a node that is so near."""
ABOVE_RAIL = 16.0


class Places(Members):
    """The place of each node and line of a picture, along and across."""

    def __init__(self, picture: Picture) -> None:
        super().__init__(picture)
        self.level_c: dict[int, list[float]] = {}
        self.turn_a: dict[tuple[int, str, bool], float] = {}
        for lane in range(self.columns.lanes):
            entered = [node for node in self.in_lane(lane) if node.fan.slots]
            half = max((node.body.beside for node in entered), default=0.0)
            for node in entered:
                node.fan.align([other.fan for other in entered], half - node.body.beside)
        self.place_columns()
        self.place_trunks()
        self.place_lanes()
        self.place_rows()

    def place_columns(self) -> None:
        """From the first column to the last, each as far on as what stands in the gap needs."""
        columns = self.columns
        for node in self.nodes.values():
            texts = self.axes.block_size(node.texts, LABEL)[0] / 2
            node.before = max(node.body.along, node.fan.reach(-1), texts)
            node.after = max(node.body.along, node.fan.reach(1), texts)
        by_column = [
            [node for key, node in self.nodes.items() if columns.column[key] == column]
            for column in range(columns.width)
        ]
        place = 0.0
        for column, nodes in enumerate(by_column):
            if column:
                place = self.next_column(column, place, by_column)
            for node in nodes:
                node.a = place

    def next_column(self, column: int, place: float, by_column: list[list[LineNode]]) -> float:
        before = max((node.after for node in by_column[column - 1]), default=0.0)
        after = max((node.before for node in by_column[column]), default=0.0)
        tracks = self.tracks(column - 1)
        room = max(
            (
                self.axes.block_size(route.label, LABEL)[0] + 2 * GAP
                for route in self.routes
                if route.kind in ("early", "late") and route.turns[0][0] == column - 1
            ),
            default=0.0,
        )
        zone = TRACK * (len(tracks) - 1) + 2 * GAP + room if tracks else 0.0
        start = place + before + GAP
        for i, (_, name, is_back) in enumerate(tracks):
            self.turn_a[column - 1, name, is_back] = start + GAP + TRACK * i
        wanted = start + zone + after + GAP
        for route in self.routes:
            if route.kind != "straight" or columns_of(self.columns, route)[1] != column:
                continue
            source, target = self.nodes[route.source], self.nodes[route.target]
            label = self.axes.block_size(route.label, LABEL)[0]
            inner = source.body.along + target.body.along
            wanted = max(wanted, source.a + inner + BETWEEN, source.a + label + 2 * GAP + 0.5 * inner)
            if tracks and label:  # beside the lines that cross
                wanted = max(wanted, start + zone + label + GAP + 0.5 * target.body.along)
            if self.axes.down:  # texts and label are one below the other
                texts = sum(self.axes.block_size(node.texts, LABEL)[0] for node in (source, target)) / 2
                wanted = max(wanted, source.a + texts + label + 2 * GAP)
        return wanted

    def tracks(self, gap: int) -> list[tuple[float, str, bool]]:
        """The lines that change lanes in a gap, from the first along to the last, by the names of what has them."""
        lines: list[tuple[float, str, bool]] = []
        for route in self.routes:
            level = route.rail.level if route.rail else 0
            for turn_gap, group in route.turns:
                if turn_gap == gap:  # those that rise highest are outermost
                    rise = 10 * group + (group or 1) * level / 100
                    lines.append((rise, route_name(route), False))
                    if route.back is not None:
                        lines.append((rise + (group or 1) / 1000, route_name(route), True))
        for trunk in self.trunks:
            for user, (turn_gap, _) in trunk.branches.items():
                if turn_gap == gap:
                    lines += [(0.5, branch_name(trunk.source, user), is_back) for is_back in (False, True)]
        return sorted(lines)

    def place_trunks(self) -> None:
        """The boxes of shared sources between their users, and none on another one."""
        ends: dict[int, float] = {}
        for trunk in self.trunks:
            places = [self.slot_a(trunk.source, user) for user in trunk.users]
            trunk.a = sum(places) / len(places) if places else 0.0
            nearest = min(places, key=lambda place: abs(place - trunk.a), default=trunk.a)
            trunk.a = nearest if abs(nearest - trunk.a) < SNAP else trunk.a
        for trunk in sorted(self.trunks, key=lambda trunk: trunk.a):
            half = self.trunk_half(trunk)
            trunk.a = max(trunk.a, ends.get(trunk.rail.lane, -1e9) + half)
            ends[trunk.rail.lane] = trunk.a + half + 2 * GAP

    def slot_a(self, source: str, user: str) -> float:
        return self.nodes[user].a + self.slot_of(source, user).axis

    def trunk_half(self, trunk: Trunk) -> float:
        node = self.all[trunk.source][1]
        return max(box_of(node, self.axes).along, self.axes.block_size(node_texts(node), LABEL)[0] / 2)

    def place_lanes(self) -> None:
        """From the first lane to the last, each below what the one before it needs."""
        place = 0.0
        for lane in range(self.columns.lanes):
            nodes = self.in_lane(lane)
            above = max(self.above(node) for node in nodes)
            heights = self.level_heights(lane)
            boxes = [trunk for trunk in self.trunks if trunk.rail.lane == lane]
            tier = max((self.trunk_height(trunk) for trunk in boxes), default=0.0)
            if lane:
                place += above + sum(heights) + tier + LANES
            reach = place - above
            self.level_c[lane] = []
            for height in heights:
                self.level_c[lane].append(reach)
                reach -= height
            for trunk in boxes:
                trunk.c = reach - ABOVE_RAIL - box_of(self.all[trunk.source][1], self.axes).beside
            for node in nodes:
                node.c = place
            place += self.lane_depth(lane, nodes)

    def above(self, node: LineNode) -> float:
        texts = [self.axes.block_size(node_texts(self.all[slot.source][1]), LABEL)[1] for slot in node.fan.slots]
        return node.fan.height(node.body) + (max(texts, default=0.0) + 6 if any(texts) else 0.0)

    def trunk_height(self, trunk: Trunk) -> float:
        node = self.all[trunk.source][1]
        return 2 * box_of(node, self.axes).beside + self.axes.block_size(node_texts(node), LABEL)[1] + ABOVE_RAIL + 4

    def level_heights(self, lane: int) -> list[float]:
        levels: dict[int, float] = {}
        for rail in self.rails:
            if rail.lane == lane:
                levels[rail.level] = max(levels.get(rail.level, 0.0), rail.height)
        return [levels[level] for level in sorted(levels)]

    def rail_c(self, rail: Rail, *, is_back: bool) -> float:
        """Where a line runs on a rail."""
        row = self.rows[rail.first + 1]
        return row * self.pitch + self.level_c[rail.lane][rail.level] - 10 - (TRACK if is_back else 0.0)

    def bulge(self, lane: int) -> float:
        """How far the arrows back of a lane run below it."""
        nodes = self.in_lane(lane)
        return max(node.body.beside for node in nodes) + BULGE

    def straight_labels(self, lane: int) -> float:
        """How far across the labels of a lane's straight arrows back reach."""
        return max(
            (
                self.axes.block_size(route.label, LABEL)[1]
                for route in self.routes
                if route.kind == "straight" and route.back and self.columns.lane[route.source] == lane
            ),
            default=0.0,
        )

    def text_c(self, lane: int) -> float:
        """Where the band of texts begins, from the middle of the lane."""
        labels = self.straight_labels(lane)
        if not labels:
            nodes = self.in_lane(lane)
            return max(node.body.beside for node in nodes) + GAP
        return self.bulge(lane) + 5 + (GAP if self.axes.down else labels + 10)

    def place_rows(self) -> None:
        """Cut a row that is too long, and put its parts one below the other."""
        in_column = {self.columns.column[key]: node.a for key, node in self.nodes.items()}
        places = [in_column.get(column, 0.0) for column in range(self.columns.width)]  # the first may be empty
        self.rows = [0] * len(places) if self.axes.down else cut(self.columns, self.routes, self.trunks, places)
        starts = [places[self.rows.index(row)] for row in range(self.rows[-1] + 1)]
        tops = [self.above(node) for node in self.in_lane(0)]
        tier = max((self.trunk_height(trunk) for trunk in self.trunks if trunk.rail.lane == 0), default=0.0)
        self.depth = max(node.c + self.lane_depth(self.columns.lane[key], [node]) for key, node in self.nodes.items())
        labels = [self.axes.block_size(route.label, LABEL)[1] for route in self.routes if route.kind == "straight"]
        self.depth += max(labels, default=0.0) + 2 * GAP
        self.pitch = max(tops) + sum(self.level_heights(0)) + tier + self.depth + BETWEEN_ROWS
        for key, node in self.nodes.items():
            row = self.rows[self.columns.column[key]]
            node.a, node.c = node.a - starts[row], node.c + row * self.pitch
        for gap, name, is_back in self.turn_a:
            self.turn_a[gap, name, is_back] -= starts[self.rows[gap]]
        for trunk in self.trunks:
            row = self.rows[trunk.rail.first + 1]
            trunk.a, trunk.c = trunk.a - starts[row], trunk.c + row * self.pitch

    def row_ends(self) -> tuple[float, float]:
        """Where along lines turn that lead from one row to the next: after all rows, and before them."""
        nodes = self.nodes.values()
        last, first = max(node.a + node.after for node in nodes), min(node.a - node.before for node in nodes)
        return last + 3 * GAP, first - 3 * GAP

    def lane_depth(self, lane: int, nodes: list[LineNode]) -> float:
        texts = max(self.axes.block_size(node.texts, LABEL)[1] for node in nodes)
        labels = self.bulge(lane) + 5 + self.straight_labels(lane) if self.straight_labels(lane) else 0.0
        body = max(node.body.beside for node in nodes)
        return max(body, labels, self.text_c(lane) + texts if texts else 0.0)


def columns_of(columns: Columns, route: Route) -> tuple[int, int]:
    """Where a route begins and where it ends."""
    return columns.column[route.source], columns.column[route.target]


def route_name(route: Route) -> str:
    """What its tracks are called."""
    return f"{route.source} → {route.target}"


def branch_name(source: str, user: str) -> str:
    """What the tracks of a shared source's line to another lane are called."""
    return f"{source} ⇒ {user}"
