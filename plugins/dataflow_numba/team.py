"""Threads that carry out one program together."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Lock

import numpy as np

from dataflow_numba import library

SHARED_BYTES = 256
_one_team = Lock()
"""Only one team works at a time; whoever comes meanwhile works alone, with the same result."""


class Team:
    """So many threads, and the table by which they share the work."""

    def __init__(self, count: int) -> None:
        self.count = count
        memory = np.zeros(2 * SHARED_BYTES, np.uint8)
        start = -memory.__array_interface__["data"][0] % 64
        self._shared = memory[start : start + SHARED_BYTES].view(np.int64)
        self.shared: int = self._shared.__array_interface__["data"][0]
        code = library.interpreter()
        self._assist = [partial(code.function("assist", 2), self.shared, thread) for thread in range(1, count)]
        self._dismiss = partial(code.function("dismiss", 1), self.shared)

    def run(self, call: Callable[[], object]) -> None:
        """Make a call that uses the table, with the other threads at hand if they have nothing else to do."""
        if self.count == 1 or not _one_team.acquire(blocking=False):
            self._set(1)
            call()
            return
        try:
            self._set(self.count)
            others = [_pool(os.getpid(), self.count - 1).submit(assist) for assist in self._assist]
            try:
                call()
            finally:
                self._dismiss()
                for other in others:
                    other.result()
        finally:
            _one_team.release()

    def _set(self, threads: int) -> None:
        from dataflow_numba.sharing import ALL_TAKEN, Shared

        self._shared[Shared.TURN] = ALL_TAKEN
        self._shared[Shared.THREADS] = threads


@cache
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    """Threads of this process: they do not survive a fork."""
    return ThreadPoolExecutor(count, thread_name_prefix="dataflow-numba")
