"""The processes of an MPI job. Rank 0 says what is done and is a worker, too; the others do it until it says to end.

Each rank keeps its examples. In a step, rank 0 sends which of them are in the minibatch and what changes, each rank
computes its part, and rank 0 gathers the results in the order of the ranks. Everything travels as bytes of arrays and
of msgpack; a rank that dies ends the job.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from mpi4py import MPI

from dataflow.backends.cluster import Shards, Task, Workers
from dataflow.errors import DataflowError, TrainingError
from dataflow.training.minibatches.part_work import PartGradients, missing, work_of
from dataflow_cluster.mpi_tasks import dismiss, follow, lead
from dataflow_cluster.packing import HEAD, packed, task_of

STEP, PLACE, SHARD, TELL, EACH, END = range(6)
GIVEN = 13
"""The tag of messages with what a rank keeps."""
SPIN = 0.002
"""Seconds that a rank waits for another at full speed; then it looks as often as ``PAUSE`` says, so that whoever else
needs the processor gets it: the other, too, where they are more than there are cores."""
PAUSE = 0.0002
CHUNK = 2**30
"""Bytes that are sent at once: MPI counts in 32 bits."""
_told: list[bool] = []
"""Whether this process tells the others to end when it does."""


def under_mpiexec() -> bool:
    """Whether mpiexec started this process."""
    return MPI.COMM_WORLD.Get_size() > 1 or bool({"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"} & os.environ.keys())


def join() -> None:
    """Serve, and end this process, where it is another than rank 0. Rank 0 tells the others to end when it does."""
    if MPI.COMM_WORLD.Get_rank() > 0:
        _forget_names()
        Rank(MPI.COMM_WORLD).serve()
        sys.exit(0)
    if not _told:
        _told.append(True)
        _forget_names()
        atexit.register(Ranks().end)


class Ranks(Workers):
    """All processes, as rank 0 sees them."""

    def __init__(self) -> None:
        self._comm = MPI.COMM_WORLD
        self.count = self._comm.Get_size()
        self._here = Rank(self._comm)

    @property
    def work(self) -> PartGradients:
        """What is done."""
        assert self._here.work is not None
        return self._here.work

    def share(self, memory: np.ndarray) -> np.ndarray:
        """Let results be written to memory that is shared with the process that started all; returns its first part,
        which is for what is taken."""
        size = len(self.work.taken.bytes)
        self._results = memory[size:].reshape(self.count, -1)
        return memory[:size]

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        comm, here = self._comm, self._here
        self._command(PLACE)
        _send(comm, msgpack.packb({"setup": setup, "needs": dict(needs)}))
        self._check(needs)
        self._command(SHARD)
        for rank in range(1, self.count):
            _give(comm, rank, shards(rank))
        here.data, here.work = dict(shards(0)), work_of(setup)
        self._results = np.empty((self.count, HEAD + len(here.work.given.bytes)), np.uint8)

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        self.work.taken.take(arrays)
        results = self.step(len(tasks), *packed(tasks), self.work.taken.bytes)
        return [self.work.given.views(row[HEAD:]) for row in results]

    def step(self, tasks: int, numbers: np.ndarray, rows: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The bytes of so many results, each behind ``HEAD`` others."""
        here, comm = self._here, self._comm
        self._command(STEP, tasks, numbers.nbytes // 8, rows.nbytes // 8)
        comm.Bcast(numbers.view(np.int64), 0)
        comm.Bcast(rows.view(np.int64), 0)
        self.work.taken.bytes[...] = taken
        comm.Bcast(self.work.taken.bytes, 0)
        own = here.result(task_of(0, tasks, numbers.view(np.int64), rows.view(np.int64)))
        _wait(comm.Igather(own, self._results, 0))
        if self._results[:, 0].any():
            self._command(TELL)
            texts = [text.decode() for text in _gathered(comm, here.error.encode())]
            rank, text = next((rank, text) for rank, text in enumerate(texts) if text)
            raise TrainingError(f"rank {rank} of MPI: {text}")
        return self._results[:tasks]

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        self._command(EACH)
        _send(self._comm, msgpack.packb({"needs": dict(needs), "inputs": [len(one) for one in inputs]}))
        for one in inputs:
            _send_array(self._comm, np.frombuffer(one, np.uint8))
        try:
            self._check(needs)
        except TrainingError:
            dismiss(self._comm)
            raise
        yield from lead(self._comm, inputs, tasks, asked_to_end)

    def close(self) -> None:
        self._here = Rank(self._comm)

    def end(self) -> None:
        """Tell the others to end."""
        self._command(END)

    def _check(self, needs: Mapping[str, Any]) -> None:
        for rank, answer in enumerate(_gathered(self._comm, _lack(needs))):
            host, lack = msgpack.unpackb(answer)
            if lack is not None:
                raise TrainingError(f"rank {rank} of MPI, on {host}, has {lack}; install the same there as here")

    def _command(self, *numbers: int) -> None:
        self._comm.Ibcast(np.array([*numbers, *[0] * (4 - len(numbers))], np.int64), 0).Wait()


class Rank:
    """What a process has, and does when it is told to."""

    def __init__(self, comm: Any) -> None:
        self._comm, self._number = comm, comm.Get_rank()
        self.data: dict[str, np.ndarray] = {}
        self.work: PartGradients | None = None
        self.error = ""

    def serve(self) -> None:
        """Do what rank 0 says. Signals are its to hear."""
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(number, signal.SIG_IGN)
        while (command := self._next())[0] != END:
            if command[0] == PLACE:
                self._place()
            elif command[0] == SHARD:
                self.data = _given(self._comm)
            elif command[0] == STEP:
                self._step(*command[1:])
            elif command[0] == EACH:
                self._each()
            else:
                _gathered(self._comm, self.error.encode())

    def result(self, task: Task | None) -> np.ndarray:
        """``HEAD`` bytes, and those of what a task gives."""
        self.error = ""
        assert self.work is not None
        out = np.zeros(HEAD + len(self.work.given.bytes), np.uint8)
        try:
            if task:
                self.work(self.data, task)
                out[HEAD:] = self.work.given.bytes
        except DataflowError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 (rank 0 is told, and raises it)
            self.error = f"{type(error).__name__}: {error}"
        out[0] = bool(self.error)
        return out

    def _next(self) -> list[int]:
        command = np.empty(4, np.int64)
        _wait(self._comm.Ibcast(command, 0))
        return [int(number) for number in command]

    def _place(self) -> None:
        told = msgpack.unpackb(_send(self._comm, None))
        self.work, self.data = None, {}
        lack = _lack(told["needs"])
        _gathered(self._comm, lack)
        if msgpack.unpackb(lack)[1] is None:
            self.work = work_of(told["setup"])

    def _each(self) -> None:
        told = msgpack.unpackb(_send(self._comm, None))
        inputs = [_send_array(self._comm, np.empty(size, np.uint8)).tobytes() for size in told["inputs"]]
        _gathered(self._comm, _lack(told["needs"]))
        follow(self._comm, inputs)

    def _step(self, tasks: int, count: int, size: int) -> None:
        numbers, rows = np.empty(count, np.int64), np.empty(size, np.int64)
        self._comm.Bcast(numbers, 0)
        self._comm.Bcast(rows, 0)
        assert self.work is not None
        self._comm.Bcast(self.work.taken.bytes, 0)
        _wait(self._comm.Igather(self.result(task_of(self._number, tasks, numbers, rows)), None, 0))


def _forget_names() -> None:
    """Unlink what MPICH's ranks of one machine share, which all have open by now, so that nothing is left in memory
    however they end."""
    comm = MPI.COMM_WORLD
    comm.Barrier()
    try:
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").split()
    except OSError:  # no Linux
        mapped = []
    for name in {word for word in mapped if word.startswith("/dev/shm/mpich_shm_")}:
        Path(name).unlink(missing_ok=True)
    comm.Barrier()


def _wait(request: Any) -> None:
    begun = time.monotonic()
    while not request.Test():
        if time.monotonic() - begun > SPIN:
            time.sleep(PAUSE)


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


def _give(comm: Any, rank: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Send a rank what it keeps."""
    kinds = msgpack.packb([[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()])
    comm.Send(np.array([len(kinds)], np.int64), rank, GIVEN)
    for flat in (np.frombuffer(kinds, np.uint8), *map(_flat, arrays.values())):
        for start in range(0, len(flat), CHUNK):
            comm.Send(flat[start : start + CHUNK], rank, GIVEN)


def _given(comm: Any) -> dict[str, np.ndarray]:
    """What rank 0 gives."""

    def fill(array: np.ndarray) -> np.ndarray:
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, len(flat), CHUNK):
            comm.Recv(flat[start : start + CHUNK], 0, GIVEN)
        return array

    length = fill(np.empty(1, np.int64))
    kinds = msgpack.unpackb(fill(np.empty(length[0], np.uint8)).tobytes())
    return {name: fill(np.empty(shape, dtype)) for name, dtype, shape in kinds}


def _flat(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _gathered(comm: Any, data: bytes) -> list[bytes]:
    """The bytes of all ranks, in their order, on rank 0."""
    lengths = np.empty(comm.Get_size(), np.int64)
    comm.Allgather(np.array([len(data)], np.int64), lengths)
    together = np.empty(lengths.sum(), np.uint8)
    comm.Gatherv(np.frombuffer(data, np.uint8), [together, lengths.astype(np.int32)], 0)
    return [together[a:b].tobytes() for a, b in pairwise([0, *np.cumsum(lengths).tolist()])]


def _lack(needs: Mapping[str, Any]) -> bytes:
    answer: bytes = msgpack.packb([MPI.Get_processor_name(), missing(needs)])
    return answer
