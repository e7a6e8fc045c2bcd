"""Parts of formulas, in Unicode and in LaTeX: how strongly they bind, and how they are put together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from dataflow.notation.letters import superscript
from dataflow.shapes import Size

COMPARISON, SUM, PRODUCT, PREFIX, POWER, ATOM = range(6)
"""How strongly the outermost sign of a piece binds."""
CONSTANTS = {math.pi: ("π", r"\pi"), math.e: ("e", "e")}
FRACTIONS = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾"}


@dataclass(frozen=True)
class Piece:
    """A part of a formula, and how it goes with others."""

    text: str
    latex: str
    binds: int = ATOM
    is_letter: bool = False
    """Whether it can stand beside another letter without a sign between them."""
    is_raised: bool = False
    """Whether something stands above its end, so that nothing else can in LaTeX."""
    is_negative: bool = False
    """Whether it begins with a minus; ``text`` and ``latex`` are then without it."""

    def at_least(self, binds: int) -> Piece:
        """In parentheses where it binds less strongly."""
        whole = self.signed()
        if whole.binds >= binds and not (self.is_negative and binds > SUM):
            return whole
        return Piece(f"({whole.text})", rf"\left({whole.latex}\right)")

    def signed(self) -> Piece:
        """With its minus."""
        if not self.is_negative:
            return self
        return replace(self, text=f"−{self.text}", latex=f"-{self.latex}", is_negative=False, binds=SUM)


def joined(first: Piece, second: Piece, *, minus: bool) -> Piece:
    """A sum or a difference."""
    first, second = first.signed().at_least(SUM), replace(second, is_negative=False)
    sign = "−" if minus else "+"
    return Piece(f"{first.text} {sign} {second.text}", f"{first.latex} {'-' if minus else '+'} {second.latex}", SUM)


def beside(left: Piece, right: Piece) -> Piece:
    """A product: letters side by side, words and fractions with a dot between them."""
    if left.is_letter and right.is_letter and "·" not in left.text + right.text:
        return Piece(left.text + right.text, f"{left.latex} {right.latex}", PRODUCT, True)
    closed = left.binds >= ATOM and (left.text.endswith(")") or left.text.startswith("("))
    opened = right.binds >= ATOM and right.text.startswith("(")
    if (closed and (right.is_letter or opened)) or (left.is_letter and opened):
        return Piece(f"{left.text} {right.text}", rf"{left.latex}\, {right.latex}", PRODUCT)
    return Piece(f"{left.text} · {right.text}", rf"{left.latex} \cdot {right.latex}", PRODUCT)


def number_piece(number: Any) -> Piece:
    """A plain number; π and its simple multiples as such."""
    if isinstance(number, Size) or number is None or isinstance(number, bool):
        return Piece(str(number), str(number), is_letter=str(number).isalpha())
    if isinstance(number, np.generic):
        number = number.item()
    is_negative = number < 0 or math.copysign(1, number) < 0
    number = abs(number)
    for value, (text, latex) in CONSTANTS.items():
        times = number / value
        if math.isfinite(times) and math.isclose(times, round(times), rel_tol=1e-15) and 1 <= round(times) <= 12:
            front = "" if round(times) == 1 else str(round(times))
            return Piece(front + text, front + latex, ATOM, not front, is_negative=is_negative)
        part = value / number if number else 0
        if 2 <= part <= 12 and math.isclose(part, round(part), rel_tol=1e-15):
            return Piece(
                f"{text}/{round(part)}", rf"\frac{{{latex}}}{{{round(part)}}}", PRODUCT, is_negative=is_negative
            )
    if mark := FRACTIONS.get(Fraction(number)) if math.isfinite(number) else None:
        fraction = Fraction(number)
        latex = rf"\tfrac{{{fraction.numerator}}}{{{fraction.denominator}}}"
        return Piece(mark, latex, is_negative=is_negative)
    text = str(int(number)) if float(number).is_integer() and number < 1e15 else repr(number)
    mantissa, _, exponent = text.partition("e")
    if exponent:
        signed = exponent.lstrip("+").lstrip("0") or "0"
        sign = "⁻" if signed.startswith("-") else ""
        digits = signed.lstrip("-").lstrip("0") or "0"
        above = sign + superscript(digits)
        return Piece(f"{mantissa}·10{above}", rf"{mantissa}\cdot 10^{{{signed}}}", PRODUCT, is_negative=is_negative)
    return Piece(text, text if math.isfinite(number) else rf"\mathrm{{{text}}}", is_negative=is_negative)


def fraction_piece(above: float, below: float) -> Piece | None:
    """One whole number over another; ``None`` where they are not whole."""
    if below and float(above).is_integer() and float(below).is_integer():
        fraction = Fraction(int(abs(above)), int(abs(below)))
        text = FRACTIONS.get(fraction) or f"{fraction.numerator}/{fraction.denominator}"
        latex = rf"\tfrac{{{fraction.numerator}}}{{{fraction.denominator}}}"
        return Piece(text, latex, ATOM if fraction in FRACTIONS else PRODUCT)
    return None
