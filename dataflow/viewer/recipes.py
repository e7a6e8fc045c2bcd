"""How the entries of a node come from those of other nodes: a tree of ops that the page's script follows to an entry.

A recipe is a plain number, ``{"node": number}``, or ``{"op": name, "of": [...]}`` with what the op needs to know. The
script knows elementwise ops by name alone; those that move entries, products, reductions and what is normalized along
an axis it follows to an entry; of other ops it follows the body. What is made otherwise has no recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from dataflow.errors import DataflowError
from dataflow.graph.graph import Graph, trace_op
from dataflow.graph.node import OP
from dataflow.operations import engine_ops
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.shapes import TensorSpec
from dataflow.viewer.numbers import plain

Recipe: TypeAlias = Any
LARGEST = 60
"""The most ops in a recipe: what is longer is no line that people read."""


def recipe_of(graph: Graph, name: str, number: Mapping[str, int]) -> Recipe | None:
    """The recipe of a node of the page from the nodes that have a ``number`` there."""
    try:
        return _Writer(LARGEST).of_node(graph, name, lambda source: _known(number, source))
    except (_NoRecipe, DataflowError):
        return None


class _NoRecipe(Exception):  # noqa: N818 (it is no error)
    """Something that the script cannot follow."""


def _known(number: Mapping[str, int], source: str) -> Recipe | None:
    return {"node": number[source]} if source in number else None


class _Writer:
    def __init__(self, most: int) -> None:
        self._left = most

    def of_node(self, graph: Graph, name: str, known: Callable[[str], Recipe | None]) -> Recipe:
        """The recipe of a node of a graph; ``known`` has those of the nodes to stop at."""
        self._left -= 1
        if self._left < 0:
            raise _NoRecipe
        node = graph.node_of(name)
        if node.kind != OP:
            raise _NoRecipe
        arguments: list[Recipe] = []
        specs: list[TensorSpec | None] = []
        for argument in graph.arguments(name):
            if isinstance(argument, str):
                found = known(argument)
                arguments.append(self.of_node(graph, argument, known) if found is None else found)
                specs.append(graph.spec(argument))
            else:
                arguments.append(plain(argument))
                specs.append(None)
        return self.of_call(graph.op_of(name), arguments, specs, node.attributes, node.literals)

    def of_call(
        self,
        op: Op,
        arguments: Sequence[Recipe],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
        literals: Mapping[int, Any],
    ) -> Recipe:
        if op.elementwise:
            return {"op": op.name, "of": list(arguments)}
        settings = _settings(op, attributes, specs)
        if settings is not None:
            return {"of": list(arguments), **settings}
        if op.is_primitive:
            raise _NoRecipe
        trace = trace_op(op, specs, attributes, literals)
        inputs = trace.by_input(arguments)
        if trace.output in inputs:
            return inputs[trace.output]
        if len(inputs) == 1 and all(trace.graph.op_of(name).elementwise for name in trace.graph.names(OP)):
            return {"op": op.name, "of": list(inputs.values())}  # a function of one number, such as relu
        return self.of_node(trace.graph, trace.output, inputs.get)


def _settings(op: Op, attributes: Mapping[str, Any], specs: Sequence[TensorSpec | None]) -> dict[str, Any] | None:
    """What the script has to know of a call: what it does, with axes counted from the first, and a key with a place for
    each axis. ``None`` for an op that it does not follow."""
    ndim = specs[0].ndim if specs and specs[0] is not None else 0
    if op is engine_ops.matmul:
        return {"op": op.name}
    if op is engine_ops.index:
        return {"op": op.name, "key": _key(attributes["key"], ndim)}
    if op is engine_ops.transpose:
        axes = attributes["axes"]
        return {"op": op.name, "axes": [axis % ndim for axis in axes] if axes is not None else list(range(ndim))[::-1]}
    if op in (engine_ops.expand_dims, engine_ops.stack) and isinstance(attributes["axis"], int):
        return {"op": op.name, "axis": attributes["axis"] % (ndim + 1)}
    if op.over_one_entry is not None:
        return {"op": op.name, "axis": attributes["axis"] % ndim if ndim else 0}
    if op.shape_only:
        return {"entries": _axes(attributes, ndim)}
    if op.reduces is not None and "axis" in attributes:
        axes, kept = _axes(attributes, ndim), bool(attributes.get("keepdims"))
        return {"op": f"{op.reduces.__name__}.reduce", "axes": axes, "keepdims": kept}
    return None


def _axes(attributes: Mapping[str, Any], ndim: int) -> list[int]:
    axis = attributes["axis"]
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return sorted(axis % ndim for axis in axes)


def _key(text: str, ndim: int) -> list[Any]:
    """For each axis a number, or ``[start, stop, step]``; no new axes."""
    items = list(parse_key(text))
    if any(item is None for item in items):
        raise _NoRecipe
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    items[at : at + 1] = [slice(None)] * (ndim - len(items) + 1)
    return [[item.start, item.stop, item.step] if isinstance(item, slice) else item for item in items]
