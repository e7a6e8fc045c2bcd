"""The workers of a Dask cluster. Tasks have no state, so that one whose worker is lost is done again elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from distributed import Client

from dataflow.backends.cluster import Task, Workers
from dataflow.errors import TrainingError
from dataflow.training.minibatches.part_work import compute, missing
from dataflow_cluster.dask_tasks import LOST, WorkerTasks

SECONDS = 60
"""How long a run waits for a worker when all are lost."""
ATTEMPTS = 20
"""How often one minibatch is begun anew because its data, or too many of its workers, were lost."""


class DaskWorkers(Workers):
    """Workers of a client, of which what is ``owned`` ends with the run."""

    def __init__(self, client: Client, *owned: Any) -> None:
        self._client, self._owned = client, owned
        self._needs = dict[str, Any]()
        self._sent: Any = None
        self._placed: Any = None
        self.link = client.dashboard_link
        try:
            self._wait(10)
        except TrainingError:
            self.close()
            raise
        self.count = len(client.scheduler_info(n_workers=-1)["workers"])

    def place(self, setup: bytes, needs: Mapping[str, Any], data: Mapping[str, np.ndarray]) -> None:
        self._needs = dict(needs)
        self._check()
        self._scatter((setup, dict(data)))

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        sent = [np.array(array) for array in arrays]  # as they are now
        for _ in range(ATTEMPTS):
            try:
                futures = [self._client.submit(run_task, self._placed, sent, task, pure=False) for task in tasks]
                results: list[list[np.ndarray]] = self._client.gather(futures)
                return results
            except LOST:
                self._again()
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
        return WorkerTasks(self._client, self._again, lambda: self._placed, tasks, asked_to_end).events(self.count)

    def close(self) -> None:
        self._placed = self._sent = None
        for one in (self._client, *self._owned) if self._owned else ():
            one.close()

    def _again(self) -> None:
        """Wait for workers, where some were lost, and place there what stays."""
        self._wait(SECONDS)
        self._check()
        self._scatter(self._sent)

    def _scatter(self, sent: Any) -> None:
        """Place a copy on every worker; those that come later get theirs from these."""
        self._sent = sent
        for _ in range(ATTEMPTS):
            try:
                [self._placed] = self._client.scatter([sent], broadcast=True, hash=False)
                return
            except (*LOST, OSError, KeyError, ValueError, TimeoutError):
                self._wait(SECONDS)
        raise TrainingError("the data cannot be placed on the workers, which come and go; see their logs")

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._client.scheduler_info(n_workers=-1)["workers"]:
            if time.monotonic() > end:
                raise TrainingError(
                    f"the scheduler {self._client.scheduler.address} has no worker, and none came within {seconds:g} "
                    "s; start some with 'dask worker'"
                )
            time.sleep(0.05)

    def _check(self) -> None:
        found = self._client.run(missing, self._needs, on_error="return")
        for address, lack in found.items():
            if isinstance(lack, ImportError):
                lack = f"no dataflow with its plugin for clusters ({lack})"
            if isinstance(lack, str):
                raise TrainingError(f"worker {address} has {lack}; install the same there as here")


def run_task(placed: tuple[bytes, dict[str, np.ndarray]], arrays: Any, task: Task) -> list[np.ndarray]:
    """The task of Dask."""
    setup, data = placed
    return compute(setup, data, arrays, task)
