"""Local Jacobians as formulas: what multiplies a cotangent in an op's derivative, as a product of matrices.

Rows are the entries of the result, columns those of the argument, for one example of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dataflow.notation.pieces import ATOM, PRODUCT, SUM, Piece, beside, joined
from dataflow.notation.rewrite_rules import simplify
from dataflow.notation.terms import Leaf, Term, apply, evaluate, leaves
from dataflow.notation.write_formula import Writer
from dataflow.operations.engine_ops import (
    add,
    broadcast_to,
    cast,
    divide,
    expand_dims,
    identity,
    matmul,
    multiply,
    negative,
    reshape,
    stack,
    subtract,
    sum_to,
    transpose,
)
from dataflow.shapes import Shape, TensorSpec

MOST_ENTRIES = 16
"""Entries of the largest matrix that is written entry by entry."""
Values: TypeAlias = Mapping[str, np.ndarray]
Sizes: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Factor:
    """A matrix in a product: how it is written, and what it is for values of the leaves."""

    piece: Piece
    value: Callable[[Values, Sizes], np.ndarray]
    diagonal: Any = None
    """The term on the diagonal of a diagonal matrix."""


Factors: TypeAlias = "list[Factor] | None"
"""None in the list is the identity; ``None`` for the list is no known form."""


def jacobian_of(term: Any, cotangent: str, shape: Shape, writer: Writer) -> Factor | None:
    """The Jacobian by which the cotangent, a leaf of this key, is multiplied in ``term``; ``None`` where it is none of
    the forms that are known. ``shape`` is that of the cotangent."""
    finder = _Finder(cotangent, writer)
    if not shape:
        return finder.of_scalar(term)
    factors = finder.factors(term)
    if factors is None:
        return None
    if not factors:
        is_one = not writer.weight(Term(spec=TensorSpec(shape, np.dtype("float64"))))
        piece = Piece("1", "1") if is_one else Piece("I", "I", is_letter=True)
        return Factor(piece, lambda values, sizes: np.eye(values[cotangent].size))
    return _product(factors)


class _Finder:
    def __init__(self, cotangent: str, writer: Writer) -> None:
        self.cotangent = cotangent
        self.writer = writer

    def has(self, term: Any) -> bool:
        return self.cotangent in leaves(term)

    # -------------------------------------------------------------------------------------------- matrices

    def matrix(self, term: Any) -> Factor:
        """A matrix as it is."""
        return Factor(self.writer.write(term), lambda values, sizes: np.atleast_2d(evaluate(term, values, sizes)))

    def row(self, term: Any) -> Factor:
        """All entries of an example in a row."""
        several = bool(self.writer.weight(term)) and not (isinstance(term, Term) and term.op is stack)
        flat = _flat(term)
        is_vector = several and isinstance(flat, Term)
        piece = self.writer.write(simplify(flat.T)) if is_vector else self.writer.matrix(term)
        return Factor(piece, lambda values, sizes: evaluate(term, values, sizes).reshape(1, -1))

    def diagonal(self, term: Any, like: Any) -> Factor:
        def value(values: Values, sizes: Sizes) -> np.ndarray:
            shape = evaluate(like, values, sizes).shape
            return np.diag(np.broadcast_to(evaluate(term, values, sizes), shape).reshape(-1))

        return Factor(_function("diag", self.writer.write(term)), value, term)

    def with_identity(self, inner: Any, row: Factor, *, identity_first: bool) -> Factor:
        """I ⊗ row, or row ⊗ I, with an identity as large as ``inner``."""

        def value(values: Values, sizes: Sizes) -> np.ndarray:
            eye = np.eye(evaluate(inner, values, sizes).size)
            pair = (eye, row.value(values, sizes))
            return np.kron(*(pair if identity_first else pair[::-1]))

        if not self.writer.weight(inner):
            return Factor(row.piece, value)
        piece = row.piece.at_least(ATOM)
        texts, latex = ["I", piece.text], ["I", piece.latex]
        if not identity_first:
            texts, latex = texts[::-1], latex[::-1]
        return Factor(Piece(" ⊗ ".join(texts), r" \otimes ".join(latex), SUM), value)

    # -------------------------------------------------------------------------------------------- forms

    def of_scalar(self, term: Any) -> Factor:
        """The derivative of a scalar is what is left where its cotangent is 1, as a row."""
        return self.row(simplify(_replaced(term, self.cotangent, 1)))

    def factors(self, term: Any) -> Factors:
        """The matrices to the right of the cotangent in ``term``."""
        if not isinstance(term, Term):
            return None
        if isinstance(term.leaf, Leaf):
            return [] if term.leaf.key == self.cotangent else None
        if (softmax := self.of_softmax(term)) is not None:
            return softmax
        with_it = [argument for argument in term.arguments if self.has(argument)]
        if term.op in (add, subtract) and len(with_it) == 2:
            return self.of_sum(term)
        if term.op is stack:
            return self.by_entries(term)
        if len(with_it) != 1:
            return None
        inner = with_it[0]
        if term.op is matmul:
            return self.of_product(*term.arguments)
        factors = self.factors(inner)
        if factors is None:
            return None
        if term.op is multiply:
            other = term.arguments[1] if term.arguments[0] is inner else term.arguments[0]
            return self.scaled(factors, other, inner)
        if term.op is divide and term.arguments[0] is inner:
            return self.scaled(factors, simplify(1 / term.arguments[1]), inner)
        if term.op is negative:
            return [*factors[:-1], _negated(factors[-1])] if factors else self.scaled([], -1, inner)
        same = self.writer.weight(term) == self.writer.weight(inner)
        fine = term.op in (identity, cast) or (same and term.op in (reshape, expand_dims, broadcast_to, sum_to))
        return factors if fine else None

    def of_sum(self, term: Term) -> Factors:
        left, right = (self.factors(argument) for argument in term.arguments)
        if not left or not right:
            return None
        return [_sum(_product(left), _product(right), minus=term.op is subtract)]

    def scaled(self, factors: list[Factor], other: Any, inner: Any) -> Factors:
        """Times ``other``, entry by entry."""
        if not self.writer.weight(other):
            if not factors and self.writer.weight(inner):
                piece = self.writer.scaled(other, Piece("I", "I", is_letter=True))
                return [Factor(piece, lambda v, s: _number(other, v, s) * np.eye(evaluate(inner, v, s).size))]
            return [*factors, self.row(other)]
        if not self.writer.weight(inner):
            return [*factors, self.row(other)]
        if factors and factors[-1].diagonal is not None:
            return [*factors[:-1], self.diagonal(simplify(factors[-1].diagonal * other), inner)]
        return [*factors, self.diagonal(other, inner)]

    def of_product(self, left: Any, right: Any) -> Factors:
        is_left = self.has(left)
        inner, other = (left, right) if is_left else (right, left)
        is_turned = isinstance(inner, Term) and inner.op is transpose
        if is_turned:
            inner = inner.arguments[0]
        factors = self.factors(inner)
        if factors is None:
            return None
        is_vector = inner.ndim == 1 or (inner.op in (expand_dims, reshape) and _flat(inner).ndim == 1)
        other_turned = other.op is transpose
        beside_vector = _flat(other.arguments[0] if other_turned else other)
        if beside_vector.ndim == 1 and (is_vector or other.ndim != 2):  # an outer product of two vectors
            return [*factors, self.with_identity(inner, self.row(beside_vector), identity_first=is_left)]
        if is_left and (not is_turned or is_vector):  # δ A, for each row
            return [*factors, self.matrix(other)]
        if not is_left and is_vector and not is_turned:  # A δ
            return [*factors, self.matrix(simplify(other.T))]
        if is_left:  # δᵀ A, summed over the examples
            return [*factors, self.with_identity(inner, self.row(other), identity_first=True)]
        if other_turned and not is_turned:  # Aᵀ δ
            return [*factors, self.with_identity(inner, self.row(other.arguments[0]), identity_first=False)]
        return None

    def of_softmax(self, term: Term) -> Factors:
        """p ⊙ (δ − Σ δ ⊙ p) is δ (diag(p) − p pᵀ)."""
        if term.op is not multiply:
            return None
        for p, inner in (term.arguments, term.arguments[::-1]):
            if not isinstance(inner, Term) or inner.op is not subtract or self.has(p):
                continue
            first, total = inner.arguments
            is_sum = isinstance(total, Term) and total.op is not None and total.op.reduces is np.add
            summed = total.arguments[0] if is_sum else None
            if isinstance(summed, Term) and summed.op is multiply and set(summed.arguments) == {first, p}:
                factors = self.factors(first)
                if factors is None:
                    return None
                return [*factors, self.softmax_factor(p)]
        return None

    def softmax_factor(self, p: Any) -> Factor:
        """diag(p) − p pᵀ."""
        diagonal, row = self.diagonal(p, p), self.row(p)

        def value(values: Values, sizes: Sizes) -> np.ndarray:
            entries = row.value(values, sizes)
            return np.asarray(diagonal.value(values, sizes) - entries.T @ entries)

        return Factor(joined(diagonal.piece, beside(self.writer.write(p), row.piece), minus=True), value)

    def by_entries(self, term: Term) -> Factors:
        """The matrix of a vector whose entries are sums over those of the cotangent."""
        size = _size_of(term, self.cotangent)
        if size is None or size * len(term.arguments) > MOST_ENTRIES or term.ndim != 1:
            return None
        rows = [
            [simplify(_replaced(argument, self.cotangent, _unit(i, size))) for argument in term.arguments]
            for i in range(size)
        ]
        pieces = [[self.writer.write(entry).signed() for entry in row] for row in rows]
        text = "; ".join(", ".join(piece.text for piece in row) for row in pieces)
        latex = r" \\ ".join(" & ".join(piece.latex for piece in row) for row in pieces)
        piece = Piece(f"[{text}]", rf"\begin{{pmatrix}} {latex} \end{{pmatrix}}")
        return [Factor(piece, lambda v, s: np.array([[float(evaluate(entry, v, s)) for entry in row] for row in rows]))]


def _flat(term: Any) -> Any:
    """A vector without axes of size 1."""
    while isinstance(term, Term) and term.op in (expand_dims, reshape, broadcast_to):
        term = term.arguments[0]
    return term


def _number(term: Any, values: Values, sizes: Sizes) -> float:
    return float(evaluate(term, values, sizes).reshape(-1)[0])


def _size_of(term: Any, key: str) -> int | None:
    if not isinstance(term, Term):
        return None
    if isinstance(term.leaf, Leaf):
        size = term.shape[0] if term.leaf.key == key and term.ndim == 1 else None
        return size if isinstance(size, int) else None
    return next((size for argument in term.arguments if (size := _size_of(argument, key)) is not None), None)


def _unit(i: int, size: int) -> Any:
    return apply(stack, [int(i == j) for j in range(size)])


def _replaced(term: Any, key: str, by: Any) -> Any:
    """A term with something else in place of a leaf."""
    if not isinstance(term, Term):
        return term
    if term.op is None:
        return by if isinstance(term.leaf, Leaf) and term.leaf.key == key else term
    arguments = [_replaced(argument, key, by) for argument in term.arguments]
    return Term(term.op, tuple(arguments), term.attributes, term.spec)


def _function(name: str, piece: Piece) -> Piece:
    piece = piece.signed()
    return Piece(f"{name}({piece.text})", rf"\operatorname{{{name}}}\left({piece.latex}\right)")


def _negated(factor: Factor) -> Factor:
    piece = factor.piece if factor.piece.is_negative else factor.piece.at_least(PRODUCT)
    piece = Piece(piece.text, piece.latex, piece.binds, is_negative=not piece.is_negative)
    return Factor(piece, lambda values, sizes: -factor.value(values, sizes))


def _sum(left: Factor, right: Factor, *, minus: bool) -> Factor:
    def value(values: Values, sizes: Sizes) -> Any:
        first, second = left.value(values, sizes), right.value(values, sizes)
        return first - second if minus else first + second

    return Factor(joined(left.piece, right.piece.at_least(PRODUCT), minus=minus), value)


def _product(factors: Sequence[Factor]) -> Factor:
    piece = factors[0].piece
    for factor in factors[1:]:
        piece = beside(piece.at_least(PRODUCT), factor.piece.at_least(PRODUCT))

    def value(values: Values, sizes: Sizes) -> Any:
        result = factors[0].value(values, sizes)
        for factor in factors[1:]:
            other = factor.value(values, sizes)
            result = result * other if 1 in (result.size, other.size) else result @ other
        return result

    return Factor(piece, value)
