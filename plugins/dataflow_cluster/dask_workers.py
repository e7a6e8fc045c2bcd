"""The workers of a Dask cluster. Tasks have no state, so that one whose worker is lost is done again elsewhere, with
the shard of that worker, which is sent again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from distributed import Client

from dataflow.backends.cluster import Shards, Task, Workers
from dataflow.errors import TrainingError
from dataflow.training.minibatches.part_work import compute, missing
from dataflow_cluster.dask_tasks import LOST, WorkerTasks

SECONDS = 60
"""How long a run waits for a worker when all are lost."""
ATTEMPTS = 20
"""How often what was lost of one minibatch is begun anew."""
PERIOD = 2
"""Seconds between two looks at whether there is a worker without a shard, where another has two."""
NOT_PLACED = (*LOST, OSError, KeyError, ValueError, TimeoutError)
"""What is raised where a worker goes while it is sent something."""
GONE = "the data cannot be placed on the workers, which come and go; see their logs"


class DaskWorkers(Workers):
    """Workers of a client, of which what is ``owned`` ends with the run."""

    def __init__(self, client: Client, *owned: Any) -> None:
        self._client, self._owned = client, owned
        self._needs = dict[str, Any]()
        self._sent: Any = None
        self._copies: Any = None
        self._shards: Shards | None = None
        self._setup = b""
        self._placed: dict[int, tuple[str, Any]] = {}
        """By the number of a shard the address of the worker that keeps it, and the shard there."""
        self._looked = 0.0
        self.link = client.dashboard_link
        try:
            self._wait(10)
        except TrainingError:
            self.close()
            raise
        self.count = len(client.scheduler_info(n_workers=-1)["workers"])

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        self._needs, self._setup, self._shards = dict(needs), setup, shards
        self._check()
        self._placed = {}
        self._place(range(self.count))

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        sent = [np.array(array) for array in arrays]  # as they are now
        self._spread()
        results: dict[int, list[np.ndarray]] = {}
        for _ in range(ATTEMPTS):
            left = [number for number, task in enumerate(tasks) if task and number not in results]
            futures = [self._submit(number, sent, tasks[number]) for number in left]
            try:
                results |= zip(left, self._client.gather(futures), strict=True)
            except LOST:
                for number, future in zip(left, futures, strict=True):
                    with suppress(*LOST):
                        results[number] = future.result()
            if not (lost := [number for number in left if number not in results]):
                return [results.get(number, []) for number in range(len(tasks))]
            self._wait(SECONDS)
            self._check()
            self._place(lost)
        raise TrainingError(
            f"workers were lost {ATTEMPTS} times in one minibatch; see their logs for the reason (memory?); resume "
            "goes on from the last checkpoint, if there is one"
        )

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        self._needs = dict(needs)
        self._check()
        self._scatter(list(inputs))
        return WorkerTasks(self._client, self._again, lambda: self._copies, tasks, asked_to_end).events(self.count)

    def close(self) -> None:
        self._copies = self._sent = self._shards = None
        self._placed = {}
        for one in (self._client, *self._owned) if self._owned else ():
            one.close()

    def _again(self) -> None:
        """Wait for workers, where some were lost, and place there what stays."""
        self._wait(SECONDS)
        self._check()
        self._scatter(self._sent)

    def _submit(self, number: int, sent: Any, task: Task) -> Any:
        address, shard = self._placed[number]
        # a preference: without one, Dask would choose by load alone, and copy the shard
        where: dict[str, Any] = {"workers": [address], "allow_other_workers": True}
        return self._client.submit(run_task, shard, sent, task, pure=False, **where)

    def _place(self, numbers: Iterable[int]) -> None:
        """Send shards to those workers that have fewest."""
        assert self._shards is not None
        for number in numbers:
            self._placed.pop(number, None)
        for number in numbers:
            for _ in range(ATTEMPTS):
                living, kept = self._wait(SECONDS), Counter(address for address, _ in self._placed.values())
                address = min(living, key=lambda one: kept[one])
                placed = self._setup, number, dict(self._shards(number))
                try:
                    [shard] = self._client.scatter([placed], workers=[address], hash=False)
                except NOT_PLACED:
                    continue
                self._placed[number] = address, shard
                break
            else:
                raise TrainingError(GONE)

    def _spread(self) -> None:
        """Let workers that came later have shards of those that took over others'."""
        kept = Counter(address for address, _ in self._placed.values())
        if max(kept.values()) > 1 and time.monotonic() - self._looked > PERIOD:
            self._looked = time.monotonic()
            free = sum(address not in kept for address in self._wait(SECONDS))
            crowded = [number for number, (address, _) in self._placed.items() if kept[address] > 1]
            if free:
                self._check()
                self._place(crowded[-free:])

    def _scatter(self, sent: Any) -> None:
        """Place a copy on every worker; those that come later get theirs from these."""
        self._sent = sent
        for _ in range(ATTEMPTS):
            try:
                [self._copies] = self._client.scatter([sent], broadcast=True, hash=False)
                return
            except NOT_PLACED:
                self._wait(SECONDS)
        raise TrainingError(GONE)

    def _wait(self, seconds: float) -> list[str]:
        """The addresses of the workers; one at least."""
        end = time.monotonic() + seconds
        while not (living := [*self._client.scheduler_info(n_workers=-1)["workers"]]):
            if time.monotonic() > end:
                raise TrainingError(
                    f"the scheduler {self._client.scheduler.address} has no worker, and none came within {seconds:g} "
                    "s; start some with 'dask worker'"
                )
            time.sleep(0.05)
        return living

    def _check(self) -> None:
        found = self._client.run(missing, self._needs, on_error="return")
        for address, lack in found.items():
            if isinstance(lack, ImportError):
                lack = f"no dataflow with its plugin for clusters ({lack})"
            if isinstance(lack, str):
                raise TrainingError(f"worker {address} has {lack}; install the same there as here")


def run_task(placed: tuple[bytes, int, dict[str, np.ndarray]], arrays: Any, task: Task) -> list[np.ndarray]:
    """The task of Dask."""
    setup, number, data = placed
    return compute(setup, number, data, arrays, task)
