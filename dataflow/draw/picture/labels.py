"""Write what stands in a node: its name, its expression, its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from dataflow.draw.picture.aligned import SPACE, align_rows
from dataflow.draw.picture.calls import summary
from dataflow.draw.picture.picture import Line, Picture, Role
from dataflow.errors import DataflowError
from dataflow.expressions.parser import POSTFIX, PRODUCT
from dataflow.expressions.render import Piece, piece_of_number, piece_of_op
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, OP
from dataflow.notation.letters import plain
from dataflow.notation.names import Names, own_name
from dataflow.operations.attributes import changed
from dataflow.support.number_texts import number_text, without_negligible, without_point

WIDTH = 34
WIDEST = 48
"""The longest line, for a name that would not fit otherwise."""
LINES = 4
MOST_NODES = 24
"""An expression of more nodes than this is summarized by its ops."""
MOST_PARTIALS = 3
ROWS, COLUMNS = 4, 4


def expression_lines(text: str) -> list[Line]:
    """An expression on as many lines as it needs, or nothing if it needs too many."""
    lines = list(_wrap(text, WIDTH))
    return [Line(Role.EXPRESSION, line) for line in lines] if len(lines) <= LINES else []


def one_line(lines: Iterable[str]) -> str:
    """An expression whose lines these are."""
    return " ".join(lines).replace("( ", "(")


def wrapped(picture: Picture, width: int) -> Picture:
    """The picture with its expressions broken into lines of at most ``width`` characters, where they can be."""
    return replace(
        picture, nodes=tuple(replace(node, lines=tuple(_wrap_lines(node.lines, width))) for node in picture.nodes)
    )


def _wrap_lines(lines: Iterable[Line], width: int) -> Iterator[Line]:
    for role, group in groupby(lines, key=lambda line: line.role):
        members = list(group)
        if role == Role.EXPRESSION and max(len(line.text) for line in members) > width:
            members = [Line(role, text) for text in _wrap(one_line(line.text for line in members), width, width)]
        yield from members


def broken(text: str, width: int) -> list[str]:
    """A formula in lines of at most ``width`` characters, where it can be broken."""
    return list(_wrap(text, width, width))


def _wrap(text: str, width: int, widest: int = WIDEST) -> Iterator[str]:
    """The text broken at its spaces and before the arguments of a call, never within a name or a condition. A line that
    one name makes longer than ``width`` takes more words, up to ``widest``."""
    line = ""
    for word in re.findall(r"\s*(?:\S*?\w\((?=[^\W\d]|∂)|1\[[^][]*\]\S*|\S+)", text):
        if line and len(line) + len(word) > (width if len(line) <= width else widest):
            yield line
            line = ""
        line += word if line else plain(word.lstrip(), WIDEST)
    if line:
        yield line


def partial_lines(of: str, wrts: Sequence[str], names: Names, *, total: bool) -> list[Line]:
    """∂of/∂wrt for each of those whose cotangent a node is."""
    shown = wrts[:MOST_PARTIALS]
    lines = []
    for i, wrt in enumerate(shown):
        more, more_latex = (" =", " =") if i + 1 < len(shown) else ("", "")
        if i + 1 == len(shown) < len(wrts):
            count = f"({len(wrts)} in all)"
            more, more_latex = f" = … {count}", rf" = \dots\text{{ {count}}}"
        text = names.partial(of, wrt, total=total)
        latex = names.partial(of, wrt, total=total, latex=True, inline=True)
        lines.append(Line(Role.PARTIAL, text + more, latex + more_latex))
    return lines


class Words(NamedTuple):
    """How an expression in the call of a block at ``path`` calls other nodes: ``names`` are those of the block's
    inputs, ``atoms`` the nodes that are not written by their names."""

    path: str | None
    atoms: Mapping[str, Piece] = {}
    names: Mapping[str, str] = {}


def expression(graph: Graph, main: str, members: Sequence[str], words: Words) -> str:
    """The expression of ``main`` through ``members``, the nodes that were folded into it (in topological order)."""
    ops = [str(graph.node_of(name).op) for name in members if graph.node_of(name).kind == OP]
    if len(members) > MOST_NODES:
        return summary(ops)
    try:
        text = _piece(graph, main, members, words).text
    except DataflowError:
        return summary(ops)
    return plain(text, WIDEST * LINES) if expression_lines(text) else summary(ops)


def piece_of(graph: Graph, main: str, members: Sequence[str], words: Words) -> Piece:
    """The same as part of another expression: the node's name, where its own is long."""
    try:
        piece = _piece(graph, main, members[-MOST_NODES:], words)
    except (DataflowError, KeyError):
        return Piece(main, POSTFIX)
    return piece if len(piece.text) <= WIDTH else Piece(plain(main, 40), POSTFIX)


