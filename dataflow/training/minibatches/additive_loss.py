"""Whether the gradient of a minibatch is a sum over parts of it, and what each part counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from dataflow.autodiff.examples_apart import mixes_examples
from dataflow.autodiff.rewrite_ops import body_of
from dataflow.errors import TrainingError
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP
from dataflow.graph.subgraph import Subgraph
from dataflow.operations import engine_ops
from dataflow.operations.op import Op
from dataflow.shapes import Shape, axes_with, format_shape, normalize_axes


class Kind(Enum):
    """What a value is to the examples of a minibatch."""

    COMMON = "the same for every part"
    ROWS = "a row for each example"
    TOTAL = "a sum over the examples"
    COUNT = "proportional to the number of examples"
    MEAN = "a sum over the examples by their number, and what is common"


_LINEAR = {
    engine_ops.negative,
    engine_ops.identity,
    engine_ops.cast,
    engine_ops.reshape,
    engine_ops.expand_dims,
    engine_ops.broadcast_to,
    engine_ops.sum_to,
    engine_ops.transpose,
}


def is_mean(graph: Graph, loss: str) -> bool:
    """Whether the loss of a minibatch is the mean of its parts' losses, weighed by their numbers of examples; else it
    is their sum. A ``TrainingError`` names a node where it is neither, because examples are mixed."""
    batch = batch_symbol(graph, loss)
    if batch is None:
        raise TrainingError('no input has a symbolic first size, such as "n", so that there are no examples to share')
    kinds: dict[str, Kind] = {}
    kind = _Kinds(batch).follow(graph, loss, kinds, "")
    if kind not in (Kind.TOTAL, Kind.COUNT, Kind.MEAN, Kind.COMMON):
        raise TrainingError(f"the loss '{loss}' is no sum and no mean over examples", node=loss)
    return kind in (Kind.MEAN, Kind.COMMON)


class _Kinds:
    def __init__(self, batch: str) -> None:
        self._batch = batch

    def follow(self, graph: Graph, target: str, kinds: dict[str, Kind], place: str) -> Kind:
        """The kind of a node; ``kinds`` are those known. ``place`` is the node that the user knows, if not this."""
        for name in graph.schedule([target]):
            if name in kinds:
                continue
            node = graph.node_of(name)
            if node.kind != OP:
                kinds[name] = Kind.ROWS if self._axes(node.shape) else Kind.COMMON
                continue
            arguments = graph.arguments(name)
            operands = [graph.value(x) if isinstance(x, str) else x for x in arguments]
            known = [kinds[x] if isinstance(x, str) else Kind.COMMON for x in arguments]
            kinds[name] = self._apply(graph.op_of(name), operands, known, node.attributes, node.shape, place or name)
        return kinds[target]

    def _apply(
        self,
        op: Op,
        operands: Sequence[Any],
        kinds: Sequence[Kind],
        attributes: Mapping[str, Any],
        shape: Shape,
        place: str,
    ) -> Kind:
        if all(kind is Kind.COMMON for kind in kinds):
            return Kind.ROWS if self._axes(shape) else Kind.COMMON
        if not op.is_primitive:
            completed = list(op.complete(operands))
            trace = body_of(op, completed, attributes)
            by_operand = dict(zip(map(id, operands), kinds, strict=True))
            inner = {
                name: by_operand.get(id(x), Kind.COMMON)
                for name, x in zip(trace.inputs, completed, strict=True)
                if name is not None
            }
            return self.follow(trace.graph, trace.output, inner, place)
        axes = len(self._axes(shape))
        if axes > 1:
            raise self._mixed(op, operands, place)
        if Kind.ROWS in kinds:
            if not set(kinds) <= {Kind.ROWS, Kind.COMMON}:
                raise self._mixed(op, operands, place)
            return self._of_rows(op, operands, attributes, shape, place)
        if axes:
            raise self._mixed(op, operands, place)  # what all examples make, given to each
        return self._of_totals(op, operands, kinds, place)

    def _of_rows(
        self, op: Op, operands: Sequence[Any], attributes: Mapping[str, Any], result: Shape, place: str
    ) -> Kind:
        shape: Shape = getattr(operands[0], "shape", ())
        along, keeps = self._axes(shape), bool(self._axes(result))
        if any(
            isinstance(value, Subgraph) for value in attributes.values()
        ):  # of if, loop, scan; it is not looked into
            raise self._mixed(op, operands, place)
        if mixes_examples(op, attributes, shape, result, self._batch):
            raise self._mixed(op, operands, place)
        if op is engine_ops.matmul:
            if not keeps and along == [len(shape) - 1]:
                return Kind.TOTAL
        elif op is engine_ops.sum_to and not keeps:
            return Kind.TOTAL
        elif "axis" in attributes and not op.elementwise and not keeps:
            if any(axis in normalize_axes(attributes["axis"], len(shape)) for axis in along):
                return Kind.COUNT if op.shape_only else Kind.TOTAL
            if op.shape_only:
                return Kind.COMMON
        if not keeps:
            raise self._mixed(op, operands, place)
        return Kind.ROWS

    def _of_totals(self, op: Op, operands: Sequence[Any], kinds: Sequence[Kind], place: str) -> Kind:
        found = [kind for kind in kinds if kind is not Kind.COMMON]
        if op in _LINEAR or (op.reduces is np.add and len(operands) == 1):
            return found[0]
        if op in (engine_ops.add, engine_ops.subtract):
            if set(kinds) <= {Kind.MEAN, Kind.COMMON}:
                return Kind.MEAN
            if set(kinds) <= {Kind.TOTAL, Kind.COUNT}:
                return Kind.TOTAL
        if op is engine_ops.multiply and len(found) == 1:
            return found[0]
        if op is engine_ops.divide:
            if kinds[1] is Kind.COMMON:
                return found[0]
            if kinds[0] in (Kind.TOTAL, Kind.COUNT) and kinds[1] is Kind.COUNT:
                return Kind.MEAN
        raise self._mixed(op, operands, place)

    def _mixed(self, op: Op, operands: Sequence[Any], place: str) -> TrainingError:
        found = ", ".join(format_shape(getattr(operand, "shape", ())) for operand in operands)
        return TrainingError(
            f"{op.name} of {found} mixes examples, so that the gradient of a minibatch is no sum over parts of it; a "
            "cluster trains losses that are sums or means over examples (a sum with a penalty on parameters is "
            'neither: use reduction="mean"). Train this model without a cluster',
            node=place,
        )

    def _axes(self, shape: Shape) -> list[int]:
        return axes_with(shape, self._batch)
