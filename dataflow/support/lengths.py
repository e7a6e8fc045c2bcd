"""Parse lengths on paper and on a screen, such as 16cm or 830px."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dataflow.errors import DataError
from dataflow.support.texts import shorten

UNITS = {"px": 0.75, "pt": 1.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0}
"""Points of 1/72 inch."""
LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?) ?([a-z]*)")


@dataclass(frozen=True)
class Length:
    """A length as it was written, and in points."""

    text: str
    points: float

    @property
    def in_pixels(self) -> bool:
        return self.text.endswith("px")


def parse_length(text: str, *, unit: str | None = None) -> Length:
    """Read ``830px`` or ``16.5cm``; a number alone is in ``unit``. A ``DataError`` says what a length is."""
    match = LENGTH.fullmatch(text.strip())
    used = (match[2] or unit) if match else None
    if match is None or used not in UNITS or not float(match[1]):
        raise DataError(f"'{shorten(text)}' is no length such as 830px, 16cm, 160mm, 6in or 450pt")
    return Length(f"{match[1]}{used}", float(match[1]) * UNITS[used])
