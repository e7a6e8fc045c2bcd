"""The tokens of an expression: names, numbers, strings and operators, each with its column.

A token that cannot be is kept as a token of kind ``"bad"`` that carries its message, so that the parser reports the
first fault of a text, whichever kind it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple, NoReturn

from dataflow.errors import ExpressionError
from dataflow.support.texts import shorten

MAX_DEPTH = 64
"""How deep parentheses, brackets, calls, signs and powers may be nested; chains of + or * have no depth."""

KEYWORDS = {
    "and": "logic is written where(condition, a, b)",
    "or": "logic is written where(condition, a, b)",
    "not": "logic is written where(condition, a, b)",
    "if": "a choice is written where(condition, a, b)",
    "else": "a choice is written where(condition, a, b)",
    "lambda": "an expression defines no functions; a block does, [blocks.NAME]",
    "for": "there are no loops in an expression",
    "in": "there are no loops in an expression",
    "is": "compare with ==",
    "await": "an expression is read, never executed",
    "yield": "an expression is read, never executed",
    "import": "an expression is read, never executed",
}
"""What to write instead of Python's keywords; each may still be a declared name."""

INTEGER_LIMIT = 2**63
"""The bound of whole numbers in an expression, on either side: those of an int64."""


class Token(NamedTuple):
    """``kind`` is "name", "number", "string", "operator", "end" or "bad"; ``column`` counts characters from 1.

    ``text`` is as written, but NFKC-normalized for a name, as Python does; the message for "bad".
    ``value`` is the number or the string.
    """

    kind: str
    text: str
    column: int
    value: int | float | str = 0


def tokenize(text: str) -> list[Token]:
    """Every token of ``text`` and one of kind "end"; nothing is raised, and nothing after a "bad" token is read."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            tokens.append(_bad_character(text, position))
            break
        kind = match.lastgroup or ""
        position = match.end()
        if kind == "space":
            continue
        if kind == "operator":
            token = Token("operator", match.group(), match.start() + 1)
        elif kind == "name":
            token = _name(match.group(), match.start())
        elif kind == "number":
            token = _number(text, match)
        else:
            token = _string(match.group(), match.start() + 1)
        tokens.append(token)
        if token.kind == "bad":
            break
    tokens.append(Token("end", "the end", len(text) + 1))
    return tokens


class Cursor:
    """A place among the tokens of a text."""

    def __init__(self, text: str, constants: Mapping[str, Any] | None) -> None:
        self.tokens = tokenize(text)
        self.position = 0
        self.token = self.tokens[0]
        """The token that is read next."""
        self.constants = constants or {}
        """Names that stand for constants in a call's attributes."""

    @property
    def before(self) -> Token | None:
        """The token that was read last."""
        return self.tokens[self.position - 1] if self.position else None

    def at(self, *operators: str) -> bool:
        """Whether one of these operators is read next."""
        return self.token.kind == "operator" and self.token.text in operators

    def advance(self) -> Token:
        """Read a token; the end is never passed, nor is a bad token."""
        token = self.token
        if token.kind == "bad":
            raise ExpressionError(token.text, column=token.column)
        if token.kind != "end":
            self.position += 1
            self.token = self.tokens[self.position]
        return token

    def fail(self, token: Token, expected: str, hint: str = "") -> NoReturn:
        """Say what was expected where ``token`` was found."""
        if token.kind == "bad":
            raise ExpressionError(token.text, column=token.column)
        shown = token.text if token.kind == "end" else f"'{shorten(token.text)}'"
        raise ExpressionError(f"expected {expected}, found {shown}{hint}", column=token.column)

    def check_depth(self, depth: int, token: Token) -> None:
        """Refuse an expression that is nested too deep."""
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} deep; name an inner part", column=token.column)


def quote(text: str) -> str:
    """A string as an expression writes it: ``unquote`` of it gives ``text`` back."""
    pieces = []
    for character in text:
        if character in "\\'":
            pieces.append("\\" + character)
        elif character.isprintable():
            pieces.append(character)
        elif ord(character) < 0x10000:
            pieces.append(f"\\u{ord(character):04x}")
        else:
            pieces.append(f"\\U{ord(character):08x}")
    return "'" + "".join(pieces) + "'"


def unquote(text: str) -> str:
    """What a quoted string stands for; ValueError for an unknown escape."""
    return _ESCAPE.sub(_unescape, text[1:-1])


