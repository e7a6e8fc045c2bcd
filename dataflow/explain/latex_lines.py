"""Lines of LaTeX that fit: how wide mathematics is when it is set, and where an equation is broken.

Widths are in points, of Computer Modern at 10 pt, and a little too large rather than too small.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

LINE = 265.0
"""The width of a line: it fits a slide of beamer, whose font is larger, and a page of A4."""
COLUMN_SEP = 10.0
INDENT = 10.0
RELATION = 14.0
"""What an equals sign takes."""
WORD_SPACE, REMARK = r"\ ", r"\quad"
"""The signs before a word, and before a remark."""

_TOKEN = re.compile(r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_RELATIONS = {"=", "<", ">", r"\leq", r"\geq", r"\neq"}
_OPERATORS = {"+", "-", r"\times", r"\cdot", r"\odot", r"\otimes"}
_NARROW = {".": 2.8, ",": 4.5, ":": 5.6, "!": 2.8, "'": 3.0, "|": 2.8, "(": 3.9, ")": 3.9, "[": 2.8, "]": 2.8}
_NARROW |= {"i": 3.6, "j": 4.5, "l": 3.2, "I": 4.8, "J": 5.8, "f": 5.9, "t": 3.8, "r": 4.8}
_NARROW |= {"m": 8.9, "w": 7.3, "W": 10.8}
_COMMANDS = {r"\,": 1.7, r"\;": 2.8, r"\:": 2.3, r"\!": -1.7, r"\ ": 3.4, r"\quad": 10.0, r"\qquad": 20.0}
_COMMANDS |= {r"\cdot": 2.8, r"\partial": 5.9, r"\nabla": 8.4, r"\sum": 10.6, r"\infty": 10.0, r"\cdots": 13.4}
_COMMANDS |= {r"\vdots": 2.8, r"\ldots": 13.4, r"\times": 7.8, r"\leq": 7.8, r"\geq": 7.8, r"\neq": 7.8}
_COMMANDS |= dict.fromkeys((r"\textstyle", r"\displaystyle", r"\left", r"\right", r"\mathrm", r"\limits"), 0.0)
_FUNCTIONS = {r"\log", r"\exp", r"\sin", r"\cos", r"\tan", r"\tanh", r"\sinh", r"\cosh", r"\max", r"\min"}


Written: TypeAlias = "str | Callable[[float], str]"
"""LaTeX, or what writes it for so many points."""


@dataclass(frozen=True)
class Equation:
    """One equation: what stands on the left, and the pieces on the right, each with the sign before it. The first sign
    is ``=``; a line is broken before a sign. A ``remark`` is a text that follows."""

    left: str
    right: Sequence[tuple[str, Written]]
    remark: str = ""


def aligned_lines(equations: Sequence[Equation], line: float = LINE) -> list[str]:
    """The lines of an ``align*``, none wider than ``line`` where its pieces let it."""
    edge = max((set_width(equation.left) for equation in equations), default=0.0)
    return [text for equation in equations for text in _lines(equation, line - edge)]


def _lines(equation: Equation, room: float) -> Iterator[str]:
    written, used = equation.left, 0.0
    pieces = [(sign, piece if isinstance(piece, str) else piece(room - RELATION)) for sign, piece in equation.right]
    for i, (sign, piece) in enumerate(pieces + _remark(equation.remark, room - INDENT)):
        size = set_width(f"x{sign}{piece}") - set_width("x")
        if i == 0:
            written += f" &{sign} {piece}"
        elif used + size <= room:
            written += f" {sign} {piece}"
        else:
            yield written
            is_space = sign in ("", WORD_SPACE, REMARK)
            written = f"&= {piece}" if sign == "=" else rf"&\quad {piece}" if is_space else rf"&\quad {sign} {piece}"
            used = 0.0 if sign == "=" else INDENT
        used += size
    yield written


def _remark(text: str, room: float) -> list[tuple[str, str]]:
    """A text as one piece or, where it does not fit in a line, as one for each word."""
    whole = rf"\text{{{escaped(text)}}}"
    if not text or set_width(whole) <= room:
        return [(REMARK, whole)] if text else []
    return [(WORD_SPACE if i else REMARK, rf"\text{{{escaped(word)}}}") for i, word in enumerate(text.split())]


def set_width(latex: str) -> float:
    """How wide LaTeX in mathematical mode is when it is set."""
    return _Reader(latex).until(None)


def escaped(text: str) -> str:
    """Escape a text, so that nothing in it is a LaTeX command; letters beyond ASCII become their code points."""
    table = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    table |= {character: f"\\{character}" for character in "#$%&_{}"}
    known = {"∂": r"$\partial$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "′": "$'$", "⊗": r"$\otimes$"}
    return "".join(table.get(c) or known.get(c) or (c if c.isascii() else f"[{ord(c):X}]") for c in text)


def terms(latex: str) -> list[tuple[str, str]]:
    """The terms of a sum as pieces of an equation, the first behind ``=``."""
    pieces, sign = [], "="
    depth, start = 0, 0
    for match in _TOKEN.finditer(latex):
        token = match[0]
        depth += token in ("{", r"\left") or token.startswith(r"\begin{")
        depth -= token in ("}", r"\right") or token.startswith(r"\end{")
        if depth == 0 and token in ("+", "-") and match.start() > 0:
            pieces.append((sign, latex[start : match.start()].strip()))
            sign, start = token, match.end()
    return [*pieces, (sign, latex[start:].strip())]


class _Reader:
    """Reads LaTeX token by token and adds up widths."""

    def __init__(self, latex: str) -> None:
        self.tokens: list[str] = [token for token in _TOKEN.findall(latex) if not token.isspace()]
        self.place = 0

    def until(self, end: str | None) -> float:
        """The width up to the token ``end``, which is read, too."""
        total, before = 0.0, ""
        while self.place < len(self.tokens):
            token = self._next()
            if token == end:
                break
            if token in "^_":
                scripts = [self._argument()]
                while self._peek() in ("^", "_"):
                    self._next()
                    scripts.append(self._argument())
                total += 0.76 * max(scripts) + 0.5
            else:
                total += self._width(token) + self._space(token, before)
            before = token
        return total

    def _width(self, token: str) -> float:
        if token == "{":
            return self.until("}")
        if token == r"\frac":
            return max(self._argument(), self._argument()) + 2.4
        if token == r"\sqrt":
            return self._argument() + 8.5
        if token in (r"\text", r"\operatorname"):
            return self._text()
        if token.startswith(r"\begin"):
            return self._environment(token.removeprefix(r"\begin"))
        if token in (r"\left", r"\right"):
            delimiter = self._next()
            return 0.0 if delimiter == "." else 7.5
        if token in _FUNCTIONS:
            return 5.0 * (len(token) - 1)
        if token in _RELATIONS or token in _OPERATORS:
            return _COMMANDS.get(token, 7.8)
        if token.startswith("\\"):
            return _COMMANDS.get(token, 6.2)
        return _NARROW.get(token, 5.0 if token.isdigit() else 7.9 if token.isupper() else 5.8)

    def _space(self, token: str, before: str) -> float:
        """What TeX puts beside relations, and beside operators that have something on their left."""
        if token in _RELATIONS:
            return 5.6
        is_first = not before or before in _RELATIONS or before in _OPERATORS or before in ("(", "&", r"\\", "{")
        return 4.5 if token in _OPERATORS and not is_first else 0.0

    def _environment(self, name: str) -> float:
        """A matrix or cases: its columns, each as wide as its widest entry."""
        columns: dict[int, float] = {}
        column = 0
        end = rf"\end{name}"
        start = self.place
        depth = 0
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            depth += (token == "{" or token.startswith(r"\begin")) - (token == "}" or token.startswith(r"\end"))
            if depth < 0 or (depth == 0 and token in ("&", r"\\")):
                cell = _Reader("")
                cell.tokens = self.tokens[start : self.place]
                columns[column] = max(columns.get(column, 0.0), cell.until(None))
                column = column + 1 if token == "&" else 0
                start = self.place + 1
                if token == end:
                    self.place += 1
                    break
            self.place += 1
        return sum(columns.values()) + COLUMN_SEP * (len(columns) - 1) + 16.0

    def _text(self) -> float:
        if self._peek() != "{":
            return 0.0
        self._next()
        size, depth = 0.0, 1
        while depth and self.place < len(self.tokens):
            token = self._next()
            depth += (token == "{") - (token == "}")
            size += 0.0 if token in "{}$" else 7.8 if token.startswith("\\") else 5.4
        return size

    def _argument(self) -> float:
        if self.place >= len(self.tokens):
            return 0.0
        return self._width(self._next())

    def _next(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def _peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""
