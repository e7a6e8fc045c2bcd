"""Which clusters Dask's distributed opens: processes here, and schedulers by their addresses."""

from __future__ import annotations

import gc
import ipaddress
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dataflow.backends.cluster import ClusterEngine, Workers
from dataflow.errors import DataflowWarning, MissingExtraError, TrainingError

SECONDS = 10
"""How long a scheduler, and its first worker, may take to answer."""
STAYS = "1000 days"
"""When a lost worker here is given up: later than any run ends, as it is started again. Dask would look once, after
15 s, and start it no more if it is lost at that moment."""
_LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")


class DaskEngine(ClusterEngine):
    """Dask's distributed: a scheduler, and workers that may come and go."""

    name = "dask"

    def accepts(self, cluster: Any) -> bool:
        if isinstance(cluster, str):
            return bool(_LOCAL.fullmatch(cluster)) or cluster.startswith(("tcp://", "tls://"))
        return type(cluster).__module__.startswith("distributed.") and hasattr(cluster, "scheduler_info")

    def open(self, cluster: Any) -> Workers:
        try:
            import dask
            from distributed import Client, LocalCluster

            from dataflow_cluster.dask_workers import DaskWorkers
        except ImportError:
            raise MissingExtraError(
                "a cluster needs Dask's distributed, of the extra [cluster]: "
                'pip install "dataflow-autodiff[cluster]", here and on each worker'
            ) from None
        if not isinstance(cluster, str):
            return DaskWorkers(cluster)
        if match := _LOCAL.fullmatch(cluster):
            settings = ExitStack()
            settings.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": STAYS}))
            with settings, _ctrl_c_waits():
                here = LocalCluster(
                    n_workers=int(match[1]),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=50,
                    preload=["import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"],  # it is for this process
                )
                client = Client(here)
                restored = settings.pop_all()
            return DaskWorkers(client, here, restored)
        if cluster.startswith("tcp://") and not _is_here(cluster):
            warnings.warn(
                f"{cluster} is not encrypted, and a Dask scheduler takes work from anyone who reaches its port: they "
                "can run code as you on each worker; use tls:// with certificates, or a network of your own",
                DataflowWarning,
                stacklevel=4,
            )
        try:
            client = Client(cluster, timeout=SECONDS)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            reason = str(error)
        else:
            return DaskWorkers(client, client)
        gc.collect()  # closes the client; while the next one starts it would wait for a lock that its own thread holds
        raise TrainingError(
            f"no scheduler answers at {cluster} within {SECONDS} s ({reason}); start one with 'dask scheduler', and "
            "workers with 'dask worker'"
        )


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Let Ctrl-C wait; processes that are started meanwhile block it from their beginning on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # later it would unblock the signal
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _is_here(address: str) -> bool:
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
