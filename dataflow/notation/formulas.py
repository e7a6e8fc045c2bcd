"""Formulas of a graph, in Unicode and in LaTeX: what a node is, a factor of the chain rule, a gradient.

A formula is written for rows as they are in the arrays: the rows of a batch are its examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dataflow.autodiff.reverse import gradient_graph
from dataflow.errors import DataflowError
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, OP
from dataflow.graph.value import Value
from dataflow.notation.local_jacobians import Factor, jacobian_of
from dataflow.notation.names import Names, is_inner
from dataflow.notation.rewrite_rules import simplify
from dataflow.notation.terms import Leaf, Term, apply
from dataflow.notation.write_formula import Writer
from dataflow.shapes import TensorSpec
from dataflow.support.number_texts import without_point

MOST_NODES = 40
"""A formula of more nodes than this is not written out."""


@dataclass(frozen=True)
class Formula:
    """One formula, as text and for LaTeX's mathematical mode."""

    text: str
    latex: str


def forward_formula(graph: Graph, node: str, names: Names) -> Formula:
    """The expression of a node that the file names, with its inner nodes written out; the name of an input, a
    parameter or a constant, and of a node whose expression is too long."""
    inside = inner_nodes(graph, node)
    if graph.node_of(node).kind != OP or len(inside) > MOST_NODES:
        return Formula(names.text(node), names.latex(node))
    return written(term_of(graph, node, inside, name_leaf(names)), names)


def local_formula(graph: Graph, of: str, wrt: str, names: Names) -> Formula | None:
    """The local Jacobian ∂of/∂wrt of one factor, for one example; ``None`` where there is none that is short."""
    factor = local_factor(graph, of, wrt, names)
    return None if factor is None else Formula(factor.piece.signed().text, factor.piece.signed().latex)


def local_factor(graph: Graph, of: str, wrt: str, names: Names) -> Factor | None:
    """The same as a matrix, which can be computed."""
    inside = inner_nodes(graph, of)
    if graph.node_of(of).kind != OP or len(inside) > MOST_NODES:
        return None
    try:
        term = cotangent_term(graph, of, wrt, inside, names)
        return jacobian_of(term, COTANGENT, graph.node_of(of).shape, Writer(names.batch))
    except DataflowError:
        return None


# ------------------------------------------------------------------------------------------------ parts of a graph


def is_named(graph: Graph, name: str) -> bool:
    """Whether the file names a node, or it is no op; the others are inside an expression."""
    return graph.node_of(name).kind != OP or not is_inner(graph, name)


def inner_nodes(graph: Graph, node: str) -> list[str]:
    """A node and those inside its expression, in topological order."""
    return _between(graph, node, lambda name: is_named(graph, name))


def _between(graph: Graph, main: str, is_end: Callable[[str], bool]) -> list[str]:
    """``main`` and what it is computed from, up to the ends, which are left out, in topological order."""
    order: dict[str, None] = {}
    waiting = [(main, False)]
    while waiting and len(order) <= MOST_NODES:
        name, is_done = waiting.pop()
        if is_done:
            order[name] = None
        elif name not in order:
            waiting.append((name, True))
            waiting += [
                (source, False)
                for source in graph.arguments(name)
                if isinstance(source, str) and source not in order and not is_end(source)
            ]
    return list(order)


# ------------------------------------------------------------------------------------------------ terms of a graph


def term_of(graph: Graph, main: str, members: Iterable[str], leaf: Callable[[str, Any], Any]) -> Any:
    """The simplified term, or number, of ``main`` through ``members``, in topological order. ``leaf(name, spec)`` is
    what stands for other nodes."""
    terms: dict[str, Any] = {}

    def argument(source: Any) -> Any:
        if not isinstance(source, str):
            return source
        if source not in terms:
            terms[source] = leaf(source, graph.spec(source))
        return terms[source]

    for name in members:
        node = graph.node_of(name)
        if node.kind == CONSTANT and node.value is not None and node.value.ndim == 0:
            terms[name] = without_point(node.value.item())
        elif node.kind != OP:
            argument(name)
        else:
            op = graph.op_of(name)
            terms[name] = apply(op, [argument(source) for source in graph.arguments(name)], node.attributes)
    return simplify(terms[main])


