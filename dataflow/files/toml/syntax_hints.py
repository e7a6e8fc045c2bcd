"""What to write instead of common slips in TOML: numbers as Python writes them, other languages' words and marks."""

from __future__ import annotations

import re

from dataflow.support.texts import shorten


def advise(message: str, line: str, at: int) -> str:
    """What to do about the fault that ``tomllib`` reports at a place of a line; empty where nothing is known."""
    before, rest = _around(line, at)
    if message.startswith("Expected '='"):
        return "; between a key and its value stands =" if rest.startswith(":") else ""
    if message.startswith("Invalid initial character") and rest.startswith("}"):
        return "; no comma stands before the }"
    if message.startswith("Invalid statement"):
        return "; a comment begins with #" if rest.startswith(("//", "/*", ";")) else ""
    if not message.startswith(("Invalid value", "Expected newline", "Unclosed")):
        return ""
    if within := re.match(r"""(["'])(?:\1|[^\s,\]}#"']).*\1""", line[at - 1 :] if at else ""):
        holds, stands = ("double", "single") if within[1] == '"' else ("single", "double")
        return f"; a text with {holds} quotes in it stands in {stands} quotes"
    invalid = message.startswith("Invalid value")
    begun = re.search(r"[^\s,=\[\]{}]*$", before)[0]  # type: ignore[index]
    if begun or invalid:
        word = begun + re.match(r"[^\s,\[\]{}#]*", rest)[0]  # type: ignore[index]
        for pattern, advice in _WORDS:
            if match := re.fullmatch(pattern, word):
                return "; " + match.expand(advice)
    for pattern, advice in _MARKS:
        if re.match(pattern, rest):
            return f"; {advice}"
    if invalid:
        return "; a value is missing here" if rest.startswith(",") else '; text stands in quotes, as in name = "xor"'
    return "; a list has commas between its entries" if message == "Unclosed array" else ""


def _around(line: str, at: int) -> tuple[str, str]:
    """What stands before and after, as far as a message would show it."""
    return line[max(at - 60, 0) : at], line[at : at + 60]


_DIGITS = r"[+-]?\d(?:_?\d)*"
_FLOAT = rf"{_DIGITS}(?:\.\d(?:_?\d)*)?"
_WORDS = [
    (r"([+-]?)(\.\d[\d_]*(?:[eE][+-]?\d+)?)", r"a number needs a digit before the point: \g<1>0\g<2>"),
    (rf"({_DIGITS})\.([eE][+-]?\d+)?", r"a number needs a digit after the point: \g<1>.0\g<2>"),
    (rf"({_FLOAT}[eE][+-]?\d+)\.\d*", r"an exponent has no point: \g<1>"),
    (rf"({_FLOAT}[eE])([+-]?)", r"an exponent needs a digit: \g<1>\g<2>0"),
    (r"[+-]?0[xX][0-9a-fA-F_]*\S*", "a hexadecimal number is 0x and digits, as in 0x1f"),
    (r"[+-]?0[oO]\S*", "an octal number is 0o and digits, as in 0o17"),
    (r"[+-]?0[bB]\S*", "a binary number is 0b and digits, as in 0b101"),
    (r"([+-]?)0+(\d(?:_?\d)*(?:\.\d+)?)", r"a number does not begin with 0: \g<1>\g<2>"),
    (r"[+-]?(?:\d[\d.]*_[\d_.]*|_\d[\d_.]*)", "an underscore stands between two digits, as in 1_000"),
    (r"[+-]?(?i:nan)", "not a number is written nan"),
    (r"([+-]?)(?i:inf|infinity)", r"infinity is written \g<1>inf"),
    (r"(?i:true)", "it is written true"),
    (r"(?i:false)", "it is written false"),
    (r"(?i:none|null|nil|na)", "TOML has no word for nothing; leave the key out"),
    (rf"({_FLOAT})[a-zA-Zµ%]+", r"a number has no letters or signs after it: \g<1>"),
    (rf"{_FLOAT};", "TOML has no ;, and a list has commas"),
    (rf"{_FLOAT}(?:[*/^+-]+{_FLOAT})+", "nothing is computed here; write the result"),
    ("[“”‘’„«].*", "text stands in straight quotes, as in name = \"xor\""),
]  # fmt: skip
_MARKS = [
    (r"\(", "a list stands in brackets, as in [1, 2]"),
    (r"=|>", "between a key and its value stands one ="),
    (r",\d", "a decimal point is a point, not a comma, and a list stands in brackets"),
    (r";", "TOML has no ;, and a list has commas"),
    (r"//|/\*", "a comment begins with #"),
]


def unquoted_key(message: str, line: str, at: int) -> str:
    """What to do where a key is no bare key, as TOML calls those that do without quotes, for a letter beyond a to z."""
    if not re.search("key|statement|declaration", message):
        return ""
    if line[at : at + 1].isascii() or "=" in line[:at].rpartition("{")[2]:
        return ""
    before, rest = _around(line, at)
    word = re.search(r"\w*$", before)[0] + re.match(r"\w*", rest)[0]  # type: ignore[index]
    return f'; a key with letters beyond a to z stands in quotes: "{shorten(word, 80)}"' if word else ""
