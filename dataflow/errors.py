"""Every error that a user can cause: one tree, so that a caller catches ``DataflowError`` and nothing escapes."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from typing import Self


class DataflowError(Exception):
    """The base of every error that a user can cause.

    ``str(error)`` is one line: the place as far as it is known (file, line, column, else the node), then what was
    expected, what was found, and what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | PathLike[str] | None = None,
        line: int | None = None,
        column: int | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = None if file is None else fspath(file)
        self.line = line
        self.column = column
        self.node = node

    def at(
        self,
        *,
        file: str | PathLike[str] | None = None,
        line: int | None = None,
        column: int | None = None,
        node: str | None = None,
    ) -> Self:
        """Fill in what is not known yet of the place, and return the error: ``raise error.at(file=path) from None``."""
        if self.file is None and file is not None:
            self.file = fspath(file)
        if self.line is None:
            self.line = line
            if line is not None and self.column is None:
                self.column = column
        if self.node is None:
            self.node = node
        return self

    def __str__(self) -> str:
        return _on_one_line(self._text())

    def _text(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        if self.column is not None and self.file is None and self.line is None:
            place = f"column {self.column}"
        node = f"node '{self.node}': " if self.node is not None and f"'{self.node}'" not in self.message else ""
        message = _LONG_NAME.sub(lambda name: cut(name[0], 100, end=30), node + self.message)
        return f"{place}: {message}" if place else message


class FileFormatError(DataflowError):
    """A file that is not there, cannot be read or written, does not parse, or is not what its format demands."""


class ExpressionError(DataflowError):
    """An expression that does not parse; ``column`` counts from 1 within the line of the file, or the expression."""


class GraphError(DataflowError):
    """A graph that cannot be: a name used twice or unknown, a cycle, an input that is missing."""


class ShapeError(DataflowError):
    """Shapes that do not fit together."""


class ArgumentError(DataflowError, TypeError):
    """An argument of another kind than a function takes, such as a file's name in the place of a mapping of arrays."""


class DtypeError(DataflowError):
    """A dtype that is unknown or does not fit."""


class OpError(DataflowError):
    """An unknown op, a wrong number of inputs, or an attribute that is unknown, missing or of the wrong type."""


class RuleError(DataflowError):
    """An op whose rules are wrong: no derivative, a cotangent or result of the wrong shape, a rule that cannot
    trace."""


class PluginError(DataflowError):
    """Plugins that contradict each other, or a plugin that is not what it says."""


class BackendError(DataflowError):
    """A backend that is not there, not installed, or cannot run a plan."""


class MemoryLimitError(DataflowError):
    """A memory limit that cannot be read or cannot be met, or an array for which there is not enough memory."""


class WorkLimitError(DataflowError):
    """More work than was allowed for, such as a derivation in symbols whose expressions grow without end."""


class DataError(DataflowError):
    """Data of the wrong shape or dtype, with missing cells, or not given at all."""


class UnknownInputError(DataError):
    """An input is given that the model does not have."""

    name = ""

    @classmethod
    def of(cls, name: str, available: Iterable[str]) -> Self:
        """The error about this name."""
        error = cls(f"unknown input '{name}'{nearest(str(name), list(available))}")
        error.name = name
        return error


class MissingInputError(DataError):
    """An input is needed that the data lacks."""


class UndeclaredError(DataError):
    """Data that the model would take if its file declared how; the message says what to declare."""


class TrainingError(DataflowError):
    """Training that cannot start or cannot go on."""


class NonFiniteError(TrainingError):
    """NaN or infinity appeared in training; ``node`` is the first node that has it."""


class MissingExtraError(DataflowError):
    """A feature needs a package that is not installed; the message names the extra to install."""


class DataflowWarning(UserWarning):
    """Something a user should know that stops nothing: a plugin left out, a gradient that is zero for want of a
    path."""


_LONG_NAME = re.compile(r"[\w.]{101,}")
"""What a message shows the beginning and the end of."""
LONGEST = 2000
"""So many characters of a message are shown: it may quote a file, and what is quoted may be long."""


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a terminal takes for a command: whatever comes from outside (a file
    and its name, a plugin, the system) goes through this on its way to one."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)
    return text


def _on_one_line(text: str) -> str:
    """The text as ``printable``, with its middle left out if long."""
    return cut(printable(text), LONGEST, end=490, mark=" ... ")


def cut(text: str, limit: int, *, end: int = 0, mark: str = "...") -> str:
    """The text, at most ``limit`` characters of it; ``mark`` stands for what is left out before its last ``end``."""
    if len(text) <= limit:
        return text
    return text[: limit - len(mark) - end] + mark + text[len(text) - end :]


def listed(names: Sequence[str], most: int | None = None) -> str:
    """``'x', 'y'``, at most so many of them, and how many there are besides."""
    shown = ", ".join(f"'{cut(name, 100)}'" for name in names[:most])
    return shown if most is None or len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(count: int, what: str) -> str:
    """A count with its noun: ``1 example``, ``4 examples``."""
    return f"{count:,} {plural(what, count)}"


def plural(what: str, count: object) -> str:
    """The noun for so many: ``axis`` for 1, else ``axes``."""
    if count == 1:
        return what
    if what.endswith("matrix"):
        return what[:-1] + "ces"
    if what.endswith("is"):
        return what[:-2] + "es"
    if what.endswith("y"):
        return what[:-1] + "ies"
    return what + ("es" if what.endswith(("s", "x")) else "s")


_LONGEST_NAME = 60
_ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot"}
_MOST_COMPARED = 40_000


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'matmul'?"`` for the nearest of ``known``, else what there is (at most 12 names, those of a
    list in its order), else nothing."""
    name, names = str(name), list(dict.fromkeys(known)) if isinstance(known, list) else sorted(set(known))
    if close := closest(name, names):
        return "; did you mean " + " or ".join(f"'{cut(candidate, 100)}'" for candidate in close) + "?"
    return f"; available: {listed(names, 12)}" if names else ""


def closest(name: str, names: Sequence[str]) -> list[str]:
    """At most two of ``names`` that ``name`` may be meant for, the nearest first; else those whose words it has the
    initials of, as ``lr`` has those of ``learning_rate``. A name as formulas are set, as ŷ and W⁽¹⁾, is meant for the
    one that is typed so: ``yhat``, ``W1``. Case does not count; how much is compared is bounded, so that
    thousands of long names take no time."""
    wanted = name[: 2 * _LONGEST_NAME].casefold()
    same = [other for other in names if len(other) == len(name) and other.casefold() == name.casefold()]
    if same or not wanted:
        return same[:2]
    if not wanted.isascii() and (meant := [n for n in names if n.replace("_", "").casefold() == _typed(wanted)]):
        return meant[:2]
    most = _MOST_COMPARED // min(len(wanted), _LONGEST_NAME)
    if len(names) > most:
        names = [n for n in names if n[:1].casefold() == wanted[0] and abs(len(n) - len(name)) <= 2][:most]
    # the beginnings of long names are compared, and what a name is known by is its first one that has the beginning
    by_start = {other[:_LONGEST_NAME].casefold(): other for other in reversed(names)}
    close = difflib.get_close_matches(wanted[:_LONGEST_NAME], by_start, n=2, cutoff=0.6)
    initials = [start for start in by_start if _initials(start) == wanted] if len(wanted) > 1 else []
    return [by_start[start] for start in (initials or close)[:2]]


def _typed(name: str) -> str:
    """A name that is set with accents, Greek letters and numbers above or below, as it is typed, in small letters."""
    letters = []
    for letter in unicodedata.normalize("NFKD", name):
        called = unicodedata.name(letter, "").split()
        if letter in _ACCENTS:
            letters.append(_ACCENTS[letter])
        elif called[:1] == ["GREEK"]:
            letters.append(called[-1].replace("LAMDA", "LAMBDA"))
        elif letter not in "()_":
            letters.append(letter)
    return "".join(letters).casefold()


def _initials(name: str) -> str:
    return "".join(word[:1] for word in re.split("[-_]", name) if word) if re.search("[^-_][-_]", name) else ""