_DIGITS = r"[0-9](?:_?[0-9])*"
_EXPONENT = rf"(?:[eE][+-]?{_DIGITS})?"
_NAME_START = r"(?:[A-Za-z_]|[^\x00-\x7f])"
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n\f]+)
    |(?P<number>0[xX](?:_?[0-9a-fA-F])+ | 0[oO](?:_?[0-7])+ | 0[bB](?:_?[01])+
        | (?:{_DIGITS})?\.{_DIGITS}{_EXPONENT} | {_DIGITS}\.?{_EXPONENT})
    |(?P<name>{_NAME_START}(?:[A-Za-z0-9_]|[^\x00-\x7f])*)
    |(?P<string>"(?:[^"\\\n]|\\.)*(?:"|(?=\n|\\?\Z)) | '(?:[^'\\\n]|\\.)*(?:'|(?=\n|\\?\Z)))
    |(?P<operator>\*\*|//|==|!=|<=|>=|<<|>>|:=|->|&&|\|\||\.\.\.|[-+*/@%()\[\]{{}},:.=<>&|^~!;])""",
    re.VERBOSE,
)
_TAIL = re.compile(r"[0-9A-Za-z_]+|\.[0-9][0-9A-Za-z_.]*")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_ASCII_FOR = {
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00d7": "*", "\u00b7": "*", "\u22c5": "*", "\u2217": "*",
    "\u00f7": "/", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=", "\u00b2": "**2", "\u00b3": "**3",
    "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u1d40": ".T", "\u22a4": ".T",
}  # fmt: skip


def _name(text: str, start: int) -> Token:
    if text.isascii():
        return Token("name", text, start + 1)
    if text.isidentifier():
        return Token("name", unicodedata.normalize("NFKC", text), start + 1)
    # The shortest prefix that is no identifier ends with the culprit; identifiers are closed under prefixes.
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        if text[:middle].isidentifier():
            low = middle
        else:
            high = middle
    return _bad_character(text, low, start)


def _bad_character(text: str, position: int, start: int = 0) -> Token:
    character = text[position]
    if character in "\"'":
        message = "this string is never closed"
    elif character in _ASCII_FOR:
        message = f"unexpected character '{character}'; write {_ASCII_FOR[character]}"
    elif character == "#":
        message = "a comment stands outside the expression"
    elif character.isprintable():
        message = f"unexpected character '{character}'"
    else:
        name = unicodedata.name(character, "a control character").lower()
        message = f"unexpected character U+{ord(character):04X}, {name}"
    return Token("bad", message, start + position + 1)


def _number(text: str, match: re.Match[str]) -> Token:
    written, column = match.group(), match.start() + 1
    tail = _TAIL.match(text, match.end())
    if tail is not None and tail.group() not in KEYWORDS:
        return Token("bad", _not_a_number(written, tail.group()), column)
    digits = written.replace("_", "")
    whole = digits.isdigit() or digits[:2].lower() in ("0x", "0o", "0b")
    if not whole:
        value = float(digits)
        if not isfinite(value):
            return Token("bad", f"the number {shorten(written)} is beyond float64", column)
        return Token("number", written, column, value)
    if digits.isdigit() and digits.startswith("0") and digits.strip("0"):
        return Token("bad", f"'{shorten(written)}' is not a number: it has leading zeros", column)
    # Check the length first: converting many digits takes time that grows with their square.
    size = len(digits.lstrip("0")) if digits.isdigit() else len(digits[2:].lstrip("0"))
    if size > 64 or int(digits, 0) > INTEGER_LIMIT:
        return Token("bad", f"the number {shorten(written)} has more than 64 bits; write it as a float, 1e30", column)
    return Token("number", written, column, int(digits, 0))


def _not_a_number(written: str, tail: str) -> str:
    whole = shorten(written + tail)
    if tail in ("j", "J"):
        return f"'{whole}' is a complex number; only real numbers are supported"
    if tail.isidentifier() and not tail.startswith("_"):
        return f"'{whole}' is neither a number nor a name; a product is written {shorten(written)} * {shorten(tail)}"
    if written.strip("0_") == "" and tail.isdigit():
        return f"'{whole}' is not a number: it has leading zeros"
    return f"'{whole}' is not a number"


def _string(text: str, column: int) -> Token:
    if len(text) < 2 or text[-1] != text[0]:
        return Token("bad", "this string is never closed", column)
    try:
        return Token("string", text, column, unquote(text))
    except ValueError as error:
        return Token("bad", str(error), column)


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if len(code) > 1:
        number = int(code[1:], 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise ValueError(f"there is no character '\\{code}'")
        return chr(number)
    if code not in _SIMPLE_ESCAPES:
        raise ValueError(f"unknown escape '\\{shorten(code)}' in a string; a backslash is written twice")
    return _SIMPLE_ESCAPES[code]
