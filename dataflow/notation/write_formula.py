"""Terms as mathematics, in Unicode and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dataflow.notation.letters import GREEK, subscript, superscript
from dataflow.notation.pieces import (
    ATOM,
    COMPARISON,
    POWER,
    PREFIX,
    PRODUCT,
    SUM,
    Piece,
    beside,
    fraction_piece,
    joined,
    number_piece,
)
from dataflow.notation.terms import Leaf, Term
from dataflow.operations.attributes import changed
from dataflow.operations.engine_ops import (
    abs_,
    add,
    broadcast_to,
    cast,
    divide,
    equal,
    expand_dims,
    greater,
    greater_equal,
    identity,
    index,
    less,
    less_equal,
    log,
    matmul,
    multiply,
    negative,
    not_equal,
    power,
    reshape,
    stack,
    subtract,
    sum_to,
    transpose,
)
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.shapes import Shape, Size
from dataflow.support.conversion import is_real

COMPARISONS = {greater: (">", ">"), less: ("<", "<"), greater_equal: ("≥", r"\ge"), less_equal: ("≤", r"\le")}
COMPARISONS |= {equal: ("=", "="), not_equal: ("≠", r"\ne")}
COMMANDS = frozenset(
    ["exp", "log", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "max", "min"]
)
"""Functions for which LaTeX has a command."""
SEVERAL = ("⊙", r"\odot")
"""The sign of a product entry by entry."""
MOST_ENTRIES = 4
"""Entries of the longest vector of equal numbers that is written out."""


class Writer:
    """Writes terms. ``batch`` is the size of the batch, along which formulas say what holds for each example."""

    def __init__(self, batch: str | None = None) -> None:
        self.batch = batch

    def write(self, term: Any) -> Piece:
        """A term or a plain number."""
        if not isinstance(term, Term):
            return number_piece(term)
        if term.op is None:
            assert isinstance(term.leaf, Leaf), "no pattern"
            return _leaf_piece(term.leaf)
        if term.op in _WRITERS:
            return _WRITERS[term.op](self, term)
        if term.op in COMPARISONS:
            left, right = (self.write(argument).at_least(SUM) for argument in term.arguments)
            sign, command = COMPARISONS[term.op]
            return Piece(f"{left.text} {sign} {right.text}", f"{left.latex} {command} {right.latex}", COMPARISON)
        if term.op.reduces is np.add:
            return self.sum(term)
        return self.call(term)

    # -------------------------------------------------------------------------------------------- arithmetic

    def add(self, term: Term) -> Piece:
        first, second = (self.write(argument) for argument in term.arguments)
        return joined(first, second, minus=second.is_negative)

    def subtract(self, term: Term) -> Piece:
        first, second = (self.write(argument) for argument in term.arguments)
        if second.is_negative:
            return joined(first, second, minus=False)
        return joined(first, second.at_least(PRODUCT), minus=True)

    def negative(self, term: Term) -> Piece:
        piece = self.write(term.arguments[0]).at_least(PRODUCT)
        return replace(piece, is_negative=True, is_letter=False)

    def multiply(self, term: Term, sign: tuple[str, str] = SEVERAL) -> Piece:
        first, second = term.arguments
        left, right = self.write(first), self.write(second)
        if is_real(first) and not is_real(second):
            return self.times(left, right.at_least(PRODUCT))
        several = self.weight(first) and self.weight(second) and self.weight(first) == self.weight(second)
        left, right = left.at_least(PRODUCT), right.at_least(PREFIX)
        if several:
            return Piece(f"{left.text} {sign[0]} {right.text}", f"{left.latex} {sign[1]} {right.latex}", PRODUCT)
        return beside(left, right)

    def scaled(self, term: Any, piece: Piece) -> Piece:
        """A number or a scalar before a piece."""
        if not is_real(term):
            return beside(self.write(term).at_least(PRODUCT), piece)
        if abs(term) == 1:
            return replace(piece, is_negative=term < 0)
        return self.times(number_piece(term), piece)

    def times(self, number: Piece, right: Piece) -> Piece:
        """A number before a product."""
        first = right.text[:1]
        apart = "·" if first.isdigit() else "" if (first.isalpha() or first == "(") and first != "Σ" else " "
        text = f"{number.text}{apart}{right.text}"
        latex = rf"{number.latex} {right.latex}" if not apart else rf"{number.latex}\,{right.latex}"
        return Piece(text, latex, PRODUCT, is_negative=number.is_negative)

    def divide(self, term: Term) -> Piece:
        first, second = (self.write(argument) for argument in term.arguments)
        is_negative, first = first.is_negative, replace(first, is_negative=False)
        numbers = [argument for argument in term.arguments if is_real(argument)]
        if len(numbers) == 2 and (mark := fraction_piece(numbers[0], numbers[1])):
            return replace(mark, is_negative=is_negative)
        above, below = first.at_least(PRODUCT), second.at_least(POWER)
        latex = rf"\frac{{{first.signed().latex}}}{{{second.signed().latex}}}"
        line = " / " if " " in above.text and above.binds < ATOM else "/"
        return Piece(f"{_unslashed(above)}{line}{_unslashed(below)}", latex, PRODUCT, is_negative=is_negative)

    def power(self, term: Term) -> Piece:
        base, exponent = (self.write(argument) for argument in term.arguments)
        if base.binds < ATOM or base.is_raised or base.is_negative or "/" in base.text:
            base = Piece(f"({base.signed().text})", rf"\left({base.signed().latex}\right)")
        digits = exponent.signed().text
        if digits.isdigit():
            return Piece(base.text + superscript(digits), f"{base.latex}^{{{digits}}}", POWER, base.is_letter, True)
        above = exponent.signed()
        return Piece(f"{base.text}^{above.at_least(ATOM).text}", f"{base.latex}^{{{above.latex}}}", POWER, False, True)

    def absolute(self, term: Term) -> Piece:
        piece = self.write(term.arguments[0]).signed()
        return Piece(f"|{piece.text}|", rf"\left|{piece.latex}\right|")

    # -------------------------------------------------------------------------------------------- matrices

    def matmul(self, term: Term) -> Piece:
        left, right = (self.matrix(argument).at_least(PRODUCT) for argument in term.arguments)
        return beside(left, right)

    def matrix(self, term: Any) -> Piece:
        """A factor of a matrix product; what is the same everywhere, entry by entry."""
        inner = term
        while isinstance(inner, Term) and inner.op in (expand_dims, reshape):
            inner = inner.arguments[0]
        if isinstance(inner, Term) and inner.op is broadcast_to and is_real(inner.arguments[0]) and inner.ndim == 1:
            size, piece = inner.shape[0], number_piece(inner.arguments[0]).signed()
            several = isinstance(size, int) and size <= MOST_ENTRIES
            count = size if several and isinstance(size, int) else 2
            dots, latex_dots = (", ", r",\, ") if several else (", …, ", r",\, \dots,\, ")
            text, latex = dots.join([piece.text] * count), latex_dots.join([piece.latex] * count)
            return Piece(f"({text})", rf"\left({latex}\right)")
        return self.write(term)

    def transpose(self, term: Term) -> Piece:
        if term.attribute("axes") is not None:
            return self.call(term)
        piece = self.write(term.arguments[0]).at_least(ATOM)
        if "/" in piece.text and not piece.text.startswith("("):
            piece = Piece(f"({piece.text})", rf"\left({piece.latex}\right)")
        latex = f"{{{piece.latex}}}" if piece.is_raised else piece.latex
        return Piece(f"{piece.text}ᵀ", rf"{latex}^{{\top}}", ATOM, piece.is_letter, True)

    def sum(self, term: Term) -> Piece:
        inner = term.arguments[0]
        is_plain = not term.shape and isinstance(inner, Term) and inner.op is multiply
        body = (self.multiply(inner, ("·", r"\cdot")) if is_plain else self.write(inner)).signed().at_least(PRODUCT)
        sizes = self.summed_sizes(term)
        if len(sizes) == 1 and isinstance(sizes[0], int):
            if body.is_letter and isinstance(inner, Term) and isinstance(inner.leaf, Leaf):
                return Piece(f"Σₖ {body.text}ₖ", rf"\textstyle\sum_{{k}} {body.latex}_{{k}}", PREFIX)
            return Piece(f"Σₖ {body.text}", rf"\textstyle\sum_{{k}} {body.latex}", PRODUCT)
        below = [str(size) for size in sizes]
        if below and len(below) == 1 and (sub := subscript(below[0])) and not below[0].isdigit():
            return Piece(f"Σ{sub} {body.text}", rf"\textstyle\sum_{{{below[0]}}} {body.latex}", PRODUCT)
        return Piece(f"Σ {body.text}", rf"\textstyle\sum {body.latex}", PRODUCT)

    def summed_sizes(self, term: Term) -> list[Any]:
        """The sizes of the axes that are summed over, where they are not all."""
        inner = term.arguments[0]
        shape: Shape = inner.shape if isinstance(inner, Term) else ()
        if not term.shape and len(shape) != 1:
            return []
        if term.op is sum_to:
            lead = len(shape) - term.ndim
            kept = [None] * lead + list(term.shape)
            return [size for size, there in zip(shape, kept, strict=True) if size != there]
        axis = term.attribute("axis")
        axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
        return [shape[i] for i in axes]

    def weight(self, term: Any) -> tuple[Any, ...]:
        """The axes of a term besides the batch's and those of size 1: a scalar has none."""
        shape: Shape = term.shape if isinstance(term, Term) else ()
        return tuple(size for size in shape if size != 1 and not (isinstance(size, Size) and str(size) == self.batch))

    # -------------------------------------------------------------------------------------------- entries

    def inner(self, term: Term) -> Piece:
        """What differs from its argument in shape or dtype alone."""
        return self.write(term.arguments[0])

    def reshape(self, term: Term) -> Piece:
        inner = term.arguments[0]
        shape: Shape = inner.shape if isinstance(inner, Term) else ()
        same = [size for size in shape if size != 1] == [size for size in term.shape if size != 1]
        return self.write(inner) if same else self.call(term)

    def cast(self, term: Term) -> Piece:
        inner = term.arguments[0]
        piece = self.write(inner)
        if isinstance(inner, Term) and inner.dtype.kind == "b":
            return Piece(f"1[{piece.signed().text}]", rf"\mathbf{{1}}[{piece.signed().latex}]")
        return piece

    def index(self, term: Term) -> Piece:
        inner, key = term.arguments[0], list(parse_key(term.attribute("key")))
        shape: Shape = inner.shape if isinstance(inner, Term) else ()
        if key and key[0] in (Ellipsis, slice(None)) and shape and str(shape[0]) == self.batch:
            key, shape = key[1:], shape[1:]
        piece = self.write(inner)
        if len(key) == len(shape) and all(isinstance(k, int) and isinstance(s, int) for k, s in zip(key, shape)):  # noqa: B905
            place = [k % s for k, s in zip(key, shape, strict=True)]  # type: ignore[operator]
            if isinstance(inner, Term) and isinstance(inner.leaf, Leaf) and inner.leaf.at is not None:
                text, latex = inner.leaf.at(place)
                return replace(_leaf_piece(inner.leaf), text=text, latex=latex, is_raised=False)
            comma = "," if any(p > 8 for p in place) else ""
            below = comma.join(str(p + 1) for p in place)
            base = piece.at_least(ATOM)
            return Piece(
                f"{base.text}{comma.join(str(subscript(str(p + 1))) for p in place)}", f"{base.latex}_{{{below}}}"
            )
        base = piece.at_least(ATOM)
        return Piece(f"{base.text}[{term.attribute('key')}]", f"{base.latex}[{term.attribute('key')}]")

    def stack(self, term: Term) -> Piece:
        if term.attribute("axis") != 0:
            return self.call(term)
        pieces = [self.write(argument).signed() for argument in term.arguments]
        texts, latex = ", ".join(p.text for p in pieces), r",\, ".join(p.latex for p in pieces)
        return Piece(f"({texts})", rf"\left({latex}\right)")

    # -------------------------------------------------------------------------------------------- functions

    def call(self, term: Term) -> Piece:
        """A function by its name, or by its symbol where its op declares one."""
        assert term.op is not None
        name = term.op.symbol or term.op.name
        arguments = list(term.arguments)
        while arguments and arguments[-1] is None:
            arguments.pop()
        pieces = [self.write(argument).signed() for argument in arguments]
        texts = [p.text for p in pieces] + [f"{key}={_plain(value)}" for key, value in _own_attributes(term)]
        latex = [p.latex for p in pieces]
        latex += [rf"\mathrm{{{_escaped(f'{key}={_plain(value)}')}}}" for key, value in _own_attributes(term)]
        command = f"\\{name}" if name in COMMANDS else _symbol_latex(name)
        if term.op is log and pieces[0].binds == ATOM and not pieces[0].text.startswith("("):
            return Piece(f"{name} {texts[0]}", f"{command} {latex[0]}", PREFIX)
        return Piece(f"{name}({', '.join(texts)})", rf"{command}\left({', '.join(latex)}\right)")


