"""Which version of the format a model's file has to have: the first that knows all that the file says."""

from __future__ import annotations

from dataflow.data.source import DataSource
from dataflow.graph.node import PARAMETER
from dataflow.graph.node_names import is_repetition
from dataflow.model.model import Model
from dataflow.shapes import SINCE_VERSION_1, is_static

DATA_KEYS = (
    *("root", "separator", "decimal", "thousands", "percent", "weights"),
    *("missing", "categories", "standardize", "learned"),
)
"""The keys of ``[data]`` since version 2."""


def version_of(model: Model) -> int:
    """1, so that earlier readers read it, unless it says something that they do not know."""
    is_new = model.targets or model.graph.classes or _has_new_keys(model.data)
    is_new = is_new or _has_open_widths(model) or _has_new_dtypes(model)
    return 2 if is_new or _has_new_blocks(model) or _has_graphs_or_made_sizes(model) else 1


def _has_graphs_or_made_sizes(model: Model) -> bool:
    return model.graph.makes_sizes or any(op.graph_attributes for op in model.graph.ops.values())


def _has_new_blocks(model: Model) -> bool:
    """Whether a block has attributes, or a call is one of those that one call repeats."""
    declared, paths = model.graph.blocks.values(), model.graph.calls
    return any("attributes" in block for block in declared) or any(
        is_repetition(path.rpartition(".")[2]) for path in paths
    )


def _has_open_widths(model: Model) -> bool:
    graph = model.graph
    return not all(is_static(graph.node_of(name).shape) for name in graph.names(PARAMETER))


def _has_new_dtypes(model: Model) -> bool:
    return any(node.dtype.name not in SINCE_VERSION_1 for _, node in model.graph.node_items())


def _has_new_keys(source: DataSource | None) -> bool:
    return source is not None and (
        any(getattr(source, key) for key in DATA_KEYS) or any(type(x) is not int for x in source.one_hot.values())
    )
