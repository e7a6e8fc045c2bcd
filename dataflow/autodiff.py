"""The reverse sweep: from each op's derivative rule to the gradient of a graph.

One sweep serves two uses. Given arrays it computes cotangents node by node; given graph values it adds nodes, and what
comes out is the gradient graph, an ordinary graph that can be run, drawn, saved and differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.collector import collector_paused
from dataflow.errors import DataflowError, DtypeError, RuleError
from dataflow.graph import OP, Graph, concrete_attributes, trace_op
from dataflow.op import Op, specs_of
from dataflow.shapes import TensorSpec, element_count, format_shape
from dataflow.value import Value, lookup


@dataclass(frozen=True)
class GradientGraph:
    """A graph together with its gradient: the nodes of the forward pass, then those of the backward pass."""

    graph: Graph
    of: str
    cotangents: dict[str, str]
    """For each node on a path from a wrt to ``of``, the node that holds its cotangent; the wrts' are the gradients."""


def gradient_graph(graph: Graph, of: str, wrt: Sequence[str]) -> GradientGraph:
    """The gradient of ``sum(of)`` with respect to nodes, as a graph that contains the forward pass.

    A wrt from which no path leads to ``of`` has no entry in ``cotangents``: its gradient is zero. A cotangent's node is
    called ``grad.NODE`` (``grad_2.NODE`` where the name is taken).
    """
    check_differentiable(graph, of, wrt)
    extended = graph.copy()
    order = extended.schedule([of])
    values = {name: extended.value(name) for name in order}
    taken = {name.split(".")[0] for name in graph}
    prefix = next(name for i in range(1, len(graph) + 2) if (name := "grad" if i == 1 else f"grad_{i}") not in taken)
    target = values[of]
    seed = extended.constant(f"{prefix}.{of}.seed", np.ones((), target.dtype), target.dtype)
    spread = seed if target.ndim == 0 else lookup("broadcast_to")(seed, shape=target.shape)
    names: dict[str, str] = {}

    def name_it(node: str, cotangent: Value) -> None:
        if cotangent.name in extended.unnamed:
            extended.node(f"{prefix}.{node}", cotangent, inner=f"{prefix}.{node}.vjp")
            extended.nodes[cotangent.name]["cotangent_of"] = node
        names[node] = cotangent.name

    with collector_paused():
        sweep(extended, order, values, {of: spread}, wrt, name_it)
    return GradientGraph(extended, of, names)


