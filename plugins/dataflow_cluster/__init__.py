"""Training on a cluster: gradients of parts of a minibatch, computed by workers of Dask's distributed (extra
``[cluster]``) or by processes of MPI (extra ``[mpi]``)."""

from dataflow import hookimpl
from dataflow_cluster.engine import DaskEngine
from dataflow_cluster.mpi_engine import MpiEngine


@hookimpl
def register_clusters():
    """The engines."""
    return [DaskEngine(), MpiEngine()]