def _piece(graph: Graph, main: str, members: Sequence[str], words: Words) -> Piece:
    path, atoms, names = words
    inside = set(members)
    pieces: dict[str, Piece] = {}

    def piece(argument: Any) -> Piece:
        if not isinstance(argument, str):
            return piece_of_number(argument)
        if argument in inside:
            return pieces[argument]
        if argument in atoms:
            return atoms[argument]
        return Piece(plain(names.get(argument) or own_name(argument, path) or argument, 40), POSTFIX)

    for name in members:
        if graph.node_of(name).kind == CONSTANT:
            pieces[name] = _constant(graph.node_of(name).value)
            continue
        arguments = [piece(argument) for argument in graph.arguments(name)]
        while arguments and arguments[-1].text == "None":
            arguments.pop()
        attributes = changed(graph.op_of(name).attributes, graph.node_of(name).attributes)
        rendered = piece_of_op(graph.node_of(name).op, arguments, attributes)
        twice = rendered.text.endswith(".T.T")  # transposed and back
        pieces[name] = Piece(rendered.text[:-4], POSTFIX, rendered.depth) if twice else rendered
    return pieces[main]


def atom_of_partial(text: str) -> Piece:
    """A cotangent as part of an expression."""
    return Piece(text, PRODUCT)


def value_lines(value: np.ndarray) -> list[Line]:
    """The numbers; of a large array, those at its corners."""
    value = without_negligible(value)
    if value.ndim == 0:
        return [Line(Role.VALUE, f"= {number_text(value[()], 6)}")]
    if value.size == 0:
        return [Line(Role.VALUE, "= [] (empty)")]
    if value.ndim == 1:
        return [Line(Role.VALUE, f"= {_row(value)}")]
    if value.ndim == 2:
        shown = value if len(value) <= ROWS else value[: ROWS - 1]
        is_cut = len(shown) < len(value)
        # spaces in place of the outer brackets, so that rows that are centred stand under each other
        closings = [f"]{SPACE}"] * (len(shown) - 1) + [f"]{SPACE}" if is_cut else "]]"]
        rows = align_rows([_cells(row) for row in shown], closings)
        texts = [f"{SPACE if i else '['}[{row}" for i, row in enumerate(rows)]
        texts += [f"{SPACE}… {len(value):,} rows]"] if is_cut else []
        return [Line(Role.VALUE, text) for text in texts]
    low, high = (number_text(bound, 4) for bound in (value.min(), value.max()))
    return [Line(Role.VALUE, f"{value.size:,} numbers from {low} to {high}")]


def _row(row: np.ndarray) -> str:
    return f"[{', '.join(_cells(row))}]"


def _cells(row: np.ndarray) -> list[str]:
    shown = [number_text(x, 4) for x in (row if len(row) <= COLUMNS else row[: COLUMNS - 1])]
    return shown + (["…"] if len(row) > COLUMNS else [])


def _constant(value: np.ndarray) -> Piece:
    if value.ndim == 0:
        return piece_of_number(without_point(value.item()))
    text = _row(value) if value.ndim == 1 else f"[{'×'.join(map(str, value.shape))} numbers]"
    return Piece(text, POSTFIX)
