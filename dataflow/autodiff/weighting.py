"""Weights for examples: a graph rewritten so that an example of weight 2 counts as if its row were there twice.

A weight counts where examples meet: in a sum over them, in a product of matrices that sums over them, and in their
number, by which a mean divides. What has no examples, such as a penalty on parameters, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.autodiff.examples_apart import mixes_examples
from dataflow.autodiff.rewrite_ops import body_of, free_name, rewrite, rewrite_body
from dataflow.errors import TrainingError
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.graph import Graph, infer
from dataflow.graph.node import INPUT, OP, Node
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.operations.engine_ops import cast, matmul, reshape, sum_to, where
from dataflow.operations.op import Op
from dataflow.operations.operands import literals_of, with_literals
from dataflow.shapes import Shape, TensorSpec, axes_with, format_shape, normalize_axes


def weighted_graph(graph: Graph, loss: str, more: Sequence[str] = ()) -> tuple[Graph, str]:
    """The graph with each example weighed in all that ``loss`` and ``more`` nodes need, and its input for the weights,
    the last one: a number for each example, in the loss's dtype. Nodes keep their names. Where no example has any
    weight, a mean is 0.

    A ``TrainingError`` names a node that puts examples together in a way that takes no weights, such as a maximum.
    """
    batch = batch_symbol(graph, loss)
    if batch is None:
        raise TrainingError('no input has a symbolic first size, such as "n", so that there are no examples to weigh')
    result = Graph(graph.name, graph.dtype)
    for source in graph.names(INPUT):
        result.set_node(source, graph.node_of(source))
    name = free_name(graph, "weights")
    weigh = _Weighing(result.input(name, (batch,), graph.node_of(loss).dtype), batch)
    rewrite(graph, result, graph.needed_for([loss, *more]), weigh.apply, inner=name)
    return result, name


class _Weighing:
    """``apply(name, op, node, arguments)``: a node's result for weighed examples."""

    def __init__(self, weights: Value, batch: str) -> None:
        self._weights, self._batch = weights, batch

    def apply(self, _: str, op: Op, node: Node, arguments: Sequence[Any]) -> Any:
        attributes = node.attributes
        shapes = [_shape(argument) for argument in arguments]
        if not any(map(self._axes, shapes)):
            return op(*arguments, **attributes)
        if op.is_primitive:
            return self._of_primitive(op, arguments, attributes, shapes)
        trace = body_of(op, arguments, attributes)
        if not self._meet_in(trace.graph):
            return op(*arguments, **attributes)  # as it is, so that its own derivative holds
        return rewrite_body(trace, arguments, self.apply)

    def _of_primitive(
        self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any], shapes: Sequence[Shape]
    ) -> Any:
        first, literals = arguments[0], literals_of(arguments)
        specs = [TensorSpec(x.shape, x.dtype) if hasattr(x, "shape") else None for x in arguments]
        made = infer(op, with_literals(specs, literals), attributes, literals).shape
        found = ", ".join(map(format_shape, shapes))
        if _holds_graphs(attributes):
            raise TrainingError(
                f"{op.name} of {found} runs a graph of its own, which is not looked into, so that it takes no weights"
            )
        if self._refuses(op, shapes, attributes, made):
            raise TrainingError(
                f"{op.name} of {found} puts examples together in a way that takes no weights; sums, means, matrix "
                "products and losses made of these do"
            )
        if not (axes := self._meeting(op, shapes, attributes)):
            return op(*arguments, **attributes)
        if op is matmul:
            return matmul(self._weighed(first, axes), arguments[1])
        if not op.shape_only:
            return op(self._weighed(first, axes), **attributes)
        others = tuple(axis for axis in normalize_axes(attributes["axis"], first.ndim) if axis not in axes)
        number = op(first, **{**attributes, "axis": others})
        total = sum_to(self._weights, shape=())
        total = cast(where(total == 0, 1, total), dtype=number.dtype.name)
        for _ in axes:
            number = number * total
        return number

    def _meeting(self, op: Op, shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> list[int]:
        """The axes of the first argument along which a primitive op adds up, or counts, examples."""
        axes, ndim = self._axes(shapes[0]), len(shapes[0])
        if op is matmul:
            return [axis for axis in axes if axis == ndim - 1]
        if "axis" in attributes and (op.reduces is np.add or op.shape_only):
            return [axis for axis in axes if axis in normalize_axes(attributes["axis"], ndim)]
        return []

    def _meet_in(self, graph: Graph) -> bool:
        """Whether examples meet anywhere in the body of an op."""
        for name, node in graph.node_items():
            if node.kind != OP:
                continue
            op, arguments = graph.op_of(name), graph.arguments(name)
            operands = [graph.value(x) if isinstance(x, str) else x for x in arguments]
            shapes = [_shape(operand) for operand in operands]
            if not any(map(self._axes, shapes)):
                continue
            if not op.is_primitive:
                if self._meet_in(body_of(op, operands, node.attributes).graph):
                    return True
            elif self._meeting(op, shapes, node.attributes) or self._refuses(op, shapes, node.attributes, node.shape):
                return True
        return False

    def _refuses(self, op: Op, shapes: Sequence[Shape], attributes: Mapping[str, Any], made: Shape) -> bool:
        """Whether a primitive op puts examples together, and takes no weights."""
        if _holds_graphs(attributes) or mixes_examples(op, attributes, shapes[0], made, self._batch):
            return True
        meet = self._meeting(op, shapes, attributes)
        return not meet and not op.shape_only and self._loses(shapes, made)

    def _loses(self, shapes: Sequence[Shape], result: Shape) -> bool:
        return max(len(self._axes(shape)) for shape in shapes) > len(self._axes(result))

    def _axes(self, shape: Shape) -> list[int]:
        """The axes of a shape that are the examples."""
        axes = axes_with(shape, self._batch)
        if any(str(shape[axis]) != self._batch for axis in axes):
            raise TrainingError(
                f"{format_shape(shape)} has examples in a part of an axis, or several in one, where they take no "
                "weights"
            )
        return axes

    def _weighed(self, value: Value, axes: Sequence[int]) -> Value:
        weights = self._weights
        if value.dtype.kind == "f" and value.dtype != weights.dtype:
            weights = cast(weights, dtype=value.dtype.name)
        for axis in axes:
            shape = (1,) * axis + (self._batch,) + (1,) * (value.ndim - axis - 1)
            value = value * (weights if value.ndim == 1 else reshape(weights, shape=shape))
        return value


def _holds_graphs(attributes: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Subgraph) for value in attributes.values())


def _shape(argument: Any) -> Shape:
    return getattr(argument, "shape", ())
