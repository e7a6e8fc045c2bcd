"""The lines of a node's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dataflow.draw.calls import Calls, own_name, summary
from dataflow.draw.grouping import Grouping
from dataflow.draw.labels import atom_of_partial, expression, expression_lines, partial_lines, piece_of, value_lines
from dataflow.draw.notation import plain
from dataflow.draw.picture import Kind, Line, Role
from dataflow.draw.subject import Subject
from dataflow.graph import CONSTANT, INPUT, OP, Graph
from dataflow.parser import POSTFIX
from dataflow.render import Piece
from dataflow.shapes import format_shape

MOST_NAMES = 3


@dataclass
class Texts:
    """What stands in the nodes of one picture. ``model_graph`` is that of the forward pass."""

    subject: Subject
    model_graph: Graph
    calls: Calls
    grouping: Grouping
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    def lines(self, key: str, members: Sequence[str], kind: Kind, *, numbers: bool) -> list[Line]:
        """Name, expression, and the shape where no edge says it."""
        main = self.grouping.main[key]
        graph, subject = self.subject.graph, self.subject
        if kind == Kind.LAYERS:
            ops = [str(graph.nodes[name].get("op", graph.nodes[name]["kind"])) for name in members]
            names = f"{plain(members[0], 24)} … {plain(members[-1], 24)}"
            return [Line(Role.NAME, names), Line(Role.NOTE, f"{len(members):,} nodes"), *expression_lines(summary(ops))]
        if kind == Kind.BLOCK:
            return self.block_lines(self.grouping.calls[key], main)
        path = self.grouping.paths[key]
        lines = [] if main in subject.cotangent_of else [Line(Role.NAME, plain(self.title(main, path)))]
        if main in subject.cotangent_of:
            lines += self.partials(main, path)
        if graph.nodes[main]["kind"] == OP:
            text = expression(graph, main, self.parts[main], *self.words(main))
            lines += expression_lines(text)
        elif main in subject.belongs and not numbers:
            lines.append(Line(Role.EXPRESSION, "= 1"))
        if kind != Kind.LOSS and not numbers and not any(True for _ in graph.successors(main)):
            lines.append(Line(Role.VALUE, self.spec_text(main)))
        return lines

    def block_lines(self, call: str, main: str) -> list[Line]:
        title = Line(Role.NAME, plain(self.calls.title(call)))
        if main not in self.subject.belongs:
            return [title]
        names = self.subject.cotangent_of.get(main, [])
        partials = partial_lines(str(self.subject.of), [name for name in names if "." not in own_name(name, call)])
        return [*partials, Line(Role.NOTE, f"backward through {title.text}")]

    def block(self, name: str) -> str | None:
        """The innermost call that a node belongs to."""
        owner = self.subject.belongs.get(name, name)
        block: str | None = self.subject.graph.nodes[owner].get("block")
        return block

    def title(self, name: str, path: str | None) -> str:
        """A name as it is in the file; in a repeated block, as it is in the block."""
        if path is not None and self.calls.count(path) > 1:
            return own_name(name, path) or self.calls.output_name(path)
        return name

    def partials(self, main: str, path: str | None) -> list[Line]:
        names = self.subject.cotangent_of[main]
        named = [name for name in names if "." not in own_name(name, self.subject.graph.nodes[name].get("block"))]
        owner = self.subject.belongs[main]
        ordered = sorted(dict.fromkeys(named or names), key=lambda name: name != owner)
        return partial_lines(str(self.subject.of), list(dict.fromkeys(self.title(name, path) for name in ordered)))

    def words(self, main: str) -> tuple[str | None, dict[str, Piece], dict[str, str]]:
        """How an expression calls other nodes: by their names within the call, the block's inputs, ∂f/∂z."""
        path = self.block(main)
        return path, self.atoms if main in self.subject.belongs else self.views, self.calls.formal_names(path)

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """For each node that stands for itself, the nodes of its expression, in topological order."""
        found: dict[str, list[str]] = {}
        for name in (*self.subject.forward, *self.subject.backward):
            found.setdefault(self.grouping.hosts[name], []).append(name)
        return found

    @cached_property
    def views(self) -> dict[str, Piece]:
        """What is shown in an input or a parameter instead of in the expression that it is part of."""
        hosts, graph = self.grouping.hosts, self.subject.graph
        return {name: self.inner_piece(name) for name in self.saved_inside() if graph.nodes[hosts[name]]["kind"] != OP}

    @cached_property
    def atoms(self) -> dict[str, Piece]:
        """Each cotangent as part of an expression."""
        found = {name: self.inner_piece(name) for name in self.saved_inside()}
        for node, names in self.subject.cotangent_of.items():
            if self.subject.graph.nodes[node]["kind"] == CONSTANT:  # the seed
                found[node] = Piece("1", POSTFIX, is_number=True)
            else:
                found[node] = atom_of_partial(str(self.subject.of), self.subject.belongs.get(node, names[0]))
        return found

    def saved_inside(self) -> list[str]:
        """The nodes inside expressions of the forward pass that the backward pass uses."""
        saved = self.subject.saved()
        return [name for name in self.subject.forward if name in saved and self.grouping.hosts[name] != name]

    def inner_piece(self, name: str) -> Piece:
        """What a node inside an expression is computed by, if that is short."""
        host = self.grouping.hosts[name]
        needed = self.subject.graph.needed_for([name])
        inside = [part for part in self.parts[host] if part in needed and part != host]
        path = self.block(host)
        return piece_of(self.subject.graph, name, inside, path, {}, self.calls.formal_names(path))

    def numbers(self, key: str) -> list[Line]:
        """The value, or what it lacks."""
        main = self.grouping.main[key]
        if main in self.values:
            path = self.grouping.calls.get(key, self.grouping.paths[key])
            repeated = path is not None and self.calls.count(path) > 1
            return [*([Line(Role.NOTE, f"{plain(main, 30)}:")] if repeated else []), *value_lines(self.values[main])]
        needed = self.model_graph.needed_for([main if main in self.model_graph else str(self.subject.of)])
        if self.subject.graph.nodes[main]["kind"] == INPUT:
            return [Line(Role.NOTE, "not given")]
        missing = [name for name in self.model_graph.names(INPUT) if name in needed and name not in self.values]
        names = ", ".join(missing[:MOST_NAMES]) + (", …" if len(missing) > MOST_NAMES else "")
        return [Line(Role.NOTE, "not computed"), Line(Role.NOTE, f"needs {plain(names, 30)}")]

    def edge_text(self, key: str, name: str) -> str:
        """Shape and dtype of a value, and which it is where it is not that of the whole node."""
        if name == self.grouping.main[key] or key in self.grouping.bands:
            return self.spec_text(name)
        if self.grouping.hosts[name] != name:
            return f"{self.inner_piece(name).text}: {self.spec_text(name)}"
        return (
            f"{plain(name, 30)}: {self.spec_text(name)}" if self.grouping.paths[key] is None else self.spec_text(name)
        )

    def spec_text(self, name: str) -> str:
        """Shape and dtype."""
        data = self.subject.graph.nodes[name]
        return f"{format_shape(data['shape'])} {data['dtype'].name}"
