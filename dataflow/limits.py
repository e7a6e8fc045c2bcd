"""How much is read of a file before it is taken for hostile. Whoever trusts a file can raise these limits for it.

What is saved keeps to them, too, so that it can be loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Self

from dataflow.errors import FileFormatError, MemoryLimitError, WorkLimitError
from dataflow.support.byte_sizes import size_in

VARIABLE = "DATAFLOW_LIMITS"
"""The environment variable that raises limits for a whole process, such as ``nodes=1000000,structure=256MiB``."""


@dataclass(frozen=True)
class Limits:
    """What is read at most. ``dataflow.load(path, limits=Limits(nodes=10**6))`` raises a limit for one file, ``with
    Limits(unpacked=1000):`` for a while, and the environment variable ``DATAFLOW_LIMITS`` for a process.

    What a file takes in memory stays in proportion: the structure of a file, read, takes at most two and a half times
    ``structure`` and three times the file, and a node of the graph about 2 KiB.
    """

    structure: int = 64 * 2**20
    """Bytes of a TOML file, or of the header of a msgpack file: of all but its tensors."""
    nodes: int = 2**17
    """Nodes of the graph, those inside expressions and calls of blocks counted."""
    inputs: int = 10_000
    """Inputs of a node."""
    unpacked: int = 100
    """How many times its own size a packed data file may be when it is unpacked, beyond the first 16 MiB."""

    memory: int = 2**30
    """Bytes of all arrays that a file has made from little: one-hot rows, columns that are listed many times, and in a
    command parameters that are drawn and intermediate values. In a command all of them share it."""
    work: int = 2_000_000
    """How many steps a command other than ``train`` may take, or a minibatch that runs node by node, each about as long
    as a call of a function: building a node of a file is twenty, computing one six or more, explaining a factor sixty.
    An explanation in symbols may take as many more, while sympy works.

    A command that reads more may take ``memory`` for each MiB, and ``work`` for each quarter of one: some 200 steps for
    a node of a msgpack file, so that what takes time in proportion to the file comes to its end."""

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


def unlimited() -> Limits:
    """The limits for what this program packs and unpacks itself: files are of any size."""
    return replace(current(), structure=2**60, nodes=2**60, inputs=2**60)


def most_decoded(structure: int, length: int) -> int:
    """Bytes of memory that a TOML file, the header of a msgpack file or a JSON file of this length may take once it is
    read, under this limit. Each reader adds up, before it decodes, what the decoder takes for the marks it finds."""
    return 5 * structure // 2 + 2 * length


def advice(name: str, needed: int) -> str:
    """How a user raises a limit to what is needed, as the end of a message; nothing where that is out of reach."""
    if needed > (10**7 if name == "nodes" else 2**36):
        return ""
    value = f"{-(-needed // 2**20)}MiB" if name in ("structure", "memory") else str(needed)
    return f"; if you trust the file, raise the limit: {VARIABLE}={name}={value}"


class _UsedUp(BaseException):
    """Nothing is left of what may be done. It is no ``Exception``: nobody takes it for an op that does not work, and no
    package that is called catches it."""


@dataclass
class _Allowance:
    """What is left for a command."""

    work: int
    memory: int
    limits: Limits
    read: int = 0
    reached: str = ""
    """What was too much."""


@contextmanager
def allowance(what: str, work: int | None = None, less: str = "") -> Iterator[None]:
    """All that is done inside, in this thread, shares ``memory`` and ``work`` (so many steps, if given); ``what`` is
    the command. A ``WorkLimitError``, which tells how to ask for ``less``, or a ``MemoryLimitError`` where they do not
    suffice."""
    limits = current()
    left = _Allowance(limits.work if work is None else work, limits.memory, limits)
    token = _allowance.set(left)
    try:
        yield
    except _UsedUp:
        if left.work < 0:
            most = limits.work * _shares(left.read, 2**18) if work is None else work
            raise WorkLimitError(
                f"{what} takes more than {most:,} steps of work{left.reached}{less}; raise the limit if you can wait: "
                f"{VARIABLE}=work={10 * limits.work}"
            ) from None
        most = limits.memory * _shares(left.read, 2**20)
        more = advice("memory", limits.memory - left.memory)
        raise MemoryLimitError(f"the arrays of {what} take more than {most // 2**20} MiB{left.reached}{more}") from None
    finally:
        _allowance.reset(token)


@contextmanager
def counted_calls() -> Iterator[None]:
    """Each call of a Python function inside, in this thread, is a step of work: for packages that count none."""
    before, left = sys.getprofile(), _allowance.get()
    hook = sys.unraisablehook
    assert left is not None

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            left.work -= 1
            if left.work < 0:
                raise _UsedUp

    def raise_again(unraisable: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised while it closes a generator, and no longer calls ``count``."""
        if unraisable.exc_type is _UsedUp:
            sys.setprofile(count)
        else:
            hook(unraisable)

    sys.unraisablehook = raise_again
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
        sys.unraisablehook = hook


def grant(size: int) -> None:
    """A file of so many bytes is read: the more there is to read, the more may be done."""
    left = _allowance.get()
    if left is not None:
        before, left.read = left.read, left.read + size
        left.work += (_shares(left.read, 2**18) - _shares(before, 2**18)) * left.limits.work
        left.memory += (_shares(left.read, 2**20) - _shares(before, 2**20)) * left.limits.memory


def _shares(read: int, part: int) -> int:
    """How many times a limit holds where so many bytes were read: for each whole part, and once for less."""
    return max(1, read // part)


def size_of(path: str | os.PathLike[str]) -> int:
    """The bytes of a file; 0 where there is none, which whoever reads it says."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def spend(steps: int, node: str = "") -> None:
    """Take steps from what the command may do, if a command is running."""
    left = _allowance.get()
    if left is not None:
        left.work -= steps
        if left.work < 0:
            left.reached = f", at node '{node}'" if node else ""
            raise _UsedUp


def hold(size: int, node: str) -> None:
    """Take the bytes of an array that is about to be made, and that stays, from what the command may have; a negative
    number gives them back."""
    left = _allowance.get()
    if left is not None:
        left.memory -= size
        if left.memory < 0:
            left.reached = f", at node '{node}'" if node else ""
            raise _UsedUp


@contextmanager
def given_back() -> Iterator[None]:
    """What is held inside is given back at the end: none of the arrays stay."""
    left = _allowance.get()
    before = 0 if left is None else left.memory
    try:
        yield
    finally:
        if left is not None:
            left.memory = before


def work_left() -> int:
    """The steps that may still be taken; those of the limit where no command is running."""
    left = _allowance.get()
    return current().work if left is None else left.work


def memory_left() -> int:
    """The bytes that may still be taken; those of the limit where no command is running."""
    left = _allowance.get()
    return current().memory if left is None else left.memory


def is_limited() -> bool:
    """Whether a command is running that may not do as it likes."""
    return _allowance.get() is not None


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)
_stack: ContextVar[tuple[Limits, ...]] = ContextVar("limits", default=())


@lru_cache(maxsize=1)
def _of_environment(text: str) -> Limits:
    limits = Limits()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = entry.partition("=")
        names = [field.name for field in fields(Limits)]
        size = size_in(value)
        if size is None or (name := name.strip().lower()) not in names:
            raise FileFormatError(
                f"{VARIABLE} takes limits such as nodes=1000000,structure=256MiB (available: {', '.join(names)}), "
                f"not '{entry}'"
            )
        limits = replace(limits, **{name: size})
    return limits
