"""Arrays that travel together: side by side in one vector of bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from dataflow.backends.memory import aligned
from dataflow.plan.structure import rounded


class Joined:
    """``arrays`` of these shapes and dtypes are views of ``bytes``, in their order: of new ones, or the first of
    ``memory``."""

    def __init__(self, like: Iterable[tuple[tuple[int, ...], np.dtype]], memory: np.ndarray | None = None) -> None:
        self._kinds: list[tuple[tuple[int, ...], np.dtype, int]] = []
        size = 0
        for shape, dtype in like:
            self._kinds.append((shape, dtype, size))
            size += rounded(math.prod(shape) * dtype.itemsize)
        self.bytes = aligned(size) if memory is None else memory[:size]
        self.bytes[...] = 0
        self.arrays = self.views(self.bytes)

    def views(self, data: np.ndarray) -> list[np.ndarray]:
        """The arrays that lie like this in other bytes."""
        return [np.ndarray(shape, dtype, data, offset) for shape, dtype, offset in self._kinds]

    @classmethod
    def like(cls, arrays: Iterable[np.ndarray]) -> Joined:
        """Places for such arrays."""
        return cls([(array.shape, array.dtype) for array in arrays])

    def take(self, arrays: Iterable[np.ndarray]) -> None:
        """Copy arrays to their places."""
        for place, array in zip(self.arrays, arrays, strict=True):
            place[...] = array
