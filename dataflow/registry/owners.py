"""Who brings what: plugins as messages name them, and what they say when they fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint


@dataclass(frozen=True, eq=False)
class Owner:
    """A plugin, described only when it is asked for: its distribution's metadata takes long to read."""

    name: str
    point: EntryPoint | None = None

    def __str__(self) -> str:
        return self.name if self.point is None else describe(self.point)


def describe(point: EntryPoint) -> str:
    """``plugin 'ops' (dataflow-autodiff 0.2.0)``."""
    dist = point.dist
    distribution = "" if dist is None else _told(lambda: f" ({dist.name} {dist.version})")
    return f"plugin '{point.name}'{distribution}"


def distribution_of(point: EntryPoint) -> tuple[str | None, str | None]:
    """The distribution's name and version, as far as they can be read."""
    try:
        return (None, None) if point.dist is None else (point.dist.name, point.dist.version)
    except Exception:  # noqa: BLE001 (metadata that cannot be read)
        return None, None


def reason(error: BaseException) -> str:
    """The error that a plugin raised, on one line."""
    return " ".join(f"{type(error).__name__}: {_told(lambda: str(error)) or 'without a message'}".split())


def _told(ask: Callable[[], str]) -> str:
    """What a plugin says of itself; nothing where it fails even at that."""
    try:
        return ask()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001
        return ""
