"""What the user chooses of a page."""

from __future__ import annotations

from dataclasses import dataclass

from dataflow.draw.layout.engines import TIME_LIMIT
from dataflow.errors import DataError
from dataflow.viewer.pass_numbers import EXAMPLES_LIMIT

MOST_NODES = 300
"""A graph of more nodes than this is folded, by blocks and then by layers."""


@dataclass(frozen=True)
class Settings:
    """The user's choices, as ``dataflow.view`` takes them."""

    of: str | None = None
    wrt: tuple[str, ...] | None = None
    example: int | None = None
    examples: int | None = None
    frames: int | None = None
    down: bool = True
    max_nodes: int = MOST_NODES
    engine: str | None = None
    time_limit: float = TIME_LIMIT
    notation: str = "math"
    quiz: bool = False


def check_settings(settings: Settings) -> None:
    """Raise a ``DataError`` for settings that make no sense."""
    if settings.examples is not None and not 1 <= settings.examples <= EXAMPLES_LIMIT:
        raise DataError(f"a page has 1 to {EXAMPLES_LIMIT} examples, not examples={settings.examples}")
    if settings.frames is not None and settings.frames < 0:
        raise DataError(f"the number of frames is 0 or more, not {settings.frames}")
    if settings.max_nodes < 1:
        raise DataError(f"a graph has at least one node, not max_nodes={settings.max_nodes}")
    if not settings.time_limit > 0:
        raise DataError(f"the time limit is a number of seconds over 0, not {settings.time_limit}")
