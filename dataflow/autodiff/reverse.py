"""The reverse sweep: from each op's derivative rule to the gradient of a graph.

One sweep serves two uses. Given arrays it computes cotangents node by node; given graph values it adds nodes, and what
comes out is the gradient graph, an ordinary graph that can be run, drawn, saved and differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dataflow.autodiff.calls import calls_of, of_all_outputs
from dataflow.autodiff.rewrite_ops import free_word
from dataflow.errors import DataflowError, DtypeError, RuleError, counted
from dataflow.graph.cost import spend_call
from dataflow.graph.graph import Graph, trace_op
from dataflow.graph.node import concrete_attributes
from dataflow.graph.value import Value
from dataflow.limits import spend
from dataflow.operations.engine_ops import broadcast_to, cast, matmul, reshape, shaped_like, sum_to, where
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of, specs_of
from dataflow.shapes import TensorSpec, element_count, format_shape, made_names
from dataflow.support.gc_pause import LARGE, collector_paused


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
    called ``grad.NODE``, and what it is computed from ``grad.NODE.vjp.OP``. Each of ``grad``, ``vjp`` and ``seed`` has
    a number behind it (``grad_2.NODE``) where a node has that word in its name, as in the gradient of a gradient: so
    all names differ, whatever the graph's own are.
    """
    check_differentiable(graph, of, wrt)
    extended = graph.copy()
    order = extended.schedule([of])
    values = {name: extended.value(name) for name in order}
    prefix = free_word("grad", {name.split(".")[0] for name in extended})
    parts = {part for name in extended for part in name.split(".")}
    rule, start = free_word("vjp", parts), free_word("seed", parts)
    target = values[of]
    seed = extended.constant(f"{prefix}.{of}.{start}", np.ones((), target.dtype), target.dtype)
    spread = seed if target.ndim == 0 else broadcast_to(seed, shape=target.shape)
    pull, unnamed = pull_at(extended, values), extended.unnamed

    def visit(node: str, g: Any, wanted: Sequence[bool]) -> Sequence[Any]:
        for name, cotangent in g.items() if isinstance(g, dict) else ((node, g),):
            if cotangent.name in unnamed:
                extended._name_with_inner(f"{prefix}.{name}", cotangent, f"{prefix}.{name}.{rule}")
                extended.set_node(cotangent.name, extended.node_of(cotangent.name).as_cotangent(name))
        return pull(node, g, wanted)

    with collector_paused(stays=len(graph) > LARGE):
        cotangents = sweep(extended, order, {of: spread}, wrt, visit, calls_of(extended, order))
    return GradientGraph(extended, of, {node: cotangent.name for node, cotangent in cotangents.items()})


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
    return sweep(graph, order, seeds, wrt, pull_at(graph, values, sizes), calls_of(graph, order))


Visit: TypeAlias = "Callable[[str, Any, Sequence[bool]], Sequence[Any]]"
"""``visit(node, cotangent, wanted)`` gives each argument's share of the cotangent, ``None`` where there is none. For
several outputs of one call, ``cotangent`` is a dictionary of all of theirs, and ``node`` one of them."""


