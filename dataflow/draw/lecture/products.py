"""The products below a picture: each gradient as its factors, what it shares with others marked, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dataflow.draw.lecture.board_numbers import (
    COLUMNS,
    ROWS,
    jacobian_lines,
    latex_of_numbers,
    matrix_lines,
    matrix_text,
    one_line,
    times,
)
from dataflow.draw.picture.picture import Caption, Mark, Part
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.counts import separate_count, shared_count
from dataflow.notation.formulas import local_formula
from dataflow.notation.names import Names
from dataflow.support.number_texts import without_negligible

MOST_PRODUCTS = 6
"""Unless gradients are asked for, no products are written out where there are more of them."""
MOST_PATHS = 3
"""A product of more paths is not written out."""


def captions(
    chain: Chain, edges_of: Mapping[str, Sequence[Edge]], asked: Sequence[str], names: Names, *, numbers: bool
) -> tuple[Caption, ...]:
    """A line for each gradient that is asked for, or for each if they are few."""
    listed = [name for name in edges_of if name in asked or (not asked and len(edges_of) <= MOST_PRODUCTS)]
    writer = _Writer(chain, edges_of, names, numbers=numbers)
    lines = [Caption(tuple(writer.parts(name, is_asked=bool(asked))), name) for name in listed]
    lines = [line for line in lines if len(line.parts) > 1]
    return (*lines, *counts(chain, edges_of, asked)) if lines else ()


def counts(chain: Chain, edges_of: Mapping[str, Sequence[Edge]], asked: Sequence[str]) -> Iterator[Caption]:
    """What it saves to compute once what several gradients share; as an explanation counts it, for one example."""
    edges = {name: edges_of[name] for name in asked if name in edges_of}
    if len(edges) > 1:
        separate = sum(separate_count(chain, edges_of_one, name) for name, edges_of_one in edges.items())
        shared = shared_count(chain, list(dict.fromkeys(edge for each in edges.values() for edge in each)))
        if separate > shared:
            text = f"multiplications: {separate:,} separately, {shared:,} shared"
            yield Caption((Part(""), Part(text, rf"\text{{{text}}}")))


class _Writer:
    def __init__(self, chain: Chain, edges_of: Mapping[str, Sequence[Edge]], names: Names, *, numbers: bool) -> None:
        self.chain, self.names, self.numbers = chain, names, numbers
        self.edges_of = edges_of
        self.users: dict[Edge, int] = {}
        for edges in edges_of.values():
            for edge in edges:
                self.users[edge] = self.users.get(edge, 0) + 1

    def parts(self, wrt: str, *, is_asked: bool) -> Iterator[Part]:
        of = self.chain.of
        yield replace(self.partial(of, wrt), factor=None)
        if self.chain.path_count(wrt) > MOST_PATHS:
            yield _plain(f" is the sum over {self.chain.path_count(wrt):,} paths")
        else:
            paths = self.chain.paths(wrt) or []
            if paths != [[(of, wrt, None)]]:  # a product of one factor says nothing new
                yield from self.symbols(paths, is_asked=is_asked)
            yield from self.factors(paths) if self.numbers else self.formulas(paths)
        if self.numbers:
            yield from self.result(wrt)

    def partial(self, of: str, wrt: str, mark: Mark = Mark.NONE) -> Part:
        return Part(self.names.partial(of, wrt), self.names.partial(of, wrt, latex=True, inline=True), mark, (of, wrt))

    def symbols(self, paths: Sequence[Sequence[Edge]], *, is_asked: bool) -> Iterator[Part]:
        for i, path in enumerate(paths):
            yield _plain(" + " if i else " = ")
            for j, edge in enumerate(path):
                if j:
                    yield _plain(" · ")
                shared = self.users[edge] > 1
                mark = Mark.SHARED if shared else Mark.PATH if is_asked else Mark.NONE
                yield self.partial(*edge[:2], mark)

    def formulas(self, paths: Sequence[Sequence[Edge]]) -> Iterator[Part]:
        """The factors as formulas, where all of them have one."""
        graph = self.chain.graph
        written = {edge: local_formula(graph, edge[0], edge[1], self.names) for path in paths for edge in path}
        if len(paths) > 1 or any(formula is None for formula in written.values()):
            return
        factors = {edge: f for edge, f in written.items() if f is not None and f.text not in ("1", "I")} or written
        for i, (edge, formula) in enumerate(factors.items()):
            assert formula is not None
            yield _plain(" · " if i else " = ")
            is_sum = len(factors) > 1 and any(sign in formula.text for sign in (" + ", " − ", " ⊗ "))
            text, latex = (f"({x})" if is_sum else x for x in (formula.text, formula.latex))
            yield Part(text, latex, factor=edge[:2])

    def factors(self, paths: Sequence[Sequence[Edge]]) -> Iterator[Part]:
        if len(paths) == 1 and len(paths[0]) < 2:
            return
        for i, path in enumerate(paths):
            yield _plain(" + " if i else " = ")
            for j, edge in enumerate(path):
                if j:
                    yield _plain(" · ")
                text = one_line(jacobian_lines(self.chain.factor(*edge).jacobian))
                text = f"({text})" if " ⊗ " in text or (j and text.startswith("−")) else text
                yield Part(text, latex_of_numbers(text), factor=edge[:2], is_result=True)

    def result(self, wrt: str) -> Iterator[Part]:
        """The gradient in the shape of the wrt; of a node with several entries the Jacobian."""
        value = self.chain.values[wrt]
        product = without_negligible(self.product(wrt))
        if len(product) > 1:
            text, sign = matrix_text(product) or f"{times(product.shape)} matrix", " = "
        else:
            shape = value.shape[1:] if value.ndim and len(value) == 1 and self.chain.is_by_example(wrt) else value.shape
            gradient = product.reshape(shape) if len(shape) <= 2 else product
            one_row = gradient.reshape(1, -1) if gradient.ndim < 2 else gradient
            is_matrix = gradient.ndim == 2 and gradient.size > 1
            numbers = _written(gradient) if is_matrix else matrix_text(one_row)
            text, sign = numbers or f"{times(value.shape)} numbers", " → " if is_matrix else " = "
        yield replace(_plain(sign), is_result=True)
        yield Part(text, latex_of_numbers(text), is_result=True)

    def product(self, wrt: str) -> np.ndarray:
        rows = self.chain.values[self.chain.of].size
        cotangents = {self.chain.of: np.eye(rows)}
        with np.errstate(all="ignore"):
            for of, source, argument in self.edges_of[wrt]:
                term = self.chain.factor(of, source, argument).jacobian.left(cotangents[of])
                cotangents[source] = cotangents[source] + term if source in cotangents else term
        return cotangents[wrt]


def _written(matrix: np.ndarray) -> str | None:
    """With its double brackets, also where it is a row or a column."""
    return one_line(matrix_lines(matrix)) if matrix.shape[0] <= ROWS and matrix.shape[1] <= COLUMNS else None


def _plain(text: str) -> Part:
    return Part(text, latex_of_numbers(text.replace(" ", "\\ ")) if text.strip() in "=+·→" else "")
