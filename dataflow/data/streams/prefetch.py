"""Items that a thread makes ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from dataflow.backends.threads import working_ahead
from dataflow.limits import current

T = TypeVar("T")


class Ahead(Generic[T]):
    """The items of an iterator, of which a thread makes the next while one is worked with: two are there at a time. An
    error in the thread is raised where its item would be. Where no thread can be started, as in a browser, items are
    made when they are asked for. The thread ends with the iterator, with ``close``, and with this object."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[bool, Any]] = queue.Queue()
        self._wanted = threading.Semaphore(1)
        self._closed = threading.Event()
        limits = current()
        # The thread must not know this object, which would else live as long as it.
        work = (items, self._ready, self._wanted, self._closed, limits)
        thread = threading.Thread(target=_make, args=work, name="dataflow-stream", daemon=True)
        try:
            thread.start()
            self._thread: threading.Thread | None = thread
        except RuntimeError:
            self._thread = None
        self._finish = weakref.finalize(self, _close, self._closed, self._wanted)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._closed.is_set():
            raise StopIteration
        if self._thread is None:
            return next(self._items)
        is_item, item = self._ready.get()
        self._wanted.release()
        if is_item:
            return item  # type: ignore[no-any-return]
        self.close()
        if item is None:
            raise StopIteration
        raise item

    def close(self) -> None:
        """Let the thread end."""
        self._finish()


def _make(
    items: Iterator[Any],
    ready: queue.Queue[tuple[bool, Any]],
    wanted: threading.Semaphore,
    closed: threading.Event,
    limits: Any,
) -> None:
    try:
        with limits:
            while True:
                wanted.acquire()
                if closed.is_set():
                    return
                with working_ahead():
                    item = next(items, _END)
                if item is _END:
                    break
                ready.put((True, item))
                del item  # or three were there
        ready.put((False, None))
    except BaseException as error:  # noqa: BLE001 — whatever it is, it is raised by whoever waits for the item
        ready.put((False, error))


def _close(closed: threading.Event, wanted: threading.Semaphore) -> None:
    closed.set()
    wanted.release()


_END = object()
