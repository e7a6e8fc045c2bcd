"""What a picture of neurons shows: units in columns, biases, the loss, a line for each weight; of the backward pass the
gradients of all of them.

A column is a cluster, whose nodes stand in it from top to bottom; its label is what stands below it. ``beside`` pairs
each unit with its gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from dataflow.draw.build_picture import Options
from dataflow.draw.neurons.dense_chain import find_chain
from dataflow.draw.neurons.lay_out_neurons import gaps_without_room
from dataflow.draw.neurons.layers import Column, Weights
from dataflow.draw.neurons.words import LONGEST_LOSS, Words, entry_key
from dataflow.draw.picture.picture import Cluster, Flow, Kind, Line, Picture, PictureEdge, PictureNode, Role, Sample
from dataflow.draw.picture.subject import target_of, title_of
from dataflow.execution.forward import forward
from dataflow.execution.inputs import batch_symbol
from dataflow.model.model import Model
from dataflow.shapes import format_shape


def build_neurons(model: Model, options: Options, inputs: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a model; ``inputs`` are its inputs, if numbers are to be shown."""
    has_backward = options.backward or options.both
    of = target_of(model, options.of) if has_backward or options.of else None
    chain = find_chain(model, of)
    example = options.example
    known: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    if options.values:
        if example is None and batch_symbol(model.graph) is not None:
            example = 0
        known, sizes = model.feed(inputs if example is None else model.one_example(inputs, example))
    values = forward(model.graph, model.graph.schedule(), known, sizes) if options.values else {}
    return _Builder(model, options, chain, of if has_backward else None, values, sizes, example).build()


