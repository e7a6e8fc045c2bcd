"""What a cluster is to training: workers that compute the gradients of parts of a minibatch, or take the runs of a
sweep. Engines are plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from dataflow.errors import MissingExtraError, TrainingError
from dataflow.registry.registry import declare_kind, registry


@dataclass(frozen=True)
class Part:
    """The examples of a minibatch that one worker has."""

    rows: np.ndarray
    """Where they are among the examples that the worker keeps."""
    places: np.ndarray
    """Where they are in the minibatch, ascending."""
    size: int
    """How many examples the minibatch has."""
    number: int
    """The number of the minibatch, from the run's start on."""


Task: TypeAlias = Sequence[Part]
"""What one worker does of a step: its part of one minibatch or, with local steps, of some that follow each other. It
has none of those of which the worker has no examples."""
Shards: TypeAlias = Callable[[int], Mapping[str, np.ndarray]]
"""What each worker keeps, by its number from 0: its examples, and the inputs that have none."""


class Workers(ABC):
    """The workers of a run. Each keeps its examples; a task has no state, so that one that is lost is done again."""

    count: int
    """How many shards the examples are divided into. It stays, whoever is lost, so that the bits do."""
    link: str | None = None
    """Where a browser shows what they do."""

    @abstractmethod
    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        """Send what stays for a whole run: ``setup``, for ``part_work.work_of``, to all, and to each its shard, one
        after the other. ``needs`` is what ``part_work.missing`` takes; who lacks something is named in a
        ``TrainingError``."""

    @abstractmethod
    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        """What ``part_work.compute`` gives for each shard's task, in their order; nothing that counts for an empty
        one. ``arrays`` are the same for all; what is given stays as it is until the next call."""

    @abstractmethod
    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        """Do tasks that have nothing to do with each other, by ``reported.do_packed``, each on one worker. Yields the
        number of a task, from 0, and ``"begun"``; ``"told"`` with what it tells; ``"ended"`` with its result; or
        ``"lost"`` with the reason, where it cannot be done. Once asked to end, no other task begins, and those that
        have begun are told."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what was sent, and end the workers that were started for this run."""


class ClusterEngine(ABC):
    """What opens workers."""

    name: ClassVar[str]

    @abstractmethod
    def accepts(self, cluster: Any) -> bool:
        """Whether this is an address, or an object, of this engine."""

    @abstractmethod
    def open(self, cluster: Any) -> Workers:
        """The workers there; a ``TrainingError`` if they cannot be reached in time."""

    def join(self, cluster: Any) -> None:  # noqa: B027 (most have none that are)
        """Called first of all: a process that is itself a worker there works until the run ends, and ends then."""


declare_kind("cluster", ClusterEngine)


class LateWorkers(Workers):
    """Workers that are opened when they are first needed, so that what is wrong without them is told before."""

    def __init__(self, open_now: Callable[[], Workers]) -> None:
        self._open = open_now
        self._opened: Workers | None = None

    @property
    def opened(self) -> Workers:
        """The workers themselves, open."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.opened.count

    @property
    def link(self) -> str | None:  # type: ignore[override]
        return self.opened.link

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        self.opened.place(setup, needs, shards)

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        return self.opened.run(arrays, tasks)

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        return self.opened.each(inputs, needs, tasks, asked_to_end)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


@contextmanager
def open_workers(cluster: Any, on_open: Callable[[Workers], object] = lambda workers: None) -> Iterator[Workers | None]:
    """The workers of a cluster, for a run: an address such as ``local:4`` or ``tcp://HOST:8786``, or an object that an
    engine takes. They are opened when they are first needed, and ``on_open`` is called then. What is opened already
    stays open, and none is none."""
    if cluster is None or isinstance(cluster, Workers):
        yield cluster
        return
    engine = _engine(cluster)
    engine.join(cluster)

    def open_now() -> Workers:
        opened = engine.open(cluster)
        on_open(opened)
        return opened

    workers = LateWorkers(open_now)
    try:
        yield workers
    finally:
        workers.close()


def join(cluster: Any) -> None:
    """Let this process be a worker of the cluster, where it was started as one; it does not return then."""
    if cluster is not None:
        _engine(cluster).join(cluster)


def _engine(cluster: Any) -> ClusterEngine:
    engines = registry().clusters
    if not engines:
        raise MissingExtraError('a cluster needs the extra [cluster]: pip install "dataflow-autodiff[cluster]"')
    for engine in engines.values():
        if engine.accepts(cluster):
            assert isinstance(engine, ClusterEngine)
            return engine
    raise TrainingError(
        f"cluster {cluster!r}: give local:N for N processes here, tcp://HOST:PORT or tls://HOST:PORT of a scheduler, "
        "mpi:N for N processes of MPI here, mpi under mpiexec, or a distributed.Client"
    )
