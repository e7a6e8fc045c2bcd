"""Place a picture of neurons: columns of circles from left to right, straight lines between them, labels on these."""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot, sqrt

from dataflow.draw.layout.figure import HEAD, Curve, Figure, Group, Item, Outline, Span, Text
from dataflow.draw.layout.layout import Place, Point
from dataflow.draw.layout.straight_lines import straight
from dataflow.draw.layout.text_metrics import LINE, formula_width
from dataflow.draw.lecture.below import with_texts_below
from dataflow.draw.neurons.room import Wire, crosses, label_places
from dataflow.draw.neurons.sizes import HEADING, NAME, NUMBER, Sizes, UnitColumn, line_color
from dataflow.draw.picture.picture import Kind, Picture, PictureEdge, PictureNode

NARROWEST = 300.0
"""The width of texts below a small picture, in points."""
NEAREST, FARTHEST, FARTHER = 120.0, 900.0, 1.25
"""How far apart two columns are tried, from circle to circle, and by which factor more each time."""
THIN, THICK, USUAL = 0.7, 3.2, 1.1


def lay_out_neurons(picture: Picture) -> Figure:
    """Everything in its place, in points."""
    return with_texts_below(_Layout(picture).groups(), picture, NARROWEST, _sample_wire)


def gaps_without_room(picture: Picture) -> list[int]:
    """The gaps between columns, counted from 0, in which the labels of the lines have no room."""
    return _Layout(picture).without_room


