"""Every registered op in a graph of its own."""

from __future__ import annotations

import numpy as np

import dataflow
from dataflow import Graph
from dataflow.testing.cases import Case, cases_of, every_op

OPS = sorted(every_op())
FIRST_OUTPUTS = [
    name
    for name, op in sorted(every_op().items())
    if op.family is None or op.is_primitive or op.output_name == op.family.outputs_of(cases_of(op, 0)[0].attributes)[0]
]
"""Every op, of a composite with several outputs, whose rules are those of the same body, the first."""
LARGE = frozenset({"attention", "batch_norm", "conv", "linear", "lstm:h", "softmax_cross_entropy", "split:1"})
"""Composites of many primitives, of each kind one."""
AT_RUN_TIME = frozenset(
    name
    for name in OPS
    if name.split(":")[0]
    in ("arange", "compress", "loop", "non_max_suppression", "nonzero", "unique", "unique_indices")
)
"""Ops that make sizes of the numbers that they are given, or whose gradients do: no plan takes them."""
IN_PLANS = [
    name for name, op in sorted(every_op().items()) if (op.is_primitive or name in LARGE) and name not in AT_RUN_TIME
]
"""What tests of plans and backends look at. These never see a composite, but the primitives that it is made of: all
composites are compared with every backend by ``test_agreement.test_ops``, as slow tests."""


def with_gradient(case: Case) -> tuple[Graph, list[str], dict[str, np.ndarray]]:
    """The op's result for one sample, and the gradient of its sum with respect to all arrays that it has one for."""
    graph, arrays, value = case.graph()
    of = graph.node("result", value)
    wrt = [name for name, array in arrays.items() if array.dtype.kind == "f"]
    if not of.spec.is_float or not wrt:
        return graph, ["result"], arrays
    gradient = dataflow.autodiff.gradient_graph(graph, "result", wrt)
    return gradient.graph, ["result", *gradient.cotangents.values()], arrays
