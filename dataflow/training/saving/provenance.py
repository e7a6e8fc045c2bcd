"""Where trained parameters come from: what a trained file says of the run that made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.graph.node import OP, PARAMETER
from dataflow.model.digests import graph_digest, parameter_digest
from dataflow.model.model import Model
from dataflow.registry import registry
from dataflow.support.version import installed_version
from dataflow.training.minibatches.batches import Minibatches, digest_of
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
        "dataflow": installed_version(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "plugins": _plugins(model, settings),
    }


def _plugins(model: Model, settings: Settings) -> dict[str, list[str]]:
    """For each plugin, with its distribution and version, what of it took part, such as ``"op relu"``."""
    nodes = [node for _, node in model.graph.node_items()]
    used = {("op", node.op) for node in nodes if node.kind == OP}
    used |= {("initializer", node.init["name"]) for node in nodes if node.kind == PARAMETER and node.init}
    used |= {("optimizer", settings.rule.name), ("backend", settings.runs_on.name)}
    owners = registry.registry().owners
    found: dict[str, list[str]] = {}
    for kind, name in sorted(used):
        if (kind, name) in owners:  # an optimizer of one's own need not be registered
            found.setdefault(str(owners[kind, name]), []).append(f"{kind} {name}")
    return dict(sorted(found.items()))