class _Layout(Sizes):
    def __init__(self, picture: Picture) -> None:
        super().__init__(picture)
        self.without_room: list[int] = []
        self.places: dict[tuple[str, str], Point] = {}
        for gap in range(1, len(self.columns)):
            self.place_column(gap)

    # -------------------------------------------------------------------------------------------- lines

    def place_column(self, gap: int) -> None:
        """Far enough from the one before for its lines, and for their labels if there is any such place."""
        before, after = self.columns[gap - 1], self.columns[gap]
        least = max(NEAREST + 2 * self.radius, before.half + after.half + 18)
        pairs = [
            (source.key, target.key)
            for source in before.units
            for target in after.units
            if (source.key, target.key) in self.forward or (source.key, target.key) in self.backward
        ]
        sizes = {pair: self.label_size(pair) for pair in pairs}
        wants_labels = any(width for width, _ in sizes.values())
        # a steeper line would touch the next unit
        steepest = sqrt(self.pitch**2 - (self.radius + 2) ** 2) / (self.radius + 2)
        heights = [abs(before.ys[source] - after.ys[target]) for source, target in pairs]
        distance = max([least, *(height / steepest for height in heights)])
        first_clear: float | None = None
        while first_clear is None or (wants_labels and distance <= FARTHEST):
            after.x = before.x + distance
            wires = [Wire(*self.ends(before, after, pair), sizes[pair]) for pair in pairs]
            obstacles = [
                box
                for column in (before, after)
                for box in (*self.bias_boxes(column, column.x), *self.between_boxes(column, column.x))
            ]
            if not crosses(wires, obstacles):
                first_clear = first_clear or distance
                circles = [box for column in (before, after) for box in self.circle_boxes(column, column.x)]
                places = label_places(wires, [*obstacles, *circles]) if wants_labels else []
                if places is not None:
                    self.places |= dict(zip(pairs, places, strict=False))
                    return
            distance *= FARTHER
        after.x = before.x + first_clear
        self.without_room.append(gap - 1)

    def label_lines(self, pair: tuple[str, str]) -> list[tuple[PictureEdge, str]]:
        """The weight, and its gradient, of which a line is the place; with their colours."""
        edges = [(self.forward.get(pair), "text"), (self.backward.get(pair), "path")]
        return [(edge, color) for edge, color in edges if edge is not None and edge.label]

    def label_size(self, pair: tuple[str, str]) -> Point:
        lines = self.label_lines(pair)
        if not lines:
            return 0.0, 0.0
        return max(formula_width(edge.label, NUMBER) for edge, _ in lines) + 3, LINE * NUMBER * len(lines)

    def ends(self, before: UnitColumn, after: UnitColumn, pair: tuple[str, str]) -> tuple[Point, Point]:
        """Where a line leaves one circle and meets the other."""
        a, b = (before.x, before.ys[pair[0]]), (after.x, after.ys[pair[1]])
        length = hypot(b[0] - a[0], b[1] - a[1])
        dx, dy = (b[0] - a[0]) / length * self.radius, (b[1] - a[1]) / length * self.radius
        return (a[0] + dx, a[1] + dy), (b[0] - dx, b[1] - dy)

    # -------------------------------------------------------------------------------------------- groups

    def groups(self) -> list[Group]:
        groups = [group for gap in range(1, len(self.columns)) for group in self.wires(gap)]
        for column in self.columns:
            for unit in column.units:
                groups += self.unit(column, unit)
            for target in column.targets:
                groups += self.target(column, target)
        lowest = min(y for column in self.columns for y in column.ys.values()) - self.radius - 14
        for number, column in enumerate(self.columns, 1):
            lines = [
                Text(
                    column.x,
                    lowest - (i + 0.5) * LINE * HEADING,
                    (Span(line, "path" if line.startswith("∂") else "text"),),
                    HEADING,
                )
                for i, line in enumerate(column.heading)
            ]
            groups.append(Group(f"heading-{number}", tuple(lines)))
        return groups

    def wires(self, gap: int) -> Iterator[Group]:
        before, after = self.columns[gap - 1], self.columns[gap]
        for source in before.units:
            for target in after.units:
                pair = (source.key, target.key)
                drawn = self.forward.get(pair) or self.backward.get(pair)
                if drawn is None:
                    continue
                start, end = self.ends(before, after, pair)
                items: dict[int, list[Item]] = {self.edge_numbers[id(drawn)]: [_wire(drawn, start, end)]}
                if pair in self.places:
                    self.add_labels(items, pair)
                for number, parts in items.items():
                    yield Group(f"edge-{number}", tuple(parts), self.picture.edges[number - 1].pending)

    def add_labels(self, items: dict[int, list[Item]], pair: tuple[str, str]) -> None:
        x, y = self.places[pair]
        lines = self.label_lines(pair)
        step = LINE * NUMBER
        behind = Outline("box", Place(x, y, *self.label_size(pair)), "paper", "paper", 0.0)
        items[self.edge_numbers[id(lines[0][0])]].append(behind)
        for i, (edge, color) in enumerate(lines):
            middle = y + step * ((len(lines) - 1) / 2 - i)
            text = Text(x, middle, (_span(edge.label, color, edge.pending, edge.latex),), NUMBER)
            items.setdefault(self.edge_numbers[id(edge)], []).append(text)

    def unit(self, column: UnitColumn, unit: PictureNode) -> Iterator[Group]:
        x, y = column.x, column.ys[unit.key]
        if unit.kind == Kind.LAYERS:
            texts = [Text(x, y, (Span(line.text, "text"),), NAME + 2) for line in unit.lines]
            yield Group(f"node-{self.numbers[unit.key]}", tuple(texts), unit.pending)
            return
        size = 2 * self.radius
        dash = "" if unit.computed else "dotted"
        outline = Outline("circle", Place(x, y, size, size), unit.kind, dash=dash, double=unit.kind == Kind.LOSS)
        items: dict[str, list[Item]] = {unit.key: [outline]}
        for node, line, font, color, above in self.line_places(unit):
            hidden = node.pending and line.is_result
            text = Text(x, y + above, (_span(line.text, color, hidden, line.latex),), font)
            items.setdefault(node.key, []).append(text)
        for key, parts in items.items():
            yield Group(f"node-{self.numbers[key]}", tuple(parts), self.nodes[key].pending)
        yield from self.bias(unit, x, y)

    def bias(self, unit: PictureNode, x: float, y: float) -> Iterator[Group]:
        box = self.bias_box(unit, x, y)
        if box is None:
            return
        key = self.bias_of[unit.key]
        bias, edge = self.nodes[key], self.forward[key, unit.key]
        middle = (box.low + box.high) / 2
        place = Place(x, middle, box.right - box.left, box.high - box.low)
        texts = [Text(x, middle, (Span(line.text, line_color(line), line.latex),), NUMBER) for line in bias.lines]
        arrow = _arrow((x, box.low), (x, y + self.radius))
        yield Group(f"edge-{self.edge_numbers[id(edge)]}", (arrow,), edge.pending)
        yield Group(f"node-{self.numbers[key]}", (Outline("box", place, "parameter", width=1.0), *texts))
        gradient = self.backward.get((key, unit.key))
        if gradient is not None and gradient.label:
            span = _span(gradient.label, "path", gradient.pending, gradient.latex)
            text = Text(x, box.high + LINE * NUMBER / 2, (span,), NUMBER)
            yield Group(f"edge-{self.edge_numbers[id(gradient)]}", (text,), gradient.pending)

    def target(self, column: UnitColumn, target: PictureNode) -> Iterator[Group]:
        x, y = column.x, column.ys[target.key]
        width, height = self.target_size(target)
        step = LINE * NAME
        texts = [
            Text(
                x, y + step * ((len(target.lines) - 1) / 2 - i), (Span(line.text, line_color(line), line.latex),), NAME
            )
            for i, line in enumerate(target.lines)
        ]
        loss = column.units[0].key
        edge = self.forward[target.key, loss]
        if target is column.targets[0]:
            arrow = _arrow((x, y - height / 2), (x, column.ys[loss] + self.radius))
            yield Group(f"edge-{self.edge_numbers[id(edge)]}", (arrow,), edge.pending)
        yield Group(
            f"node-{self.numbers[target.key]}", (Outline("pill", Place(x, y, width, height), target.kind), *texts)
        )


def _wire(edge: PictureEdge, start: Point, end: Point) -> Curve:
    points = tuple(straight(start, end))
    if edge.strength is None:
        return Curve(points, width=USUAL)
    negative = edge.strength < 0
    width = THIN + (THICK - THIN) * abs(edge.strength)
    return Curve(points, color="negative" if negative else "value", width=width, dash="dashed" if negative else "")


def _sample_wire(edge: PictureEdge, place: Place) -> Curve:
    return _wire(edge, (place.x - place.width / 2, place.y), (place.x + place.width / 2, place.y))


def _arrow(start: Point, end: Point) -> Curve:
    return Curve(tuple(straight(start, (end[0], end[1] + HEAD))), end, width=USUAL)


def _span(text: str, color: str, hidden: bool, latex: str = "") -> Span:
    return Span(text, color, latex, pale=hidden, hidden=hidden)
