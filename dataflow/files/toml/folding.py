"""From a graph back to declared nodes: which inner nodes go back into whose expression, and what the rest is called.

Reading ``h = "relu(x @ W)"`` gives the nodes ``h.matmul`` and ``h``. So an inner node goes back into the expression of
the node that its name begins with if it is used there and nowhere else, and if reading would give it that very name
again. What does not go back gets a line of its own, under a name without dots.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import ExpressionError
from dataflow.expressions.render import Piece, piece_of_name, piece_of_number, piece_of_op
from dataflow.expressions.tokens import MAX_DEPTH
from dataflow.files.toml.call_paths import repetitions
from dataflow.files.toml.nodes import MAX_OPERATIONS
from dataflow.files.toml.toml_values import narrow
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP
from dataflow.graph.node_names import call_around
from dataflow.operations.attributes import changed
from dataflow.support.topological import topological_order

Argument: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Term:
    """What a node is computed by: an op, or a call of a block. Attributes are those that are not the default."""

    op: str
    arguments: tuple[Argument, ...]
    attributes: Mapping[str, Any]
    is_call: bool = False


@dataclass(frozen=True)
class Line:
    """A declared node: an expression, or where none can say it, the long form."""

    name: str
    expression: str | None
    term: Term


@dataclass
class Folded:
    """The declared nodes, in the graph's order as far as each comes after what it needs, as it will when it is read;
    and new names by old ones, of all that is declared."""

    lines: list[Line] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)
    """The inner nodes, which have no line."""

    @property
    def renamed(self) -> dict[str, str]:
        """The names that had to change."""
        return {old: new for old, new in self.names.items() if old != new}


def fold(graph: Graph, pinned: Collection[str], *, with_calls: bool, no_inputs: Collection[str] = ()) -> Folded:
    """``pinned`` are nodes that need lines of their own, such as outputs. ``with_calls`` writes calls of blocks as
    calls; otherwise the nodes inside are written like all others. ``no_inputs`` are names that no input has there."""
    return _Folding(graph, pinned, with_calls, no_inputs).run()


class _Folding:
    def __init__(self, graph: Graph, pinned: Collection[str], with_calls: bool, no_inputs: Collection[str]) -> None:
        self.graph, self.no_inputs = graph, no_inputs
        self.terms: dict[str, Term] = {}
        self.constants: dict[str, Piece] = {}  # plain numbers that the graph has as nodes
        calls = graph.calls if with_calls else {}
        repeated = {name: count for name in graph if calls and (count := repetitions(graph, name))}
        within = {f"{name}.{i + 1}" for name, count in repeated.items() for i in range(count)}
        for name, node in graph.node_items():
            if name in within:
                continue
            if name in repeated and (not with_calls or node.block is None):
                self.terms[name] = _call_term(calls[f"{name}.1"], repeated[name])
            elif name in calls and node.block == name and call_around(name, calls, graph.blocks) is None:
                self.terms[name] = _call_term(calls[name])
            elif node.kind == OP and (not with_calls or node.block is None):
                self.terms[name] = _op_term(graph, name)
        self.leaders = self._gather_outputs()
        """For each output of a node with several, the first of them, whose line is that of all."""
        self.visible = [
            name
            for name, node in graph.node_items()
            if name in self.terms
            or name in self.leaders
            or (node.kind != OP and (not with_calls or node.block is None))
        ]
        uses: dict[str, int] = {}
        for term in self.terms.values():
            for argument in term.arguments:
                if isinstance(argument, str):
                    uses[argument] = uses.get(argument, 0) + 1
            self._find_constant(term)
        self.inner = {name for name, count in uses.items() if count == 1 and "." in name and name not in pinned}
        self.inner &= self.terms.keys() | self.constants.keys()
        self.result = Folded()
        self.taken = {name.partition(":")[0] for name in graph if "." not in name}
        self.given: set[str] = set()

    def run(self) -> Folded:
        lines: dict[str, Line] = {}
        for name in reversed(self.graph.schedule()):  # what uses a node comes before it
            if name in self.terms and name not in self.result.folded:
                lines[name] = self.line(name)
        order, _ = topological_order({name: self.needs(name, lines) for name in self.visible if name in lines})
        self.result.lines = [lines[name] for name in order]
        for name in self.visible:
            if name not in self.result.folded:
                self.name(name)
        self.result.names = {name: self.result.names[name] for name in self.visible if name in self.result.names}
        return self.result

    def needs(self, root: str, lines: Collection[str]) -> list[str]:
        """The nodes with a line that the line of ``root`` mentions."""
        found, frontier = [], [root]
        while frontier:
            for argument in self.terms[frontier.pop()].arguments:
                if argument in lines or argument in self.leaders:
                    found.append(self.leaders.get(str(argument), str(argument)))
                elif argument in self.result.folded and argument in self.terms:
                    frontier.append(str(argument))
        return found

    def line(self, root: str) -> Line:
        """The expression of a node, with as many inner nodes as possible, else with none, else the long form."""
        name = self.declared(root)
        for candidates in (self.inner, ()):
            pieces: dict[str, Piece] = {}
            folded = self.inner_nodes(root, candidates, pieces)
            try:
                piece = self.piece(root, pieces)
            except ExpressionError:
                continue
            self.result.folded.update(folded)
            return Line(name, piece.text, self.terms[root])
        term = self.terms[root]
        arguments = tuple(self.name(x) if isinstance(x, str) else x for x in term.arguments)
        while arguments and arguments[-1] is None:
            arguments = arguments[:-1]
        return Line(name, None, Term(term.op, arguments, term.attributes, term.is_call))

    def inner_nodes(self, root: str, candidates: Collection[str], pieces: dict[str, Piece]) -> list[str]:
        """The inner nodes that fold into ``root``, in the order of evaluation, with their pieces."""
        folded: list[str] = []
        counts: dict[tuple[bool, str], int] = {}
        prefix = self.declared(root) + "."
        stack: list[tuple[str, int]] = [(root, -1)]  # a node, and how many were folded before it
        while stack:
            node, start = stack.pop()
            if start < 0:
                stack.append((node, len(folded)))
                arguments = self.terms[node].arguments if node in self.terms else ()
                inner = [x for x in arguments if isinstance(x, str) and x in candidates and x.startswith(prefix)]
                stack += [(x, -1) for x in reversed(inner)]
                continue
            if node == root:
                break
            base = self.base(node)
            count = counts.get(base, 0) + 1
            fits = node == prefix + base[1] + (f"_{count}" if count > 1 else "")
            try:
                piece = self.piece(node, pieces) if fits else None
            except ExpressionError:
                piece = None
            if piece is None:
                for other in folded[start:]:
                    counts[self.base(other)] -= 1
                    del pieces[other]
                del folded[start:]
                continue
            pieces[node] = piece
            counts[base] = count
            folded.append(node)
        return folded

    def base(self, node: str) -> tuple[bool, str]:
        """What the names of inner nodes are counted by: ops and blocks, each for themselves."""
        term = self.terms.get(node)
        return (term.is_call, term.op) if term is not None else (False, CONSTANT)

    def piece(self, node: str, pieces: Mapping[str, Piece]) -> Piece:
        """The node as text; an ``ExpressionError`` if it cannot be."""
        if node in self.constants:
            return self.constants[node]
        term = self.terms[node]
        operands = [
            piece_of_number(x) if not isinstance(x, str) else pieces[x] if x in pieces else piece_of_name(self.name(x))
            for x in term.arguments
        ]
        while operands and term.arguments[len(operands) - 1] is None:
            operands.pop()
        piece = piece_of_op(term.op, operands, term.attributes)
        # An operator takes two characters at least, so that this bounds their number, too.
        if piece.depth > MAX_DEPTH or len(piece.text) > 2 * MAX_OPERATIONS:
            raise ExpressionError("too long or nested too deep")
        return piece

    def name(self, node: str) -> str:
        """What the node is called in the file."""
        if node not in self.result.names:
            is_input = self.graph.node_of(node).kind == INPUT
            self.result.names[node] = node if self.is_name(node, is_input) else self.new_name(node, is_input)
        return self.result.names[node]

    def declared(self, root: str) -> str:
        """What the line of a node is called: of the outputs of an op with several, what stands before the colon."""
        return self.name(root).partition(":")[0]

    def is_name(self, text: str, is_input: bool) -> bool:
        return (
            "." not in text and (":" not in text or text in self.leaders) and not (is_input and text in self.no_inputs)
        )

    def new_name(self, node: str, is_input: bool) -> str:
        base = node.replace(".", "_").replace(":", "_")
        if not self.is_name(base, is_input):
            base += "_"
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def _gather_outputs(self) -> dict[str, str]:
        """The nodes that one line can say, because they are all outputs of one call, under one name; a term is left to
        the first."""
        groups: dict[str, list[str]] = {}
        for name in self.terms:
            if ":" in name and "." not in name:
                groups.setdefault(name.partition(":")[0], []).append(name)
        leaders: dict[str, str] = {}
        for declared, members in groups.items():
            terms = [self.terms[name] for name in members]
            family = self.graph.op_of(members[0]).family
            if family is None or declared in self.graph:
                continue
            expected = {
                f"{declared}:{output}" for output in family.outputs_of(self.graph.node_of(members[0]).attributes)
            }
            calls = {
                (self.graph.op_of(name).family, term.arguments, repr(term.attributes))
                for name, term in zip(members, terms, strict=True)
            }
            if expected == set(members) and len(calls) == 1:
                leaders |= dict.fromkeys(members, members[0])
                for name in members[1:]:
                    del self.terms[name]
                self.terms[members[0]] = replace(terms[0], op=family.name)
        return leaders

    def _find_constant(self, term: Term) -> None:
        """A number on its own, as in ``exp(2.0)``, is a constant ``NAME.constant`` in the graph."""
        first = term.arguments[0] if term.arguments else None
        if term.is_call or not isinstance(first, str) or self.graph.node_of(first).kind != CONSTANT:
            return
        value: np.ndarray = self.graph.node_of(first).value
        alone = not any(isinstance(x, str) for x in term.arguments[1:])
        if "." in first and alone and value.ndim == 0 and value.dtype in (self.graph.dtype, np.dtype(bool)):
            try:
                piece = piece_of_number(value.item())
            except ExpressionError:
                return
            if value.dtype in (np.float32, np.float16):
                text = narrow(value.dtype.type(value))
                piece = Piece(text, piece.precedence, piece.depth, piece.is_number)
            self.constants[first] = piece


def _op_term(graph: Graph, name: str) -> Term:
    op, node = graph.op_of(name), graph.node_of(name)
    return Term(op.name, tuple(graph.arguments(name)), changed(op.attributes, node.attributes))


def _call_term(call: Mapping[str, Any], repeat: int = 0) -> Term:
    attributes = dict(call.get("attributes", {}))
    if call["share"] is not None:
        attributes["share"] = call["share"]
    if repeat:
        attributes["repeat"] = repeat
    return Term(call["block"], tuple(call["inputs"]), attributes, is_call=True)
