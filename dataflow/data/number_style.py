"""How the numbers of a table are written: the decimal sign, what stands between thousands, signs of percent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

THOUSANDS = (",", ".", " ", "'")
"""What may stand between thousands."""

_ALIKE = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2019": "'"})


@dataclass(frozen=True)
class NumberStyle:
    """How numbers are written."""

    decimal: str = "."
    """What stands before the decimals."""
    thousands: str = ""
    """What may stand between thousands."""
    percent: bool = False
    """Whether a percent sign may follow, which is left out."""

    def plain(self, text: str) -> str:
        """A cell as Python writes numbers. A ``ValueError`` where signs do not stand as they do in numbers."""
        text = text.strip()
        if self.percent:
            text = text.removesuffix("%").rstrip()
        if self.thousands:
            text = plain_sign(text)
            if self.thousands in text:
                if not self._grouped.fullmatch(text):
                    raise ValueError(text)
                text = text.replace(self.thousands, "")
        if "_" in text or not text.isascii():
            raise ValueError(text)
        if self.decimal != ".":
            if "." in text:  # it may part thousands
                raise ValueError(text)
            text = text.replace(self.decimal, ".")
        return text

    @cached_property
    def _grouped(self) -> re.Pattern[str]:
        thousands, decimal = re.escape(self.thousands), re.escape(self.decimal)
        return re.compile(rf"[+-]?\d{{1,3}}(?:{thousands}\d{{3}})+(?:{decimal}\d*)?", re.ASCII)


POINT = NumberStyle()


def plain_sign(text: str) -> str:
    """A text with the space and the apostrophe that are typed, where others like them are set."""
    return text.translate(_ALIKE)
