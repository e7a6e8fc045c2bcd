"""TOML with places: the standard library reads TOML without lines, and an error should name its line and column."""

from __future__ import annotations

import re
import tomllib
from os import PathLike, fspath
from typing import Any, NamedTuple, TypeVar

import numpy as np

from dataflow.data.readers.opening import utf16
from dataflow.errors import DataflowError, FileFormatError
from dataflow.files.reading import reading
from dataflow.files.toml.places import (
    DuplicateError,
    Entry,
    Key,
    ScanError,
    UnclosedError,
    find,
    measure,
    scan,
    string_offset,
)
from dataflow.files.toml.syntax_hints import advise, unquoted_key
from dataflow.limits import advice, current, most_decoded
from dataflow.support.conversion import LARGE_NUMBER, TooLargeError, finite, misfit
from dataflow.support.texts import shorten

MAX_DEPTH = 64
"""How deep arrays and inline tables may be nested, and how many parts a dotted key may have."""

E = TypeVar("E", bound=DataflowError)


class Place(NamedTuple):
    """A line and a column of a text, counted from 1 in characters; None where it is not known."""

    line: int | None = None
    column: int | None = None


class Document:
    r"""A TOML text: ``data`` as ``tomllib`` reads it, and the places of its keys and values.

    A path is a sequence of keys, with integers for the elements of arrays: ``("nodes", "z")``,
    ``("parameters", "W1", "shape", 0)``. Where a path leads to nothing, its nearest beginning that there is is meant.

    >>> document = parse_toml('[nodes]\nz = "relu(x)"\n', "net.toml")
    >>> document.place("nodes", "z"), document.value_place("nodes", "z")
    (Place(line=2, column=1), Place(line=2, column=6))
    """

    def __init__(self, data: dict[str, Any], text: str, file: str | None) -> None:
        self.data = data
        self.text = text
        self.file = file
        self._root: Entry | None = None

    def place(self, *keys: Key) -> Place:
        """Where the last of ``keys`` stands, with its quote if it is quoted; an array's element, where it begins."""
        entry, found = self._find(keys)
        return self._place(entry.key) if found else Place()

    def value_place(self, *keys: Key) -> Place:
        """Where the value begins: of a string its first character after the quote, of a table its header's key."""
        entry, found = self._find(keys)
        if found and found == len(keys) and self._is_string(entry):
            return self._place(string_offset(self.text, entry.value, 0))
        return self._place(entry.value if found == len(keys) else entry.key) if found else Place()

    def text_place(self, *keys: Key, offset: int) -> Place:
        """Where the character ``offset`` (from 0) of a string's value stands, escapes and line ends considered.

        Where there is no string, the place of the key.
        """
        entry, found = self._find(keys)
        if found and found == len(keys) and self._is_string(entry):
            return self._place(string_offset(self.text, entry.value, max(offset, 0)))
        return self.place(*keys)

    def locate(self, error: E, *keys: Key) -> E:
        """Give an error about what stands at ``keys`` its place: ``raise document.locate(error, "nodes", "z")``.

        A column without a line is one within the string there. An error that has its line stays as it is.
        """
        if error.line is None:
            inside = error.column is not None
            place = self.text_place(*keys, offset=(error.column or 1) - 1) if inside else self.place(*keys)
            error.line, error.column = place
        if error.file is None:
            error.file = self.file
        return error

    def _find(self, keys: tuple[Key, ...]) -> tuple[Entry, int]:
        if self._root is None:
            self._root = scan(self.text)
        return find(self.text, self._root, keys)

    def _is_string(self, entry: Entry) -> bool:
        return entry.kind == "value" and self.text.startswith(("'", '"'), entry.value)

    def _place(self, offset: int) -> Place:
        return _place_of(self.text, offset)


def read_toml(path: str | PathLike[str]) -> Document:
    """The document in a file. Whatever is wrong with it is a ``FileFormatError``."""
    file = fspath(path)
    most = current().structure
    with reading(file) as (stream, size):
        content = stream.read(min(most, size) + 1)  # no more than there is: Python makes room for all it is asked for
    if len(content) > most:
        raise _too_large(size, most, file)
    if (found := utf16(content)) is not None:
        raise FileFormatError(f"the text is {found}; save it as UTF-8", file=file, line=1)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(content, error.start, file) from None
    return parse_toml(text, file)


