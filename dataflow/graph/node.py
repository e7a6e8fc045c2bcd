"""``Node``: what a graph knows of one of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.operations.op import Op
from dataflow.operations.operands import Literal
from dataflow.shapes import Shape, is_static, substitute

INPUT, PARAMETER, CONSTANT, OP = "input", "parameter", "constant", "op"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no equality that is true or false
class Node:
    """An input, a parameter, a constant or an application of an op. Its arguments are the graph's edges."""

    kind: str
    shape: Shape
    dtype: np.dtype
    op: str = ""
    """The name of an op node's op."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    literals: Mapping[int, Literal] = field(default_factory=dict)
    """The arguments that are plain numbers, by position."""
    init: Mapping[str, Any] | None = None
    """A parameter's initializer with its attributes."""
    value: Any = None
    """A constant's array, or a parameter's where it is written out."""
    block: str | None = None
    """The call of a block that the node is part of."""
    cotangent_of: str | None = None
    """The node whose cotangent this one is, in a gradient graph."""

    def as_cotangent(self, of: str) -> Node:
        """The same as the cotangent of a node; ``dataclasses.replace`` takes longer."""
        kept = (self.kind, self.shape, self.dtype, self.op, self.attributes, self.literals)
        return Node(*kept, self.init, self.value, self.block, of)


def concrete_attributes(op: Op, node: Node, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A node's attributes with every symbolic size in a shape replaced by its number. Where one is 0, so is a −1, which
    nothing is left to tell: the node's own shape does."""
    result = dict(node.attributes)
    if not op.shape_attributes and not op.graph_attributes:
        return result
    for name in op.shape_attributes:
        shape = result[name]
        if shape is not None and not (is_static(shape) and -1 not in shape):
            numbers = tuple([-1 if size == -1 else substitute((size,), sizes)[0] for size in shape])
            if -1 in numbers and 0 in numbers and len(numbers) == len(node.shape):
                own = substitute(node.shape, sizes)
                numbers = tuple([size if number == -1 else number for number, size in zip(numbers, own, strict=True)])
            result[name] = numbers
    for name in op.graph_attributes:
        if result[name] is not None:
            result[name] = result[name].with_sizes(sizes)
    return result
