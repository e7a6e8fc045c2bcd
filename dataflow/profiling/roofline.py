"""The roofline of a machine: no op is faster than its arithmetic at the machine's peak, nor than its traffic.

Source: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52 (4), 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from dataflow.backends.threads import PRODUCT_THREADS, thread_count

COMPUTE, MEMORY = "compute", "memory"
SIDE = 384
"""Rows and columns of the product whose speed is the peak of arithmetic."""
COPIED = (2**14, 2**18, 2**22, 2**26)
"""Bytes that copies touch, one for each level of the caches and one for memory."""
SECONDS = 0.05
"""For which each of them is repeated."""


@dataclass(frozen=True)
class Peaks:
    """What the machine was seen to reach."""

    threads: int
    operations: Mapping[str, float]
    """Operations a second of ``threads`` large matrix products side by side, by dtype: what one reaches on one thread,
    times the threads."""
    bandwidth: tuple[tuple[int, float], ...]
    """Bytes that a copy touches, and how many it reads and writes a second, from few bytes to many."""

    def limit(self, operations: int, moved: int, dtype: str) -> tuple[str, float]:
        """Which of the two limits an op, and the seconds that it needs at the least. ``moved`` is in bytes; what fits
        in a cache is held against the copies that fit there."""
        computing = operations / self.operations.get(dtype, max(self.operations.values()))
        speed = next((speed for size, speed in self.bandwidth if moved <= size), self.bandwidth[-1][1])
        moving = moved / speed
        return (COMPUTE, computing) if computing > moving else (MEMORY, moving)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        copies = [{"bytes": size, "bytes_per_second": speed} for size, speed in self.bandwidth]
        return {"threads": self.threads, "operations_per_second": dict(self.operations), "copies": copies}


def measure_peaks(
    dtypes: Iterable[str], threads: int | None, scope: Callable[[], AbstractContextManager[object]]
) -> Peaks:
    """Measure the peaks of products in these dtypes, those that are no floats left out, and of copies."""
    count = thread_count(threads)
    with scope(), PRODUCT_THREADS:
        PRODUCT_THREADS.use(1)
        floats = [dtype for dtype in dict.fromkeys(dtypes) if dtype in ("float32", "float64")] or ["float64"]
        operations = {dtype: count * 2 * SIDE**3 / _shortest(*_product(dtype)) for dtype in floats}
        bandwidth = tuple((size, size / _shortest(*_copy(size))) for size in COPIED)
    return Peaks(count, operations, bandwidth)


def _product(dtype: str) -> tuple[Callable[..., object], Sequence[np.ndarray]]:
    x = np.full((SIDE, SIDE), 0.5, dtype)
    return np.matmul, (x, x.copy(), np.empty_like(x))


def _copy(size: int) -> tuple[Callable[..., object], Sequence[np.ndarray]]:
    """Half of the bytes are read, half are written."""
    x = np.ones(size // 2, np.uint8)
    return np.copyto, (np.empty_like(x), x)


def _shortest(call: Callable[..., object], arrays: Sequence[np.ndarray]) -> float:
    """Seconds of the fastest call: what else the machine does only adds to it."""
    call(*arrays)  # the memory is there from now on
    repeats = 1 + 2**17 // arrays[0].nbytes  # of a call that is short beside reading the clock
    shortest, end = np.inf, perf_counter() + SECONDS
    while perf_counter() < end:
        begun = perf_counter()
        for _ in range(repeats):
            call(*arrays)
        shortest = min(shortest, (perf_counter() - begun) / repeats)
    return float(shortest)
