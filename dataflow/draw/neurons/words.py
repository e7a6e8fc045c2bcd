"""What a picture of neurons is made of: which units are shown, what their numbers are, how all of it is written."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from dataflow.autodiff.reverse import gradient_graph
from dataflow.draw.build_picture import Options
from dataflow.draw.lecture.board_numbers import number
from dataflow.draw.neurons.layers import Chain, Column, Width
from dataflow.draw.picture.labels import broken
from dataflow.draw.picture.picture import Flow, Kind, Line, Role, Sample, sample_of_line, sample_of_node
from dataflow.execution.forward import forward
from dataflow.model.model import Model
from dataflow.notation.formulas import forward_formula
from dataflow.notation.letters import plain
from dataflow.notation.names import Names, is_inner
from dataflow.shapes import format_shape
from dataflow.support.number_texts import without_negligible

MOST_UNITS = 12
"""A column of more units is shown by its first and its last ones."""
FIRST, LAST = 3, 2
LONGEST = 26
"""The longest formula below a column."""
LONGEST_LOSS = 100
"""The longest formula below the loss, which has room beside it."""
WIDTH = 38
"""Longer lines below a column are broken."""

UNITS = {Kind.INPUT: "input", Kind.OP: "unit", Kind.OUTPUT: "output", Kind.LOSS: "loss"}
"""What the legend calls the circles."""


@dataclass
class Words:
    """The words of one picture."""

    model: Model
    options: Options
    chain: Chain
    of: str | None
    """What is differentiated, if the backward pass is shown."""
    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    example: int | None

    # -------------------------------------------------------------------------------------------- what there is

    def before(self, column: Column) -> str:
        """What gradients of units are with respect to: the layer's result, if the file names it."""
        result = column.layer.result if column.layer is not None else column.value
        return result if self.is_named(result) else column.value

    def is_named(self, name: str) -> bool:
        graph = self.model.graph
        return name in graph and name not in graph.unnamed and not is_inner(graph, name)

    def backward_step(self, number: int) -> int:
        """The step in which a column, or the loss after the last, hands its gradient on."""
        last = len(self.chain.columns) - (1 if self.chain.loss is None else 0)
        return last - number + 1 + (0 if self.options.backward else last)

    def shown(self, width: Width) -> list[int | None]:
        """The units of a column that are drawn, counted from 0; ``None`` stands for those in between."""
        count = self.size(width)
        if count is None:
            return [*range(FIRST), None]
        if count <= MOST_UNITS:
            return list(range(count))
        return [*range(FIRST), None, *range(count - LAST, count)]

    def size(self, width: Width) -> int | None:
        """A number, if it is known."""
        return width if isinstance(width, int) else self.sizes.get(str(width))

    def shape(self, name: str) -> tuple[int, ...] | None:
        sizes = [self.size(size) for size in self.model.graph.node_of(name).shape]
        return None if None in sizes else tuple(size for size in sizes if size is not None)

    @cached_property
    def gradients(self) -> Mapping[str, np.ndarray]:
        """Of all that the picture shows, if the numbers are known."""
        if self.of is None or self.of not in self.values:
            return {}
        wrt = [self.before(column) for column in self.chain.columns]
        layers = [column.layer for column in self.chain.columns if column.layer is not None]
        wrt += [weights.name for layer in layers for weights in (layer.weights, layer.bias) if weights is not None]
        gradient = gradient_graph(self.model.graph, self.of, list(dict.fromkeys(wrt)))
        ends = {name: gradient.cotangents[name] for name in wrt if name in gradient.cotangents}
        order = [name for name in gradient.graph.schedule(ends.values()) if name not in self.values]
        computed = forward(gradient.graph, order, self.values, self.sizes)
        zeros = {name: np.zeros_like(self.values[name]) for name in wrt}
        return zeros | {name: computed[end] if end in computed else self.values[end] for name, end in ends.items()}

    # -------------------------------------------------------------------------------------------- words

    @cached_property
    def names(self) -> Names:
        return Names(self.model.graph, self.options.notation)

    def unit_symbol(self, name: str, unit: int, width: Width) -> str:
        """The symbol of a unit: h₁; nothing where the file has no name for the column."""
        if not self.is_named(name):
            return ""
        return self.names.text(name) if width == 1 else self.names.entry(name, (unit,))

    def label(self, name: str, entry: int | None, *, gradient: bool = False) -> str:
        """What is written of an entry of a parameter: its number, or its symbol."""
        shape = self.shape(name)
        if entry is None or shape is None:
            return ""
        if self.options.values:
            return self.value_line((self.gradients if gradient else self.values).get(name), entry).text
        symbol = self.symbol(name, entry)
        return self.partial(name, symbol) if gradient else symbol

    def symbol(self, name: str, entry: int | None) -> str:
        """The symbol of an entry of a parameter."""
        shape = self.shape(name)
        if entry is None or shape is None:
            return ""
        place = tuple(int(i) for i in np.unravel_index(entry, shape))
        return self.names.text(name) if prod(shape) == 1 else self.names.entry(name, place)

    def partial(self, wrt: str, symbol: str) -> str:
        """∂f/∂W⁽¹⁾₁₂, with the symbol of an entry."""
        of = str(self.of)
        total = of == self.chain.prediction and self.chain.columns[-1].width != 1
        text = self.names.partial(of, wrt, total=total)
        return f"{text.rpartition('∂')[0]}∂{symbol}"

    def value_line(self, array: np.ndarray | None, entry: int) -> Line:
        if array is None:
            return Line(Role.VALUE, "?")
        return Line(Role.VALUE, number(without_negligible(array).reshape(-1)[entry]))

    def vector(self, array: np.ndarray | None) -> str:
        if array is None:
            return "?"
        entries = without_negligible(array).reshape(-1)
        shown = ", ".join(map(number, entries[:FIRST])) + (", …" if len(entries) > FIRST else "")
        return f"({shown})" if len(entries) > 1 else shown

    def heading(self, column: Column) -> list[str]:
        """What is written below a column: how it is computed, and what the second number in its units is."""
        functions = ", ".join(column.functions)
        lines = []
        if column.layer is None:
            lines = self.definition(column.value, functions) if functions else []
        else:
            before = self.before(column)
            lines += self.definition(before, "") if before != column.value else []
            lines += self.definition(column.value, functions)
        lines = lines or [functions] if functions else lines
        if self.of is not None and column.layer is not None and self.options.values:
            lines.append(self.names.partial(self.of, self.before(column)))
        return lines or ([self.names.text(column.value)] if self.is_named(column.value) else [])

    def definition(self, name: str, otherwise: str, longest: int = LONGEST) -> list[str]:
        """A node with its formula, if that is short, broken into lines."""
        if self.is_named(name):
            symbol = self.names.text(name)
            formula = forward_formula(self.model.graph, name, self.names).text
            if formula != symbol and len(formula) <= longest:
                return broken(f"{symbol} = {formula}", WIDTH)
        return [otherwise] if otherwise else []

    def legend(self, kinds: Container[Kind]) -> tuple[Sample, ...]:
        samples = [sample_of_node(what, "circle", kind) for kind, what in UNITS.items() if kind in kinds]
        if Kind.PARAMETER in kinds:
            samples.append(sample_of_node("bias", "box", Kind.PARAMETER))
        if self.options.values:
            what = "gradient" if self.options.backward else "weight"
            samples.append(sample_of_line(f"{what}, thick: large", "line", Flow.VALUE, strength=0.6))
            samples.append(sample_of_line(f"negative {what}", "dashed", Flow.VALUE, strength=-0.6))
        else:
            samples.append(sample_of_line("weight", "line", Flow.VALUE))
        if self.of is not None:
            samples.append(Sample("from right to left" if self.options.backward else "lower number: gradient"))
        return tuple(samples)

    def describe(self, title: str) -> str:
        parts = []
        for column in self.chain.columns:
            width = self.size(column.width) or format_shape((column.width,)).strip("(),")
            functions = f" through {', '.join(column.functions)}" if column.functions else ""
            parts.append(f"{width} of {plain(column.value, 60)}{functions}")
        text = f"A net of neurons, {title}. Units: {'; '.join(parts)}."
        return text if self.chain.loss is None else f"{text} Loss: {plain(self.chain.loss, 60)}."


def entry_key(name: str, unit: int) -> str:
    """What a unit is called in the picture."""
    return f"{name}[{unit}]"
