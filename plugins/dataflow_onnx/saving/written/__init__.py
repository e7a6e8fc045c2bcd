"""How each op of dataflow is said with ops of ONNX. Importing this package fills the table."""

from dataflow_onnx.saving.written import (
    control,
    elementwise,
    exact_functions,
    indexing,
    layers,
    reductions,
    resizing,
    shaping,
)

__all__ = ["control", "elementwise", "exact_functions", "indexing", "layers", "reductions", "resizing", "shaping"]
