"""Tasks of Dask that have nothing to do with each other, each of which may take long: the runs of a sweep."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Client, Future, KilledWorker, get_worker
from distributed.client import FutureCancelledError

from dataflow.support.texts import shorten
from dataflow.training.saving.interrupts import Interrupt
from dataflow.training.sweeps.reported import do_packed

LOST = (KilledWorker, CancelledError, FutureCancelledError)
PERIOD = 0.1
"""Seconds between two looks at whether to end."""
ATTEMPTS = 20
"""How often a task is begun anew because what it needs was lost with the workers that had it."""
_interrupts: dict[str, Interrupt] = {}
"""On a worker: what ends the tasks, by the name that each call of ``each`` has."""
_lock = threading.Lock()


class WorkerTasks:
    """The tasks of one call of ``Workers.each``. ``again`` places anew what ``placed`` gives. A worker has one of them
    ahead, so that it need not wait, and no more, as each may be large."""

    def __init__(
        self,
        client: Client,
        again: Callable[[], None],
        placed: Callable[[], Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> None:
        self._client, self._again, self._placed, self._asked = client, again, placed, asked_to_end
        self._tasks, self._name = enumerate(tasks), f"dataflow-{uuid.uuid4().hex}"
        self._inbox: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
        self._going: dict[int, tuple[Future, bytes, int]] = {}
        """By number the task's future, the task, and how often it was begun anew."""

    def events(self, count: int) -> Iterator[tuple[int, str, bytes]]:
        """What ``Workers.each`` yields."""
        self._client.subscribe_topic(self._name, lambda event: self._inbox.put(event[1]))
        ended = 0.0
        try:
            while True:
                while len(self._going) < 2 * count and not self._asked() and (following := next(self._tasks, None)):
                    self._submit(*following, 0)
                if not self._going:
                    return
                if self._asked() and time.monotonic() > ended:  # again and again: workers may come
                    ended = time.monotonic() + 1
                    self._client.run(end_tasks, self._name, on_error="ignore")
                with suppress(queue.Empty):
                    number, kind, data = self._inbox.get(timeout=PERIOD)
                    if kind == "done":
                        yield from self._done(number, data)
                    elif number in self._going:
                        yield number, kind, data
        finally:
            self._client.unsubscribe_topic(self._name)
            if self._going:  # this was left early
                self._client.run(end_tasks, self._name, on_error="ignore")
                self._client.cancel([future for future, _, _ in self._going.values()])

    def _submit(self, number: int, task: bytes, attempt: int) -> None:
        # data that the scheduler keeps in memory for the time, so that a task can be done again without this process
        future = self._client.submit(do_task, self._placed(), self._name, number, task, pure=False)
        self._going[number] = future, task, attempt
        future.add_done_callback(lambda future: self._inbox.put((number, "done", future)))

    def _done(self, number: int, future: Future) -> Iterator[tuple[int, str, bytes]]:
        current, task, attempt = self._going[number]
        if future is not current:
            return
        try:
            result = future.result()
        except (CancelledError, FutureCancelledError) as error:
            if attempt < ATTEMPTS and not self._asked():
                self._again()
                self._submit(number, task, attempt + 1)
                return
            found = number, "lost", f"its data was lost with the workers: {error}".encode()
        except KilledWorker:
            found = number, "lost", b"each worker that took it died; see their logs for the reason (memory?)"
        except Exception as error:  # noqa: BLE001 (of this task alone)
            found = number, "lost", shorten(f"{type(error).__name__}: {error}", 200).encode()
        else:
            found = number, "ended", result
        del self._going[number]
        if found[2]:
            yield found


def do_task(inputs: list[bytes], name: str, number: int, task: bytes) -> bytes:
    """The task of Dask; nothing, where it has not begun when all are to end. Threads of one process wait for each
    other."""
    worker = get_worker()
    with _lock:
        interrupt = _interrupts.setdefault(name, Interrupt())
        if interrupt.requested:
            return b""
        worker.log_event(name, (number, "begun", b""))
        return do_packed(inputs, task, lambda report: worker.log_event(name, (number, "told", report)), interrupt)


def end_tasks(name: str) -> None:
    """Let the tasks of this name that are here, and those that come, end early."""
    _interrupts.setdefault(name, Interrupt()).requested = True
