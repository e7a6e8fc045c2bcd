"""Batching: a graph rewritten so that it does for many sets of inputs at once what it did for one.

A batched value carries a new first axis. What does not depend on a batched input is computed once, as before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dataflow.errors import RuleError
from dataflow.graph import CONSTANT, OP, Graph, concrete_attributes, trace_op
from dataflow.op import Op
from dataflow.shapes import Dim, TensorSpec
from dataflow.value import Value, lookup


class NoBatchRuleError(RuleError):
    """An op in the graph has no batch rule; what was to be batched can be run set by set."""


def batched_graph(
    graph: Graph, targets: Sequence[str], over: Collection[str], count: Dim, sizes: Mapping[str, int] | None = None
) -> tuple[Graph, dict[str, str]]:
    """A graph that computes ``targets`` for ``count`` values of each input in ``over`` at once, and the nodes that
    hold them, each with a leading axis of length ``count``. With ``sizes``, symbolic sizes become numbers on the
    way."""
    result = Graph(graph.name, graph.dtype)
    values: dict[str, Any] = {}
    flags: dict[str, bool] = {}
    for name in graph.schedule(targets):
        data = graph.nodes[name]
        if data["kind"] == OP:
            sources = graph.arguments(name)
            op = graph.op_of(name)
            attributes = data["attributes"] if sizes is None else concrete_attributes(op, data["attributes"], sizes)
            arguments = op.complete([values[source] if isinstance(source, str) else source for source in sources])
            mask = [isinstance(source, str) and flags[source] for source in sources]
            mask += [False] * (len(arguments) - len(mask))
            flags[name] = any(mask)
            values[name] = apply_batched(op, arguments, mask, attributes) if any(mask) else op(*arguments, **attributes)
        elif data["kind"] == CONSTANT:
            values[name], flags[name] = result.constant(name, data["value"], data["dtype"]), False
        else:
            shape = data["shape"]
            if sizes is not None:
                shape = tuple(size if isinstance(size, int) else size.substitute(sizes) for size in shape)
            flags[name] = name in over
            values[name] = result.input(name, (count, *shape) if flags[name] else shape, data["dtype"])
    outputs = {}
    for name in targets:
        value = values[name]
        if not flags[name]:
            value = lookup("broadcast_to")(value, shape=(count, *value.shape))
        outputs[name] = value.name
    return result, outputs


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
    """Axes of size 1 behind the leading axis, so that the others meet as they did without it."""
    ndims = [
        argument.ndim - flag for argument, flag in zip(arguments, mask, strict=True) if isinstance(argument, Value)
    ]
    widest = max(ndims)
    aligned = []
    for argument, flag in zip(arguments, mask, strict=True):
        missing = widest - (argument.ndim - 1) if flag else 0
        aligned.append(lookup("expand_dims")(argument, axis=tuple(range(1, 1 + missing))) if missing else argument)
    return aligned


def _through_body(op: Op, arguments: Sequence[Any], mask: Sequence[bool], attributes: Mapping[str, Any]) -> Any:
    specs: list[TensorSpec | None] = []
    for argument, flag in zip(arguments, mask, strict=True):
        if isinstance(argument, Value):
            spec = argument.spec
            specs.append(TensorSpec(spec.shape[1:], spec.dtype) if flag else spec)
        else:
            specs.append(None)
    literals = {i: argument for i, argument in enumerate(arguments) if type(argument) in (int, float, bool)}
    trace = trace_op(
        op, [TensorSpec((), s.dtype) if i in literals and s else s for i, s in enumerate(specs)], attributes, literals
    )
    values: dict[str, Any] = {}
    flags: dict[str, bool] = {}
    for name, argument, flag in zip(trace.inputs, arguments, mask, strict=True):
        if name is not None:
            values[name], flags[name] = argument, flag
    for name in trace.graph.schedule([trace.output]):
        data = trace.graph.nodes[name]
        if name in values:
            continue
        if data["kind"] == CONSTANT:
            values[name], flags[name] = data["value"], False
            continue
        inner = trace.graph.op_of(name)
        sources = trace.graph.arguments(name)
        operands = inner.complete([values[source] if isinstance(source, str) else source for source in sources])
        inner_mask = [isinstance(source, str) and flags[source] for source in sources]
        inner_mask += [False] * (len(operands) - len(inner_mask))
        flags[name] = any(inner_mask)
        if flags[name]:
            values[name] = apply_batched(inner, operands, inner_mask, data["attributes"])
        else:
            values[name] = inner(*operands, **data["attributes"])
    return values[trace.output]
