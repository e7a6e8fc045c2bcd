"""An explanation as headings, paragraphs, equations and tables, for the writers whose readers see mathematics set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation, PathExplanation, WrtExplanation
from dataflow.explain.factor_texts import formula_of, structure_of
from dataflow.explain.latex_lines import LINE, Equation, Written, aligned_lines, set_width
from dataflow.explain.text import MOST_ENTRIES, at_place, chosen_cost, notes, shortened
from dataflow.support.number_texts import number_text, watched_numbers, without_negligible

MOST_ROWS = 12
MOST_COLUMNS = 10
"""A matrix with more is shortened in its middle; so is one with more columns than fit in a line."""


@dataclass(frozen=True)
class Math:
    """Mathematics within a text."""

    latex: str


Piece: TypeAlias = "str | Math"


def inline(pieces: Sequence[Piece], escaped: Callable[[str], str]) -> str:
    """Texts, escaped, with mathematics between dollar signs."""
    return "".join(f"${piece.latex}$" if isinstance(piece, Math) else escaped(piece) for piece in pieces)


@dataclass(frozen=True)
class Heading:
    """A heading."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Paragraph:
    """A text of its own."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Equations:
    """Lines of an ``align*``."""

    lines: list[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells."""

    rows: list[tuple[tuple[Piece, ...], ...]]
    """The first has the headings."""


Block: TypeAlias = Heading | Paragraph | Equations | Table


def blocks(explanation: Explanation, line: float = LINE) -> list[Block]:
    """The whole explanation; no line of an equation is wider than ``line`` points where its pieces let it."""
    with watched_numbers() as numbers:
        written = list(_blocks(explanation, line))
    return written + [Paragraph((f"Note: {note}",)) for note in notes(explanation, numbers)]


def matrix(array: np.ndarray, room: float = LINE) -> str:
    """A matrix in parentheses; rows and columns in its middle are left out where it would not fit, and where not even
    three columns do, its shape stands for it."""
    rows = without_negligible(np.atleast_2d(array))
    count = rows.shape[1]
    down = shortened(len(rows), MOST_ROWS)
    for most in range(min(MOST_COLUMNS, count), min(3, count) - 1, -1) if rows.size else ():
        text = _matrix(rows, down, shortened(count, most))
        if set_width(text) <= room:
            return text
    return rf"[\,{len(rows)}\times{count}\,]"


def _matrix(rows: np.ndarray, down: Sequence[int | None], across: Sequence[int | None]) -> str:
    def entry(i: int | None, j: int | None) -> str:
        if i is None or j is None:
            return r"\vdots" if j is not None else r"\cdots" if i is not None else ""
        return number(rows[i, j])

    lines = r" \\ ".join(" & ".join(entry(i, j) for j in across) for i in down)
    return rf"\begin{{pmatrix}} {lines} \end{{pmatrix}}"


def number(value: float) -> str:
    """A number with powers of ten."""
    if not np.isfinite(value):
        return r"\mathrm{nan}" if np.isnan(value) else r"\infty" if value > 0 else r"-\infty"
    mantissa, _, exponent = number_text(value).partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


# ------------------------------------------------------------------------------------------------ the blocks


def _blocks(explanation: Explanation, line: float) -> Iterator[Block]:
    value = f" = {number(float(explanation.value))}" if explanation.value.ndim == 0 else ""
    of = Math(explanation.names.latex(explanation.of) + value)
    yield Paragraph((of, f", {at_place(explanation)}."))
    for explained in explanation.explained.values():
        yield from _of_one(explanation, explained, line)
    if len(explanation.wrt) > 1:
        yield from _shared(explanation)
    if explanation.chosen is not None:
        order = _listed(explanation, explanation.chosen.elimination.order)
        yield Paragraph(("In the order ", *order, f": {chosen_cost(explanation.chosen)}."))


