"""The processes of an MPI job. Rank 0 trains and is a worker, too; the others do what it says, until it says to end.

In a step, rank 0 sends the rows of the minibatch and what changes, each rank computes its part, and rank 0 gathers the
results in the order of the ranks. Everything travels as bytes of arrays and of msgpack; a rank that dies ends the job.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgpack
import numpy as np
from mpi4py import MPI

from dataflow.backends.cluster import Part, Task, Workers
from dataflow.errors import DataflowError, TrainingError
from dataflow.training.minibatches.part_work import PartGradients, missing, work_of

STEP, PLACE, TELL, END = range(4)
SPIN = 0.002
"""Seconds that a rank waits for a command at full speed; then it looks as often as ``PAUSE`` says, so that whoever else
needs the processor gets it."""
PAUSE = 0.0002
CHUNK = 2**30
"""Bytes that are sent at once: MPI counts in 32 bits."""
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from dataflow_cluster.mpi_ranks import spawn; spawn()"
)
_ending: list[Ranks] = []
"""The ranks of mpiexec, once this process, rank 0, is to tell them to end when it does."""


def world_size() -> int:
    """How many processes mpiexec started; 1 without it."""
    return int(MPI.COMM_WORLD.Get_size())


def join() -> None:
    """Serve, and end this process, where it is another than rank 0. Rank 0 tells the others to end when it does."""
    if MPI.COMM_WORLD.Get_rank() > 0:
        Rank(MPI.COMM_WORLD).serve()
        sys.exit(0)
    if world_size() > 1 and not _ending:
        _ending.append(Ranks(MPI.COMM_WORLD))
        atexit.register(_ending[0].end)


def started() -> Workers:
    """The processes that mpiexec started."""
    return _ending[0]


def spawned(count: int) -> Workers:
    """So many processes, of which this is one."""
    if count == 1:
        return Ranks(MPI.COMM_SELF)
    path = json.dumps([os.path.abspath(folder) for folder in sys.path])  # so that the same plugins are found
    return Ranks(MPI.COMM_SELF.Spawn(sys.executable, ["-P", "-c", _START, path], count - 1).Merge(False), owned=True)


def spawn() -> None:
    """What a process does that was spawned."""
    comm = MPI.Comm.Get_parent().Merge(True)
    Rank(comm).serve()
    comm.Disconnect()


class Ranks(Workers):
    """All processes, as rank 0 sees them. What is ``owned`` ends with the run."""

    def __init__(self, comm: Any, *, owned: bool = False) -> None:
        self._comm, self._owned, self.count = comm, owned, comm.Get_size()
        self._here = Rank(comm)

    def place(self, setup: bytes, needs: Mapping[str, Any], data: Mapping[str, np.ndarray]) -> None:
        self._command(PLACE)
        arrays = [[name, array.dtype.str, list(array.shape)] for name, array in data.items()]
        _send(self._comm, msgpack.packb({"setup": setup, "needs": dict(needs), "arrays": arrays}))
        for array in data.values():
            _send_array(self._comm, np.ascontiguousarray(array))
        here, *others = _gathered(self._comm, _lack(needs))
        for rank, (host, lack) in enumerate(map(msgpack.unpackb, [here, *others])):
            if lack is not None:
                raise TrainingError(f"rank {rank}, on {host}, has {lack}; install the same there as here")
        self._here.data, self._here.work = dict(data), work_of(setup)
        self._results = np.empty((self.count, 8 + self._here.given.nbytes), np.uint8)

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        here, comm = self._here, self._comm
        plan = [
            [len(task), *(n for part in task for n in (len(part.rows), part.start, part.size, part.number))]
            for task in tasks
        ]
        numbers = np.array([n for one in plan for n in one], np.int64)
        rows = np.concatenate([np.asarray(part.rows, np.int64) for task in tasks for part in task])
        self._command(STEP, len(tasks), len(numbers), len(rows))
        comm.Bcast(numbers, 0)
        comm.Bcast(rows, 0)
        assert here.work is not None
        here.work.taken.take(arrays)
        comm.Bcast(here.work.taken.bytes, 0)
        comm.Gather(here.result(tasks[0]), self._results, 0)
        if self._results[:, 0].any():
            self._command(TELL)
            texts = [text.decode() for text in _gathered(comm, here.error.encode())]
            rank, text = next((rank, text) for rank, text in enumerate(texts) if text)
            raise TrainingError(f"rank {rank} of MPI: {text}")
        return [
            [
                np.ndarray(array.shape, array.dtype, row, 8 + array.ctypes.data - here.given.ctypes.data)
                for array in here.work.given.arrays
            ]
            for row in self._results[: len(tasks)]
        ]

    def close(self) -> None:
        self._here = Rank(self._comm)
        if self._owned:
            self.end()
            self._comm.Disconnect()

    def end(self) -> None:
        """Tell the others to end."""
        self._command(END)

    def _command(self, *numbers: int) -> None:
        self._comm.Ibcast(np.array([*numbers, *[0] * (4 - len(numbers))], np.int64), 0).Wait()


class Rank:
    """What a process has, and does when it is told to."""

    def __init__(self, comm: Any) -> None:
        self._comm, self._number = comm, comm.Get_rank()
        self.data: dict[str, np.ndarray] = {}
        self.work: PartGradients | None = None
        self.error = ""

    @property
    def given(self) -> np.ndarray:
        """The bytes of a result."""
        assert self.work is not None
        return self.work.given.bytes

    def serve(self) -> None:
        """Do what rank 0 says. Signals are its to hear."""
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(number, signal.SIG_IGN)
        while (command := self._next())[0] != END:
            if command[0] == PLACE:
                self._place()
            elif command[0] == STEP:
                self._step(*command[1:])
            else:
                _gathered(self._comm, self.error.encode())

    def result(self, task: Task | None) -> np.ndarray:
        """A byte that says whether it went wrong, seven that are 0, and the bytes of the result."""
        self.error = ""
        out = np.zeros(8 + self.given.nbytes, np.uint8)
        try:
            if task is not None:
                assert self.work is not None
                self.work(self.data, task)
                out[8:] = self.given
        except DataflowError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 (rank 0 is told, and raises it)
            self.error = f"{type(error).__name__}: {error}"
        out[0] = bool(self.error)
        return out

    def _next(self) -> list[int]:
        command = np.empty(4, np.int64)
        request, begun = self._comm.Ibcast(command, 0), time.monotonic()
        while not request.Test():
            if time.monotonic() - begun > SPIN:
                time.sleep(PAUSE)
        return [int(number) for number in command]

    def _place(self) -> None:
        told = msgpack.unpackb(_send(self._comm, None))
        self.work = None
        self.data = {name: _send_array(self._comm, np.empty(shape, dtype)) for name, dtype, shape in told["arrays"]}
        lack = _lack(told["needs"])
        _gathered(self._comm, lack)
        if msgpack.unpackb(lack)[1] is None:
            self.work = work_of(told["setup"])

    def _step(self, tasks: int, count: int, size: int) -> None:
        numbers, rows = np.empty(count, np.int64), np.empty(size, np.int64)
        self._comm.Bcast(numbers, 0)
        self._comm.Bcast(rows, 0)
        assert self.work is not None
        self._comm.Bcast(self.work.taken.bytes, 0)
        task: list[Part] | None = None
        read, row = iter(numbers.tolist()), 0
        for rank in range(tasks):
            parts = []
            for _ in range(next(read)):
                length, start, whole, number = (next(read) for _ in range(4))
                parts.append(Part(rows[row : row + length], start, whole, number))
                row += length
            if rank == self._number:
                task = parts
        self._comm.Gather(self.result(task), None, 0)


def _send(comm: Any, data: bytes | None) -> bytes:
    """Rank 0's bytes, on all ranks."""
    length = np.array([0 if data is None else len(data)], np.int64)
    comm.Bcast(length, 0)
    there = np.empty(length[0], np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return _send_array(comm, there).tobytes()


def _send_array(comm: Any, array: np.ndarray) -> np.ndarray:
    """Fill an array of the other ranks with that of rank 0."""
    flat = array.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), CHUNK):
        comm.Bcast(flat[start : start + CHUNK], 0)
    return array


def _gathered(comm: Any, data: bytes) -> list[bytes]:
    """The bytes of all ranks, in their order, on rank 0."""
    lengths = np.empty(comm.Get_size(), np.int64)
    comm.Allgather(np.array([len(data)], np.int64), lengths)
    together = np.empty(lengths.sum(), np.uint8)
    comm.Gatherv(np.frombuffer(data, np.uint8), [together, lengths.astype(np.int32)], 0)
    edges = [0, *np.cumsum(lengths).tolist()]
    return [together[a:b].tobytes() for a, b in pairwise(edges)]


def _lack(needs: Mapping[str, Any]) -> bytes:
    packed: bytes = msgpack.packb([MPI.Get_processor_name(), missing(needs)])
    return packed
