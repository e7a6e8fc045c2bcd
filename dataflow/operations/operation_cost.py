"""How much arithmetic something is, by the kind of operation."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class Cost:
    """How many operations of each kind; costs can be added."""

    multiplications: int = 0
    divisions: int = 0
    additions: int = 0
    """Sums and differences."""
    comparisons: int = 0
    """Those that a minimum or a maximum makes included."""
    functions: int = 0
    """Evaluations of exp, log, sqrt, power, tanh, sin, ...: each is many operations of a processor."""
    signs: int = 0
    """Negations and absolute values."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: int) -> Cost:
        return Cost(*(count * times for count in astuple(self)))

    @property
    def operations(self) -> int:
        """All kinds together."""
        return sum(astuple(self))

    def plain(self) -> dict[str, int]:
        """By kind, those that are 0 included."""
        return dict(zip((kind.name for kind in fields(self)), astuple(self), strict=True))
