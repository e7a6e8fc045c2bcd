"""A graph whose attributes are texts, so that networkx can write it."""

from __future__ import annotations

import json
from typing import Any

import networkx as nx
import numpy as np

from dataflow.operations.attributes import plain
from dataflow.shapes import format_shape

OPTIONAL = ("op", "attributes", "literals", "init", "value", "block", "cotangent_of")
"""The fields of a node that the copy has where they are not empty."""


def plain_copy(graph: Any) -> nx.MultiDiGraph:
    """A copy of a ``NodeGraph``, which stands above this module, with its name, its dtype, its blocks and classes."""
    result = nx.MultiDiGraph(name=graph.name, dtype=graph.dtype.name)
    result.graph.update({key: _text(value) for key in ("blocks", "calls", "classes") if (value := graph.graph[key])})
    for name, node in graph.node_items():
        result.add_node(name, kind=node.kind, shape=format_shape(node.shape), dtype=node.dtype.name)
        rest = {key: getattr(node, key) for key in OPTIONAL}
        result.nodes[name].update({key: _text(x) for key, x in rest.items() if not _is_empty(x)})
    result.add_edges_from(graph.edges(keys=True))
    return result


def _is_empty(value: Any) -> bool:
    return not isinstance(value, np.ndarray) and not value


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value, threshold=100, separator=", ", floatmode="unique").replace("\n", "")
    return value if isinstance(value, str) else json.dumps(plain(value), default=str)
