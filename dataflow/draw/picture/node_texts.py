"""The lines of a node's label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.fans import Fan
from dataflow.draw.picture.grouping import Grouping, layers_text
from dataflow.draw.picture.labels import (
    WIDEST,
    WIDTH,
    Words,
    atom_of_partial,
    expression,
    expression_lines,
    partial_lines,
    piece_of,
    value_lines,
)
from dataflow.draw.picture.picture import Kind, Line, Role
from dataflow.draw.picture.specs import NONE, Specs
from dataflow.draw.picture.subject import Subject
from dataflow.errors import DataflowError
from dataflow.execution.inputs import needed_inputs
from dataflow.expressions.parser import POSTFIX
from dataflow.expressions.render import Piece
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP
from dataflow.limits import spend
from dataflow.notation.formulas import MOST_NODES, Formula, name_leaf, partial_leaf, term_of, written
from dataflow.notation.letters import plain
from dataflow.notation.names import Names, is_inner, own_name
from dataflow.shapes import TensorSpec

MOST_NAMES = 3


@dataclass
class Texts:
    """What stands in the nodes of one picture. ``model_graph`` is that of the forward pass."""

    subject: Subject
    model_graph: Graph
    calls: Calls
    grouping: Grouping
    names: Names
    specs: Specs
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    raw: bool = False
    """Whether expressions are written with the graph's own ops, as where each node is drawn by itself."""

    def lines(self, key: str, members: Sequence[str], kind: Kind, *, numbers: bool) -> list[Line]:
        """Name, expression, and the shape where no edge says it."""
        main = self.grouping.main[key]
        graph, subject = self.subject.graph, self.subject
        if kind == Kind.LAYERS:
            return self.layers_lines(key, members)
        if key in self.grouping.fans:
            return self.fan_lines(self.grouping.fans[key])
        if kind == Kind.BLOCK:
            return self.block_lines(self.grouping.calls[key], main)
        path = self.grouping.paths[key]
        title = self.title(main, path)
        named = Line(Role.NAME, self.names.text(title), self.names.latex(title))
        lines = [] if main in subject.cotangent_of else [named]
        if main in subject.cotangent_of:
            lines += self.partials(main, path)
        if graph.node_of(main).kind == OP:
            lines += self.expression_lines(main)
        elif main in subject.belongs and not numbers:
            lines.append(Line(Role.EXPRESSION, "= 1"))
        spec = self.specs.text(main)
        if spec and kind != Kind.LOSS and not any(True for _ in graph.successors(main)):
            lines.append(Line(Role.VALUE, spec))
        return lines

    def expression_lines(self, main: str) -> list[Line]:
        """What a node is computed by: a formula, or where that is long, a summary of the ops."""
        formula = None if self.raw else self.formula(main)
        if formula is not None and (lines := expression_lines(formula.text)):
            return [Line(Role.EXPRESSION, lines[0].text, formula.latex)] if len(lines) == 1 else lines
        return expression_lines(expression(self.subject.graph, main, self.parts[main], self.words(main)))

    def formula(self, main: str) -> Formula | None:
        """The expression as mathematics; in plain notation, the file's own for the forward pass."""
        if self.names.notation == "plain" and main not in self.subject.belongs:
            return None
        return self._written(self.term(main))

    def _written(self, term: Any) -> Formula | None:
        return None if term is None else written(term, self.names)

    def term(self, main: str) -> Any:
        """The expression of a node as a term; ``None`` where it is long."""
        if main not in self._terms:
            members = self.parts[main] if main in self.parts else self.inside(main)
            self._terms[main] = None
            if len(members) <= MOST_NODES:
                spend(1 + len(members), main)
                path, _, formals = self.words(main)
                with suppress(DataflowError):
                    self._terms[main] = term_of(self.subject.graph, main, members, self.leaf_within(path, formals))
        return self._terms[main]

    def leaf_within(self, path: str | None, formals: Mapping[str, str]) -> Callable[[str, TensorSpec], Any]:
        """What stands for other nodes in an expression of a call: symbols, ∂f/∂z, and what is inside other
        expressions written out."""
        subject = self.subject
        called = name_leaf(self.names, lambda name: formals.get(name) or own_name(name, path) or name)

        def leaf(name: str, spec: TensorSpec) -> Any:
            if name in subject.cotangent_of:
                if subject.graph.node_of(name).kind == CONSTANT:
                    return 1
                wrt = subject.belongs.get(name, subject.cotangent_of[name][0])
                if wrt == subject.of and subject.is_total:
                    return self.term(name)
                return partial_leaf(spec, name, str(subject.of), wrt, self.names, total=subject.is_total)
            if self.grouping.hosts[name] != name and subject.graph.node_of(name).kind == OP:
                inner = self.term(name)
                if inner is not None:
                    return inner
            return called(name, spec)

        return leaf

    @cached_property
    def _terms(self) -> dict[str, Any]:
        return {}

    def layers_lines(self, key: str, members: Sequence[str]) -> list[Line]:
        """``layers 2 to 9: linear, relu``, and what is in them. The backward pass is named after the forward pass."""
        owners = dict.fromkeys(self.subject.belongs.get(name, name) for name in members)
        nodes = [self.subject.graph.node_of(name) for name in owners]
        counts = Counter(node.op for node in nodes if node.op) or Counter(node.kind for node in nodes)
        what = [text for text, _ in counts.most_common(MOST_NAMES)] + ["…"] * (len(counts) > MOST_NAMES)
        layers = layers_text(*self.grouping.bands[key])
        title = f"back through {layers}" if members[0] in self.subject.belongs else layers
        ends = dict.fromkeys((plain(members[0], 24), plain(members[-1], 24)))
        return [
            Line(Role.NAME, f"{title}: {', '.join(what)}"),
            Line(Role.NOTE, f"{len(members):,} nodes" if len(members) > 1 else "1 node"),
            *expression_lines(" … ".join(ends)),
        ]

    def fan_lines(self, fan: Fan) -> list[Line]:
        """``50 inputs``, and the first and the last of them."""
        cotangent_of = self.subject.cotangent_of
        ends = [
            self.partial(cotangent_of[name][0]) if name in cotangent_of else plain(self.names.text(name), 24)
            for name in (fan.names[0], fan.names[-1])
        ]
        return [Line(Role.NAME, plain(fan.title, WIDEST)), *expression_lines(" … ".join(ends))]

    def block_lines(self, call: str, main: str) -> list[Line]:
        title = plain(self.calls.title(call, self.names))
        if main not in self.subject.belongs:
            return [Line(Role.NAME, title)]
        wrts = self.subject.cotangent_of.get(main, [])
        partials = self.partial_lines([wrt for wrt in wrts if "." not in own_name(wrt, call)])
        return [*partials, *expression_lines(f"backward through {title}")]

    def block(self, name: str) -> str | None:
        """The innermost call that a node belongs to."""
        owner = self.subject.belongs.get(name, name)
        block: str | None = self.subject.graph.node_of(owner).block
        return block

    def title(self, name: str, path: str | None) -> str:
        """A name as it is in the file; in a repeated block, as it is in the block."""
        if path is not None and self.calls.count(path) > 1:
            return own_name(name, path) or self.calls.output_name(path)
        return name

    def partials(self, main: str, path: str | None) -> list[Line]:
        names = self.subject.cotangent_of[main]
        named = [name for name in names if not is_inner(self.subject.graph, name)]
        owner = self.subject.belongs[main]
        ordered = sorted(dict.fromkeys(named or names), key=lambda name: name != owner)
        return self.partial_lines(list(dict.fromkeys(self.title(name, path) for name in ordered)))

    def partial_lines(self, wrts: Sequence[str]) -> list[Line]:
        return partial_lines(str(self.subject.of), wrts, self.names, total=self.subject.is_total)

    def partial(self, wrt: str) -> str:
        return self.names.partial(str(self.subject.of), wrt, total=self.subject.is_total)

    def words(self, main: str) -> Words:
        """How an expression calls other nodes: by their names within the call, the block's inputs, ∂f/∂z."""
        path = self.block(main)
        return Words(path, self.atoms if main in self.subject.belongs else self.views, self.calls.formal_names(path))

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """For each node that stands for itself, the nodes of its expression, in topological order."""
        parts: dict[str, list[str]] = {}
        for name in (*self.subject.forward, *self.subject.backward):
            parts.setdefault(self.grouping.hosts[name], []).append(name)
        return parts

    @cached_property
    def views(self) -> dict[str, Piece]:
        """What is shown in an input or a parameter instead of in the expression that it is part of."""
        hosts, graph = self.grouping.hosts, self.subject.graph
        return {name: self.inner_piece(name) for name in self.saved_inside() if graph.node_of(hosts[name]).kind != OP}

    @cached_property
    def atoms(self) -> dict[str, Piece]:
        """Each cotangent as part of an expression."""
        atoms = {name: self.inner_piece(name) for name in self.saved_inside()}
        for node, names in self.subject.cotangent_of.items():
            if self.subject.graph.node_of(node).kind == CONSTANT:  # the seed
                atoms[node] = Piece("1", POSTFIX, is_number=True)
            else:
                atoms[node] = atom_of_partial(self.partial(self.subject.belongs.get(node, names[0])))
        return atoms

    def saved_inside(self) -> list[str]:
        """The nodes inside expressions of the forward pass that the backward pass uses."""
        saved = self.subject.saved()
        return [name for name in self.subject.forward if name in saved and self.grouping.hosts[name] != name]

    @cached_property
    def _pieces(self) -> dict[str, Piece]:
        return {}

    def inner_piece(self, name: str) -> Piece:
        """The expression of a node inside another expression, if it is short."""
        if name not in self._pieces:
            self._pieces[name] = self._find_piece(name)
        return self._pieces[name]

    def _find_piece(self, name: str) -> Piece:
        path = self.block(self.grouping.hosts[name])
        return piece_of(self.subject.graph, name, self.inside(name), Words(path, names=self.calls.formal_names(path)))

    def inside(self, name: str) -> list[str]:
        """The nodes of another expression that one inside it is computed from, and it, in topological order."""
        host = self.grouping.hosts[name]
        graph, parts = self.subject.graph, self.parts[host]
        needed, frontier, others = {name}, [name], set(parts) - {name}
        while frontier:  # no further than the expression, so that no node walks the whole graph
            sources = others.intersection(graph.pred[frontier.pop()])
            others -= sources
            needed |= sources
            frontier += sources
        spend(1 + len(parts) // 5, name)
        return [part for part in parts if part in needed and part != host]

    def inner_text(self, name: str) -> str:
        """The expression of a node inside another, for an edge."""
        if not self.raw and self.names.notation == "math" and (formula := self._written(self.term(name))) is not None:
            return formula.text if len(formula.text) <= WIDTH else self.names.text(name)
        return self.inner_piece(name).text

    def numbers(self, key: str) -> list[Line]:
        """The value, or the inputs that are missing for it."""
        main = self.grouping.main[key]
        if key in self.grouping.fans:
            arrays = [self.values[name] for name in self.grouping.fans[key].names if name in self.values]
            alike = len({array.shape for array in arrays}) == 1
            return value_lines(np.stack(arrays)) if alike else []
        if main in self.values:
            path = self.grouping.calls.get(key, self.grouping.paths[key])
            repeated = path is not None and self.calls.count(path) > 1
            return [
                *([Line(Role.NOTE, f"{plain(self.names.text(main), 30)}:")] if repeated else []),
                *value_lines(self.values[main]),
            ]
        if self.subject.graph.node_of(main).kind == INPUT:
            return [Line(Role.NOTE, "not given")]
        needed = needed_inputs(self.model_graph, [main if main in self.model_graph else str(self.subject.of)])
        missing = [name for name in needed if name not in self.values]
        names = self.names.listed(missing[:MOST_NAMES]) + (", …" if len(missing) > MOST_NAMES else "")
        return [Line(Role.NOTE, "not computed"), Line(Role.NOTE, f"needs {plain(names, 30)}")]

    def edge_text(self, key: str, name: str) -> str:
        """Shape and dtype of a value, and which it is where it is not that of the whole node."""
        spec = self.specs.text(name)
        folded = self.grouping.bands.keys() | self.grouping.fans.keys()
        if name == self.grouping.main[key] or key in folded or self.specs.labels == NONE:
            return spec
        if self.grouping.hosts[name] != name:
            return labelled(self.inner_text(name), spec)
        return labelled(plain(self.names.text(name), 30), spec) if self.grouping.paths[key] is None else spec


def labelled(what: str, spec: str) -> str:
    """``W.T: (2, 1)``."""
    return f"{what}: {spec}" if spec else what
