"""Every error that a user can cause: one tree, so that a caller catches ``DataflowError`` and nothing escapes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
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
        return f"{place}: {node}{self.message}" if place else f"{node}{self.message}"


class FileFormatError(DataflowError):
    """A file that is not there, cannot be read or written, does not parse, or is not what its format demands."""


class ExpressionError(DataflowError):
    """An expression that does not parse; ``column`` counts from 1 within the line of the file, or the expression."""


class GraphError(DataflowError):
    """A graph that cannot be: a name used twice or unknown, a cycle, an input that is missing."""


class ShapeError(DataflowError):
    """Shapes that do not fit together."""


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


class DataError(DataflowError):
    """Data of the wrong shape or dtype, with missing cells, or not given at all."""


class TrainingError(DataflowError):
    """Training that cannot start or cannot go on."""


class NonFiniteError(TrainingError):
    """NaN or infinity appeared in training; ``node`` is the first node that has it."""


class MissingExtraError(DataflowError):
    """A feature needs a package that is not installed; the message names the extra to install."""


class DataflowWarning(UserWarning):
    """Something a user should know that stops nothing: a plugin left out, a gradient that is zero for want of a
    path."""


LONGEST = 2000
"""So many characters of a message are shown: it may quote a file, and what is quoted may be long."""


def _on_one_line(text: str) -> str:
    """The text without anything that would leave its line or steer a terminal, and with its middle left out if long."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 500]} ... {text[-490:]}"


MANY = 5000
"""So many names at most are compared with one that is unknown."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'matmul'?"`` for the nearest of ``known``, else what there is (at most 12 names), else
    nothing."""
    names = sorted(set(known))
    alike = names
    if len(names) > MANY:  # comparing each would take seconds
        alike = [other for other in names if other[:1] == name[:1] and abs(len(other) - len(name)) <= 2][:MANY]
    close = difflib.get_close_matches(name, alike, n=2, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(f"'{candidate}'" for candidate in close) + "?"
    if not names:
        return ""
    listed = ", ".join(f"'{candidate}'" for candidate in names[:12])
    return f"; there is {listed}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
