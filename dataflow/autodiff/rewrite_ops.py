"""A graph rewritten op by op: nodes keep their names, and what an op becomes is added as inner nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DataflowError
from dataflow.graph.graph import Graph, Trace, trace_op
from dataflow.graph.node import Node
from dataflow.graph.value import Value
from dataflow.graph.walk import walk
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of
from dataflow.shapes import TensorSpec

Apply: TypeAlias = Callable[[str, Op, Node, list[Any]], Any]
"""``apply(name, op, node, arguments)``: what stands for a node, for values of the new graph."""


def free_name(graph: Graph, base: str) -> str:
    """A name that no node of the graph begins with: ``base``, or that with a number."""
    return free_word(base, {name.split(".")[0] for name in graph})


def free_word(base: str, taken: Collection[str]) -> str:
    """``base``, or the first of ``base_2``, ``base_3``, ... that is not taken."""
    return next(word for i in count(1) if (word := base if i == 1 else f"{base}_{i}") not in taken)


def rewrite(graph: Graph, result: Graph, names: Collection[str], apply: Apply, inner: str) -> None:
    """Add the nodes of ``graph`` to ``result``, those with these names as ``apply`` says. Nodes that this needs are
    called ``inner.NAME``. Inputs may be there already."""

    def leaf(name: str, node: Node) -> Value:
        if name not in result:
            result.set_node(name, node)
        return result.value(name)

    def rewritten(name: str, op: Op, node: Node, arguments: list[Any]) -> Value:
        if name not in names:
            return result.apply(op, arguments, node.attributes, name=name)
        try:
            value: Value = apply(name, op, node, arguments)
            return result.node(name, value, inner=f"{inner}.{name}")
        except DataflowError as error:
            raise error.at(node=name) from None

    walk(graph, graph.schedule(), {}, rewritten, leaf)


def body_of(op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Trace:
    """The body of a composite op, traced for these arguments: values, arrays, plain numbers and ``None``."""
    literals = literals_of(arguments)
    beside = [x.dtype for x in arguments if hasattr(x, "dtype")]
    specs = [
        None
        if x is None
        else TensorSpec((), np.result_type(x, *beside))
        if i in literals
        else TensorSpec(x.shape, x.dtype)
        for i, x in enumerate(arguments)
    ]
    return trace_op(op, specs, attributes, literals)


def rewrite_body(trace: Trace, arguments: Sequence[Any], apply: Apply) -> Any:
    """The result of a traced body for these arguments, each of its ops as ``apply`` says."""
    return walk(trace.graph, trace.order, trace.by_input(arguments), apply)[trace.output]
