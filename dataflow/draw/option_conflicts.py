"""Which options of a picture exclude each other, in one table for Python and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dataflow.draw.picture.specs import DTYPES, LABELS, SHAPES, VALUES


class Choice(NamedTuple):
    """An option that was given, with any value or with this one."""

    name: str
    value: str | None = None
    python: str | None = None
    """What it is called in Python, if it is not that."""

    def is_in(self, given: Mapping[str, Any]) -> bool:
        found = given.get(self.name)
        return bool(found) if self.value is None else found == self.value

    @property
    def on_command_line(self) -> str:
        flag = "--" + self.name.replace("_", "-")
        return flag if self.value is None else f"{flag} {self.value}"

    @property
    def in_python(self) -> str:
        return self.python or (self.name if self.value is None else f"{self.name}={self.value!r}")


LECTURE, NEURONS = Choice("style", "lecture"), Choice("style", "neurons")
EXCLUSIVE: tuple[tuple[Choice, Choice], ...] = (
    (Choice("backward"), Choice("both")),
    *((style, Choice(name)) for style in (LECTURE, NEURONS) for name in ("inner", "collapse", "max_nodes")),
    *((style, Choice("no_repeats", python="fold_repeats=False")) for style in (LECTURE, NEURONS)),
    (NEURONS, Choice("wrt")),
    (NEURONS, Choice("direction", "down")),
    *((NEURONS, Choice("labels", other)) for other in (SHAPES, DTYPES)),
    *((Choice("values"), Choice("labels", other)) for other in LABELS if other != VALUES),
)
"""Each two of which only one can be taken."""
NEEDED: tuple[tuple[Choice, Choice], ...] = (
    (Choice("only"), Choice("wrt")),
    (Choice("min_font"), Choice("width")),
)
"""Options that mean nothing without another one."""


def find_complaint(given: Mapping[str, Any], *, on_command_line: bool) -> str | None:
    """What is wrong with options that exclude each other, or lack another one."""

    def named(choice: Choice) -> str:
        return choice.on_command_line if on_command_line else choice.in_python

    conflict = find_conflict(given)
    if conflict is not None:
        return f"take either {named(conflict[0])} or {named(conflict[1])}"
    lack = next((pair for pair in NEEDED if pair[0].is_in(given) and not pair[1].is_in(given)), None)
    return None if lack is None else f"{named(lack[0])} goes with {named(lack[1])}"


def find_conflict(given: Mapping[str, Any]) -> tuple[Choice, Choice] | None:
    """The first two options that exclude each other, of those that are not false."""
    return next((pair for pair in EXCLUSIVE if all(choice.is_in(given) for choice in pair)), None)
