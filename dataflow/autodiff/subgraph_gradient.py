"""The gradient of a graph that an attribute holds, as such a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from dataflow.autodiff.calls import calls_of
from dataflow.autodiff.reverse import pull_at, sweep
from dataflow.graph.graph import Graph
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.walk import replay
from dataflow.operations.engine_ops import where
from dataflow.shapes import TensorSpec


@lru_cache(maxsize=512)
def gradient_of(body: Subgraph, specs: tuple[TensorSpec, ...]) -> Subgraph:
    """The graph that takes what ``body`` takes, which is of these specs, and then a cotangent of each of its outputs
    that is float; it gives a cotangent of each input that is float, in order."""
    placed = body.on(specs)
    graph = Graph(f"{body.name}_gradient", placed.graph.dtype)
    known: dict[str, Any] = {
        name: graph.input(name, spec.shape, spec.dtype) for name, spec in zip(body.inputs, specs, strict=True)
    }
    values = replay(placed.graph, known, placed.outputs)
    seeds: dict[str, Any] = {}
    names: list[str] = []
    for node, spec in zip(placed.outputs, placed.specs, strict=True):
        if spec.is_float:
            name = next(word for i in count(len(names)) if (word := f"cotangent_{i}") not in graph)
            g = graph.input(name, spec.shape, spec.dtype)
            seeds[node] = seeds[node] + g if node in seeds else g
            names.append(name)
    wrt = [name for name, spec in zip(body.inputs, specs, strict=True) if spec.is_float]
    order = placed.graph.schedule(placed.outputs)
    with np.errstate(all="ignore"):
        shares = sweep(placed.graph, order, seeds, wrt, pull_at(placed.graph, values), calls_of(placed.graph, order))
        results = [shares[name] if name in shares else where(False, known[name], 0) for name in wrt]
    outputs = {f"d{i}": value.name for i, value in enumerate(results)}
    return Subgraph(graph, [*body.inputs, *names], outputs, name=graph.name)


def floats_of(specs: Sequence[TensorSpec]) -> list[int]:
    """The positions of those that are float."""
    return [i for i, spec in enumerate(specs) if spec.is_float]
