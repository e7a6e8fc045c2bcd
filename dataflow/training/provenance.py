"""Where trained parameters come from: what a trained file says of the run that made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.digests import graph_digest, parameter_digest
from dataflow.graph import OP, PARAMETER
from dataflow.model import Model
from dataflow.training.batches import Minibatches, digest_of
from dataflow.training.settings import Settings


def manifest(
    model: Model, batches: Minibatches, held_out: Mapping[str, np.ndarray] | None, settings: Settings
) -> dict[str, Any]:
    """Digests (SHA-256) of the graph, of the parameters as the run left them, and of the examples; the versions of
    dataflow, NumPy and Python; which plugin of which distribution registered each op, initializer, optimizer and
    backend that took part. With the settings and the seed beside it, this is what a run can be repeated from."""
    return {
        "graph": graph_digest(model),
        "parameters": parameter_digest(model),
        "data": batches.digest(),
        "held_out": None if held_out is None else digest_of(held_out),
        "dataflow": _own_version(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "plugins": _plugins(model, settings),
    }


def _own_version() -> str:
    try:
        return metadata.version("dataflow-autodiff")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0"


def _plugins(model: Model, settings: Settings) -> dict[str, list[str]]:
    """For each plugin, with its distribution and version, what of it took part, such as ``"op relu"``."""
    nodes = [data for _, data in model.graph.nodes(data=True)]
    used = {("op", data["op"]) for data in nodes if data["kind"] == OP}
    used |= {("initializer", data["init"]["name"]) for data in nodes if data["kind"] == PARAMETER and data["init"]}
    used |= {("optimizer", settings.optimizer.name), ("backend", settings.backend)}
    owners = registry.registry().owners
    found: dict[str, list[str]] = {}
    for kind, name in sorted(used):
        if (kind, name) in owners:  # an optimizer of one's own need not be registered
            found.setdefault(str(owners[kind, name]), []).append(f"{kind} {name}")
    return dict(sorted(found.items()))
