"""A call of an ONNX op, as the functions that translate it see it, and the table of those functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from dataflow import limits, ops
from dataflow.errors import FileFormatError
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.shapes import TRAINED, Dim
from dataflow.support.number_texts import without_point


class UnknownValueError(FileFormatError):
    """A value is needed while the model is loaded that is known only when it runs. ``source`` is its ONNX name."""

    source = ""

    @classmethod
    def of(cls, source: str, what: str) -> Self:
        """The error about what is computed from this value."""
        error = cls(f"{what} is computed from the model's inputs, '{source}'; it has to be a constant")
        error.source = source
        return error


class DeclinedError(FileFormatError):
    """What a translation does not cover. ONNX's own definition in terms of other ops is tried, if there is one."""


@dataclass
class Operand:
    """What an ONNX name stands for: a value of the graph, an array that is known, or both."""

    name: str
    value: Value | None = None
    array: np.ndarray | None = None
    """Sizes that only data tell stand in it as objects."""
    trained: bool = False
    """Whether it is an initializer that becomes a parameter."""
    items: tuple[Operand, ...] | None = None
    """The entries of what is a sequence, and no array."""
    narrow: int = 0
    """The type that its numbers have in ONNX, where that is one that no array here has."""

    @property
    def folds(self) -> bool:
        """Whether what is computed from it is computed now."""
        return self.array is not None and not self.trained

    @property
    def has_sizes(self) -> bool:
        """Whether symbolic sizes stand in it."""
        return self.array is not None and self.array.dtype == object

    def within(self, graph: Graph, name: str) -> Value:
        """The value in a graph; a constant or parameter becomes a node where it is first needed."""
        if self.value is not None and self.value.graph is graph:
            return self.value
        if self.items is not None:
            raise FileFormatError(f"'{self.name}' is a sequence; an array is expected")
        if self.array is None:
            raise UnknownValueError.of(self.name, "it")
        if self.has_sizes:
            raise FileFormatError(f"'{self.name}' is computed from sizes that only data tell")
        if self.trained and self.array.dtype.name in TRAINED:
            value = graph.parameter(name, value=self.array, dtype=self.array.dtype)
        else:
            value = graph.constant(name, self.array, self.array.dtype)
        self.value = value
        return value


