"""How wide texts are and how large nodes have to be for them, by numbers that ship with the package: every machine and
every engine gives a picture the same boxes, whatever fonts it has."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

from dataflow.draw.picture.picture import Kind
from dataflow.draw.picture.styles import FONT_SIZE, MARGIN

EM = 2048
ASCII = (
    *(651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690),
    *(1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087),
    *(2048, 1401, 1405, 1430, 1577, 1294, 1178, 1587, 1540, 604, 604, 1343, 1141, 1767, 1532, 1612),
    *(1235, 1612, 1423, 1300, 1251, 1499, 1401, 2025, 1403, 1251, 1403, 799, 690, 799, 1716, 1024),
    *(1024, 1255, 1300, 1126, 1300, 1260, 721, 1300, 1298, 569, 569, 1186, 569, 1995, 1298, 1253),
    *(1300, 1300, 842, 1067, 803, 1298, 1212, 1675, 1212, 1212, 1075, 1303, 690, 1303, 1716),
)
"""Widths of the characters from space to ``~`` in DejaVu Sans 2.37, in units of which 2048 are the font's size."""
MATHEMATICS = {
    character: width
    for width, characters in (
        (503, "⁽⁾"),
        (651, "·"),
        (788, "ᵀ"),
        (821, "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"),
        (1059, "∂"),
        (1081, "⁻"),
        (1294, "Σ"),
        (1985, "½¼¾"),
        (2048, "…"),
    )
    for character in characters
}
"""Widths of some signs that formulas are full of, for texts whose parts are set one after the other."""
LETTER, SYMBOL = 1450, 1716
"""About the widest of the other letters, and of the other signs, but for those of East Asia, which are squares."""
LINE = 1.2
"""From line to line, in sizes of the font: Graphviz sets it so."""
LEAST = (54.0, 28.8)
"""Width and height of the smallest node, in points."""
STRETCHED = {
    Kind.INPUT: (sqrt(2), sqrt(2)),  # the smallest ellipse around a rectangle
    Kind.LOSS: (sqrt(2), sqrt(2)),  # so it is with an octagon
    Kind.PARAMETER: (1.0, 1.375),  # a cylinder's ends
}
"""By how much a shape is wider and higher than the text in it."""


def text_width(text: str, size: float) -> float:
    """The width of a line of text in a font of this size, in the unit of the size."""
    return size / EM * sum(map(_advance, text))


def formula_width(text: str, size: float) -> float:
    """The same, nearer to what the font sets: of formulas, which are mostly signs."""
    return size / EM * sum(map(_sign_advance, unicodedata.normalize("NFD", text)))


def node_size(kind: Kind, lines: Sequence[str]) -> tuple[float, float]:
    """The width and the height of a node with these lines of text, in points."""
    wider, higher = STRETCHED.get(kind, (1.0, 1.0))
    across, along = MARGIN.get(kind, MARGIN[None])
    width = wider * (max((text_width(line, FONT_SIZE) for line in lines), default=0.0) + 2 * across)
    height = higher * (LINE * FONT_SIZE * len(lines) + 2 * along)
    return max(LEAST[0], width), max(LEAST[1], height)


def _sign_advance(character: str) -> int:
    return MATHEMATICS.get(character) or _advance(character)


@lru_cache(4096)
def _advance(character: str) -> int:
    code = ord(character.replace("\u00a0", " ")) - 32
    if 0 <= code < len(ASCII):
        return ASCII[code]
    if unicodedata.combining(character):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return EM
    return LETTER if character.isalnum() else SYMBOL
