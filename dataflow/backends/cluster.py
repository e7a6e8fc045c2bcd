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
    """Some consecutive examples of a minibatch, by their rows in the data."""

    rows: np.ndarray
    start: int
    """How many examples of the minibatch come before them."""
    size: int
    """How many examples the minibatch has."""
    number: int
    """The number of the minibatch, from the run's start on."""


Task: TypeAlias = Sequence[Part]
"""What one worker does of a step: its parts of one minibatch or, with local steps, of some that follow each other."""


class Workers(ABC):
    """The workers of a run. They keep the data; a task has no state, so that one that is lost is done again."""

    count: int
    """How many parts a minibatch is cut into. It stays, whoever is lost, so that the bits do."""
    link: str | None = None
    """Where a browser shows what they do."""

    @abstractmethod
    def place(self, setup: bytes, needs: Mapping[str, Any], data: Mapping[str, np.ndarray]) -> None:
        """Send what stays for a whole run: ``setup``, for ``part_work.work_of``, and the examples. ``needs`` is what
        ``part_work.missing`` takes; who lacks something is named in a ``TrainingError``."""

    @abstractmethod
    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        """What ``part_work.compute`` gives for each task, in their order. ``arrays`` are the same for all; what is
        given stays as it is until the next call."""

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


@contextmanager
def open_workers(cluster: Any) -> Iterator[Workers | None]:
    """The workers of a cluster, for a run: an address such as ``local:4`` or ``tcp://HOST:8786``, or an object that an
    engine takes. What is opened already stays open, and none is none."""
    if cluster is None or isinstance(cluster, Workers):
        yield cluster
        return
    engine = _engine(cluster)
    engine.join(cluster)
    workers = engine.open(cluster)
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
