"""Tasks on the ranks of MPI that have nothing to do with each other: the runs of a sweep.

Each rank does its tasks in a thread, rank 0 as well, and moves messages in the main thread meanwhile. A message is
three numbers (the task, what kind of message it is, and a length) and as many bytes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dataflow.training.saving.interrupts import Interrupt
from dataflow.training.sweeps.reported import do_packed

TASK, STOP, LEAVE = range(3)
KINDS = ("begun", "told", "ended", "lost")
DOWN, UP = 11, 12
"""The tags of messages from rank 0 and to it."""
CHUNK = 2**30
"""Bytes that are sent at once: MPI counts in 32 bits."""
PAUSE = 0.003
"""Seconds between two looks at whether there is a message."""
PERIOD = 0.1
"""Seconds between two looks at whether to end."""


class Doer:
    """Does tasks in a thread, one after the other; what becomes of them is in ``events``."""

    def __init__(self, inputs: Sequence[bytes]) -> None:
        self.events: queue.SimpleQueue[tuple[int, str, bytes]] = queue.SimpleQueue()
        self.interrupt = Interrupt()
        self._inputs = inputs

    def begin(self, number: int, task: bytes) -> None:
        """Begin a task; it has ended when its event says so."""
        threading.Thread(target=self._do, args=(number, task), daemon=True).start()

    def _do(self, number: int, task: bytes) -> None:
        self.events.put((number, "begun", b""))
        try:
            result = do_packed(
                self._inputs, task, lambda report: self.events.put((number, "told", report)), self.interrupt
            )
            self.events.put((number, "ended", result))
        except Exception as error:  # noqa: BLE001 (of this task alone)
            self.events.put((number, "lost", f"{type(error).__name__}: {error}".encode()))

    def taken(self) -> list[tuple[int, str, bytes]]:
        """The events so far that were not taken yet."""
        found = []
        while not self.events.empty():
            found.append(self.events.get())
        return found


def lead(
    comm: Any, inputs: Sequence[bytes], tasks: Iterable[bytes], asked_to_end: Callable[[], bool]
) -> Iterator[tuple[int, str, bytes]]:
    """What ``Workers.each`` yields, on rank 0, while the other ranks ``follow``."""
    own, following = Doer(inputs), enumerate(tasks)
    idle, stopping, looked = set(range(comm.Get_size())), False, 0.0

    def stop() -> None:
        own.interrupt.requested = True
        for rank in range(1, comm.Get_size()):
            _put(comm, rank, DOWN, 0, STOP)

    def arrived() -> Iterator[tuple[int, int, str, bytes]]:
        """The events so far, each behind its rank."""
        for event in own.taken():
            yield 0, *event
        while (rank := _waiting(comm)) is not None:
            number, kind, data = _take(comm, rank, UP)
            yield rank, number, KINDS[kind], data

    try:
        while True:
            if not stopping and time.monotonic() - looked > PERIOD:
                looked = time.monotonic()
                if asked_to_end():
                    stopping = True
                    stop()
            while idle and not stopping and (one := next(following, None)) is not None:
                rank = max(idle)
                idle.remove(rank)
                if rank:
                    _put(comm, rank, DOWN, one[0], TASK, one[1])
                else:
                    own.begin(*one)
            if len(idle) == comm.Get_size():
                return
            for rank, number, kind, data in arrived():
                if kind in ("ended", "lost"):
                    idle.add(rank)
                yield number, kind, data
            time.sleep(PAUSE)
    finally:
        if len(idle) < comm.Get_size():  # this was left early
            stop()
            while len(idle) < comm.Get_size():
                idle |= {rank for rank, _, kind, _ in arrived() if kind in ("ended", "lost")}
                time.sleep(PAUSE)
        dismiss(comm)


def dismiss(comm: Any) -> None:
    """Let the ranks that ``follow`` leave."""
    for rank in range(1, comm.Get_size()):
        _put(comm, rank, DOWN, 0, LEAVE)


def follow(comm: Any, inputs: Sequence[bytes]) -> None:
    """Do the tasks that rank 0 sends, until it says to leave."""
    doer = Doer(inputs)
    while True:
        if comm.Iprobe(0, DOWN):
            number, kind, data = _take(comm, 0, DOWN)
            if kind == LEAVE:
                return
            if kind == STOP:
                doer.interrupt.requested = True
            else:
                doer.begin(number, data)
        for number, told, data in doer.taken():
            _put(comm, 0, UP, number, KINDS.index(told), data)
        time.sleep(PAUSE)


def _waiting(comm: Any) -> int | None:
    """A rank of which a message has come."""
    return next((rank for rank in range(1, comm.Get_size()) if comm.Iprobe(rank, UP)), None)


def _put(comm: Any, rank: int, tag: int, number: int, kind: int, data: bytes = b"") -> None:
    comm.Send(np.array([number, kind, len(data)], np.int64), rank, tag)
    flat = np.frombuffer(data, np.uint8)
    for start in range(0, len(data), CHUNK):
        comm.Send(flat[start : start + CHUNK], rank, tag)


def _take(comm: Any, rank: int, tag: int) -> tuple[int, int, bytes]:
    head = np.empty(3, np.int64)
    comm.Recv(head, rank, tag)
    number, kind, length = head.tolist()
    data = np.empty(length, np.uint8)
    for start in range(0, length, CHUNK):
        comm.Recv(data[start : start + CHUNK], rank, tag)
    return number, kind, data.tobytes()
