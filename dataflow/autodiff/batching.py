"""Batching: a graph rewritten so that it does for many sets of inputs at once what it did for one.

A batched value carries a new first axis. What does not depend on a batched input is computed once, as before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import RuleError, ShapeError
from dataflow.graph.graph import Graph, trace_op
from dataflow.graph.node import CONSTANT, Node
from dataflow.graph.value import Value
from dataflow.graph.walk import constants_beside, walk
from dataflow.operations.engine_ops import broadcast_to, expand_dims
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of
from dataflow.shapes import Dim, TensorSpec

Flagged: TypeAlias = "tuple[Any, bool]"
"""A value or a plain number, and whether it is batched."""


class NoBatchRuleError(RuleError):
    """An op in the graph has no batch rule; the graph can still be run once for each set of inputs."""


def batched_graph(
    graph: Graph, targets: Sequence[str], over: Collection[str], count: Dim
) -> tuple[Graph, dict[str, str]]:
    """A graph that computes ``targets`` for ``count`` values of each input in ``over`` at once, and the nodes that
    hold them, each with a leading axis of length ``count``."""
    result = Graph(graph.name, graph.dtype)

    def leaf(name: str, node: Node) -> Flagged:
        if node.kind == CONSTANT:
            return result.constant(name, node.value, node.dtype), False
        return result.input(name, (count, *node.shape) if name in over else node.shape, node.dtype), name in over

    values = _walk_flagged(graph, targets, {}, leaf)
    outputs = {}
    for name in targets:
        value, is_batched = values[name]
        if not is_batched:
            value = broadcast_to(value, shape=(count, *value.shape))
        outputs[name] = value.name
    return result, outputs


def _walk_flagged(
    graph: Graph,
    targets: Sequence[str],
    known: Mapping[str, Flagged],
    leaf: Callable[[str, Node], Flagged],
) -> dict[str, Flagged]:
    def apply(_: str, op: Op, node: Node, flagged: Sequence[Flagged]) -> Flagged:
        arguments, mask = [argument for argument, _ in flagged], [flag for _, flag in flagged]
        if any(mask):
            return apply_batched(op, arguments, mask, node.attributes), True
        return op(*arguments, **node.attributes), False

    with np.errstate(all="ignore"):  # what rules make of plain numbers is computed now
        return walk(graph, graph.schedule(targets), known, apply, leaf, lambda number: (number, False))


def apply_batched(op: Op, arguments: Sequence[Any], mask: Sequence[bool], attributes: Mapping[str, Any]) -> Any:
    """The op on values of which those with a true ``mask`` carry a leading axis; so does the result."""
    if op.batch_rule is not None:
        return op.batch_rule(tuple(mask), *arguments, **attributes)
    if op.elementwise:
        return op(*_aligned(arguments, mask), **attributes)
    if op.is_primitive:
        raise NoBatchRuleError(f"op '{op.name}' has no batch rule")
    return _through_body(op, arguments, mask, attributes)


def _aligned(arguments: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """Insert axes of size 1 behind the leading axis, so that the other axes broadcast as they did without it."""
    ndims = [
        argument.ndim - flag for argument, flag in zip(arguments, mask, strict=True) if isinstance(argument, Value)
    ]
    widest = max(ndims)
    aligned = []
    for argument, flag in zip(arguments, mask, strict=True):
        missing = widest - (argument.ndim - 1) if flag else 0
        aligned.append(expand_dims(argument, axis=tuple(range(1, 1 + missing))) if missing else argument)
    return aligned


def _through_body(op: Op, arguments: Sequence[Any], mask: Sequence[bool], attributes: Mapping[str, Any]) -> Any:
    specs: list[TensorSpec | None] = []
    for argument, flag in zip(arguments, mask, strict=True):
        if isinstance(argument, Value):
            spec = argument.spec
            specs.append(TensorSpec(spec.shape[1:], spec.dtype) if flag else spec)
        else:
            specs.append(None)
    try:
        trace = trace_op(op, specs, attributes, literals_of(arguments))
    except ShapeError as error:  # its shape rule takes symbolic sizes, and its body does not
        raise NoBatchRuleError(error.message) from None
    known = {
        name: (argument, flag)
        for name, argument, flag in zip(trace.inputs, arguments, mask, strict=True)
        if name is not None
    }
    leaf = constants_beside(arguments)
    values = _walk_flagged(trace.graph, [trace.output], known, lambda name, node: (leaf(name, node), False))
    value, is_batched = values[trace.output]
    if is_batched:
        return value
    count = next(argument.shape[0] for argument, flag in zip(arguments, mask, strict=True) if flag)
    return broadcast_to(value, shape=(count, *value.shape))  # the body makes nothing of what is batched
