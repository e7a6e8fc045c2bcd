"""MPI as a cluster: processes of one job, which is faster than tasks and ends when one of them does."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

from dataflow.backends.cluster import ClusterEngine, Workers
from dataflow.errors import MissingExtraError, TrainingError

_ADDRESS = re.compile(r"mpi(?::([1-9][0-9]{0,2}))?")


class MpiEngine(ClusterEngine):
    """``mpi:N`` starts N processes here; ``mpi`` takes those that mpiexec started."""

    name = "mpi"

    def accepts(self, cluster: Any) -> bool:
        return isinstance(cluster, str) and bool(_ADDRESS.fullmatch(cluster))

    def join(self, cluster: Any) -> None:
        if cluster == "mpi":
            _ranks().join()

    def open(self, cluster: Any) -> Workers:
        if cluster != "mpi":
            from dataflow_cluster.mpi_local import LocalRanks

            if find_spec("mpi4py") is None:
                raise _missing("there is no mpi4py")
            return LocalRanks(int(cluster.partition(":")[2]))
        ranks = _ranks()
        if not ranks.under_mpiexec():
            raise TrainingError(
                "cluster 'mpi' is for processes that mpiexec started, and this one is alone: mpiexec -n 2 dataflow "
                "train ..., with the mpiexec of the MPI that mpi4py uses; or give mpi:2"
            )
        started: Workers = ranks.Ranks()
        return started


def _ranks() -> Any:
    try:
        from dataflow_cluster import mpi_ranks
    except (ImportError, RuntimeError) as error:  # mpi4py is missing, or finds no library
        raise _missing(str(error)) from None
    return mpi_ranks


def _missing(what: str) -> MissingExtraError:
    return MissingExtraError(
        f'MPI needs mpi4py and an MPI ({what}), of the extra [mpi]: pip install "dataflow-autodiff[mpi]", which brings '
        "MPICH"
    )
