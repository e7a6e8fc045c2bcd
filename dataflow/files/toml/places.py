"""Where each key and value of a TOML text stands: a scan that is made only when somebody asks, which is for an error.

It is no parser: it is given texts that ``tomllib`` accepts and agrees with it on those. In other texts it stops where
it understands no more. Nothing recurses: what is inside an array or an inline table is scanned when it is asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = str | int


class ScanError(ValueError):
    """The text is not TOML from ``offset`` on."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class UnclosedError(ScanError):
    """The string, array or table that begins at ``offset`` is never closed."""


class DuplicateError(ScanError):
    """A key is given twice: ``path``, first at the offset ``first``."""

    def __init__(self, path: Sequence[str], first: int, second: int) -> None:
        super().__init__(".".join(path), second)
        self.path = tuple(path)
        self.first = first


@dataclass(slots=True)
class Entry:
    """A key, or an element of an array, by offsets into the text. A table's value begins where its key does.

    ``children`` is None until what is inside is known: ``kind`` is then "value".
    """

    key: int
    value: int
    kind: str  # "value", "header", "implicit" (by the header of a table inside), "dotted", "tables", "root"
    children: dict[str, Entry] | list[Entry] | None = None


def scan(text: str) -> Entry:
    """All tables of a text and their keys. A ``ScanError`` comes with the first fault."""
    root = Entry(0, 0, "root", {})
    current = root
    position = skip_blank(text, 0)
    while position < len(text):
        if text[position] == "[":
            current, position = _scan_header(text, position, root)
        else:
            position = _scan_pair(text, position, current)
        position = skip_blank(text, position)
    return root


def find(text: str, root: Entry, path: Sequence[Key]) -> tuple[Entry, int]:
    """The entry that ``path`` leads to, or the last on the way that there is, and how many keys led there."""
    entry = root
    for depth, key in enumerate(path):
        if entry.children is None:
            entry.children = _scan_inside(text, entry.value)
        child = _child(entry.children, key)
        if child is None:
            return entry, depth
        entry = child
    return entry, len(path)


def string_offset(text: str, start: int, index: int) -> int:
    """Where the character ``index`` of the string that begins at ``start`` stands; past its end, its closing quote."""
    quote = text[start]
    end = string_end(text, start)
    long = text.startswith(quote * 3, start) and end - start >= 6
    position = start + (3 if long else 1)
    end -= 3 if long else 1
    if long and text.startswith("\n", position):
        position += 1
    if quote == "'":
        return min(position + index, end)
    seen = 0
    while position < end:
        piece = _BASIC_PIECE.match(text, position, end)
        assert piece is not None
        length = 0 if piece.lastgroup == "joint" else 1 if piece.lastgroup == "escape" else len(piece.group())
        if seen + length > index:
            return position + (index - seen if length > 1 else 0)
        seen += length
        position = piece.end()
    return end


def string_end(text: str, start: int) -> int:
    """The offset after the closing quote of the string that begins at ``start``."""
    quote = text[start]
    long = text.startswith(quote * 3, start)
    position = start + (3 if long else 1)
    while match := _IN_STRING[quote, long].search(text, position):
        position = match.end()
        if match.group() == "\\":
            position += 1
        elif match.group() == "\n":
            break
        else:
            # Up to two quotes may stand before the three that close a long string.
            while long and position < match.end() + 2 and text.startswith(quote, position):
                position += 1
            return position
    raise UnclosedError(f"this {quote * (3 if long else 1)} is never closed", start)


def skip_blank(text: str, position: int) -> int:
    """The offset after blanks, line ends and comments."""
    while True:
        match = _BLANK.match(text, position)
        assert match is not None
        position = match.end()
        if not text.startswith("#", position):
            return position
        position = _line_end(text, position)


def measure(text: str, limit: int) -> tuple[int | None, int]:
    """Where brackets are nested, or a key is dotted, more than ``limit`` deep, for ``tomllib`` would recurse there; and
    about how many bytes what comes before takes in memory once it is read."""
    depth = dots = position = cost = 0
    while match := _MARK.search(text, position):
        position = match.end()
        mark = match.group()
        cost += _COSTS.get(mark, 0)
        if mark in "\"'":
            try:
                position = string_end(text, match.start())
            except ScanError:
                return None, cost
        elif mark == "#":
            position = _line_end(text, position)
        elif mark == ".":
            dots += 1
        elif len(mark) > 1:
            # A whole row of numbers at once, or the header of a table whose name is made of digits.
            cost += _COSTS["["] + _COSTS[","] * mark.count(",")
            dots = 0 if "," in mark else mark.count(".")
            if max(depth + 1, dots + 1) > limit:
                return match.start(), cost
            dots = 0
        else:
            dots = 0
            cost += _HEADER if mark == "[" and not depth else 0
            depth += 1 if mark in "[{" else -1 if mark in "]}" and depth else 0
        if max(depth, dots + 1) > limit:
            return match.start(), cost
    return None, cost


# What CPython and tomllib, which notes for each table and dotted key what may still be added to it, take for each.
_COSTS = {"=": 240, "{": 1000, "[": 120, ",": 40, ".": 1000, '"': 70, "'": 70}
_HEADER = 1000

