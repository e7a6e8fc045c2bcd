"""The names of a graph as mathematical symbols: ``yhat`` is ŷ, ``W1`` is W⁽¹⁾, ``x1`` is x₁, ``alpha`` is α.

A number at the end of a name is a layer's, set above, where the value has axes besides the batch's, so that there is
room below for an entry's place: W⁽¹⁾₁₂. A scalar's is set below: x₁. Two names of one graph that would be set alike are
both written as the file has them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from dataflow.errors import DataError
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.graph import Graph
from dataflow.notation.letters import (
    ACCENTS,
    GREEK,
    MARKS,
    MATH_ESCAPES,
    greek_command,
    greek_name,
    plain,
    subscript,
    superscript,
)
from dataflow.shapes import Size

Notation: TypeAlias = Literal["math", "plain"]
NOTATIONS: tuple[Notation, ...] = get_args(Notation)


@dataclass(frozen=True)
class Symbol:
    """A name as it is set: what stands on the line and above it, and what stands below."""

    text: str
    latex: str
    below: str = ""
    below_latex: str = ""
    is_raw: bool = False
    """Whether it is the name as the file has it."""

    @property
    def is_letter(self) -> bool:
        """Whether it is one letter, whatever stands above and below it."""
        text = unicodedata.normalize("NFD", self.text.partition("⁽")[0])
        return sum(not unicodedata.combining(character) for character in text) == 1

    @property
    def as_text(self) -> str:
        return self.text + self.below

    @property
    def as_latex(self) -> str:
        return self.latex + (f"_{{{self.below_latex}}}" if self.below_latex else "")

    def at(self, place: Sequence[int], digits_apart: bool = False) -> Symbol:
        """An entry: its place, counted from 1, below; of a name as in the file, counted from 0, in brackets."""
        if self.is_raw:
            index = ", ".join(map(str, place))
            return Symbol(f"{self.as_text}[{index}]", f"{self.as_latex}[{index}]", is_raw=True)
        numbers = [str(i + 1) for i in place]
        comma = "," if digits_apart or any(len(number) > 1 for number in numbers) else ""
        below = comma.join(str(subscript(number)) for number in numbers)
        below_latex = comma.join(numbers)
        if self.below:
            below, below_latex = f"{self.below},{below}", f"{self.below_latex},{below_latex}"
        return Symbol(self.text, self.latex, below, below_latex)


@lru_cache(maxsize=4096)
def own_name(name: str, path: str | None) -> str:
    """A node's name within the call of a block at ``path``; empty for the call's output."""
    if path is None:
        return name
    return name.removeprefix(path).removeprefix(".") if name == path or name.startswith(path + ".") else name


def is_inner(graph: Graph, name: str) -> bool:
    """Whether the name is one that the graph gave a node inside an expression: with a dot, in its block."""
    return "." in own_name(name, graph.node_of(name).block)


class Names:
    """The names of one graph, decided once. ``notation`` is "math", or "plain": the names as the file has them."""

    def __init__(self, graph: Graph, notation: str = "math") -> None:
        if notation not in NOTATIONS:
            raise DataError(f"the notation is 'math' or 'plain', not {notation!r}")
        self.notation = notation
        self.graph = graph
        self.batch = batch_symbol(graph)
        self._symbols: dict[str, Symbol] = {}
        if notation == "math":
            self._symbols = {name: self._set(name) for name in graph}
            self._keep_apart()

    def symbol(self, name: str) -> Symbol:
        """A name's symbol. Names that the graph does not have, such as those within a block, are set, too."""
        if self.notation == "plain":
            return raw_symbol(name)
        return self._symbols.get(name) or self._set(name)

    def text(self, name: str) -> str:
        """In Unicode: W⁽¹⁾, ŷ."""
        return self.symbol(name).as_text

    def latex(self, name: str) -> str:
        """For LaTeX's mathematical mode; it compiles whatever the name is."""
        return self.symbol(name).as_latex

    def listed(self, names: Iterable[str]) -> str:
        """Several, with commas between them."""
        return ", ".join(map(self.text, names))

    def entry(self, name: str, place: Sequence[int]) -> str:
        """The symbol of an entry: W⁽¹⁾₁₂. ``place`` counts from 0."""
        return self.symbol(name).at(place).as_text

    def partial(self, of: str, wrt: str, *, latex: bool = False, total: bool = False, inline: bool = False) -> str:
        """∂of/∂wrt. ``total`` says that ``of`` is no scalar and that its sum is meant: ∂(Σf)/∂x. In LaTeX it is a
        fraction, or with ``inline`` on one line."""
        return self.fraction(of, self.latex(wrt) if latex else self.text(wrt), latex=latex, total=total, inline=inline)

    def fraction(self, of: str, wrt: str, *, latex: bool = False, total: bool = False, inline: bool = False) -> str:
        """The same with ``wrt`` as it is already set, such as an entry's symbol."""
        if not latex:
            return f"∂{f'(Σ{self.text(of)})' if total else self.text(of)}/∂{wrt}"
        above = rf"(\textstyle\sum {self.latex(of)})" if total else f" {self.latex(of)}"
        above, below = rf"\partial{above}", rf"\partial {wrt}"
        return f"{above}/{below}" if inline else rf"\frac{{{above}}}{{{below}}}"

    # -------------------------------------------------------------------------------------------- internals

    def _set(self, name: str) -> Symbol:
        """The symbol of a name, whatever the others are."""
        parts = plain(name).split(".")
        whole = self._is_layered(name)
        symbols = [
            set_part(part, whole if i + 1 == len(parts) else self._is_layered(".".join(parts[: i + 1])))
            for i, part in enumerate(parts)
        ]
        last = symbols[-1]
        lead = [symbol.as_text for symbol in symbols[:-1]], [symbol.as_latex for symbol in symbols[:-1]]
        text, latex = ".".join([*lead[0], last.text]), ".".join([*lead[1], last.latex])
        return Symbol(text, latex, last.below, last.below_latex, all(symbol.is_raw for symbol in symbols))

    def _is_layered(self, name: str) -> bool:
        """Whether the value has axes besides the batch's; a name without a value is taken to have some."""
        if name not in self.graph:
            return True
        return any(
            not isinstance(size, Size) or size.as_symbol != self.batch for size in self.graph.node_of(name).shape
        )

    def _keep_apart(self) -> None:
        """Names that would be set alike, and scalars that would look like an entry, as the file has them."""
        while clashing := set(self._clashes()):
            self._symbols |= {name: raw_symbol(name) for name in clashing}

    def _clashes(self) -> Iterable[str]:
        alike: dict[str, list[str]] = defaultdict(list)
        for name, symbol in self._symbols.items():
            alike[symbol.as_text].append(name)
        arrays = {symbol.text for name, symbol in self._symbols.items() if not symbol.below and self._is_layered(name)}
        for names in alike.values():
            if len(names) > 1:
                yield from (name for name in names if self._symbols[name] != raw_symbol(name))
        for name, symbol in self._symbols.items():
            if symbol.below_latex.isdigit() and symbol.text in arrays and not self._is_layered(name):
                yield name


