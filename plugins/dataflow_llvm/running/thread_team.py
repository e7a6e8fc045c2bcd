"""Threads that carry out one program together."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Lock

import numpy as np

from dataflow.backends.memory import aligned
from dataflow.backends.threads import threads_beside
from dataflow.support.arrays import address
from dataflow_llvm.compiling import machine_code
from dataflow_llvm.kernels.work_sharing import ALL_TAKEN, SHARED_WORDS, Shared

_one_team = Lock()
"""Only one team works at a time; a call that comes meanwhile runs on one thread, with the same result."""


class Team:
    """``count`` threads, and the table by which they share the work."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._shared = aligned(8 * SHARED_WORDS).view(np.int64)
        self._shared[:] = 0
        self.shared = address(self._shared)
        self._set(1)
        code = machine_code.interpreter()
        self._assist = [partial(code.function("assist", 2), self.shared, thread) for thread in range(1, count)]
        self._dismiss = partial(code.function("dismiss", 1), self.shared)

    def run(self, call: Callable[[], object]) -> None:
        """Make a call that uses the table, with the other threads if no other team has them."""
        count = threads_beside(self.count)
        if count == 1:
            self._set(1)
            call()
            return
        if not _one_team.acquire(blocking=False):
            self._set(1)
            call()
            return
        try:
            self._set(count)
            others = [_pool(os.getpid(), self.count - 1).submit(assist) for assist in self._assist[: count - 1]]
            try:
                call()
            finally:
                self._dismiss()
                for other in others:
                    other.result()
        finally:
            _one_team.release()

    def _set(self, threads: int) -> None:
        self._shared[Shared.TURN] = ALL_TAKEN
        self._shared[Shared.THREADS] = threads


@cache
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    """Threads of this process: they do not survive a fork."""
    return ThreadPoolExecutor(count, thread_name_prefix="dataflow-llvm")
