"""Training on a cluster (extra ``[cluster]``): gradients of parts of a minibatch, computed by workers of Dask's
distributed."""

from dataflow import hookimpl
from dataflow_cluster.engine import DaskEngine


@hookimpl
def register_clusters():
    """The one engine."""
    return [DaskEngine()]
