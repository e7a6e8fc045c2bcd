"""What stands in a node: its name, its expression, its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.attributes import plain as plain_value
from dataflow.draw.calls import own_name, summary
from dataflow.draw.notation import partial, plain
from dataflow.draw.picture import Line, Role
from dataflow.errors import DataflowError
from dataflow.graph import CONSTANT, OP, Graph
from dataflow.parser import POSTFIX, PRODUCT
from dataflow.render import Piece, piece_of_number, piece_of_op

WIDTH = 34
WIDEST = 48
"""A line may be so long for a name that would not fit otherwise."""
LINES = 4
MOST_NODES = 24
"""An expression of more nodes than this is summed up."""
MOST_PARTIALS = 3
ROWS, COLUMNS = 4, 4
SPACE = "\u00a0"


def expression_lines(text: str) -> list[Line]:
    """An expression on as many lines as it takes, or nothing if it takes too many."""
    lines = list(_wrapped(text))
    return [Line(Role.EXPRESSION, line) for line in lines] if len(lines) <= LINES else []


def one_line(lines: Iterable[str]) -> str:
    """An expression whose lines these are."""
    return " ".join(lines).replace("( ", "(")


def _wrapped(text: str) -> Iterator[str]:
    """The text broken at its spaces and before the arguments of a call, never within a name."""
    line = ""
    for word in re.findall(r"\s*(?:\S*?\w\((?=[^\W\d]|∂)|\S+)", text):
        if line and len(line) + len(word) > (WIDTH if len(line) <= WIDTH else WIDEST):
            yield line
            line = ""
        line += word if line else plain(word.lstrip(), WIDEST)
    if line:
        yield line


def partial_lines(of: str, names: Sequence[str]) -> list[Line]:
    """∂of/∂name for each of the names whose cotangent a node is."""
    shown = names[:MOST_PARTIALS]
    lines = []
    for i, name in enumerate(shown):
        more = " =" if i + 1 < len(shown) else f" = … ({len(names)} in all)" if len(names) > len(shown) else ""
        lines.append(Line(Role.PARTIAL, partial(of, name) + more, ((of, name),)))
    return lines


def expression(
    graph: Graph,
    main: str,
    members: Sequence[str],
    path: str | None,
    atoms: Mapping[str, Piece],
    names: Mapping[str, str],
) -> str:
    """The expression of ``main`` through ``members``, the nodes that were folded into it (in topological order).
    ``names`` are those of a block's inputs, ``atoms`` what else is not called by its name."""
    ops = [str(graph.nodes[name]["op"]) for name in members if graph.nodes[name]["kind"] == OP]
    if len(members) > MOST_NODES:
        return summary(ops)
    try:
        text = _piece(graph, main, members, path, atoms, names).text
    except DataflowError:
        return summary(ops)
    return plain(text, WIDEST * LINES) if expression_lines(text) else summary(ops)


def piece_of(
    graph: Graph,
    main: str,
    members: Sequence[str],
    path: str | None,
    atoms: Mapping[str, Piece],
    names: Mapping[str, str],
) -> Piece:
    """The same as part of another expression: the node's name, where its own is long."""
    try:
        found = _piece(graph, main, members[-MOST_NODES:], path, atoms, names)
    except (DataflowError, KeyError):
        return Piece(main, POSTFIX)
    return found if len(found.text) <= WIDTH else Piece(plain(main, 40), POSTFIX)


def _piece(
    graph: Graph,
    main: str,
    members: Sequence[str],
    path: str | None,
    atoms: Mapping[str, Piece],
    names: Mapping[str, str],
) -> Piece:
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
        if graph.nodes[name]["kind"] == CONSTANT:
            pieces[name] = _constant(graph.nodes[name]["value"])
            continue
        arguments = [piece(argument) for argument in graph.arguments(name)]
        while arguments and arguments[-1].text == "None":
            arguments.pop()
        found = piece_of_op(graph.nodes[name]["op"], arguments, _attributes(graph, name))
        twice = found.text.endswith(".T.T")  # transposed and back
        pieces[name] = Piece(found.text[:-4], POSTFIX, found.depth) if twice else found
    return pieces[main]


def atom_of_partial(of: str, name: str) -> Piece:
    """A cotangent as part of an expression."""
    return Piece(partial(of, name), PRODUCT)


def value_lines(value: np.ndarray) -> list[Line]:
    """The numbers; of a large array, those at its corners."""
    if value.ndim == 0:
        return [Line(Role.VALUE, f"= {_number(value[()], 6)}")]
    if value.size == 0:
        return [Line(Role.VALUE, "= [] (empty)")]
    if value.ndim == 1:
        return [Line(Role.VALUE, f"= {_row(value)}")]
    if value.ndim == 2:
        rows = [_row(row) for row in (value if len(value) <= ROWS else value[: ROWS - 1])]
        rows += [f"… {len(value):,} rows"] if len(value) > ROWS else []
        # spaces in place of the outer brackets, so that rows that are centred stand under each other
        last = len(rows) - 1
        texts = [f"{SPACE if i else '['}{row}{SPACE if i < last else ']'}" for i, row in enumerate(rows)]
        return [Line(Role.VALUE, text) for text in texts]
    low, high = (_number(bound, 4) for bound in (value.min(), value.max()))
    return [Line(Role.VALUE, f"{value.size:,} numbers from {low} to {high}")]


def _row(row: np.ndarray) -> str:
    shown = [_number(x, 4) for x in (row if len(row) <= COLUMNS else row[: COLUMNS - 1])]
    return "[" + ", ".join(shown + (["…"] if len(row) > COLUMNS else [])) + "]"


def _number(value: Any, digits: int) -> str:
    if isinstance(value, np.bool_):
        return str(bool(value))
    if isinstance(value, np.integer):
        return str(int(value))
    return f"{float(value) + 0.0:.{digits}g}"  # no -0


def _constant(value: np.ndarray) -> Piece:
    if value.ndim == 0:
        number = value.item()
        return piece_of_number(int(number) if isinstance(number, float) and number.is_integer() else number)
    text = _row(value) if value.ndim == 1 else f"[{'×'.join(map(str, value.shape))} numbers]"
    return Piece(text, POSTFIX)


def _attributes(graph: Graph, name: str) -> dict[str, Any]:
    op = graph.op_of(name)
    given = {}
    for key, value in graph.nodes[name]["attributes"].items():
        attribute = op.attributes[key]
        if attribute.required or repr(plain_value(value)) != repr(plain_value(attribute.default)):
            given[key] = value
    return given