def backward(
    graph: Graph,
    order: Sequence[str],
    values: Mapping[str, np.ndarray],
    seeds: Mapping[str, np.ndarray],
    wrt: Iterable[str],
    sizes: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """The cotangent of every node on a path from a wrt to a seeded node, as arrays.

    ``order`` is a topological order of what the seeded nodes need, ``values`` their results, ``seeds`` the
    cotangents to start from, each of its node's shape.
    """
    with np.errstate(all="ignore"):
        return sweep(graph, order, values, seeds, wrt, None, sizes)


def sweep(
    graph: Graph,
    order: Sequence[str],
    values: Mapping[str, Any],
    seeds: Mapping[str, Any],
    wrt: Iterable[str],
    visit: Any = None,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Visit ``order`` in reverse, calling each op's rule. ``visit(node, cotangent)`` is told each finished
    cotangent."""
    active = graph.depending_on(wrt)
    cotangents: dict[str, Any] = {name: seed for name, seed in seeds.items() if name in active}
    for name in reversed(order):
        if name not in cotangents:
            continue
        if visit is not None:
            visit(name, cotangents[name])
        data = graph.nodes[name]
        if data["kind"] != OP:
            continue
        sources = graph.arguments(name)
        wanted = [
            isinstance(source, str) and source in active and graph.nodes[source]["dtype"].kind == "f"
            for source in sources
        ]
        if not any(wanted):
            continue
        op = graph.op_of(name)
        attributes = data["attributes"] if sizes is None else concrete_attributes(op, data["attributes"], sizes)
        arguments = [values[source] if isinstance(source, str) else source for source in sources]
        try:
            shares = pullback(op, cotangents[name], values[name], arguments, attributes, wanted)
        except DataflowError as error:
            raise error.at(node=name) from None
        for source, share in zip(sources, shares, strict=False):
            if share is not None and isinstance(source, str):
                known = cotangents.get(source)
                cotangents[source] = share if known is None else known + share
    return cotangents


def pullback(
    op: Op, g: Any, y: Any, arguments: Sequence[Any], attributes: Mapping[str, Any], wanted: Sequence[bool]
) -> list[Any]:
    """The cotangent of each wanted argument, from the cotangent ``g`` of the result ``y``; ``None`` for the rest
    and for those whose derivative is zero. Arrays give arrays, graph values give graph values."""
    arguments = op.complete(arguments)
    shares: list[Any] = [None] * len(arguments)
    remaining = [i for i, want in enumerate(wanted) if want]
    for i in list(remaining):
        if i in op.vjp_rules_by_input:
            shares[i] = _call(op, op.vjp_rules_by_input[i], (g, y, *arguments), attributes)
            remaining.remove(i)
    if remaining:
        found = _by_whole_rule(op, g, y, arguments, attributes, remaining)
        for i in remaining:
            shares[i] = found[i]
    return [
        None if share is None else _fitted(op, share, argument)
        for share, argument in zip(shares, arguments, strict=True)
    ]


def check_differentiable(graph: Graph, of: str, wrt: Iterable[str]) -> None:
    """An error unless all names are there and hold floats."""
    for name in (of, *wrt):
        spec = graph.value(name).spec
        if not spec.is_float:
            raise DtypeError(
                f"'{name}' has the dtype {spec.dtype}; derivatives are of and with respect to floats", node=name
            )


def _call(op: Op, rule: Any, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    try:
        return rule(*arguments, **attributes)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        traced = any(isinstance(argument, Value) for argument in arguments)
        hint = "; to be traced, a rule must call ops such as dataflow.ops.exp, not numpy" if traced else ""
        raise RuleError(f"the derivative rule of op '{op.name}' failed: {error}{hint}") from error


def _by_whole_rule(
    op: Op, g: Any, y: Any, arguments: Sequence[Any], attributes: Mapping[str, Any], remaining: Sequence[int]
) -> Sequence[Any]:
    if op.vjp_rule is not None:
        return _one_for_each(op, _call(op, op.vjp_rule, (g, y, *arguments), attributes), arguments, "vjp")
    if op.jacobian_rule is not None:
        matrices = _one_for_each(op, _call(op, op.jacobian_rule, (y, *arguments), attributes), arguments, "jacobian")
        return [_through_matrix(op, g, matrix, argument) for matrix, argument in zip(matrices, arguments, strict=True)]
    if not op.is_primitive:
        return _through_body(op, g, arguments, attributes, remaining)
    raise RuleError(f"op '{op.name}' has no derivative: it is primitive and has neither a vjp nor a jacobian rule")


def _one_for_each(op: Op, result: Any, arguments: Sequence[Any], kind: str) -> Sequence[Any]:
    results = result if isinstance(result, (tuple, list)) else (result,)
    if len(results) != len(arguments):
        raise RuleError(f"the {kind} rule of op '{op.name}' gave {len(results)} results for {len(arguments)} inputs")
    return results


def _through_matrix(op: Op, g: Any, matrix: Any, argument: Any) -> Any:
    if matrix is None or argument is None or isinstance(argument, (int, float)):
        return None
    rows, columns = element_count(g.shape), element_count(argument.shape)
    if tuple(matrix.shape) != (rows, columns):
        raise RuleError(
            f"the jacobian rule of op '{op.name}' gave the shape {format_shape(matrix.shape)}; rows are the output's "
            f"entries and columns the input's, so it should be {format_shape((rows, columns))}"
        )
    reshape = lookup("reshape")
    return reshape(lookup("matmul")(reshape(g, shape=(rows,)), matrix), shape=argument.shape)


def _through_body(
    op: Op, g: Any, arguments: Sequence[Any], attributes: Mapping[str, Any], remaining: Sequence[int]
) -> Sequence[Any]:
    """Derive the rule of a composite op: trace its body, replay it on the arguments, and sweep back through it."""
    specs: list[TensorSpec | None] = [
        argument.spec if isinstance(argument, Value) else specs_of([argument])[0] for argument in arguments
    ]
    literals = {i: argument for i, argument in enumerate(arguments) if type(argument) in (int, float, bool)}
    trace = trace_op(op, specs, attributes, literals)
    values = trace.replay_all(arguments)
    names = [trace.inputs[i] for i in remaining]
    found = sweep(trace.graph, trace.graph.schedule([trace.output]), values, {trace.output: g}, [n for n in names if n])
    shares: list[Any] = [None] * len(arguments)
    for i in remaining:
        name = trace.inputs[i]
        shares[i] = None if name is None else found.get(name)
    return shares


def _fitted(op: Op, share: Any, argument: Any) -> Any:
    """A cotangent in its argument's shape and dtype."""
    if type(share) in (int, float) or (isinstance(argument, Value) and not isinstance(share, Value)):
        share = lookup("where")(False, argument, share)  # a plain number, such as 0, becomes like the argument
    if not isinstance(argument, Value):
        share, argument = np.asarray(share), np.asarray(argument)
    if share.shape != argument.shape:
        if not op.elementwise:
            raise RuleError(
                f"the vjp rule of op '{op.name}' gave the shape {format_shape(share.shape)} for an input of the shape "
                f"{format_shape(argument.shape)}"
            )
        if len(share.shape) < len(argument.shape) or (
            element_count(share.shape) == 1 and element_count(argument.shape) != 1
        ):
            share = lookup("broadcast_to")(share, shape=argument.shape)
        else:
            share = lookup("sum_to")(share, shape=argument.shape)
    if share.dtype != argument.dtype:
        share = lookup("cast")(share, dtype=argument.dtype.name)
    return share