@np.errstate(all="ignore")  # rules compute with arrays, or, beside values, with plain numbers
def sweep(
    graph: Graph,
    order: Sequence[str],
    seeds: Mapping[str, Any],
    wrt: Iterable[str],
    visit: Visit,
    calls: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The reverse pass: visit the nodes of ``order`` in reverse, each as soon as its cotangent is complete; with
    ``calls_of(graph, order)``, the outputs of one call together."""
    active = {name for name in graph.depending_on(wrt, order) if graph.node_of(name).dtype.kind == "f"}
    cotangents: dict[Any, Any] = {name: seed for name, seed in seeds.items() if name in active}
    for name in reversed(order):
        given = [output for output in calls.get(name, (name,)) if output in cotangents] if calls else [name]
        if given and given[0] in cotangents:
            sources = graph.arguments(name)
            g = cotangents[given[0]] if len(given) == 1 else {output: cotangents[output] for output in given}
            shares = visit(given[0], g, [source in active for source in sources])
            for source, share in zip(sources, shares, strict=False):
                if share is not None:
                    cotangents[source] = cotangents[source] + share if source in cotangents else share
    return cotangents


class Applied(NamedTuple):
    """An op where it was applied: the node, its result and arguments, and which of these a cotangent is wanted of."""

    node: str
    y: Any
    arguments: Sequence[Any]
    attributes: Mapping[str, Any]
    wanted: Sequence[bool]


def pull_at(
    graph: Graph,
    values: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    rule: Callable[[Any, Applied], Sequence[Any]] | None = None,
) -> Visit:
    """The visit that calls each op's derivative rule where the nodes have these values; with ``sizes``, symbolic sizes
    become numbers. ``rule(g, applied)`` may stand for the op's ``pullback``."""

    def visit(name: str, g: Any, wanted: Sequence[bool]) -> Sequence[Any]:
        if not any(wanted):
            return ()
        op, node = graph.op_of(name), graph.node_of(name)
        attributes = node.attributes if sizes is None else concrete_attributes(op, node, sizes)
        arguments = op.complete([values[x] if isinstance(x, str) else x for x in graph.arguments(name)])
        if isinstance(g, dict):
            by_output: dict[str | None, Any] = {}
            for output, cotangent in g.items():  # several nodes may be the same output
                key = graph.op_of(output).output_name
                by_output[key] = by_output[key] + cotangent if key in by_output else cotangent
            g = by_output
        if isinstance(values[name], np.ndarray):
            spend_call(4, name, op, arguments, attributes, 2)
        else:
            spend(20, name)
        try:
            if rule is not None:
                return rule(g, Applied(name, values[name], arguments, attributes, wanted))
            return pullback(op, g, values[name], arguments, attributes, wanted)
        except DataflowError as error:
            raise error.at(node=name) from None

    return visit


def pullback(
    op: Op, g: Any, y: Any, arguments: Sequence[Any], attributes: Mapping[str, Any], wanted: Sequence[bool]
) -> list[Any]:
    """The cotangent of each wanted argument, from the cotangent ``g`` of the result ``y``; ``None`` for the rest
    and for those whose derivative is zero. Arrays give arrays, graph values give graph values. For an output of an op
    with several, ``g`` may be a dictionary with the cotangents of others, too."""
    arguments = op.complete(arguments)
    if op.family is not None and (op.vjp_rule is not None or op.vjp_rules_by_input):
        g, y = of_all_outputs(op, g, y, arguments, attributes)
    shares: list[Any] = [None] * len(arguments)
    remaining = [i for i, want in enumerate(wanted) if want]
    for i in list(remaining):
        if i in op.vjp_rules_by_input:
            shares[i] = _call(op, op.vjp_rules_by_input[i], (g, y, *arguments), attributes)
            remaining.remove(i)
    if remaining:
        by_whole_rule = _by_whole_rule(op, g, y, arguments, attributes, remaining)
        for i in remaining:
            shares[i] = by_whole_rule[i]
    return [
        None if share is None else _fitted(op, share, argument)
        for share, argument in zip(shares, arguments, strict=True)
    ]


def check_differentiable(graph: Graph, of: str, wrt: Iterable[str]) -> None:
    """Raise an error unless all names are nodes that hold floats."""
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
        raise RuleError(
            f"the {kind} rule of op '{op.name}' gave {counted(len(results), 'result')} for "
            f"{counted(len(arguments), 'input')}"
        )
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
    return reshape(matmul(reshape(g, shape=(rows,)), matrix), shape=argument.shape)


def _through_body(
    op: Op, g: Any, arguments: Sequence[Any], attributes: Mapping[str, Any], remaining: Sequence[int]
) -> Sequence[Any]:
    """Derive the rule of a composite op: trace its body, replay it on the arguments, and sweep back through it."""
    specs: list[TensorSpec | None] = [
        argument.spec if isinstance(argument, Value) else specs_of([argument])[0] for argument in arguments
    ]
    trace = trace_op(op, specs, attributes, literals_of(arguments))
    values = trace.replay_all(arguments)
    names = [trace.inputs[i] for i in remaining]
    if made_names(g.shape):  # those of this replay have other names
        g = shaped_like(g, values[trace.output])
    visit, wrt = pull_at(trace.graph, values), [name for name in names if name]
    cotangents = sweep(trace.graph, trace.order, {trace.output: g}, wrt, visit, calls_of(trace.graph, trace.order))
    shares: list[Any] = [None] * len(arguments)
    for i in remaining:
        shares[i] = cotangents.get(trace.inputs[i] or "")
    return shares


def _fitted(op: Op, share: Any, argument: Any) -> Any:
    """A cotangent in its argument's shape and dtype."""
    if isinstance(share, Value) and isinstance(argument, Value) and share.spec is argument.spec:
        return share
    if type(share) in (int, float) or (isinstance(argument, Value) and not isinstance(share, Value)):
        share = where(False, argument, share)  # give a plain number, such as 0, the argument's shape and dtype
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
            share = broadcast_to(share, shape=argument.shape)
        else:
            share = sum_to(share, shape=argument.shape)
    if share.dtype != argument.dtype:
        share = cast(share, dtype=argument.dtype.name)
    return share
