"""Ops with several named outputs: a family of ops of one output each, so that every node stays one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from dataflow.errors import OpError, nearest


class Outputs(Sequence[Any]):
    """What an op with several outputs gives: arrays, or values of a graph. It is used like a named tuple:
    ``values, indices = topk(x, k=3)``, ``topk(x, k=3).values``, ``topk(x, k=3)["values"]``.

    A graph gets the node of an output when it is first asked for.
    """

    __slots__ = ("_fields", "_known", "_made", "_make", "_op")

    def __init__(self, op: str, names: Sequence[str], make: Callable[[str], Any]) -> None:
        self._op, self._fields, self._known, self._make = op, tuple(names), frozenset(names), make
        self._made: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return self._fields

    @overload
    def __getitem__(self, key: int | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Any]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return tuple(self[name] for name in self._fields[key])
        name = key if isinstance(key, str) else self._fields[key]
        if name not in self._known:
            raise OpError(no_output(self._op, name, self._fields))
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __getattr__(self, name: str) -> Any:
        if name in type(self).__slots__ or name not in self._known:
            raise AttributeError(f"op '{self._op}' has no output '{name}'")
        return self[name]

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={self[name]!r}' for name in self._fields)})"


def no_output(op: str, name: str, names: Sequence[str]) -> str:
    """The message for an output that an op does not have."""
    return f"op '{op}' has no output '{name}'{nearest(name, names) if names else ''}"


def several_outputs(what: str, names: Sequence[str], choose: Callable[[str], str]) -> str:
    """The message where one array is expected and ``what`` has several; ``choose`` writes how one is asked for."""
    return f"{what} has several outputs; choose one: {list_outputs([choose(name) for name in names])}"


def list_outputs(names: Sequence[str]) -> str:
    """The names, cut where there are very many."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def is_output_name(name: object) -> bool:
    """Whether an output may be called so: like a node, or a number."""
    return isinstance(name, str) and name.isascii() and f"_{name}".isidentifier() and 0 < len(name) <= 60
