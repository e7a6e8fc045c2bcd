"""How each op of dataflow is said with ops of ONNX. Importing this package fills the table."""

from dataflow_onnx.saving.written import (
    elementwise,
    exact_functions,
    indexing,
    layers,
    reductions,
    resizing,
    shaping,
)

__all__ = ["elementwise", "exact_functions", "indexing", "layers", "reductions", "resizing", "shaping"]
