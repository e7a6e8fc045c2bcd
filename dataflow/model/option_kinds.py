"""The kinds of value that a training option takes: what fits, in Python and in files, and how it is described."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dataflow.errors import TrainingError
from dataflow.support.byte_sizes import parse_bytes
from dataflow.support.conversion import flag, is_real, share, whole
from dataflow.support.texts import quoted


class OptionKind(ABC):
    """What an option takes. A file's value is plain data that ``accepts`` lets in; ``schema`` is its JSON schema."""

    metavar: str

    @property
    @abstractmethod
    def annotation(self) -> Any:
        """What Python takes for it, as the signatures of ``train`` and ``Trainer`` say."""

    @abstractmethod
    def check(self, name: str, value: Any) -> Any:
        """The value in its canonical form; a ``TrainingError`` says what the option ``name`` takes."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Whether a file may say so."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What ``accepts`` lets in, in words."""

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]: ...

    def refusal(self, name: str, found: str) -> str:
        """What a binary file's fault is, where it holds what ``accepts`` does not let in."""
        return f"{name} is {self.expected}, not {found}"

    def plain(self, value: Any) -> Any:
        """A checked value as plain data."""
        return value


@dataclass(frozen=True)
class Whole(OptionKind):
    """A whole number, ``least`` or more."""

    least: int = 0
    metavar: str = "N"
    annotation = int

    def check(self, name: str, value: Any) -> int:
        return whole(name, value, self.least)

    def accepts(self, value: Any) -> bool:
        return type(value) is int and self.least <= value

    @property
    def expected(self) -> str:
        return f"an integer ≥ {self.least}"

    def refusal(self, name: str, found: str) -> str:
        return f"{name} is a whole number, {self.least} or more, not {found}"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least}


@dataclass(frozen=True)
class Number(OptionKind):
    """A number, larger than ``above`` or not below ``least`` where these are given."""

    metavar: str = "NUMBER"
    above: float | None = None
    least: float | None = None
    annotation = float

    def check(self, name: str, value: Any) -> float:
        if not is_real(value):
            raise TrainingError(f"{name} is {self.expected}, not {quoted(value)}")
        if not self._lies_within(value):
            raise TrainingError(f"{name} is {self.expected}, not {value}")
        return float(value)

    def accepts(self, value: Any) -> bool:
        return type(value) in (int, float) and abs(value) < 1e300 and self._lies_within(value)

    def _lies_within(self, value: Any) -> bool:
        if self.above is not None:
            return bool(self.above < value < math.inf)
        return self.least is None or bool(self.least <= value < math.inf)

    @property
    def expected(self) -> str:
        if self.above is not None:
            return f"a number above {self.above:g}"
        return "a number" if self.least is None else f"a number, {self.least:g} or more"

    @property
    def schema(self) -> dict[str, Any]:
        bounds = {"exclusiveMinimum": self.above, "minimum": self.least}
        return {"type": "number", **{key: bound for key, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True)
class Share(OptionKind):
    """A part of something: from 0 up to, not including, 1."""

    metavar: str = "SHARE"
    annotation = float

    def check(self, name: str, value: Any) -> float:
        return share(name, value)

    def accepts(self, value: Any) -> bool:
        return type(value) in (int, float) and 0 <= value < 1

    @property
    def expected(self) -> str:
        return "a share from 0 up to, not including, 1"

    def refusal(self, name: str, found: str) -> str:
        return f"{name} is {self.expected}; it is {found}"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "exclusiveMaximum": 1}


@dataclass(frozen=True)
class Flag(OptionKind):
    """True or false."""

    metavar: str = ""
    annotation = bool

    def check(self, name: str, value: Any) -> bool:
        return flag(name, value)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)

    @property
    def expected(self) -> str:
        return "true or false"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Text(OptionKind):
    """Text, such as a name."""

    metavar: str = "NAME"
    annotation = str

    def check(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TrainingError(f"{name} is text, not {quoted(value)}")
        return value

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str)

    @property
    def expected(self) -> str:
        return "text"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True)
class OneOf(Text):
    """One of some texts."""

    values: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> str:
        if not self.accepts(value):
            raise TrainingError(f"{name} is {self.expected}, not {quoted(value)}")
        return str(value)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.values

    @property
    def expected(self) -> str:
        return " or ".join(f'"{one}"' for one in self.values)

    @property
    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


@dataclass(frozen=True)
class ByteSize(Text):
    """Bytes, as a number or as text such as "64MB"."""

    metavar: str = "SIZE"
    annotation = int | str

    def check(self, name: str, value: Any) -> Any:
        return parse_bytes(value)


@dataclass(frozen=True)
class Names(OptionKind):
    """A list of names, none of them twice; of something that plugins bring where ``find`` is what looks it up."""

    find: Callable[[str], Any] | None = None
    metavar: str = "NAME,..."
    annotation = Sequence[str]

    def check(self, name: str, value: Any) -> list[str]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
            raise TrainingError(f"{name} is a list of names, not {quoted(value)}")
        for i, one in enumerate(value):
            if one in value[:i]:
                raise TrainingError(f"{name} lists {quoted(one)} twice; leave one out")
            if self.find is not None:
                self.find(one)
        return list(value)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)

    @property
    def expected(self) -> str:
        return "a list of names"

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