def _of_one(explanation: Explanation, explained: WrtExplanation, line: float) -> Iterator[Block]:
    names = explanation.names
    of, wrt = names.latex(explained.of), names.latex(explained.wrt)
    if len(explanation.wrt) > 1:
        yield Heading((Math(names.partial(explained.of, explained.wrt, latex=True, inline=True)),))
    if not explained.path_count:
        yield Paragraph(("There is no path from ", Math(of), " back to ", Math(wrt), ": the gradient is zero."))
        return
    equations: list[Equation] = []
    whole = explanation.partial(explained.wrt, latex=True)
    if explained.paths is None:
        yield Paragraph((f"{explained.path_count} paths lead there, too many to list; by node instead.",))
        for node in explained.nodes[1:]:
            left = explanation.partial(node.node, latex=True)
            terms = [
                f"{explanation.partial(term.factor.of, latex=True)} "
                f"{explanation.partial(term.factor.wrt, term.factor.of, latex=True)}"
                for term in node.terms
            ]
            pieces = [("=" if i == 0 else "+", term) for i, term in enumerate(terms)]
            equations.append(Equation(left, [*pieces, ("=", _fitting(node.cotangent))]))
    else:
        for path in explained.paths:
            equations += _of_path(explanation, explained, path)
        if len(explained.paths) > 1:
            product = _fitting(explained.product)
            equations.append(Equation(whole, [("=", product)], "(the sum over the paths)"))
    total = of if len(explained.product) == 1 else rf"\textstyle\sum {of}"
    left = rf"\nabla_{{{wrt}}}\, {total}"
    equations.append(Equation(left, [("=", _fitting(explained.gradient_matrix))]))
    yield Equations(aligned_lines(equations, line))
    counts = explained.multiplications
    if counts is not None:
        costs = (
            f"Multiplications, dense, for one example: {counts.reverse:,} from the left (reverse), "
            f"{counts.forward:,} from the right (forward), {counts.best:,} in the best order known; "
            f"{counts.with_structure:,} with structure."
        )
        yield Paragraph((costs,))


def _of_path(explanation: Explanation, explained: WrtExplanation, path: PathExplanation) -> Iterator[Equation]:
    def partial(of: str, wrt: str) -> str:
        return explanation.partial(wrt, of, latex=True)

    whole = partial(explained.of, explained.wrt)
    if not path.factors:
        yield Equation(whole, [("=", _fitting(explained.product))])
        return
    product = [partial(factor.of, factor.wrt) for factor in path.factors]
    if len(product) > 1:
        yield Equation(whole, [("=" if i == 0 else r"\cdot", piece) for i, piece in enumerate(product)])
    for i, (factor, partial_product) in enumerate(zip(path.factors, path.partials, strict=True)):
        left = partial(factor.of, factor.wrt)
        formula = formula_of(factor, explanation)
        steps: list[tuple[str, Written]] = [("=", formula.latex)] if formula is not None else []
        what = structure_of(factor, formula) if formula is not None else f"{factor.op}, {factor.structure}"
        yield Equation(left, [*steps, ("=", _value(factor))], f"({what})")
        if i:
            left = partial(explained.of, factor.wrt)
            yield Equation(left, [("=", _fitting(partial_product))])


def _value(factor: Factor) -> Written:
    rows, columns = factor.shape
    return _fitting(factor.jacobian.dense()) if rows * columns <= MOST_ENTRIES else rf"[\,{rows}\times{columns}\,]"


def _fitting(array: np.ndarray) -> Callable[[float], str]:
    return lambda room: matrix(array, room)


def _shared(explanation: Explanation) -> Iterator[Block]:
    yield Heading(("What the derivatives share",))
    rows: list[tuple[tuple[Piece, ...], ...]] = [(("factor",), ("on the way to",))]
    for (of, wrt, _), users in explanation.shared_with.items():
        rows.append(((Math(explanation.partial(wrt, of, latex=True)),), _listed(explanation, users)))
    yield Table(rows)
    costs = (
        f"Multiplications for all of them: {explanation.separate:,} each by itself, {explanation.shared:,} with common "
        "prefixes computed once."
    )
    yield Paragraph((costs,))


def _listed(explanation: Explanation, names: Sequence[str]) -> tuple[Piece, ...]:
    return with_commas(map(explanation.names.latex, names))


def with_commas(latex: Iterable[str]) -> tuple[Piece, ...]:
    """Pieces of mathematics with commas between them."""
    return tuple(piece for one in latex for piece in (", ", Math(one)))[1:]
