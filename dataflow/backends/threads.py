"""How many threads run: those of the BLAS, for matrix products, and our own pool, for elementwise work.

Two threads that meet on one busy core wait for each other longer than a small product takes, so small products stay on
one thread. ``DATAFLOW_THREADS`` in the environment is an upper bound for all of it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

from dataflow.errors import BackendError

Item = TypeVar("Item")
Result = TypeVar("Result")

VARIABLE = "DATAFLOW_THREADS"
OVER = 4
"""The most threads for each processor: more would only wait for each other."""


def thread_count(asked: int | None = None) -> int:
    """The threads that may be used: what was asked for, or ``DATAFLOW_THREADS``, or the cores that this process may
    run on; at most ``OVER`` for each processor of the machine, as memory is set aside for each. A ``BackendError`` for
    what is no whole number from 1."""
    if asked is None:
        text = os.environ.get(VARIABLE, "").strip()
        if not text:
            return _cores()
        if not text.isdecimal() or int(text) < 1:
            raise BackendError(f"{VARIABLE} is a number of threads, 1 or more, not {text!r}")
        return min(int(text[:18]), OVER * (os.cpu_count() or 1))
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise BackendError(f"threads is a whole number, 1 or more, not {asked!r}")
    return min(asked, OVER * (os.cpu_count() or 1))


@contextmanager
def working_ahead() -> Iterator[None]:
    """While a thread of its own makes what others will need, these leave it a processor (``threads_beside``)."""
    _ahead.append(None)
    try:
        yield
    finally:
        _ahead.pop()


def threads_beside(most: int) -> int:
    """How many threads, ``most`` at the most, find a processor beside those that work ahead: who is held up by another
    in the middle of a part keeps the rest of its team waiting."""
    return max(1, min(most, _cores() - len(_ahead))) if _ahead else most


class ProductThreads:
    """The number of threads that the BLAS uses, which belongs to the whole process: it is changed inside a ``with``
    block and put back at its end."""

    def __init__(self) -> None:
        self.now: int | None = None
        """The last count asked for inside a block."""
        self._blocks: list[None] = []  # one for each block that is open: a list grows and shrinks without a lock
        self._before: list[tuple[Any, int]] = []
        self._lock = Lock()

    def __enter__(self) -> None:
        self._blocks.append(None)

    def __exit__(self, *raised: object) -> None:
        """Put back what the BLAS used before."""
        self._blocks.pop()
        if self.now is None or self._blocks:
            return
        with self._lock:
            if not self._blocks and self.now is not None:
                for library, count in self._before:
                    library.set_num_threads(count)
                self.now, self._before = None, []

    def use(self, count: int) -> None:
        """Use at most ``count`` threads from now on."""
        with self._lock:
            if self.now is None:
                self._before = [(library, library.num_threads) for library in _libraries()]
                self._before = [(library, most) for library, most in self._before if most > 1]
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


def run_beside(task: Callable[[], object]) -> None:
    """Run one task in as many threads as may be used, this one among them, which share the work among themselves; an
    exception of any is raised."""
    with ThreadPoolExecutor(thread_count(), thread_name_prefix="dataflow") as pool:
        futures = [pool.submit(copy_context().run, task) for _ in range(thread_count() - 1)]
        task()
    for future in futures:
        future.result()


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What a function gives for each item, in order. Threads work a few items ahead of whoever takes the results; the
    items themselves are taken on this thread."""
    count = thread_count()
    if count == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="dataflow") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > count + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


_ahead: list[None] = []  # one for each thread that works ahead: a list grows and shrinks without a lock


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
