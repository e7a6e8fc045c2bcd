"""Graphs that attributes hold, run on arrays node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.execution.forward import Forward
from dataflow.graph.subgraph import Placed, Subgraph
from dataflow.operations.operands import specs_of


class SubgraphRun:
    """A subgraph, to be run on one set of arrays after the other: what their shapes decide is found once."""

    def __init__(self, subgraph: Subgraph) -> None:
        self._subgraph = subgraph
        self._known: dict[Any, tuple[Placed, Forward]] = {}

    def __call__(self, arguments: Sequence[Any]) -> list[np.ndarray]:
        """The outputs, in order."""
        arrays = [np.asarray(argument) for argument in arguments]
        key = tuple([(array.shape, array.dtype) for array in arrays])
        if key not in self._known:
            placed = self._subgraph.on(specs_of(arrays))
            self._known[key] = placed, Forward(placed.graph, placed.order, {})
        placed, forward = self._known[key]
        values = forward(dict(zip(placed.inputs, arrays, strict=True)))
        return [values[name] for name in placed.outputs]


def as_arrays(arguments: Sequence[Any], dtypes: Sequence[np.dtype]) -> list[np.ndarray]:
    """Arrays of what an op was given; plain numbers have the dtypes that they take beside arrays."""
    return [
        x if isinstance(x, np.ndarray) else np.asarray(x, dtype) for x, dtype in zip(arguments, dtypes, strict=True)
    ]