_BLANK = re.compile(r"[ \t\n]*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_MARK = re.compile(r"""\[[-+0-9_eE., \t\n]*+\]|["'#\[\]{}.,=\n]""")
_BRACKET = re.compile(r"""["'#\[\]{}]""")
_IN_STRING = {
    ('"', False): re.compile(r'["\\\n]'),
    ("'", False): re.compile(r"['\n]"),
    ('"', True): re.compile(r'"""|\\'),
    ("'", True): re.compile(r"'''"),
}
_BASIC_PIECE = re.compile(
    r"(?P<joint>\\[ \t]*\n[ \t\n]*)|(?P<escape>\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|.))|[^\\]+"
)


def _child(children: dict[str, Entry] | list[Entry], key: Key) -> Entry | None:
    if isinstance(children, dict):
        return children.get(key) if isinstance(key, str) else None
    return children[key] if isinstance(key, int) and 0 <= key < len(children) else None


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _line_end(text: str, position: int) -> int:
    newline = text.find("\n", position)
    return len(text) if newline < 0 else newline


def _value_end(text: str, position: int) -> int:
    """The offset after the value that begins at ``position``."""
    if position >= len(text):
        raise ScanError("a value is missing", position)
    if text[position] in "\"'":
        return string_end(text, position)
    if text[position] not in "[{":
        match = _SCALAR.match(text, position)
        if match is None:
            raise ScanError("a value is missing", position)
        return match.end()
    start, depth = position, 0
    while match := _BRACKET.search(text, position):
        position = match.end()
        mark = match.group()
        if mark in "\"'":
            position = string_end(text, match.start())
        elif mark == "#":
            position = _line_end(text, position)
        else:
            depth += 1 if mark in "[{" else -1
            if not depth:
                return position
    raise UnclosedError(f"this '{text[start]}' is never closed", start)


def _scan_keys(text: str, position: int) -> tuple[list[tuple[str, int]], int]:
    """A key and its dotted parts, each with its offset, and the offset after it and blanks."""
    keys = []
    while True:
        position = _skip_space(text, position)
        if text.startswith(("'", '"'), position):
            end = string_end(text, position)
            written = text[position:end]
            try:
                # Escapes are decoded by the one who knows them; keys with escapes are rare.
                key: str = tomllib.loads(f"key = {written}")["key"] if "\\" in written else written[1:-1]
            except tomllib.TOMLDecodeError as error:
                raise ScanError(str(error), position) from None
        else:
            match = _BARE_KEY.match(text, position)
            if match is None:
                raise ScanError("a key is missing", position)
            key, end = match.group(), match.end()
        keys.append((key, position))
        position = _skip_space(text, end)
        if not text.startswith(".", position):
            return keys, position
        position += 1


def _scan_pair(text: str, position: int, table: Entry) -> int:
    """``key = value``, entered into ``table``; the offset after it."""
    keys, position = _scan_keys(text, position)
    if not text.startswith("=", position):
        raise ScanError("'=' is missing", position)
    start = _skip_space(text, position + 1)
    end = _value_end(text, start)
    for depth, (key, offset) in enumerate(keys, 1):
        assert isinstance(table.children, dict)
        known = table.children.get(key)
        if depth == len(keys):
            if known is not None:
                raise DuplicateError([key for key, _ in keys], known.key, offset)
            table.children[key] = Entry(offset, start, "value")
        else:
            if known is None:
                known = table.children[key] = Entry(offset, offset, "dotted", {})
            if not isinstance(known.children, dict):
                raise DuplicateError([key for key, _ in keys[:depth]], known.key, offset)
            table = known
    return end


def _scan_header(text: str, position: int, root: Entry) -> tuple[Entry, int]:
    """``[table]`` or ``[[table]]``: the table that it opens, and the offset after it."""
    brackets = 2 if text.startswith("[[", position) else 1
    keys, position = _scan_keys(text, position + brackets)
    if not text.startswith("]" * brackets, position):
        raise ScanError("']' is missing", position)
    path = [key for key, _ in keys]
    table = root
    for depth, (key, offset) in enumerate(keys[:-1], 1):
        assert isinstance(table.children, dict)
        table = table.children.setdefault(key, Entry(offset, offset, "implicit", {}))
        if isinstance(table.children, list) and table.kind == "tables":
            table = table.children[-1]
        if not isinstance(table.children, dict):
            raise DuplicateError(path[:depth], table.key, offset)
    key, offset = keys[-1]
    assert isinstance(table.children, dict)
    known = table.children.get(key)
    opened = Entry(offset, offset, "header", {})
    if brackets == 2:
        if known is None:
            known = table.children[key] = Entry(offset, offset, "tables", [])
        if known.kind != "tables" or not isinstance(known.children, list):
            raise DuplicateError(path, known.key, offset)
        known.children.append(opened)
    elif known is None:
        table.children[key] = opened
    elif known.kind == "implicit":
        known.key, known.value, known.kind = offset, offset, "header"
        opened = known
    else:
        raise DuplicateError(path, known.key, offset)
    return opened, position + brackets


def _scan_inside(text: str, start: int) -> dict[str, Entry] | list[Entry]:
    """What is inside the array or inline table that begins at ``start``; nothing is inside other values."""
    if text[start] not in "[{":
        return []
    closing = "]" if text[start] == "[" else "}"
    elements: list[Entry] = []
    table = Entry(start, start, "root", {})
    position = skip_blank(text, start + 1)
    while not text.startswith(closing, position):
        if closing == "]":
            elements.append(Entry(position, position, "value"))
            position = _value_end(text, position)
        else:
            position = _scan_pair(text, position, table)
        position = skip_blank(text, position)
        if text.startswith(",", position):
            position = skip_blank(text, position + 1)
        elif not text.startswith(closing, position):
            raise ScanError("a comma is missing", position)
    assert isinstance(table.children, dict)
    return elements if closing == "]" else table.children
