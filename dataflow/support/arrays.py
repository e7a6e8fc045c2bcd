"""Arrays that nobody changes: what a model keeps of what it is given, and what it gives away without a copy."""

from __future__ import annotations

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


def address(array: np.ndarray) -> int:
    """Where an array's memory begins."""
    return int(array.__array_interface__["data"][0])


def keep_freed_memory() -> None:
    """Whoever frees and gets pieces of some MiB in turn gets the same memory again: glibc, which gives each such piece
    back to the system, and has it cleared for the next, no longer does so once a larger one was freed (mallopt(3), on
    M_MMAP_THRESHOLD). It keeps 64 MiB at most; other C libraries are as before."""
    np.empty(2**25 - 2**16, np.uint8)
