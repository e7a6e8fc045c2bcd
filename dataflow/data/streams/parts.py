"""Parts of a stream: some rows of a chunk, and the examples that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """Rows ``[start, stop)`` of a chunk, of which so many ``rows`` are examples."""

    chunk: int
    start: int
    stop: int
    rows: int

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True, eq=False)
class Examples:
    """The arrays of a part, and what each example weighs, where a column says so."""

    arrays: dict[str, np.ndarray]
    weights: np.ndarray | None

    @property
    def count(self) -> int:
        return next((len(array) for array in self.arrays.values()), 0)


def split_parts(sizes: Sequence[int], training: int) -> tuple[list[Part], list[Part]]:
    """The parts of the first rows, so many, and those of the others."""
    first, second, before = [], [], 0
    for chunk, size in enumerate(sizes):
        cut = min(max(training - before, 0), size)
        if cut:
            first.append(Part(chunk, 0, cut, cut))
        if size > cut:
            second.append(Part(chunk, cut, size, size - cut))
        before += size
    return first, second
