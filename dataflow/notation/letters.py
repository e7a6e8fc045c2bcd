"""The tables of mathematical letters, for Unicode and for LaTeX; and text that no writer can stumble over."""

from __future__ import annotations

import unicodedata

from dataflow.errors import cut

LONGEST = 120
GREEK = {
    "".join(unicodedata.name(chr(code)).split()[3:]).lower(): chr(code)
    for code in range(ord("α"), ord("ω") + 1)
    if chr(code) != "ς"
} | {"lambda": "λ"}
GREEK |= {name.capitalize(): letter.upper() for name, letter in GREEK.items()}
"""Each letter by its name; ``Gamma`` is the capital."""
SAME_IN_LATIN = {"omicron": "o", "Alpha": "A", "Beta": "B", "Epsilon": "E", "Zeta": "Z", "Eta": "H", "Iota": "I"}
SAME_IN_LATIN |= {"Kappa": "K", "Mu": "M", "Nu": "N", "Omicron": "O", "Rho": "P", "Tau": "T", "Chi": "X"}
"""Those for which LaTeX has no command, as they look like a Latin letter."""
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
"""The accents that a name may end in: ``yhat``."""
MARKS = {mark: accent for accent, mark in ACCENTS.items()} | {"\u0308": "ddot", "\u0301": "acute", "\u0300": "grave"}
MARKS |= {"\u030c": "check", "\u0306": "breve", "\u030a": "mathring"}
"""LaTeX's accents by the combining character."""
SUPERSCRIPTS = dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
SUBSCRIPTS = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))
SUBSCRIPTS |= dict(zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
MATH_ESCAPES = {"\\": r"\backslash ", "~": r"\sim ", "^": r"\hat{}"} | {c: f"\\{c}" for c in "_#$%&{}"}
"""What stands for characters that are commands in LaTeX's mathematical mode."""


def superscript(digits: str) -> str:
    """``12`` as ¹²."""
    return "".join(SUPERSCRIPTS[digit] for digit in digits)


def subscript(text: str) -> str | None:
    """``12`` as ₁₂, ``in`` as ᵢₙ; ``None`` where Unicode lacks one of the letters."""
    return "".join(SUBSCRIPTS[c] for c in text) if all(c in SUBSCRIPTS for c in text) else None


def greek_command(name: str) -> str:
    """LaTeX for the Greek letter of this name."""
    return SAME_IN_LATIN.get(name) or f"\\{name}"


def greek_name(character: str) -> str | None:
    """The name of a Greek letter: ``delta`` of δ."""
    return _NAMES.get(character)


_NAMES = {letter: name for name, letter in GREEK.items()}


def plain(text: str, longest: int = LONGEST) -> str:
    """The text on one line of printable characters, shortened in its middle where it is long."""
    return cut(printable(text), longest, end=(longest - 1) // 2, mark="…")


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a file of text cannot hold."""
    return "".join(c if c.isprintable() or c == "\u00a0" else " " if c.isspace() else "\ufffd" for c in str(text))