@dataclass
class _Builder(Words):
    nodes: list[PictureNode] = field(default_factory=list)
    edges: list[PictureEdge] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)

    def build(self) -> Picture:
        columns = self.chain.columns
        for number, column in enumerate(columns):
            self.add_column(number, column)
            if column.layer is not None:
                self.add_weights(number, columns[number - 1], column)
        if self.chain.loss is not None:
            self.add_loss(self.chain.loss)
        view = "forward pass" if self.of is None else "backward pass" if self.options.backward else "both passes"
        title = title_of(self.model, view, self.example if self.options.values else None)
        picture = Picture(
            title,
            self.describe(title),
            tuple(self.nodes),
            tuple(self.edges),
            tuple(self.clusters),
            tuple(self.beside),
            legend=self.legend({node.kind for node in self.nodes}) if self.options.legend else (),
            dark=self.options.dark,
            auto=self.options.auto,
            style="neurons",
        )
        elided = [
            gap
            for gap, pair in enumerate(pairwise(columns))
            if any(None in self.shown(column.width) for column in pair)
        ]
        picture = self.without_labels(picture, elided, "units are left out")
        return self.without_labels(picture, gaps_without_room(picture), "they are too many for the lines")

    def without_labels(self, picture: Picture, gaps: Sequence[int], reason: str) -> Picture:
        """The picture without the labels of weights in some gaps between columns, which it says."""
        layers = [column.layer for column in self.chain.columns if column.layer is not None]
        names = {layers[gap].weights.name for gap in gaps}
        if not names:
            return picture
        units = {node.key: node.cluster for node in picture.nodes}
        number_of = {cluster.key: i for i, cluster in enumerate(picture.clusters)}

        def is_left_out(edge: PictureEdge) -> bool:
            ends = sorted(number_of[str(units[key])] for key in (edge.source, edge.target))
            return ends[1] > ends[0] and ends[0] in gaps

        edges = tuple(replace(edge, label="") if is_left_out(edge) else edge for edge in picture.edges)
        what = self.names.listed(sorted(names))
        note = f"the weights {what} are not written out: {reason}"
        legend = (*picture.legend, Sample(note)) if picture.legend else ()
        return replace(picture, edges=edges, legend=legend, notes=(*picture.notes, note))

    # -------------------------------------------------------------------------------------------- columns

    def add_column(self, number: int, column: Column) -> None:
        kind = Kind.INPUT if column.layer is None else Kind.OP
        kind = Kind.OUTPUT if column is self.chain.columns[-1] and column.layer is not None else kind
        key = f"column {number}"
        self.clusters.append(Cluster(key, "\n".join(self.heading(column))))
        step = 0 if self.options.backward else number
        computed = not self.options.values or column.value in self.values
        for unit in self.shown(column.width):
            if unit is None:
                more = Line(Role.NOTE, f"⋮ {format_shape((column.width,)).strip('(),')}")
                self.nodes.append(PictureNode(f"{column.value}[…]", Kind.LAYERS, (more,), (), key, step=step))
                continue
            lines = [Line(Role.NAME, self.unit_symbol(column.value, unit, column.width))]
            if self.options.values and not self.options.backward:
                lines.append(self.value_line(self.values.get(column.value), unit))
            name = entry_key(column.value, unit)
            node = PictureNode(name, kind, tuple(lines), (column.value,), key, computed=computed, step=step)
            self.nodes.append(node)
            if self.of is not None and column.layer is not None:
                self.add_gradient(number, column, unit)
            if column.layer is not None and column.layer.bias is not None:
                self.add_bias(number, column, column.layer.bias, unit)

    def add_gradient(self, number: int, column: Column, unit: int) -> None:
        """Of the loss with respect to a unit, before the functions of its column."""
        wrt = self.before(column)
        if self.options.values:
            line = self.value_line(self.gradients.get(wrt), unit)
        else:
            line = Line(Role.VALUE, self.partial(wrt, self.unit_symbol(wrt, unit, column.width)))
        key, name = f"gradient of {entry_key(column.value, unit)}", entry_key(column.value, unit)
        step = self.backward_step(number + 1 if self.chain.loss is not None else number)
        self.nodes.append(PictureNode(key, Kind.COTANGENT, (line,), (), f"column {number}", backward=True, step=step))
        self.beside.append((name, key))

    def add_bias(self, number: int, column: Column, bias: Weights, unit: int) -> None:
        shape = self.shape(bias.name)
        entry = None if shape is None else int(bias.places(shape).reshape(-1)[unit if prod(shape) > 1 else 0])
        key, name = f"bias of {entry_key(column.value, unit)}", entry_key(column.value, unit)
        text = self.symbol(bias.name, entry) if self.options.backward else self.label(bias.name, entry)
        lines = (Line(Role.NAME, text),)
        self.nodes.append(PictureNode(key, Kind.PARAMETER, lines, (bias.name,), f"column {number}"))
        step = 0 if self.options.backward else number
        self.edges.append(PictureEdge(key, name, Flow.VALUE, "", (), step=step))
        if self.of is not None:
            text = self.label(bias.name, entry, gradient=True)
            self.edges.append(PictureEdge(name, key, Flow.GRADIENT, text, (), step=self.backward_step(number)))

    def add_weights(self, number: int, before: Column, after: Column) -> None:
        """A line from each unit to each unit of the next column; for its gradient another one back."""
        assert after.layer is not None
        name = after.layer.weights.name
        shape = self.shape(name)
        width = self.size(after.width)
        places = None if shape is None or width is None else after.layer.weight_places(shape, width)
        shown_of = self.gradients if self.options.backward else self.values
        strengths = _strengths(shown_of.get(name))
        for source in self.shown(before.width):
            for target in self.shown(after.width):
                if source is None or target is None:
                    continue
                entry = None if places is None else int(places[target, source])
                strength = None if strengths is None or entry is None else float(strengths[entry])
                ends = entry_key(before.value, source), entry_key(after.value, target)
                if not self.options.backward:
                    label = self.label(name, entry)
                    self.edges.append(PictureEdge(*ends, Flow.VALUE, label, (), strength=strength, step=number))
                if self.of is not None:
                    label = self.label(name, entry, gradient=True)
                    self.edges.append(
                        PictureEdge(
                            *ends[::-1], Flow.GRADIENT, label, (), strength=strength, step=self.backward_step(number)
                        )
                    )

    def add_loss(self, loss: str) -> None:
        number, last = len(self.chain.columns), self.chain.columns[-1]
        key = f"column {number}"
        shows_values = self.options.values and not self.options.backward
        lines = [Line(Role.NAME, self.names.text(loss))]
        if shows_values:
            lines.append(self.value_line(self.values.get(loss), 0))
        step = 0 if self.options.backward else number
        computed = not self.options.values or loss in self.values
        heading = self.definition(loss, self.model.graph.node_of(loss).op or "", LONGEST_LOSS)
        self.clusters.append(Cluster(key, "\n".join(heading)))
        self.nodes.append(PictureNode(loss, Kind.LOSS, tuple(lines), (loss,), key, computed=computed, step=step))
        for unit in self.shown(last.width):
            if unit is not None:
                self.edges.append(PictureEdge(entry_key(last.value, unit), loss, Flow.VALUE, "", (), step=step))
        for target in self.chain.targets:
            lines = [Line(Role.NAME, self.names.text(target))]
            if shows_values:
                lines.append(Line(Role.VALUE, self.vector(self.values.get(target))))
            self.nodes.append(PictureNode(target, Kind.INPUT, tuple(lines), (target,), key))
            self.edges.append(PictureEdge(target, loss, Flow.VALUE, "", (), step=step))


def _strengths(array: np.ndarray | None) -> np.ndarray | None:
    """The entries as shares of the largest, from −1 to 1."""
    if array is None or not np.isfinite(array).all():
        return None
    largest = np.abs(array).max(initial=0.0)
    return np.asarray(array.reshape(-1) / largest if largest else np.zeros(array.size))
