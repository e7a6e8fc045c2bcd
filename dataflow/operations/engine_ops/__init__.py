"""The ops that the engine itself uses, and what their derivatives are made of: those behind operators, and those of
which gradients, batches and plans are built. All other ops come from plugins."""

from __future__ import annotations

from dataflow.operations.declare_ops import ops_in
from dataflow.operations.engine_ops import arithmetic, comparison_ops, linalg, made_sizes, random_numbers, shaping
from dataflow.operations.engine_ops.arithmetic import (
    abs_,
    add,
    divide,
    identity,
    log,
    masked,
    multiply,
    negative,
    power,
    subtract,
    where,
)
from dataflow.operations.engine_ops.comparison_ops import (
    cast,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    not_equal,
)
from dataflow.operations.engine_ops.linalg import matmul, transpose
from dataflow.operations.engine_ops.made_sizes import shaped_like
from dataflow.operations.engine_ops.random_numbers import random_uniform
from dataflow.operations.engine_ops.shaping import (
    broadcast_to,
    expand_dims,
    index,
    place,
    reshape,
    stack,
    sum_to,
)
from dataflow.operations.op import Op

__all__ = [
    "abs_",
    "add",
    "broadcast_to",
    "cast",
    "divide",
    "equal",
    "expand_dims",
    "greater",
    "greater_equal",
    "identity",
    "index",
    "less",
    "less_equal",
    "log",
    "masked",
    "matmul",
    "multiply",
    "negative",
    "not_equal",
    "place",
    "power",
    "random_uniform",
    "reshape",
    "shaped_like",
    "stack",
    "subtract",
    "sum_to",
    "transpose",
    "where",
]

ENGINE_OPS: tuple[Op, ...] = tuple(
    op for module in (arithmetic, comparison_ops, linalg, made_sizes, random_numbers, shaping) for op in ops_in(module)
)
