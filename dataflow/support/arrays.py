"""Arrays that nobody changes: what a model keeps of what it is given, and what it gives away without a copy."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np


def read_only(array: np.ndarray) -> np.ndarray:
    """The same memory, through which nothing is written."""
    view = np.asarray(array).view()  # arithmetic with arrays of no axes gives numbers
    view.flags.writeable = False
    return view


def fixed(array: np.ndarray) -> np.ndarray:
    """An array that nobody else holds, read-only from now on."""
    array.flags.writeable = False
    return array


def frozen(array: np.ndarray) -> np.ndarray:
    """The same content for good: the array itself where nobody can write to its memory, else a read-only copy."""
    return array if _is_fixed(array) else fixed(array.copy())


def masked_types() -> tuple[Any, ...]:
    """numpy's class of masked arrays, once somebody has imported it. Before, there is no such array; the import takes
    long."""
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return () if masked is None else (masked,)


class Kept:
    """A dataclass whose arrays are read-only."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(value))


def _is_fixed(array: np.ndarray) -> bool:
    """Whether neither the array nor what it is a view of can be written to."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    if owner is None:
        return True
    try:
        return memoryview(owner).readonly  # type: ignore[arg-type]
    except TypeError:  # nobody knows who may write there
        return False


class ReusedMemory:
    """Memory for arrays of about one size that come and go, which the system would clear for each anew: what one had,
    another gets once nobody holds the first, nor a view of it. One piece is kept."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array with anything in it."""
        size = math.prod(shape) * dtype.itemsize
        kept = self._free.pop() if self._free else None
        memory = kept if kept is not None and size <= kept.size <= 2 * size else np.empty(size, np.uint8)
        return np.asarray(_Held(memory, shape, dtype, self._free))


class _Held:
    """What an array of the memory is a view of; it goes with the last of its views."""

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, free: list[np.ndarray]) -> None:
        self._memory, self._free = memory, free
        place = memory.__array_interface__["data"]
        self.__array_interface__ = {"version": 3, "data": place, "shape": shape, "typestr": dtype.str}

    def __del__(self) -> None:
        self._free[:] = [self._memory]


def address(array: np.ndarray) -> int:
    """Where an array's memory begins."""
    return int(array.__array_interface__["data"][0])


def keep_freed_memory() -> None:
    """Whoever frees and gets pieces of some MiB in turn gets the same memory again: glibc, which gives each such piece
    back to the system, and has it cleared for the next, no longer does so once a larger one was freed (mallopt(3), on
    M_MMAP_THRESHOLD). It keeps 64 MiB at most; other C libraries are as before."""
    np.empty(2**25 - 2**16, np.uint8)
