"""Terms: expressions as trees of ops, which can be rewritten before they are written down.

An op that is called with a term gives a term, as it gives a node when it is called with a value of a graph. So a rule
that calls ops serves terms, too, and what a term means is what its ops compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DataflowError
from dataflow.graph.graph import infer
from dataflow.operations import engine_ops
from dataflow.operations.indexing import format_key
from dataflow.operations.op import Op, Traced
from dataflow.operations.operands import literals_of
from dataflow.shapes import Shape, Size, TensorSpec

Number: TypeAlias = int | float | bool
SIZE = "size of "
"""The beginning of the keys of leaves that are symbolic sizes."""


@dataclass(frozen=True)
class Leaf:
    """What a term's leaf is called: a node's symbol, or a partial derivative. ``is_letter`` says that it can stand
    beside another without a sign of multiplication; ``at`` gives an entry's symbol."""

    key: str
    text: str
    latex: str
    is_letter: bool = False
    is_fraction: bool = False
    at: Callable[[Sequence[int]], tuple[str, str]] | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Term(Traced):
    """An op applied to terms and numbers, or a leaf. Without a ``spec`` it is a part of a pattern."""

    op: Op | None = None
    arguments: tuple[Any, ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()
    spec: TensorSpec | None = None
    leaf: Leaf | str | None = None
    """Of a pattern, the name of a variable."""
    _hash: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        # a term is looked up often, and its hash is that of all that is in it
        object.__setattr__(self, "_hash", hash((self.op, self.arguments, self.attributes, self.leaf)))

    def __hash__(self) -> int:
        return int(self._hash)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Term) or self._hash != other._hash:
            return False
        mine = (self.op, self.leaf, self.attributes, self.spec, self.arguments)
        return mine == (other.op, other.leaf, other.attributes, other.spec, other.arguments)

    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        return apply(op, arguments, attributes)

    @property
    def shape(self) -> Shape:
        return self.spec.shape if self.spec is not None else ()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.spec.dtype if self.spec is not None else np.dtype("float64")

    @property
    def T(self) -> Any:
        return apply(engine_ops.transpose, [self])

    def attribute(self, name: str) -> Any:
        return dict(self.attributes)[name]

    def __add__(self, other: Any) -> Any:
        return apply(engine_ops.add, [self, other])

    def __radd__(self, other: Any) -> Any:
        return apply(engine_ops.add, [other, self])

    def __sub__(self, other: Any) -> Any:
        return apply(engine_ops.subtract, [self, other])

    def __rsub__(self, other: Any) -> Any:
        return apply(engine_ops.subtract, [other, self])

    def __mul__(self, other: Any) -> Any:
        return apply(engine_ops.multiply, [self, other])

    def __rmul__(self, other: Any) -> Any:
        return apply(engine_ops.multiply, [other, self])

    def __truediv__(self, other: Any) -> Any:
        return apply(engine_ops.divide, [self, other])

    def __rtruediv__(self, other: Any) -> Any:
        return apply(engine_ops.divide, [other, self])

    def __pow__(self, other: Any) -> Any:
        return apply(engine_ops.power, [self, other])

    def __matmul__(self, other: Any) -> Any:
        return apply(engine_ops.matmul, [self, other])

    def __neg__(self) -> Any:
        return apply(engine_ops.negative, [self])

    def __getitem__(self, key: Any) -> Any:
        return apply(engine_ops.index, [self], {"key": format_key(key)})


def apply(op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any] | None = None) -> Any:
    """The op applied to terms and numbers; its spec is inferred where the arguments have theirs. What an op's formula
    says in other ops is a term, or a number, of these."""
    arguments = op.complete(arguments)
    bound = op.bind(attributes or {}) if attributes or op.attributes else {}
    spec = None
    if not any(isinstance(argument, Term) and argument.spec is None for argument in arguments):
        specs = [spec_of(argument) for argument in arguments]
        if op.formula_rule is not None and any(isinstance(argument, Term) for argument in arguments):
            return _as_term(op.formula_rule(*arguments, **bound))
        spec = infer(op, specs, bound, literals_of(arguments))
    return Term(op, tuple(arguments), tuple(sorted(bound.items())), spec)


def _as_term(written: Any) -> Any:
    """A symbolic size as a term."""
    if not isinstance(written, Size):
        return written
    return Term(spec=TensorSpec((), np.dtype("float64")), leaf=Leaf(f"{SIZE}{written}", str(written), str(written)))


def spec_of(argument: Any) -> TensorSpec | None:
    """The spec of an argument; a number is an array without axes."""
    if isinstance(argument, Term):
        return argument.spec
    return None if argument is None else TensorSpec((), np.asarray(argument).dtype)


def number_like(number: Number, term: Term) -> Any:
    """A number, broadcast to a term's shape where that has axes."""
    return apply(engine_ops.broadcast_to, [number], {"shape": term.shape}) if term.shape else number


def with_shape(result: Any, term: Term) -> Any:
    """A result in the shape of the term that it stands for, broadcast where it is smaller; ``None`` where it does not
    fit."""
    if not isinstance(result, Term):
        return number_like(result, term)
    if result.shape == term.shape:
        return result
    try:
        return apply(engine_ops.broadcast_to, [result], {"shape": term.shape})
    except DataflowError:
        return None


def evaluate(term: Any, values: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    """What a term is where its leaves, by their keys, have these values."""
    if not isinstance(term, Term):
        return np.asarray(term)
    if term.op is None:
        assert isinstance(term.leaf, Leaf), "no pattern"
        key = term.leaf.key
        return np.asarray(sizes[key.removeprefix(SIZE)]) if key.startswith(SIZE) else values[key]
    arguments = [
        evaluate(argument, values, sizes) if isinstance(argument, Term) else argument for argument in term.arguments
    ]
    attributes = {name: _concrete(value, sizes) for name, value in term.attributes}
    return np.asarray(term.op.compute(arguments, attributes))


def _concrete(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Size):
        return sizes[str(value)]
    return tuple(_concrete(item, sizes) for item in value) if isinstance(value, tuple) else value


def leaves(term: Any) -> set[str]:
    """The keys of the leaves in a term."""
    if not isinstance(term, Term):
        return set()
    if term.op is None:
        return {term.leaf.key} if isinstance(term.leaf, Leaf) else set()
    return set().union(*(leaves(argument) for argument in term.arguments))
