"""Names as mathematics sets them: ``yhat`` as ŷ, ``W1`` as W with an index, ``alpha`` as α."""

from __future__ import annotations

import re

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
]
_ACCENTS = {"hat": "hat", "bar": "bar", "tilde": "tilde", "dot": "dot"}
_ESCAPES = {
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "{": r"\{",
    "}": r"\}",
    "~": r"\sim ",
    "^": r"\hat{}",
}


def latex_name(name: str, *, layered: bool = False) -> str:
    """A node's name in LaTeX's mathematical mode; it compiles whatever the name is. With ``layered`` a number at
    its end is set as W⁽¹⁾, so that an entry's index has room below."""
    return ".".join(_part(part, layered) for part in name.split("."))


def _part(name: str, layered: bool) -> str:
    match = re.fullmatch(r"([^\W\d_]+)_?(\d*)", name)
    if match is None:
        return _word(name)
    stem, index = match.groups()
    accent = next((a for a in _ACCENTS if stem.endswith(a) and len(stem) > len(a)), None)
    base = _word(stem.removesuffix(accent)) if accent else _word(stem)
    if accent:
        base = rf"\{_ACCENTS[accent]}{{{base}}}"
    if not index:
        return base
    return f"{base}^{{({index})}}" if layered else f"{base}_{{{index}}}"


def _word(word: str) -> str:
    if word in _GREEK:
        return f"\\{word}"
    if len(word) == 1 and word.isascii():
        return _ESCAPES.get(word, word)
    return r"\mathrm{" + "".join(_character(c) for c in word) + "}"


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # pdflatex knows no letters outside ASCII in mathematics: their code points stand for them
    return character if character.isascii() else rf"[{ord(character):X}]"
