"""What enters a node from the side: parameters, and inputs that come later, each with its label beside its arrows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dataflow.draw.layout.layout import Point
from dataflow.draw.lecture.axes import Axes, Body, Lines

LABEL = 11.0
"""The size of the font of labels."""
BETWEEN_BOXES, BETWEEN_LABELS = 12.0, 16.0
TO_LABEL = 7.0
ATTACHED = 0.75
"""The part of a node's width at which arrows end from the side."""


@dataclass
class Slot:
    """The place of one source in the fan of a node. Where several nodes share a source, its box is elsewhere, and the
    slot has room for its lines."""

    source: str
    body: Body | None
    """Of its box, if it stands here."""
    text_along: float
    """Half of what the text above the box takes."""
    label: Lines
    has_back: bool
    side: int = 1
    axis: float = 0.0

    @property
    def forward(self) -> float:
        """The offset of the forward arrow."""
        return self.axis - 4.5 * self.side if self.has_back else self.axis

    @property
    def back(self) -> float:
        return self.axis + 4.5 * self.side


class Fan:
    """All slots of a node, from the first to the last along."""

    def __init__(self, slots: Sequence[Slot], axes: Axes) -> None:
        self.slots = slots
        self.axes = axes
        count = len(slots)
        for i, slot in enumerate(slots):
            slot.side = -1 if i < count // 2 else 1
        position, reach = 0.0, 0.0
        for before, slot in zip([None, *slots], slots, strict=False):
            if before is not None:
                boxes = self.half_box(before) + self.half_box(slot) + BETWEEN_BOXES
                position += max(boxes, self.extent(before, 1) + self.extent(slot, -1) + BETWEEN_LABELS)
            slot.axis = position
        for slot in slots:
            slot.axis -= position / 2
        reach = max((abs(slot.axis) for slot in slots), default=0.0)
        self.straight = max((axes.block_size(slot.label, LABEL)[1] + 10 for slot in slots), default=0.0)
        self.bend = self.natural_bend = 24 + 0.3 * reach
        """How far the lines run towards the node once they have left their boxes straight."""

    def align(self, fans: Sequence[Fan], extra: float) -> None:
        """Have the boxes stand in a line with those of other nodes, the largest of which is larger by ``extra``."""
        self.straight = max(fan.straight for fan in fans)
        self.bend = extra + max(fan.natural_bend for fan in fans)

    @staticmethod
    def half_box(slot: Slot) -> float:
        return max(slot.body.along if slot.body else 0.0, slot.text_along)

    def extent(self, slot: Slot, side: int) -> float:
        """How far lines and label reach to a side of the axis."""
        if side == slot.side and slot.label:
            return 4.5 + TO_LABEL + self.axes.block_size(slot.label, LABEL)[0]
        return 8.0 if slot.has_back else 4.0

    def reach(self, side: int) -> float:
        """How far the fan reaches along to a side of the node."""
        return max(
            (side * slot.axis + max(self.half_box(slot), self.extent(slot, side)) for slot in self.slots), default=0.0
        )

    def foot(self, body: Body) -> float:
        """How far across the boxes begin."""
        return body.beside + self.bend + self.straight

    def height(self, body: Body) -> float:
        """How far across the boxes end."""
        if not self.slots:
            return body.beside
        return self.foot(body) + max((2 * slot.body.beside if slot.body else 0.0 for slot in self.slots), default=0.0)

    def attached(self, body: Body) -> dict[tuple[str, bool], float]:
        """Where along the node each line ends, by its source and whether it leads back."""
        lines = [(slot.forward, slot.source, False) for slot in self.slots]
        lines += [(slot.back, slot.source, True) for slot in self.slots if slot.has_back]
        lines.sort()
        if len(self.slots) == 1:  # straight down
            return {(source, back): offset for offset, source, back in lines}
        step = min(16.0, 2 * ATTACHED * body.along / max(1, len(lines) - 1))
        first = -step * (len(lines) - 1) / 2
        return {(source, back): first + i * step for i, (_, source, back) in enumerate(lines)}

    def line(self, offset: float, attached: float, body: Body, start: float) -> list[Point]:
        """From ``start`` across, straight at first, then towards the node, relative to its middle."""
        foot = -(body.beside + self.bend)
        end = (attached, -body.reach_across(attached))
        # more or less from the node's middle
        lean = 1.1 * attached / body.along * min(1.0, abs(offset - attached) / 16)
        control = (end[0] + lean * 0.5 * self.bend, end[1] - 0.5 * self.bend)
        top = (offset, start)
        third = (start - foot) / 3
        return [
            *(top, (offset, start - third), (offset, start - 2 * third), (offset, foot)),
            *((offset, foot + 0.5 * self.bend), control, end),
        ]
