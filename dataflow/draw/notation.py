"""Names and partial derivatives as mathematics sets them, in Unicode; and text that no writer can stumble over."""

from __future__ import annotations

import re
import unicodedata

ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST = 120
_GREEK = {
    "".join(unicodedata.name(chr(code)).split()[3:]).lower(): chr(code)
    for code in range(ord("α"), ord("ω") + 1)
    if chr(code) != "ς"
} | {"lambda": "λ"}
_GREEK |= {name.capitalize(): letter.upper() for name, letter in _GREEK.items()}


def math_name(name: str) -> str:
    """``W1`` as W⁽¹⁾, ``yhat`` as ŷ, ``alpha`` as α, ``h1.W`` as h⁽¹⁾.W."""
    return ".".join(map(_part, plain(name).split(".")))


def partial(of: str, wrt: str) -> str:
    """∂of/∂wrt."""
    return f"∂{math_name(of)}/∂{math_name(wrt)}"


def plain(text: str, longest: int = LONGEST) -> str:
    """The text on one line of printable characters, shortened in its middle where it is long."""
    safe = printable(text)
    half = (longest - 1) // 2
    return safe if len(safe) <= longest else f"{safe[:half]}…{safe[-half:]}"


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a file of text cannot hold."""
    return "".join(c if c.isprintable() or c == "\u00a0" else " " if c.isspace() else "\ufffd" for c in str(text))


def _part(name: str) -> str:
    match = re.fullmatch(r"([^\W\d_]+)(?:_?(\d+))?", name)
    if match is None:
        return name
    stem, index = match.groups(default="")
    for accent, mark in ACCENTS.items():
        letter = _symbol(stem.removesuffix(accent))
        if stem.endswith(accent) and len(letter) == 1:
            stem = unicodedata.normalize("NFC", letter + mark)
            break
    return _symbol(stem) + (f"⁽{index.translate(SUPERSCRIPTS)}⁾" if index.isascii() and index else index)


def _symbol(word: str) -> str:
    return _GREEK.get(word, word)
