"""How each op of ONNX is said with ops of dataflow. Importing this package fills the table."""

from dataflow_onnx.translations import (
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
    value_dependent,
)

__all__ = [
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
    "value_dependent",
]