@lru_cache(4096)
def set_part(part: str, layered: bool) -> Symbol:
    """The symbol of a name, or of a part of it between dots."""
    match = re.fullmatch(r"([^\W\d_]+)(?:_?([0-9]+))?", part)
    if match is None:
        match = re.fullmatch(r"([^\W\d_])_([^\W\d_]+)", part)  # W_in, x_hat
        if match is None:
            return raw_symbol(part)
        stem, word = match.groups()
        if word in ACCENTS:
            return Symbol(*_stem(stem + word))
        below = subscript(word)
        text, latex = _stem(stem)
        if below is None:
            return Symbol(part, rf"{latex}_{{{_word(word)}}}", is_raw=True)
        return Symbol(text, latex, below, _word(word))
    stem, number = match.groups(default="")
    text, latex = _stem(stem)
    if not number:
        return Symbol(text, latex)
    if layered:
        return Symbol(f"{text}⁽{superscript(number)}⁾", f"{latex}^{{({number})}}")
    return Symbol(text, latex, str(subscript(number)), number)


@lru_cache(4096)
def raw_symbol(name: str) -> Symbol:
    """A name as the file has it."""
    text = plain(name)
    return Symbol(text, r"\mathrm{" + "".join(map(_character, text)) + "}", is_raw=True)


def _stem(word: str) -> tuple[str, str]:
    """A word without a number, in Unicode and in LaTeX."""
    for accent, mark in ACCENTS.items():
        letter = word.removesuffix(accent)
        if word.endswith(accent) and letter:
            text = GREEK.get(letter, letter)
            if len(text) == 1:
                return unicodedata.normalize("NFC", text + mark), rf"\{accent}{{{_word(letter)}}}"
    return GREEK.get(word, word), _word(word)


def _word(word: str) -> str:
    if word in GREEK:
        return greek_command(word)
    if len(word) == 1 and word.isascii():
        return _character(word)
    return r"\mathrm{" + "".join(map(_character, word)) + "}"


def _character(character: str) -> str:
    if character in MATH_ESCAPES:
        return MATH_ESCAPES[character]
    if character.isascii() and character.isprintable():
        return character
    if (greek := greek_name(character)) is not None:
        return f"{greek_command(greek)} "
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[1] in MARKS and parts[0].isascii():
        return rf"\{MARKS[parts[1]]}{{{parts[0]}}}"
    # pdflatex knows no other letters in mathematics: their code points stand for them
    return rf"[{ord(character):X}]"