@dataclass
class Call:
    """A node of an ONNX graph: its operands and attributes, and the graph to which it is added."""

    op: str
    version: int
    """The opset in which the op came to be what it is."""
    graph: Graph
    operands: Sequence[Operand | None]
    attributes: dict[str, Any]
    outputs: tuple[bool, ...]
    """Which outputs are used."""
    identify: Callable[[str], str]
    places: Callable[[Sequence[str]], np.ndarray] = field(default=lambda texts: np.arange(len(texts)))
    """The numbers that stand for texts."""
    label: str = ""
    """What the node is called in messages."""
    folds: bool = False
    """Whether it is computed now, from arrays that are known."""
    made: list[str] = field(default_factory=list)

    def has(self, i: int) -> bool:
        """Whether an input is given."""
        return i < len(self.operands) and self.operands[i] is not None

    def value(self, i: int) -> Value:
        """An input that must be there."""
        if not self.has(i):
            raise FileFormatError(f"{self.op} needs an input {i + 1}, which is left out")
        operand = self.operands[i]
        assert operand is not None
        return operand.within(self.graph, self.identify(operand.name))

    def optional(self, i: int) -> Value | None:
        """An input that may be left out."""
        return self.value(i) if self.has(i) else None

    def is_computed(self, i: int) -> bool:
        """Whether an input is given whose numbers are known only when the model runs."""
        operand = self.operands[i] if self.has(i) else None
        return operand is not None and operand.array is None

    def values(self) -> list[Value]:
        """All inputs, none left out."""
        return [self.value(i) for i in range(len(self.operands))]

    def array(self, i: int, what: str) -> np.ndarray:
        """An input whose numbers must be known while the model is loaded."""
        operand = self.operands[i] if self.has(i) else None
        if operand is None:
            raise FileFormatError(f"{self.op} needs {what}, which is left out")
        if operand.array is None:
            raise UnknownValueError.of(operand.name, what)
        return operand.array

    def numbers(self, i: int, what: str) -> tuple[Any, ...]:
        """An input of whole numbers, or sizes, that must be known."""
        return tuple(without_point(item) for item in self.array(i, what).ravel().tolist())

    def number(self, i: int, what: str) -> Any:
        """An input of one number that must be known."""
        array = self.array(i, what)
        if array.size != 1:
            raise FileFormatError(f"{self.op}: {what} is one number, not {array.size}")
        return array.ravel().tolist()[0]

    def axes(self, i: int) -> tuple[int, ...] | None:
        """Axes, which older opsets give as an attribute and newer ones as an input."""
        if self.has(i):
            return self.numbers(i, "its axes")
        axes = self.attributes.get("axes")
        return None if axes is None else tuple(axes)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute: a number, a text, a tuple of numbers, a tensor as an array, or a graph."""
        return self.attributes.get(name, default)

    def only(self, count: int = 1) -> None:
        """Decline where further outputs are used."""
        if any(self.outputs[count:]):
            raise DeclinedError(f"{self.op} with more than {count} output(s) is not supported")

    def narrow(self, i: int) -> int:
        """The type of an input in ONNX, where no array here has it; else 0."""
        operand = self.operands[i] if self.has(i) else None
        return 0 if operand is None else operand.narrow

    def constant(self, array: Any, dtype: Any) -> Value:
        """An array as a node of its own."""
        return self.graph.constant(None, np.asarray(array, dtype), dtype)

    def parameter(self, what: str, array: np.ndarray) -> Value:
        """Numbers of an attribute as a parameter, which training changes."""
        if self.folds or array.dtype.name not in TRAINED:
            return self.constant(array, array.dtype)
        return self.graph.parameter(self.identify(f"{self.label}/{what}"), value=array, dtype=array.dtype)

    def classes(self, *names: str) -> Value | None:
        """Classes, as numbers: an attribute of whole numbers, or of texts; nothing where there are none."""
        for name in names:
            given = self.attribute(name)
            if given:
                texts = isinstance(given[0], str)
                return self.constant(self.places(given) if texts else given, "int64")
        return None

    def check_memory(self, needed: int) -> None:
        """A ``FileFormatError`` where numbers that a few others say, such as a count, would fill the memory."""
        if needed > limits.current().memory:
            raise FileFormatError(
                f"{self.op} takes {needed // 2**20:,} MiB of constants{limits.advice('memory', needed)}"
            )

    def slices(self) -> tuple[Sequence[Any], Sequence[Any], Sequence[int], Sequence[Any]]:
        """The starts, ends, axes and steps of a Slice: attributes in older opsets, inputs in newer ones."""
        if self.version < 10:
            starts, ends, axes, steps = self.attribute("starts"), self.attribute("ends"), self.attribute("axes"), None
        else:
            starts, ends = self.numbers(1, "the starts"), self.numbers(2, "the ends")
            axes = self.numbers(3, "its axes") if self.has(3) else None
            steps = self.numbers(4, "the steps") if self.has(4) else None
        count = len(starts)
        return starts, ends, tuple(range(count)) if axes is None else axes, (1,) * count if steps is None else steps


Translation = Callable[[Call], Any]
TABLE: dict[str, tuple[int, int, Translation]] = {}
"""For each op of ONNX the versions that its translation knows, from and to, and the translation."""


def translates(*names: str, since: int = 1, until: int) -> Callable[[Translation], Translation]:
    """Put a function into the table. ``until`` is the newest version of the op that it was written for: a later one
    may mean something else, and is refused."""

    def put(translation: Translation) -> Translation:
        for name in names:
            TABLE[name] = (since, until, translation)
        return translation

    return put


def as_like(result: Value, x: Value) -> Value:
    """The result in the dtype of x, which ONNX keeps where numpy takes a wider one."""
    return result if result.dtype == x.dtype else ops.cast(result, dtype=x.dtype.name)


def dims(shape: Sequence[Dim]) -> np.ndarray:
    """A shape as an array: of int64, or of objects where a size is symbolic."""
    known = all(isinstance(size, int) for size in shape)
    result = np.empty(len(shape), np.int64 if known else object)
    result[:] = list(shape)
    return result
