"""How much is read of a file before it is taken for hostile. Whoever trusts a file can raise these limits for it."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Self

from dataflow.errors import FileFormatError

VARIABLE = "DATAFLOW_LIMITS"
"""The environment variable that raises limits for a whole process, such as ``nodes=1000000,structure=256MiB``."""

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_ENTRY = re.compile(r"\s*([a-z]+)\s*=\s*([0-9]{1,15})\s*(?:([kmg])i?b?)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What is read at most. ``dataflow.load(path, limits=Limits(nodes=10**6))`` raises a limit for one file, ``with
    Limits(unpacked=1000):`` for a while, and the environment variable ``DATAFLOW_LIMITS`` for a process.

    What a file takes in memory stays in proportion: the structure of a file, read, takes at most four times
    ``structure`` and three times the file, and a node of the graph about 2 KiB.
    """

    structure: int = 64 * 2**20
    """Bytes of a TOML file, or of the header of a msgpack file: of all but its tensors."""
    nodes: int = 2**17
    """Nodes of the graph, those inside expressions and calls of blocks counted."""
    unpacked: int = 100
    """How many times its own size a packed data file may be when it is unpacked, beyond the first 16 MiB."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise FileFormatError(f"the limit '{field.name}' is a whole number, 1 or more, not {value!r}")

    def __enter__(self) -> Self:
        _stack.set((*_stack.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _stack.set(_stack.get()[:-1])


def current() -> Limits:
    """The limits that hold now. ``FileFormatError`` if the environment variable says something else than limits."""
    stack = _stack.get()
    return stack[-1] if stack else _of_environment(os.environ.get(VARIABLE, ""))


def advice(name: str, needed: int) -> str:
    """How a user raises a limit to what is needed, as the end of a message; nothing where that is out of reach."""
    if needed > (10**7 if name == "nodes" else 2**36):
        return ""
    value = f"{-(-needed // 2**20)}MiB" if name == "structure" else str(needed)
    return f"; if you trust the file, raise the limit: {VARIABLE}={name}={value}"


_stack: ContextVar[tuple[Limits, ...]] = ContextVar("limits", default=())


def _of_environment(text: str) -> Limits:
    limits = Limits()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        names = [field.name for field in fields(Limits)]
        if match is None or match[1].lower() not in names:
            raise FileFormatError(
                f"{VARIABLE} takes limits such as nodes=1000000,structure=256MiB (there is {', '.join(names)}), "
                f"not '{entry}'"
            )
        limits = replace(limits, **{match[1].lower(): int(match[2]) * _UNITS[(match[3] or "").lower()]})
    return limits
