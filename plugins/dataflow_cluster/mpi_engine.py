"""MPI as a cluster: processes of one job, which is faster than tasks and ends when one of them does."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from typing import Any

from dataflow.backends.cluster import ClusterEngine, Workers
from dataflow.errors import MissingExtraError, TrainingError

_ADDRESS = re.compile(r"mpi(?::([1-9][0-9]{0,2}))?")


class MpiEngine(ClusterEngine):
    """``mpi:N`` starts N - 1 processes beside this one; ``mpi`` takes those that mpiexec started."""

    name = "mpi"

    def accepts(self, cluster: Any) -> bool:
        return isinstance(cluster, str) and bool(_ADDRESS.fullmatch(cluster))

    def join(self, cluster: Any) -> None:
        self._ranks(cluster).join()

    def open(self, cluster: Any) -> Workers:
        ranks, asked = self._ranks(cluster), _asked(cluster)
        there = ranks.world_size()
        if asked is None and there == 1:
            raise TrainingError(
                "cluster 'mpi' is for processes that mpiexec started, and this one is alone: mpiexec -n 2 dataflow "
                "train ..., with the mpiexec of the MPI that mpi4py uses; or give mpi:2"
            )
        if asked is not None and there not in (1, asked):
            raise TrainingError(f"cluster '{cluster}', and mpiexec started {there} processes; give mpi, or as many")
        workers: Workers = ranks.spawned(asked) if there == 1 else ranks.started()
        return workers

    def _ranks(self, cluster: Any) -> Any:
        if _asked(cluster) is not None and "PMI_RANK" not in os.environ:
            # MPICH starts processes by its mpiexec, which stands beside Python if it came as a wheel. What it and they
            # listen on is this machine's own interface.
            if shutil.which("mpiexec") is None:
                os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
            os.environ.setdefault("HYDRA_IFACE", "lo")
            os.environ.setdefault("FI_TCP_IFACE", "lo")
        try:
            from dataflow_cluster import mpi_ranks
        except ImportError as error:
            raise MissingExtraError(
                f"MPI needs mpi4py, of the extra [mpi], and an MPI ({error}): "
                'pip install "dataflow-autodiff[mpi]" brings MPICH'
            ) from None
        except RuntimeError as error:  # mpi4py finds no library
            raise MissingExtraError(
                f'mpi4py finds no MPI ({error}): pip install "dataflow-autodiff[mpi]" brings MPICH'
            ) from None
        return mpi_ranks


def _asked(cluster: str) -> int | None:
    match = _ADDRESS.fullmatch(cluster)
    assert match is not None
    return None if match[1] is None else int(match[1])
