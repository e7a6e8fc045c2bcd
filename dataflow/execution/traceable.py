"""Outputs of a graph as a pure function for a library that traces functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import GraphError
from dataflow.execution.program import PlanByShape
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, PARAMETER
from dataflow.registry import registry


def traceable(
    graph: Graph, outputs: Sequence[str], backend: str
) -> Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]:
    """``f(parameters, inputs)`` gives the outputs by name, for arrays of the library that the backend is built on. A
    plan is made for each set of shapes, and kept. What is not there is a ``GraphError``, as is a shape that does not
    fit."""
    needed = graph.needed_for(outputs)
    arguments = [name for name in graph if name in needed and graph.node_of(name).kind in (INPUT, PARAMETER)]
    plans = PlanByShape(graph, outputs, arguments, registry.backend(backend).function)

    def function(parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        arrays, stand_ins = [], []
        for name in arguments:
            node = graph.node_of(name)
            given = parameters if node.kind == PARAMETER else inputs
            if name not in given:
                raise GraphError(f"the {node.kind} '{name}' is not given; it is needed for {', '.join(outputs)}")
            array = given[name] if hasattr(given[name], "dtype") else np.asarray(given[name], node.dtype)
            arrays.append(array.astype(node.dtype) if array.dtype.kind != node.dtype.kind else array)
            stand_ins.append(np.broadcast_to(np.zeros((), node.dtype), array.shape))
        return dict(zip(outputs, plans.get(stand_ins)(*arrays), strict=True))

    return function