def parse_toml(text: str, file: str | PathLike[str] = "<text>") -> Document:
    """The document that ``text`` holds; ``file`` is named in errors."""
    file = fspath(file)
    most = current().structure
    if len(text) > most:
        raise _too_large(len(text), most, file)
    source = text.removeprefix("\ufeff")
    text = source.replace("\r\n", "\n")
    deep, cost = measure(text, MAX_DEPTH)
    if cost > most_decoded(most, len(text)):
        message = f"it would take about {cost >> 20} MiB of memory; large data belongs into a CSV or .msgpack file"
        raise FileFormatError(message + advice("structure", cost // 4), file=file)
    read = finite if LARGE_NUMBER.search(text) else float
    try:
        # Up to where it gets too deep the text may have a fault of its own, which then comes first.
        data = tomllib.loads(source if deep is None else text[:deep], parse_float=read)
    except TooLargeError as error:
        line, column = _place_of(text, text.find(str(error)))
        message = misfit(str(error), np.dtype(np.float64))
        raise FileFormatError(message, file=file, line=line, column=column) from None
    except tomllib.TOMLDecodeError as error:
        if deep is None or not str(error).endswith(_AT_END):
            raise _syntax_error(text, str(error), file) from None
    except RecursionError:
        raise FileFormatError("arrays or tables are nested too deep", file=file) from None
    except ValueError:
        # Python refuses to turn thousands of digits into a number, and tomllib passes that on.
        line, column = _place_of(text, found.start()) if (found := _MANY_DIGITS.search(text)) else Place()
        raise FileFormatError("a number has too many digits", file=file, line=line, column=column) from None
    if deep is not None:
        line, column = _place_of(text, deep)
        raise FileFormatError(f"nested more than {MAX_DEPTH} deep", file=file, line=line, column=column)
    document = Document(data, text, file)
    if _MANY_OTHER_DIGITS.search(text):
        _check_integers(document)
    return document


def _check_integers(document: Document) -> None:
    """Refuse an integer that Python reads, because it is hexadecimal, octal or binary, and then cannot print."""
    waiting: list[tuple[tuple[Key, ...], Any]] = [((), document.data)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict | list):
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            waiting += [((*path, key), inner) for key, inner in pairs if isinstance(inner, dict | list | int)]
        elif item.bit_length() > MAX_BITS:
            line, column = document.value_place(*path)
            raise FileFormatError("a number has too many digits", file=document.file, line=line, column=column)


MAX_BITS = 4096
"""An integer of more bits is refused where it stands; which of fewer fit is for whoever uses them."""
_MANY_DIGITS = re.compile(r"(?<![0-9_])[0-9_]{4301,}")
_MANY_OTHER_DIGITS = re.compile(rf"0[xob][0-9a-fA-F_]{{{MAX_BITS // 4},}}")
_AT_END = "(at end of document)"
_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


def _too_large(size: int, most: int, file: str) -> FileFormatError:
    message = f"larger than {most / 2**20:g} MiB: large data belongs into a CSV file, large parameters into .msgpack"
    return FileFormatError(message + advice("structure", size), file=file)


def _place_of(text: str, offset: int) -> Place:
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _syntax_error(text: str, message: str, file: str) -> FileFormatError:
    place = Place()
    if match := _PLACE.search(message):
        place = Place(int(match[1]), int(match[2]))
        message = message[: match.start()]
    elif message.endswith(_AT_END):
        place = Place(len(text.rstrip().splitlines()) or 1)
        message = message.removesuffix(_AT_END).rstrip() + " at the end of the file"
    try:
        scan(text)
    except DuplicateError as error:
        if message.startswith("Cannot "):
            first, name = _place_of(text, error.first).line, ".".join(error.path)
            place = _place_of(text, error.offset)
            message = f"'{shorten(name, 80)}' is given twice, first on line {first}"
            return FileFormatError(message, file=file, line=place.line, column=place.column)
    except UnclosedError as error:
        if place.column is None:
            message, place = str(error), _place_of(text, error.offset)
    except ScanError:
        pass
    hint = ""
    if place.line is not None and place.column is not None:
        where = message, text.split("\n")[place.line - 1], place.column - 1
        hint = advise(*where) or unquoted_key(*where)
    message = message[:1].lower() + shorten(message[1:], 200) + hint
    return FileFormatError(f"this is not TOML: {message}", file=file, line=place.line, column=place.column)


def _not_utf8(content: bytes, start: int, file: str) -> FileFormatError:
    line_start = content.rfind(b"\n", 0, start) + 1
    line, column = content.count(b"\n", 0, start) + 1, len(content[line_start:start].decode("utf-8")) + 1
    message = f"the text is not UTF-8: the byte 0x{content[start]:02x}; save it as UTF-8"
    return FileFormatError(message, file=file, line=line, column=column)
