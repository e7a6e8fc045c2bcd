"""The walk over a graph, of which evaluation, batching, symbols, 50 digits, costs and plans are interpretations.

An interpretation says what an op is to be applied as, and what stands for constants and plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dataflow.errors import GraphError
from dataflow.graph.node import CONSTANT, OP, Node
from dataflow.graph.node_graph import NodeGraph
from dataflow.graph.value import Value
from dataflow.operations.op import Op
from dataflow.shapes import MADE, Dim, Size, renamed


def constant_of(name: str, node: Node) -> Any:
    """A constant's array; a ``GraphError`` where it is an input or a parameter, whose value nobody knows."""
    if node.kind != CONSTANT:
        raise GraphError(f"{node.kind} '{name}' is needed and not given", node=name)
    return node.value


def constants_beside(known: Iterable[Any]) -> Callable[[str, Node], Any]:
    """What stands for constants where arrays, or values of another graph, are known: their arrays, or, where that graph
    would give one its own dtype, a constant of it in the dtype that it has."""
    graph: Any = next((value.graph for value in known if isinstance(value, Value)), None)

    def leaf(name: str, node: Node) -> Any:
        array = constant_of(name, node)
        if graph is None or not node.shape or node.dtype.kind != "f" or node.dtype == graph.dtype:
            return array
        return graph.constant(None, array, node.dtype)

    return leaf


def walk(
    graph: NodeGraph,
    order: Iterable[str],
    known: Mapping[str, Any],
    apply: Callable[[str, Op, Node, list[Any]], Any],
    leaf: Callable[[str, Node], Any] = constant_of,
    literal: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """What stands for each node of ``order``, a topological order as ``graph.schedule(targets)`` gives it.

    ``known`` says it for some; ``leaf(name, node)`` for other inputs, parameters and constants, ``None`` if there is
    nothing; ``apply(name, op, node, arguments)`` for op nodes, unless there is nothing for an argument; and ``literal``
    for arguments that are plain numbers, or are left out.
    """
    values = dict(known)
    ops = graph.ops
    for name in order:
        if name in values:
            continue
        node = graph.node_of(name)
        if node.kind != OP:
            if (value := leaf(name, node)) is not None:
                values[name] = value
            continue
        op = ops[node.op]
        arguments: list[Any] = []
        for source in op.complete(graph.arguments(name)):
            if not isinstance(source, str):
                arguments.append(source if literal is None else literal(source))
            elif source in values:
                arguments.append(values[source])
            else:
                break
        else:
            values[name] = apply(name, op, node, arguments)
    return values


def replay(
    graph: NodeGraph,
    known: Mapping[str, Any],
    targets: Sequence[str],
    sizes: Mapping[str, Dim] | None = None,
    order: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Call each op that ``targets`` need again, with arrays or with values; ``known`` gives what is not to be computed.

    All sizes of ``graph`` that an op's attributes mention must be meant for the arguments given, or ``sizes`` says what
    they stand for; those that nodes make are what they are for these arguments. ``order`` is the schedule of the
    targets, where it is known.
    """
    order = graph.schedule(targets) if order is None else order
    leaf = constants_beside(known.values())
    if sizes is None and not graph.makes_sizes:
        return walk(graph, order, known, lambda _, op, node, arguments: op(*arguments, **node.attributes), leaf)
    noted = dict(sizes or {})
    for name in graph.nodes & known.keys():
        note_sizes(noted, graph.node_of(name), known[name])

    def apply(_: str, op: Op, node: Node, arguments: Sequence[Any]) -> Any:
        result = op(*arguments, **sized_attributes(op, node.attributes, noted))
        note_sizes(noted, node, result)
        return result

    return walk(graph, order, known, apply, leaf)


def note_sizes(sizes: dict[str, Dim], node: Node, value: Any) -> None:
    """Note what names of sizes that nodes make stand for in the array or value that a node is."""
    for own, size in zip(node.shape, getattr(value, "shape", ()), strict=False):
        if isinstance(own, Size) and (name := own.as_symbol) is not None and name.startswith(MADE):
            sizes.setdefault(name, size)


def sized_attributes(op: Op, attributes: Mapping[str, Any], sizes: Mapping[str, Dim]) -> dict[str, Any]:
    """A node's attributes with what symbolic sizes stand for, as far as it is known."""
    result = dict(attributes)
    for name in op.shape_attributes if sizes else ():
        if result[name] is not None:
            result[name] = renamed(result[name], sizes)
    for name in op.graph_attributes if sizes else ():
        if result[name] is not None:
            result[name] = result[name].with_sizes(sizes)
    return result
