"""``Program``: outputs of a graph, ready to be run again and again; a plan is made for each set of shapes and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dataflow import registry
from dataflow.graph import INPUT, PARAMETER, Graph
from dataflow.interfaces import Runner
from dataflow.plan import make_plan
from dataflow.shapes import TensorSpec


class Program:
    """``program.run(known)`` gives the arrays of ``outputs`` in order; ``known`` has at least ``program.arguments``."""

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str],
        backend: str = "numpy",
        *,
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.graph = graph
        self.outputs = list(outputs)
        needed = graph.needed_for(outputs)
        self.arguments = [n for n in graph if n in needed and graph.nodes[n]["kind"] in (INPUT, PARAMETER)]
        self._backend = registry.backend(backend)
        self._threads, self._memory_limit = threads, memory_limit
        self._runners: dict[object, Runner] = {}

    def run(self, known: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None) -> list[np.ndarray]:
        """The outputs, which belong to the caller. ``sizes`` says what symbolic sizes stand for that no
        argument has."""
        arrays = [known[name] for name in self.arguments]
        key = (tuple(array.shape for array in arrays), *sorted((sizes or {}).items()))
        if key not in self._runners:
            specs = {
                name: TensorSpec(array.shape, array.dtype) for name, array in zip(self.arguments, arrays, strict=True)
            }
            plan = make_plan(self.graph, self.outputs, specs, sizes, self._memory_limit)
            self._runners[key] = self._backend.prepare(plan, self._threads)
        return self._runners[key].run(arrays)
