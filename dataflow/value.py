"""``Value``: a handle on a node's result while its graph is being built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataflow.errors import GraphError, ShapeError
from dataflow.indexing import format_key
from dataflow.op import Op, Traced
from dataflow.shapes import Shape, TensorSpec

if TYPE_CHECKING:
    from dataflow.graph import Graph


class NotComputedError(GraphError, TypeError):
    """Python or numpy asked a value for its numbers. In a rule it means that the rule cannot be traced."""


class Value(Traced):
    """A node's result. It takes Python's operators, indexing with constants, and every op.

    As with numpy arrays, comparisons are elementwise, and adding a number or an array broadcasts.
    """

    __array_ufunc__: ClassVar[None] = None  # numpy would otherwise make an array of objects of it
    __slots__ = ("graph", "name")

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    @property
    def spec(self) -> TensorSpec:
        """The shape and dtype."""
        return self.graph.spec(self.name)

    @property
    def shape(self) -> Shape:
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Value:
        """All axes in reverse order."""
        return _apply("transpose", self)

    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Value:
        return self.graph.apply(op, arguments, attributes)

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
        return _apply("index", self, key=format_key(key))

    def __neg__(self) -> Value:
        return _apply("negative", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return _apply("abs", self)

    def __add__(self, other: Any) -> Value:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return _apply("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return _apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Value:
        return _apply("subtract", other, self)

    def __mul__(self, other: Any) -> Value:
        return _apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Value:
        return _apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Value:
        return _apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return _apply("divide", other, self)

    def __pow__(self, other: Any) -> Value:
        return _apply("power", self, other)

    def __rpow__(self, other: Any) -> Value:
        return _apply("power", other, self)

    def __matmul__(self, other: Any) -> Value:
        return _apply("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Value:
        return _apply("matmul", other, self)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return _apply("equal", self, other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return _apply("not_equal", self, other)

    def __lt__(self, other: Any) -> Value:
        return _apply("less", self, other)

    def __le__(self, other: Any) -> Value:
        return _apply("less_equal", self, other)

    def __gt__(self, other: Any) -> Value:
        return _apply("greater", self, other)

    def __ge__(self, other: Any) -> Value:
        return _apply("greater_equal", self, other)


def register_lookup(lookup: Callable[[str], Op]) -> None:
    """Tell the operators where ops are found by name. The registry, which stands above this module, does so."""
    _lookup.append(lookup)


def lookup(name: str) -> Op:
    """The registered op of that name."""
    if not _lookup:
        raise GraphError(f"op '{name}' was asked for before the registry was there; import dataflow first")
    return _lookup[-1](name)


_lookup: list[Callable[[str], Op]] = []


def _apply(name: str, *arguments: Any, **attributes: Any) -> Value:
    graph: Graph = next(argument.graph for argument in arguments if isinstance(argument, Value))
    return graph.apply(lookup(name), arguments, attributes)
