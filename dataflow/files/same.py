"""Whether two models are the same, to the bit."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np

from dataflow.attributes import plain
from dataflow.graph import Graph
from dataflow.model import Model


def same_model(a: Model, b: Model) -> bool:
    """Whether nodes, their order aside, parameters, outputs, loss and calls of blocks are the same."""
    return (
        same_graph(a.graph, b.graph)
        and (a.outputs, a.loss, a.parameters.seed) == (b.outputs, b.loss, b.parameters.seed)
        and all(_same_array(a.parameters.known(name), b.parameters.known(name)) for name in a.parameters)
        and a.graph.graph.get("calls", {}) == b.graph.graph.get("calls", {})
    )


def same_graph(a: Graph, b: Graph) -> bool:
    """Whether the nodes, their order aside, are the same with all that they hold."""
    return a.dtype == b.dtype and a.nodes.keys() == b.nodes.keys() and all(_content(a, x) == _content(b, x) for x in a)


def _content(graph: Graph, name: str) -> tuple[Any, ...]:
    data = graph.nodes[name]
    attributes = {key: plain(value) for key, value in data.get("attributes", {}).items()}
    init = None if data.get("init") is None else {key: plain(value) for key, value in data["init"].items()}
    array = data.get("value")
    # Encoded, so that nan is nan, and 1 is neither 1.0 nor true.
    plain_parts = msgpack.packb([data["kind"], data.get("op"), graph.arguments(name), attributes, init, data["block"]])
    bits = None if array is None else (array.shape, array.dtype, array.tobytes())
    return plain_parts, data["shape"], data["dtype"], bits


def _same_array(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
