"""Nodes of a model and gradients as a function of the inputs, whose plan is made once for each set of shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dataflow.autodiff.derivatives import zeros
from dataflow.autodiff.reverse import gradient_graph
from dataflow.data.source import DataSource
from dataflow.execution.forward import missing_inputs
from dataflow.execution.parameters import Parameters
from dataflow.execution.program import Program
from dataflow.graph.graph import Graph
from dataflow.graph.node import PARAMETER
from dataflow.model.asked import lacking


class CompiledModel(Protocol):
    """What is needed of a model."""

    graph: Graph
    data: DataSource | None

    @property
    def parameters(self) -> Parameters: ...
    def given(self, data: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None: ...
    def _feed(
        self, given: Mapping[str, Any] | None, parameters: Collection[str] | None
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]: ...


class Compiled:
    """``compiled(x=x, y=y) -> (values, gradients)``, by name (see ``Model.compile``)."""

    def __init__(
        self,
        model: CompiledModel,
        values: Sequence[str],
        gradients: Sequence[str],
        of: str | None,
        backend: str,
        threads: int | None,
        memory_limit: int | None,
    ) -> None:
        self._model, self._values, self._gradients, self._of = model, list(values), list(gradients), of
        self._options = backend, threads, memory_limit
        self._make()

    def _make(self) -> None:
        backend, threads, memory_limit = self._options
        whole = graph = self._model.graph
        cotangents: dict[str, str] = {}
        if self._gradients:
            extended = gradient_graph(graph, str(self._of), self._gradients)
            whole, cotangents = extended.graph, extended.cotangents
        self._wanted = [graph.value(name).name for name in self._values]
        self._connected = [name for name in self._gradients if name in cotangents]
        outputs = [*self._wanted, *(cotangents[name] for name in self._connected)]
        self._program = Program(whole, outputs, backend, threads=threads, memory_limit=memory_limit)
        self._parameters = [name for name in self._program.arguments if whole.node_of(name).kind == PARAMETER]
        self._state = graph.state

    @property
    def memory(self) -> int:
        """About how many bytes it holds between calls."""
        return self._program.memory

    def __call__(self, data: Any = None, **inputs: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        model = self._model
        known, sizes = model._feed(model.given(data, inputs), ())
        if self._state is not model.graph.state:  # widths that the data decide change it, too
            self._make()
        for name in self._parameters:
            if name not in known:
                known[name] = model.parameters.current(name)
        for name in self._program.arguments:
            if name not in known:
                graph = model.graph
                raise lacking(model.data, name, missing_inputs(graph, graph.schedule([name]), known)[name])
        results = self._program.run(known, sizes)
        found = dict(zip(self._connected, results[len(self._wanted) :], strict=True))
        for name in self._gradients:
            if name not in found:
                found[name] = zeros(model.graph, name, sizes)
        return dict(zip(self._wanted, results, strict=False)), {name: found[name] for name in self._gradients}
