"""The kinds of training options that are tables in a file: declared keys, or something that plugins bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.errors import TrainingError, nearest
from dataflow.model.option_kinds import OptionKind
from dataflow.operations.attributes import plain
from dataflow.support.texts import quoted


class Changes(dict[str, Any]):
    """Keys of a table that are changed; the others stay as the model's file declares them. The command line gives them
    for ``--clip.norm=1.0``."""


class TableKind(OptionKind):
    """What is a table in a file."""

    def changed(self, declared: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        """A declared value, or ``None``, with some keys changed."""
        return {**(declared if isinstance(declared, Mapping) else {}), **changes}

    def key_kind(self, name: str, key: str) -> OptionKind | None:
        """What a key of the option ``name`` takes, where that is known before anything is looked up."""
        return None


@dataclass(frozen=True)
class Key:
    """A key of a table."""

    kind: OptionKind
    default: Any = None
    """What holds where the key is left out; ``None`` where the key then stays out."""
    required: bool = False


@dataclass(frozen=True)
class Table(TableKind):
    """A table whose keys are declared. Where a key is left out, its default takes its place."""

    keys: Mapping[str, Key]
    one_of: tuple[str, ...] = ()
    """Keys of which one, and no other, is given."""
    alone: tuple[str, ...] = ()
    """Keys beside which no other is given."""
    metavar: str = "KEY=VALUE|JSON"
    annotation = Mapping[str, Any]

    def check(self, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TrainingError(f"{name} is {self.expected}, not {quoted(value)}")
        self.check_keys(name, value)
        checked = {}
        for key, declared in self.keys.items():
            if value.get(key) is not None:
                checked[key] = declared.kind.check(f"{name}.{key}", value[key])
            elif declared.default is not None:
                checked[key] = declared.default
        return checked

    def check_keys(self, name: str, given: Mapping[str, Any]) -> None:
        """Whether these keys make a whole table: a ``TrainingError`` where one is unknown, missing or too many."""
        for key in given:
            self.key_kind(name, key)
        for key, declared in self.keys.items():
            if declared.required and given.get(key) is None:
                raise TrainingError(f"{name} needs {key}, {declared.kind.expected}")
        if self.one_of and sum(given.get(key) is not None for key in self.one_of) != 1:
            raise TrainingError(f"{name} takes one of {' and '.join(self.one_of)}")

    def changed(self, declared: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(declared, Mapping):
            others = self.one_of if any(key in self.one_of for key in changes) else ()
            if any(key in self.alone for key in changes):
                others = tuple(declared)
            declared = {key: value for key, value in declared.items() if key not in others}
        return super().changed(declared, changes)

    def key_kind(self, name: str, key: str) -> OptionKind:
        if key not in self.keys:
            raise TrainingError(f"unknown key {quoted(key)} in {name}{nearest(str(key), self.keys)}")
        return self.keys[key].kind

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            key in self.keys and self.keys[key].kind.accepts(item) for key, item in value.items()
        )

    @property
    def expected(self) -> str:
        stated = [f"{key} ({declared.kind.expected})" for key, declared in self.keys.items()]
        return f"a table of {', '.join(stated)}"

    @property
    def schema(self) -> dict[str, Any]:
        properties = {key: self._schema_of(key, declared) for key, declared in self.keys.items()}
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
        if required := [key for key, declared in self.keys.items() if declared.required]:
            schema["required"] = required
        if self.one_of:
            schema["oneOf"] = [{"required": [key]} for key in self.one_of]
        return schema

    @staticmethod
    def _schema_of(key: str, declared: Key) -> dict[str, Any]:
        default = {} if declared.default is None else {"default": declared.default}
        words = key.replace("_", " ").capitalize()
        return {"description": f"{words}: {declared.kind.expected}.", **declared.kind.schema, **default}

    def plain(self, value: Any) -> dict[str, Any]:
        return {key: self.keys[key].kind.plain(item) for key, item in value.items()}


@dataclass(frozen=True)
class ValueOrTable(TableKind):
    """A plain value, or a table that says more."""

    value: OptionKind
    table: Table
    stands_for: str
    """The key of the table that the plain value gives."""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return f"{self.value.metavar}|{self.table.metavar}"

    @property
    def annotation(self) -> Any:
        return self.value.annotation | self.table.annotation

    def check(self, name: str, value: Any) -> Any:
        return self._kind_of(value).check(name, value)

    def changed(self, declared: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        if declared is not None and not isinstance(declared, Mapping):
            declared = {self.stands_for: declared}
        return self.table.changed(declared, changes)

    def key_kind(self, name: str, key: str) -> OptionKind:
        return self.table.key_kind(name, key)

    def accepts(self, value: Any) -> bool:
        return self._kind_of(value).accepts(value)

    @property
    def expected(self) -> str:
        return f"{self.value.expected}, or {self.table.expected}"

    def refusal(self, name: str, found: str) -> str:
        return self.value.refusal(name, found)

    @property
    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.value.schema, self.table.schema]}

    def plain(self, value: Any) -> Any:
        return self._kind_of(value).plain(value)

    def _kind_of(self, value: Any) -> OptionKind:
        return self.table if isinstance(value, Mapping) else self.value


@dataclass(frozen=True)
class Choice(TableKind):
    """Something that plugins bring: its name, or a mapping of its name and its attributes."""

    kind: str
    """What it is, such as ``"optimizer"``."""
    find: Callable[[str], Any]
    """What is registered under a name: it has ``attributes()`` and ``create(attributes)``."""
    made: type
    """The class of what it makes, which Python may give as well."""
    example: Mapping[str, Any]
    """A choice with an attribute, to show how it is written."""
    metavar: str = "NAME|JSON"

    @property
    def annotation(self) -> Any:
        return str | Mapping[str, Any] | self.made

    def check(self, name: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            raise TrainingError(f'{name} is a mapping with a "name", not a {type(value).__name__}')
        return value

    def changed(self, declared: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Another name begins anew, with that one's defaults."""
        same = isinstance(declared, Mapping) and changes.get("name", declared["name"]) == declared["name"]
        return super().changed(declared if same else None, changes)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("name"), str)

    @property
    def expected(self) -> str:
        return "a name, or a table of a name and attributes"

    @property
    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/choice"}

    def plain(self, value: Any) -> dict[str, Any]:
        return {key: plain(item) for key, item in value.items()}
