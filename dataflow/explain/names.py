"""Names as mathematics sets them: ``yhat`` as ŷ, ``W1`` as W with an index, ``alpha`` as α."""

from __future__ import annotations

import re
import unicodedata

_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|"
    "omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)
_ACCENTS = {"hat": "hat", "bar": "bar", "tilde": "tilde", "dot": "dot"}
_MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot", "\u0308": "ddot", "\u0301": "acute"}
_MARKS |= {"\u0300": "grave", "\u030c": "check", "\u0306": "breve", "\u030a": "mathring"}
_ESCAPES = {
    "\\": r"\backslash ",
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
    match = re.fullmatch(r"([^\W\d_]+)(?:_?(\d+))?", name)
    if match is None:
        below = re.fullmatch(r"([^\W\d_])_([^\W\d_]{2,})", name)  # W_in
        return _word(name) if below is None else f"{_word(below[1])}_{{{_word(below[2])}}}"
    stem, index = match.groups(default="")
    accent = next((a for a in _ACCENTS if stem.endswith(a) and len(stem) > len(a)), None)
    base = _word(stem.removesuffix(accent)) if accent else _word(stem)
    if accent:
        base = rf"\{_ACCENTS[accent]}{{{base}}}"
    if not index:
        return base
    return f"{base}^{{({index})}}" if layered else f"{base}_{{{index}}}"


def _word(word: str) -> str:
    if _GREEK.fullmatch(word):
        return f"\\{word}"
    if len(word) == 1 and word.isascii():
        return _character(word)
    return r"\mathrm{" + "".join(_character(c) for c in word) + "}"


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii() and character.isprintable():
        return character
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)", unicodedata.name(character, ""))
    if greek is not None:
        word = greek[2].lower() if greek[1] == "SMALL" else greek[2].capitalize()
        word = word.replace("amda", "ambda")  # Unicode spells it LAMDA
        if _GREEK.fullmatch(word):
            return f"\\{word} "
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[1] in _MARKS and parts[0].isascii():
        return rf"\{_MARKS[parts[1]]}{{{parts[0]}}}"
    # pdflatex knows no other letters in mathematics: their code points stand for them
    return rf"[{ord(character):X}]"
