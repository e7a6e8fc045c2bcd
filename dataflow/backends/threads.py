"""How many threads run: those of the BLAS, for matrix products, and a pool of our own, for elementwise work.

Two threads that meet on one busy core wait for each other longer than a small product takes, so small products stay on
one thread. ``DATAFLOW_THREADS`` in the environment is an upper bound for all of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

from dataflow.errors import BackendError

VARIABLE = "DATAFLOW_THREADS"


def thread_count(asked: int | None = None) -> int:
    """The threads that may be used: what was asked for, or ``DATAFLOW_THREADS``, or the cores that this process may
    run on. A ``BackendError`` for what is no whole number from 1."""
    if asked is None:
        text = os.environ.get(VARIABLE, "").strip()
        if not text:
            return _cores()
        if not text.isdecimal() or int(text) < 1:
            raise BackendError(f"{VARIABLE} is a number of threads, 1 or more, not {text!r}")
        return int(text)
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise BackendError(f"threads is a whole number, 1 or more, not {asked!r}")
    return asked


class ProductThreads:
    """The number of threads that the BLAS uses, which belongs to the whole process: it is changed inside ``scope`` and
    put back at its end."""

    def __init__(self) -> None:
        self.now: int | None = None
        """What was asked for last, inside a scope."""
        self._depth = 0
        self._before: list[tuple[Any, int]] = []
        self._lock = Lock()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Put back at the end what the BLAS used before."""
        with self._lock:
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    for library, count in self._before:
                        library.set_num_threads(count)
                    self.now, self._before = None, []

    def use(self, count: int) -> None:
        """At most so many threads from now on."""
        with self._lock:
            if self.now is None:
                self._before = [(library, library.num_threads) for library in _libraries()]
            self.now = count
            for library, most in self._before:
                library.set_num_threads(min(count, most))


PRODUCT_THREADS = ProductThreads()


def run_all(tasks: Sequence[Callable[[], object]]) -> None:
    """Run tasks side by side, the last one on this thread; an exception of any is raised."""
    futures = [_pool().submit(task) for task in tasks[:-1]]
    try:
        tasks[-1]()
    finally:
        wait(futures)  # they write to memory that the caller goes on to use
    for future in futures:
        future.result()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@lru_cache(maxsize=1)
def _pool_of(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, _cores() - 1), thread_name_prefix="dataflow")


def _pool() -> ThreadPoolExecutor:
    return _pool_of(os.getpid())  # threads do not survive a fork
