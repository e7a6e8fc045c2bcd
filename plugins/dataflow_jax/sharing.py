"""Several devices in one process: each has a part of a minibatch, and all have everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec


class Sharing:
    """How arrays lie on these devices; on one or none, they stay as they are."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self._mesh = Mesh(np.array(devices), ("examples",)) if len(devices) > 1 else None

    def everywhere(self, arrays: Any) -> Any:
        """A tree of arrays, with a copy on each device."""
        return arrays if self._mesh is None else jax.device_put(arrays, NamedSharding(self._mesh, PartitionSpec()))

    def by_example(self, rows: Any) -> Any:
        """In traced code: an array whose rows the devices share, where they divide evenly."""
        if self._mesh is None or len(rows) % self._mesh.size:
            return rows
        return lax.with_sharding_constraint(rows, NamedSharding(self._mesh, PartitionSpec("examples")))
