"""How each op of ONNX is said with ops of dataflow. Importing this package fills the table."""

from dataflow_onnx.translations import (
    categories,
    classical,
    elementwise,
    indexing,
    layers,
    quantized,
    recurrent,
    reductions,
    regions,
    sampling,
    shaping,
    signals,
    support_vectors,
    trees,
    value_dependent,
)

__all__ = [
    "categories",
    "classical",
    "elementwise",
    "indexing",
    "layers",
    "quantized",
    "recurrent",
    "reductions",
    "regions",
    "sampling",
    "shaping",
    "signals",
    "support_vectors",
    "trees",
    "value_dependent",
]
