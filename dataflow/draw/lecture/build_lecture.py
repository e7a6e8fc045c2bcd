"""What a picture in the lecture style shows: the named nodes, the arrows of both passes between them, the products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dataflow.draw.build_picture import Options
from dataflow.draw.lecture.board_numbers import jacobian_lines, latex_of_numbers, value_lines
from dataflow.draw.lecture.products import captions
from dataflow.draw.picture.aligned import without_spaces
from dataflow.draw.picture.fit import FitError
from dataflow.draw.picture.labels import Words, expression, expression_lines
from dataflow.draw.picture.legend import size_of
from dataflow.draw.picture.marked import only_marked
from dataflow.draw.picture.picture import (
    Caption,
    Flow,
    Kind,
    Line,
    Mark,
    Picture,
    PictureEdge,
    PictureNode,
    Role,
    Sample,
    sample_of_line,
    sample_of_node,
)
from dataflow.draw.picture.picture_steps import number_steps
from dataflow.draw.picture.specs import DTYPES, SHAPES, spec_text
from dataflow.draw.picture.subject import default_wrt, kind_of, no_path_note, no_way_back, target_of, title_of
from dataflow.execution.forward import forward
from dataflow.execution.inputs import batch_symbol
from dataflow.explain.chain import Chain, Edge
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, OP
from dataflow.model.model import Model
from dataflow.notation.formulas import forward_formula
from dataflow.notation.names import Names, is_inner
from dataflow.operations.jacobians import Jacobian

LONGEST = 120
"""A longer text about what is shared is not written out."""
CIRCLES = {Kind.INPUT: "input", Kind.OP: "node", Kind.OUTPUT: "output", Kind.LOSS: "loss"}
"""What stands in the row, and what the legend calls it."""
MOST_NODES = 60
"""More than these are in no row."""


def build_lecture(model: Model, options: Options, inputs: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a model; ``inputs`` are its inputs, if numbers are to be shown."""
    for name in options.wrt:
        model.graph.value(name)
    has_backward = options.backward or options.both or bool(options.wrt)
    of = target_of(model, options.of) if has_backward or options.of else None
    example = options.example
    if options.values and example is None and batch_symbol(model.graph, of) is not None:
        example = 0
    if example is not None:
        inputs = model.one_example(inputs, example)
    known, sizes = model.feed(inputs) if options.values or inputs is not None else ({}, {})
    values = forward(model.graph, model.graph.schedule(), known, sizes) if options.values else {}
    return _Builder(model, options, of if has_backward else None, values, sizes, example).build()


