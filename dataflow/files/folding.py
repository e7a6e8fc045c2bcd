"""From a graph back to declared nodes: which inner nodes go back into whose expression, and what the rest is called.

Reading ``h = "relu(x @ W)"`` gives the nodes ``h.matmul`` and ``h``. So an inner node goes back into the expression of
the node that its name begins with if it is used there and nowhere else, and if reading would give it that very name
again. What does not go back gets a line of its own, under a name without dots.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from dataflow.attributes import plain
from dataflow.errors import ExpressionError
from dataflow.files.nodes import MAX_OPERATIONS, sort
from dataflow.files.toml_values import float32
from dataflow.graph import CONSTANT, INPUT, OP, Graph
from dataflow.render import Piece, piece_of_name, piece_of_number, piece_of_op
from dataflow.tokens import MAX_DEPTH

Argument: TypeAlias = "str | int | float | bool | None"

NO_NAMES = ("True", "False", "None")
NO_INPUTS = ("file", "columns", "one_hot", "scale")


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


def fold(graph: Graph, pinned: Collection[str], *, with_calls: bool) -> Folded:
    """``pinned`` are nodes that need lines of their own, such as outputs. ``with_calls`` writes calls of blocks as
    calls; otherwise the nodes inside are written like all others."""
    return _Folding(graph, pinned, with_calls).run()


class _Folding:
    def __init__(self, graph: Graph, pinned: Collection[str], with_calls: bool) -> None:
        self.graph = graph
        self.terms: dict[str, Term] = {}
        self.constants: dict[str, Piece] = {}  # plain numbers that the graph has as nodes
        calls = graph.graph.get("calls", {}) if with_calls else {}
        for name, data in graph.nodes(data=True):
            if name in calls and data["block"] == name and _is_outermost(name, calls, graph):
                self.terms[name] = _call_term(calls[name])
            elif data["kind"] == OP and (not with_calls or data["block"] is None):
                self.terms[name] = _op_term(graph, name)
        self.visible = [
            name
            for name, data in graph.nodes(data=True)
            if name in self.terms or (data["kind"] != OP and (not with_calls or data["block"] is None))
        ]
        uses: dict[str, int] = {}
        for name, term in self.terms.items():
            for argument in term.arguments:
                if isinstance(argument, str):
                    uses[argument] = uses.get(argument, 0) + 1
            self._find_constant(name, term)
        self.inner = {name for name, count in uses.items() if count == 1 and "." in name and name not in pinned}
        self.inner &= self.terms.keys() | self.constants.keys()
        self.result = Folded()
        self.taken = {name for name in graph if "." not in name}
        self.given: set[str] = set()

    def run(self) -> Folded:
        lines: dict[str, Line] = {}
        for name in reversed(self.graph.schedule()):  # what uses a node comes before it
            if name in self.terms and name not in self.result.folded:
                lines[name] = self.line(name)
        order, _ = sort({name: self.needs(name, lines) for name in self.visible if name in lines})
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
                if argument in lines:
                    found.append(str(argument))
                elif argument in self.result.folded and argument in self.terms:
                    frontier.append(str(argument))
        return found

    def line(self, root: str) -> Line:
        """The expression of a node, with as many inner nodes as possible, else with none, else the long form."""
        name = self.name(root)
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
        prefix = root + "."
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
            is_input = self.graph.nodes[node]["kind"] == INPUT
            self.result.names[node] = node if self.is_name(node, is_input) else self.new_name(node, is_input)
        return self.result.names[node]

    @staticmethod
    def is_name(text: str, is_input: bool) -> bool:
        normal = text.isascii() or unicodedata.normalize("NFKC", text) == text
        return text.isidentifier() and normal and text not in NO_NAMES and not (is_input and text in NO_INPUTS)

    def new_name(self, node: str, is_input: bool) -> str:
        base = unicodedata.normalize("NFKC", node.replace(".", "_"))
        if not self.is_name(base, is_input):
            base += "_"
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def _find_constant(self, name: str, term: Term) -> None:
        """A number on its own, as in ``exp(2.0)``, is a constant ``NAME.constant`` in the graph."""
        first = term.arguments[0] if term.arguments else None
        if term.is_call or not isinstance(first, str) or self.graph.nodes[first]["kind"] != CONSTANT:
            return
        value: np.ndarray = self.graph.nodes[first]["value"]
        alone = not any(isinstance(x, str) for x in term.arguments[1:])
        if "." in first and alone and value.ndim == 0 and value.dtype in (self.graph.dtype, np.dtype(bool)):
            try:
                piece = piece_of_number(value.item())
            except ExpressionError:
                return
            if value.dtype == np.float32:
                text = float32(np.float32(value))
                piece = Piece(text, piece.precedence, piece.depth, piece.is_number)
            self.constants[first] = piece


def _op_term(graph: Graph, name: str) -> Term:
    op, data = graph.op_of(name), graph.nodes[name]
    given = {}
    for key, value in data["attributes"].items():
        attribute = op.attributes[key]
        if attribute.required or not _same(plain(value), plain(attribute.default)):
            given[key] = value
    return Term(op.name, tuple(graph.arguments(name)), given)


def _call_term(call: Mapping[str, Any]) -> Term:
    attributes = {} if call["share"] is None else {"share": call["share"]}
    return Term(call["block"], tuple(call["inputs"]), attributes, is_call=True)


def _same(a: Any, b: Any) -> bool:
    return bool(type(a) is type(b) and a == b)


def _is_outermost(path: str, calls: Mapping[str, Any], graph: Graph) -> bool:
    """Whether a call stands in a node of the file itself, not in a block."""
    head = path
    while "." in head:
        head = head.rpartition(".")[0]
        if head in calls:
            block = graph.graph["blocks"].get(calls[head]["block"], {})
            if path[len(head) + 1 :].partition(".")[0] in block.get("nodes", {}):
                return False
    return True
