"""Lines of text without quotes, cut into cells, and memory for the arithmetic on them."""

from __future__ import annotations

from threading import local
from typing import Any

import numpy as np


class Scratch(local):
    """Arrays that each thread uses again and again: to get fresh memory takes longer than the arithmetic on it."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def __call__(self, name: str, count: int, dtype: Any = np.intp) -> np.ndarray:
        """So many entries, with anything in them, until the same name is asked for in this thread again."""
        array = self._arrays.get(name)
        if array is None or len(array) < count:
            array = self._arrays[name] = np.empty(count + count // 8, dtype)
        return array[:count]


class CutLines:
    """The cells of lines of text, a row a line."""

    def __init__(self, block: bytes, ends: np.ndarray, width: int) -> None:
        """``ends`` are the positions of the separators and line feeds, ``width`` is how many there should be a line."""
        self._block, self._ends, self._width = block, ends, width
        self.rows = len(ends) // width

    def text(self, position: int, row: int) -> str:
        """What stands in a cell of the column at this position."""
        cell = row * self._width + position
        start = int(self._ends[cell - 1]) + 1 if cell else 0
        return self._block[start : int(self._ends[cell])].decode()

    def texts(self, position: int) -> list[str]:
        """What stands in the cells of a column."""
        return [self.text(position, row) for row in range(self.rows)]

    def _are_rows(self, line_feeds: int) -> bool:
        """Whether each of so many lines has as many cells as it should."""
        if len(self._ends) != line_feeds * self._width:
            return False
        text = np.frombuffer(self._block, np.uint8)
        return bool((text[self._ends[self._width - 1 :: self._width]] == ord("\n")).all())