@dataclass
class _Builder:
    model: Model
    options: Options
    of: str | None
    """What is differentiated, if the backward pass is shown."""
    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    example: int | None

    @cached_property
    def graph(self) -> Graph:
        return self.model.graph

    @cached_property
    def names(self) -> Names:
        return Names(self.graph, self.options.notation)

    @cached_property
    def wrts(self) -> list[str]:
        return [] if self.of is None else default_wrt(self.model, self.options.wrt)

    @cached_property
    def chain(self) -> Chain:
        """The factors of all gradients. Without a backward pass, only which nodes count is asked of it."""
        end = self.of or next(reversed(self.graph.schedule()))
        return Chain(self.graph, end, self.wrts, self.values, self.sizes)

    @cached_property
    def edges_of(self) -> dict[str, list[Edge]]:
        """For each wrt to which a path leads, the factors on its paths."""
        edges = {name: self.chain.edges(name) for name in self.wrts}
        return {name: found for name, found in edges.items() if found}

    @cached_property
    def has_numbers(self) -> bool:
        return self.of in self.values

    def build(self) -> Picture:
        shown = [name for name in self.graph.schedule() if self.is_shown(name)]
        if len(shown) > MOST_NODES:
            raise FitError(
                f"the lecture style has room for {MOST_NODES} nodes, and this graph has {len(shown):,} that are named"
            )
        if self.of is not None and not self.edges_of:
            raise no_way_back(self.wrts, self.of)
        nodes = tuple(self.node(name) for name in shown)
        edges = (*self.forward_edges(shown), *self.backward_edges())
        if self.options.only:
            nodes, edges = only_marked(nodes, edges)
            if not nodes:
                raise no_way_back(self.options.wrt, str(self.of))
        view = "forward pass" if self.of is None else "backward pass" if self.options.backward else "both passes"
        title = title_of(self.model, view, self.example if self.options.values else None)
        lines = captions(self.chain, self.edges_of, self.options.wrt, self.names, numbers=self.has_numbers)
        picture = Picture(
            title,
            self.describe(title, nodes, edges),
            nodes,
            edges,
            legend=self.legend(nodes, edges, lines) if self.options.legend else (),
            down=self.options.down,
            dark=self.options.dark,
            auto=self.options.auto,
            notes=tuple(no_path_note(name, self.of) for name in self.wrts if name not in self.edges_of),
            style="lecture",
            only_backward=self.options.backward,
            captions=lines,
        )
        return number_steps(picture)

    # -------------------------------------------------------------------------------------------- nodes

    def is_shown(self, name: str) -> bool:
        """What the file names, and what is asked for."""
        if name in self.graph.unnamed and self.graph.node_of(name).kind == CONSTANT:
            return False
        return not is_inner(self.graph, name) or name == self.of or name in self.wrts

    def node(self, name: str) -> PictureNode:
        lines = [Line(Role.NAME, self.names.text(name), latex=self.names.latex(name))]
        computed = True
        if self.options.values:
            computed = name in self.values
            texts = value_lines(self.shown_value(name)) if computed else ["not computed"]
            lines += [Line(Role.VALUE, text, latex=latex_of_numbers(text) if computed else "") for text in texts]
        if self.graph.node_of(name).kind == OP:
            lines += self.formula(name)
        if self.options.labels in (SHAPES, DTYPES):
            with_dtype = self.options.labels == DTYPES
            lines.append(Line(Role.NOTE, spec_text(self.graph, name, self.sizes, with_dtype=with_dtype)))
        mark = Mark.NONE
        if name in self.options.wrt and name in self.edges_of:
            mark = Mark.PATH
        return PictureNode(
            name, kind_of(self.model, name), tuple(lines), (name, *self.inside(name)), computed=computed, mark=mark
        )

    def inside(self, name: str) -> list[str]:
        """The nodes within the node's expression, in topological order."""
        return [inner for inner in self.inner_nodes(name) if inner != name]

    def inner_nodes(self, name: str) -> list[str]:
        pending, reached = [name], {name}
        while pending:
            for source in self.graph.predecessors(pending.pop()):
                if source not in reached and not self.is_shown(source):
                    reached.add(source)
                    pending.append(source)
        return [node for node in self.graph.schedule([name]) if node in reached]

    def formula(self, name: str) -> list[Line]:
        """What the node is, on as many lines as it needs."""
        formula = forward_formula(self.graph, name, self.names)
        if formula.text == self.names.text(name):
            text = expression(self.graph, name, self.inner_nodes(name), Words(self.graph.node_of(name).block))
            return expression_lines(text)
        lines = expression_lines(formula.text)
        return [replace(lines[0], latex=formula.latex)] if len(lines) == 1 else lines

    def shown_value(self, name: str) -> np.ndarray:
        """Of the one example."""
        value = self.values[name]
        return value[0] if value.ndim and self.chain.is_by_example(name) and len(value) == 1 else value

    # -------------------------------------------------------------------------------------------- edges

    def forward_edges(self, shown: list[str]) -> Iterator[PictureEdge]:
        for name in shown:
            if self.graph.node_of(name).kind != OP:
                continue
            members: dict[str, list[tuple[str, str, int]]] = {}
            inner = self.inner_nodes(name)
            for node in inner:
                for source, target, position in self.graph.in_edges(node, keys=True):
                    if source not in inner:
                        members.setdefault(source, []).append((source, target, position))
            for source in sorted(members, key=lambda source: self.reading_order(name, inner).index(source)):
                yield PictureEdge(source, name, Flow.VALUE, "", tuple(members[source]))

    def reading_order(self, name: str, inner: list[str]) -> list[str]:
        """The sources of a node in the order in which its expression names them."""
        order: dict[str, None] = {}
        pending: list[str] = [name]
        while pending:
            node = pending.pop()
            if node in inner:
                pending += [a for a in reversed(self.graph.arguments(node)) if isinstance(a, str)]
            else:
                order[node] = None
        return list(order)

    def backward_edges(self) -> Iterator[PictureEdge]:
        users: dict[tuple[str, str], set[str]] = {}
        for wrt, edges in self.edges_of.items():
            for of, source, _ in edges:
                users.setdefault((of, source), set()).add(wrt)
        order = {name: i for i, name in enumerate(self.chain.order)}
        for of, source in sorted(users, key=lambda pair: (-order[pair[0]], order[pair[1]])):
            text, latex = (self.names.partial(of, source, latex=is_latex, inline=True) for is_latex in (False, True))
            if self.has_numbers:
                numbers = jacobian_lines(self.factor(of, source))
                joint = " = " if len(numbers) == 1 else " =\n"
                text += joint + "\n".join(numbers)
                latex += joint + "\n".join(map(latex_of_numbers, numbers))
            yield PictureEdge(of, source, Flow.GRADIENT, text, (), self.mark(users[of, source]), latex)

    def factor(self, of: str, source: str) -> Jacobian:
        """∂of/∂source, added up over the arguments where one node is several of them."""
        arguments = [argument for name, argument in self.chain.sources[of] if name == source]
        jacobian, *others = (self.chain.factor(of, source, argument).jacobian for argument in arguments)
        for other in others:
            jacobian = jacobian + other
        return jacobian

    def mark(self, users: set[str]) -> Mark:
        """How a factor stands to the gradients that were asked for."""
        if users.isdisjoint(self.options.wrt):
            return Mark.NONE
        return Mark.SHARED if len(users) > 1 else Mark.PATH

    # -------------------------------------------------------------------------------------------- words

    def legend(
        self, nodes: tuple[PictureNode, ...], edges: tuple[PictureEdge, ...], lines: tuple[Caption, ...]
    ) -> tuple[Sample, ...]:
        kinds = {node.kind for node in nodes}
        samples = [sample_of_node(what, "circle", kind) for kind, what in CIRCLES.items() if kind in kinds]
        if Kind.PARAMETER in kinds:
            samples.append(sample_of_node("parameter, or what enters later", "box", Kind.PARAMETER))
        samples.append(sample_of_line("forward pass", "arrow", Flow.VALUE))
        marks = {edge.mark for edge in edges if edge.flow == Flow.GRADIENT}
        if Mark.NONE in marks:
            samples.append(sample_of_line("backward pass, with its local Jacobian", "coloured arrow", Flow.GRADIENT))
        if Mark.PATH in marks:
            chain = f"the chain to {', '.join(map(self.names.text, self.options.wrt))} alone"
            samples.append(sample_of_line(chain, "thick", Flow.GRADIENT, Mark.PATH))
        if Mark.SHARED in marks:
            shared = f"shared, underlined in the formula {self.sharing()}"
            samples.append(sample_of_line(shared, "double", Flow.GRADIENT, Mark.SHARED))
        elif any(part.mark == Mark.SHARED for line in lines for part in line.parts):
            samples.append(Sample("underlined: shared by several gradients, and computed once"))
        return tuple(samples)

    def sharing(self) -> str:
        """Which factors of the marked chains are shared with which other gradients."""
        factors_of: dict[tuple[str, ...], list[str]] = {}
        marked = [edge for name in self.options.wrt for edge in self.edges_of.get(name, ())]
        for edge in dict.fromkeys(edge[:2] for edge in marked):
            others = [
                n for n, edges in self.edges_of.items() if n not in self.options.wrt and edge in [e[:2] for e in edges]
            ]
            if others or sum(edge in [e[:2] for e in self.edges_of[n]] for n in self.options.wrt) > 1:
                factors_of.setdefault(tuple(others), []).append(self.names.partial(*edge))
        texts = []
        for sharers, factors in factors_of.items():
            texts.append(f"{', '.join(factors)} with {self.names.listed(sharers) or 'each other'}")
        text = "; ".join(texts)
        return f"({text})" if len(text) <= LONGEST else "with other gradients"

    def describe(self, title: str, nodes: tuple[PictureNode, ...], edges: tuple[PictureEdge, ...]) -> str:
        sentences = [f"{size_of(nodes, edges)}, {title}."]
        for node in nodes:
            formulas = " ".join(line.text for line in node.lines if line.role == Role.EXPRESSION)
            if formulas:
                sentences.append(f"{node.lines[0].text} is {formulas}.")
        labels = [without_spaces(edge.label.replace("\n", " ")) for edge in edges if edge.flow == Flow.GRADIENT]
        if labels:
            sentences.append(f"Factors of the backward pass from {self.of}: {'; '.join(labels)}.")
        return " ".join(sentences)
