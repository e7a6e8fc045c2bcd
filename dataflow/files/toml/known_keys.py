"""What the tables of a model file may hold, and reading them with errors that say where."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

from dataflow.errors import DataflowError, FileFormatError, nearest
from dataflow.files.toml.document import Document
from dataflow.files.toml.places import Key
from dataflow.files.versions import DATA_KEYS
from dataflow.model.train_settings import FILE_OPTIONS
from dataflow.support.texts import quoted

VERSION = 2
"""The newest version of the format that is read."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "file": (
        *("dataflow", "name", "dtype", "doc", "inputs", "parameters", "constants"),
        *("nodes", "blocks", "model", "data", "train"),
    ),
    "input": ("shape", "dtype"),
    "parameter": ("shape", "init", "value", "dtype"),
    "constant": ("shape", "value", "dtype"),
    "node": ("op", "inputs", "attributes"),
    "block": ("inputs", "attributes", "parameters", "constants", "nodes", "output", "outputs", "doc"),
    "model": ("outputs", "loss", "targets", "classes"),
    "data": ("file", "columns", "one_hot", "scale", *DATA_KEYS),
    "train": tuple(FILE_OPTIONS),
}
"""The keys of each kind of table; those of ``data`` stand beside the names of inputs. ``schema.json`` has the same."""

E = TypeVar("E", bound=DataflowError)


class Fields:
    """A table of the file, its path in it, and what it is called in messages, such as ``input 'x'``."""

    def __init__(self, document: Document, data: Any, path: tuple[Key, ...], what: str) -> None:
        if not isinstance(data, dict):
            message = f"{what} takes a table{_EXAMPLES.get(what.partition(' ')[0], '')}, not {shown(data)}"
            raise _placed_at_value(document, FileFormatError(message), path)
        self.document = document
        self.data: dict[str, Any] = data
        self.path = path
        self.what = what

    def check_keys(self, known: Collection[str]) -> None:
        """Refuse what is not known."""
        for key in self.data:
            if key not in known:
                self.fail(f"unknown key {shown(key)} in {self.what}{nearest(key, known)}", key)

    @property
    def version(self) -> int:
        """The version of the format that the file says it has."""
        return int(self.document.data["dataflow"])

    def needs_version(self, version: int, key: str, what: str = "") -> None:
        """Refuse a key, or ``what`` it says, that an earlier version does not know."""
        if key in self.data and self.version < version:
            message = f"{what or key} needs format {version}; begin the file with: dataflow = {version}"
            self.fail(message, key)

    def table(self, key: str, what: str) -> Fields:
        """The table at ``key``; an empty one if there is none."""
        return Fields(self.document, self.data.get(key, {}), (*self.path, key), what)

    def get(self, key: str, accepts: Callable[[Any], bool], expected: str, default: Any = None) -> Any:
        """The value at ``key``, which must be accepted; ``default`` if there is none."""
        if key not in self.data:
            return default
        value = self.data[key]
        if not accepts(value):
            self.fail_value(f"{key} takes {expected}, not {shown(value)}", key)
        return value

    def text(self, key: str, expected: str = "text", default: str | None = None) -> Any:
        """The text at ``key``."""
        return self.get(key, lambda value: isinstance(value, str), expected, default)

    def names(self, key: str, what: str) -> list[str]:
        """The list of texts at ``key``; an empty one if there is none."""
        found = self.get(key, lambda value: isinstance(value, list), f"a list of {what}", [])
        for i, item in enumerate(found):
            if not isinstance(item, str):
                self.fail_value(f"{key} takes a list of {what}, not {shown(item)}", key, i)
        return list(found)

    def fail(self, message: str, *keys: Key) -> NoReturn:
        """A fault at a key below this table, or of the table."""
        raise self.placed(FileFormatError(message), *keys)

    def fail_value(self, message: str, *keys: Key) -> NoReturn:
        """A fault of a key's value."""
        raise self.placed_at_value(FileFormatError(message), *keys)

    def placed(self, error: E, *keys: Key) -> E:
        """The error with its place: a column without a line is one within the string at ``keys``."""
        return self.document.locate(error, *self.path, *keys)

    def placed_at_value(self, error: E, *keys: Key) -> E:
        """The error with its place, where the value at ``keys`` begins."""
        return _placed_at_value(self.document, error, (*self.path, *keys))


def check_version(fields: Fields) -> None:
    """Refuse a file that does not say which version of the format it has, or one that is not known."""
    if "dataflow" not in fields.data:
        raise FileFormatError("the version of the format is missing; begin the file with: dataflow = 1").at(line=1)
    version = fields.data["dataflow"]
    if type(version) is not int or version < 1:
        fields.fail_value(f"dataflow takes the version of the format, 1 or 2, not {shown(version)}", "dataflow")
    if version > VERSION:
        fields.fail_value(f"needs format {version}; this reads up to {VERSION}; upgrade dataflow", "dataflow")


def shown(value: object) -> str:
    """A value as a message prints it: on one line, not too long; a table as one."""
    if isinstance(value, dict):
        return "a table"
    return str(value).lower() if isinstance(value, bool) else quoted(value)


def _placed_at_value(document: Document, error: E, path: tuple[Key, ...]) -> E:
    if error.line is None and error.column is None:
        error.line, error.column = document.value_place(*path)
    return document.locate(error, *path)


_EXAMPLES = {
    "input": ' such as { shape = ["n", 2] }',
    "parameter": ' such as { shape = [3, 2], init = "he_normal" }',
    "constant": " such as { value = [1.0, 2.0] }",
    "[optimizer]": ' such as { name = "sgd", learning_rate = 0.1 }',
}
