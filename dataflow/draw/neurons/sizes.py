"""How large a picture of neurons is: its circles, the boxes above them, the texts in both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import hypot

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.figure import Span, Text
from dataflow.draw.layout.layout import Place, Point
from dataflow.draw.layout.text_metrics import LINE, formula_width
from dataflow.draw.picture.picture import Flow, Kind, Line, Picture, PictureNode

NAME, NUMBER, HEADING = 12.0, 10.5, 11.5
"""The sizes of the fonts of names, of numbers, and of what stands below a column."""
LEAST_RADIUS = 19.0
INSET = 2.5
"""Between a text and its circle."""
ARROW = 18.0
"""The length of a bias's arrow."""
BETWEEN = 16.0
"""The least between two units of a column."""


@dataclass
class UnitColumn:
    """A column in its place: the units from top to bottom, and what a loss is compared with."""

    heading: list[str]
    units: list[PictureNode]
    targets: list[PictureNode]
    x: float = 0.0
    half: float = 0.0
    """Half its width, with what stands above and below its units."""
    ys: dict[str, float] = field(default_factory=dict)


class Sizes:
    """The sizes of one picture, and its columns with the heights of their units."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.numbers = {node.key: number for number, node in enumerate(picture.nodes, 1)}
        self.nodes = {node.key: node for node in picture.nodes}
        self.gradient_of = {unit: self.nodes[key] for unit, key in picture.beside}
        self.forward = {(edge.source, edge.target): edge for edge in picture.edges if edge.flow == Flow.VALUE}
        self.backward = {(edge.target, edge.source): edge for edge in picture.edges if edge.flow == Flow.GRADIENT}
        self.edge_numbers = {id(edge): number for number, edge in enumerate(picture.edges, 1)}
        self.bias_of = {target: source for source, target in self.forward if self.nodes[source].kind == Kind.PARAMETER}
        self.columns = [self.column(cluster.key, cluster.label) for cluster in picture.clusters]
        self.radius = max(LEAST_RADIUS, *(self.needed_radius(unit) for column in self.columns for unit in column.units))
        above = ARROW + self.bias_height() + 4 if self.bias_of else 0.0
        above += LINE * NUMBER if any(self.bias_gradient(unit) for unit in self.bias_of) else 0.0
        self.pitch = 2 * self.radius + max(BETWEEN, above + 6)
        for column in self.columns:
            self.place_units(column)

    def column(self, key: str, label: str) -> UnitColumn:
        inside = list(self.picture.in_cluster(key))
        has_loss = any(node.kind == Kind.LOSS for node in inside)
        units = [n for n in inside if n.kind not in (Kind.PARAMETER, Kind.COTANGENT)]
        targets = [node for node in units if has_loss and node.kind == Kind.INPUT]
        units = [node for node in units if node not in targets]
        return UnitColumn(label.split("\n") if label else [], units, targets)

    # -------------------------------------------------------------------------------------------- units

    def lines(self, unit: PictureNode) -> list[tuple[PictureNode, Line, float, str]]:
        """What stands in a unit: of which node it is, the size of its font, its colour."""
        lines = [(unit, line, NUMBER if line.is_result else NAME, line_color(line)) for line in unit.lines if line.text]
        gradient = self.gradient_of.get(unit.key)
        if gradient is not None:
            lines += [(gradient, line, NUMBER, "path") for line in gradient.lines]
        return lines

    def line_places(self, unit: PictureNode) -> Iterator[tuple[PictureNode, Line, float, str, float]]:
        """The same, with the height of each line's middle over that of the unit."""
        lines = self.lines(unit)
        y = LINE * sum(size for _, _, size, _ in lines) / 2
        for node, line, size, color in lines:
            yield node, line, size, color, y - LINE * size / 2
            y -= LINE * size

    def needed_radius(self, unit: PictureNode) -> float:
        if unit.kind == Kind.LAYERS:
            return 0.0
        inset = INSET + (3 if unit.kind == Kind.LOSS else 0)  # within its second outline
        corners = [
            hypot(formula_width(line.text, size) / 2, abs(y) + 0.36 * size)
            for _, line, size, _, y in self.line_places(unit)
        ]
        return max(corners, default=0.0) + inset

    def place_units(self, column: UnitColumn) -> None:
        top = (len(column.units) - 1) / 2 * self.pitch
        column.ys = {unit.key: top - i * self.pitch for i, unit in enumerate(column.units)}
        for i, target in enumerate(column.targets, 1):
            column.ys[target.key] = top + self.radius + ARROW + 6 + (2 * i - 1) * self.target_size(target)[1] / 2
        widths = [formula_width(line, HEADING) / 2 for line in column.heading]
        widths += [self.target_size(target)[0] / 2 for target in column.targets]
        widths += [box.right for box in self.bias_boxes(column, 0.0)]
        column.half = max([self.radius, *widths])

    # -------------------------------------------------------------------------------------------- biases

    def bias_height(self) -> float:
        return LINE * NUMBER + 3

    def bias_text(self, unit: PictureNode) -> str:
        """What stands in the box of a unit's bias."""
        return "".join(line.text for line in self.nodes[self.bias_of[unit.key]].lines)

    def bias_gradient(self, unit: str) -> str:
        """What stands above that box."""
        edge = self.backward.get((self.bias_of[unit], unit))
        return edge.label if edge else ""

    def bias_box(self, unit: PictureNode, x: float, y: float) -> Box | None:
        """The box of the bias of a unit at this place."""
        if unit.key not in self.bias_of:
            return None
        half = formula_width(self.bias_text(unit), NUMBER) / 2 + 4
        low = y + self.radius + ARROW
        return Box(x - half, low, x + half, low + self.bias_height())

    def bias_boxes(self, column: UnitColumn, x: float) -> list[Box]:
        """What stands above the units of a column: biases with their gradients, and targets."""
        boxes = []
        for unit in column.units:
            box = self.bias_box(unit, x, column.ys[unit.key])
            if box is not None:
                gradient = self.bias_gradient(unit.key)
                half = max(box.right - x, formula_width(gradient, NUMBER) / 2) + 2
                high = box.high + (LINE * NUMBER if gradient else 0.0)
                boxes.append(Box(x - half, box.low - 2, x + half, high + 2))
        places = [Place(x, column.ys[target.key], *self.target_size(target)) for target in column.targets]
        return [*boxes, *(Box.around(place, 2) for place in places)]

    def between_boxes(self, column: UnitColumn, x: float) -> list[Box]:
        """The boxes of what stands for the units that are left out."""
        return [
            Text(x, column.ys[unit.key], (Span(line.text),), NAME + 2).box
            for unit in column.units
            if unit.kind == Kind.LAYERS
            for line in unit.lines
        ]

    def circle_boxes(self, column: UnitColumn, x: float) -> list[Box]:
        places = [
            Place(x, column.ys[unit.key], 2 * self.radius, 2 * self.radius)
            for unit in column.units
            if unit.kind != Kind.LAYERS
        ]
        return [Box.around(place) for place in places]

    def target_size(self, target: PictureNode) -> Point:
        texts = [line.text for line in target.lines]
        width = max(formula_width(text, NAME) for text in texts)
        return max(30.0, width + 14), LINE * NAME * len(texts) + 6


def line_color(line: Line) -> str:
    """The colour of a line of text: numbers have their own."""
    return "value" if line.is_result else "text"
