"""``Value``: a handle on a node's result while its graph is being built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dataflow.errors import GraphError, ShapeError
from dataflow.operations import engine_ops
from dataflow.operations.indexing import format_key
from dataflow.operations.op import Op, Traced
from dataflow.shapes import Shape, TensorSpec


class NotComputedError(GraphError, TypeError):
    """Python or numpy asked a value for its numbers. In a rule it means that the rule cannot be traced."""


class Value(Traced):
    """A node's result. It takes Python's operators, indexing with constants, and every op.

    As with numpy arrays, comparisons are elementwise, and adding a number or an array broadcasts.
    """

    __array_ufunc__: ClassVar[None] = None  # otherwise numpy would make an array of objects
    __slots__ = ("graph", "name")

    def __init__(self, graph: Any, name: str) -> None:
        self.graph = graph  # a Graph, which stands above this module
        self.name = name

    @property
    def spec(self) -> TensorSpec:
        """The shape and dtype."""
        spec: TensorSpec = self.graph.spec(self.name)
        return spec

    @property
    def shape(self) -> Shape:
        shape: Shape = self.graph.node_of(self.name).shape
        return shape

    @property
    def dtype(self) -> np.dtype:
        dtype: np.dtype = self.graph.node_of(self.name).dtype
        return dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Value:
        """All axes in reverse order."""
        return self._apply(engine_ops.transpose, self)

    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """A value, or the ``Outputs`` of an op that has several."""
        add = self.graph.apply_outputs if op.has_outputs else self.graph._add_call
        return add(op, arguments, attributes)

    def _apply(self, op: Op, *arguments: Any, **attributes: Any) -> Value:
        value: Value = self.apply_op(op, arguments, attributes)
        return value

    def __repr__(self) -> str:
        return f"<value '{self.name}': {self.spec}>"

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise NotComputedError(f"'{self.name}' has no truth value while the graph is built; choose with the op 'where'")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise NotComputedError(f"'{self.name}' has no numbers while the graph is built; use dataflow.ops, not numpy")

    def __iter__(self) -> Iterator[Value]:
        if not self.shape or not isinstance(self.shape[0], int):
            raise ShapeError(f"'{self.name}' has no first axis of a known size to iterate over")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> Value:
        return self._apply(engine_ops.index, self, key=format_key(key))

    def __neg__(self) -> Value:
        return self._apply(engine_ops.negative, self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self._apply(engine_ops.abs_, self)

    def __add__(self, other: Any) -> Value:
        return self._apply(engine_ops.add, self, other)

    def __radd__(self, other: Any) -> Value:
        return self._apply(engine_ops.add, other, self)

    def __sub__(self, other: Any) -> Value:
        return self._apply(engine_ops.subtract, self, other)

    def __rsub__(self, other: Any) -> Value:
        return self._apply(engine_ops.subtract, other, self)

    def __mul__(self, other: Any) -> Value:
        return self._apply(engine_ops.multiply, self, other)

    def __rmul__(self, other: Any) -> Value:
        return self._apply(engine_ops.multiply, other, self)

    def __truediv__(self, other: Any) -> Value:
        return self._apply(engine_ops.divide, self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._apply(engine_ops.divide, other, self)

    def __pow__(self, other: Any) -> Value:
        return self._apply(engine_ops.power, self, other)

    def __rpow__(self, other: Any) -> Value:
        return self._apply(engine_ops.power, other, self)

    def __matmul__(self, other: Any) -> Value:
        return self._apply(engine_ops.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Value:
        return self._apply(engine_ops.matmul, other, self)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return self._apply(engine_ops.equal, self, other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return self._apply(engine_ops.not_equal, self, other)

    def __lt__(self, other: Any) -> Value:
        return self._apply(engine_ops.less, self, other)

    def __le__(self, other: Any) -> Value:
        return self._apply(engine_ops.less_equal, self, other)

    def __gt__(self, other: Any) -> Value:
        return self._apply(engine_ops.greater, self, other)

    def __ge__(self, other: Any) -> Value:
        return self._apply(engine_ops.greater_equal, self, other)