_WRITERS: Mapping[Op, Callable[[Writer, Term], Piece]] = {
    add: Writer.add,
    subtract: Writer.subtract,
    negative: Writer.negative,
    multiply: Writer.multiply,
    divide: Writer.divide,
    power: Writer.power,
    abs_: Writer.absolute,
    matmul: Writer.matmul,
    transpose: Writer.transpose,
    sum_to: Writer.sum,
    broadcast_to: Writer.inner,
    identity: Writer.inner,
    expand_dims: Writer.reshape,
    reshape: Writer.reshape,
    cast: Writer.cast,
    index: Writer.index,
    stack: Writer.stack,
}


def _leaf_piece(leaf: Leaf) -> Piece:
    binds = PREFIX if leaf.is_fraction else ATOM
    return Piece(leaf.text, leaf.latex, binds, leaf.is_letter, "^" in leaf.latex)


def _unslashed(piece: Piece) -> str:
    return f"({piece.text})" if "/" in piece.text and piece.binds < ATOM else piece.text


def _own_attributes(term: Term) -> Iterable[tuple[str, Any]]:
    assert term.op is not None
    return changed(term.op.attributes, dict(term.attributes)).items()


def _plain(value: Any) -> Any:
    return list(map(_plain, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _symbol_latex(name: str) -> str:
    for word, letter in GREEK.items():
        if letter == name:
            return f"\\{word}"
    return rf"\mathrm{{{_escaped(name)}}}"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "_#$%&{}" else c for c in text if c.isascii() and c not in "\\^~")