def written(term: Any, names: Names) -> Formula:
    """A term as a formula."""
    piece = Writer(names.batch).matrix(term).signed()
    return Formula(piece.text, piece.latex)


def name_leaf(names: Names, called: Callable[[str], str] = str) -> Callable[[str, Any], Term]:
    """What stands for a node: the symbol of what it is called, its own name unless ``called`` says otherwise."""

    def leaf(name: str, spec: Any) -> Term:
        symbol = names.symbol(called(name))
        return Term(
            spec=spec,
            leaf=Leaf(
                name,
                symbol.as_text,
                symbol.as_latex,
                symbol.is_letter,
                at=lambda place: (symbol.at(place).as_text, symbol.at(place).as_latex),
            ),
        )

    return leaf


def partial_leaf(spec: TensorSpec, holder: str, of: str, wrt: str, names: Names, *, total: bool) -> Term:
    """∂of/∂wrt as a leaf."""

    def set_as(wrt_text: str, wrt_latex: str) -> tuple[str, str]:
        return names.fraction(of, wrt_text, total=total), names.fraction(of, wrt_latex, total=total, latex=True)

    def at(place: Sequence[int]) -> tuple[str, str]:
        symbol = names.symbol(wrt).at(place)
        return set_as(symbol.as_text, symbol.as_latex)

    text, latex = set_as(names.text(wrt), names.latex(wrt))
    return Term(spec=spec, leaf=Leaf(holder, text, latex, is_fraction=True, at=at))


COTANGENT = "\u0000"
"""The key of the leaf that stands for the cotangent of ``of`` while a local Jacobian is found."""


def cotangent_term(graph: Graph, of: str, wrt: str, inside: Sequence[str], names: Names) -> Any:
    """What ``wrt`` gets of a cotangent of ``of`` through ``inside``, as a term in the leaf ``COTANGENT``."""
    cut = Graph("local")
    values: dict[str, Value] = {}
    known: dict[str, str] = {}
    for name in inside:
        arguments = []
        for source in graph.arguments(name):
            if isinstance(source, str) and source not in values:
                spec = graph.spec(source)
                node = graph.node_of(source)
                if node.kind == CONSTANT and source not in names.graph:
                    values[source] = cut.constant(f"a{len(values)}", node.value)
                else:
                    values[source] = cut.input(f"a{len(values)}", spec.shape, spec.dtype)
                    known[values[source].name] = source
            arguments.append(values[source] if isinstance(source, str) else source)
        values[name] = cut.apply(graph.op_of(name), arguments, graph.node_of(name).attributes)
    if wrt not in values:
        raise DataflowError(f"'{of}' does not use '{wrt}'")
    known[values[of].name] = of
    gradient = gradient_graph(cut, values[of].name, [values[wrt].name])
    if values[wrt].name not in gradient.cotangents:
        raise DataflowError(f"the derivative of '{of}' by '{wrt}' is zero")
    start, main = gradient.cotangents[values[of].name], gradient.cotangents[values[wrt].name]
    named = name_leaf(names)

    def leaf(source: str, spec: Any) -> Any:
        if source == start:
            return Term(spec=spec, leaf=Leaf(COTANGENT, "δ", r"\delta"))
        if source not in known:
            raise DataflowError(f"the derivative of '{of}' by '{wrt}' has an array of its own")
        return named(known[source], spec)

    members = _between(gradient.graph, main, lambda name: name == start or name in known)
    if len(members) > MOST_NODES:
        raise DataflowError(f"the derivative of '{of}' by '{wrt}' is too long to be written down")
    if main == start:
        return leaf(start, gradient.graph.spec(start))
    return term_of(gradient.graph, main, members, leaf)
