"""The nodes of an ONNX graph while it is written: what is the same is written once, and names are given at the end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from dataflow.errors import FileFormatError
from dataflow.shapes import Dim, FloorDivision, Shape, Size
from dataflow_onnx.tensors import TYPES

_SINCE = {onnx.TensorProto.FLOAT4E2M1: 23, onnx.TensorProto.FLOAT8E8M0: 24}
"""The opsets in which types came."""


class Emitter:
    """Collects nodes. A value is a text that only the emitter understands, until ``nodes`` gives each a name."""

    def __init__(self, inputs: Mapping[str, Shape], parameters: Sequence[str]) -> None:
        self._records: list[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]] = []
        self._known: dict[Any, tuple[str, ...]] = {}
        self._labels: dict[str, str] = {name: name for name in (*inputs, *parameters)}
        self._places: dict[str, tuple[str, int, int, int]] = {}
        for name, shape in inputs.items():
            for axis, size in enumerate(shape):
                if isinstance(size, Size) and size.linear is not None:
                    symbol, factor, offset = size.linear
                    if symbol not in self._places or (factor, offset) == (1, 0):
                        self._places[symbol] = (name, axis, factor, offset)
        self.caller = ""
        """The node that is written, after which values are called that have no name."""
        self.missing: Counter[str] = Counter()
        """What cannot be written, with the reason, and how often it is used."""
        self.narrowed: Counter[str] = Counter()
        """The ops of ONNX that are computed in float32 within a graph of float64."""
        self.since: set[int] = set()
        """Opsets in which something came that is used; 0 where that was long ago."""

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output; the same one again is the one that there is."""
        return self.add_all(op, 1, *inputs, **attributes)[0]

    def add_all(self, op: str, count: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """A node of several outputs."""
        given = {key: value for key, value in attributes.items() if value is not None}
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        key = (op, count, inputs, repr(sorted(given.items())))
        if op == "Constant":
            array = given["value"]
            key = (op, array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            outputs = tuple(f"{self.caller}\n{len(self._records)}\n{i}\n{op}" for i in range(count))
            self._records.append((op, inputs, outputs, given))
            self._known[key] = outputs
        return self._known[key]

    def output(self, value: str, name: str) -> None:
        """A value as an output of the graph, under its name."""
        if self._labels.setdefault(value, name) != name:
            copied = f"{name}\n{len(self._records)}\n0\nIdentity"
            self._records.append(("Identity", (value,), (copied,), {}))
            self._labels[copied] = name

    def label(self, value: str, name: str) -> None:
        """Give a value a name, if it has none."""
        self._labels.setdefault(value, name)

    def rename(self, value: str, name: str) -> None:
        """Give a value another name."""
        self._labels[value] = name

    def unlabel(self, value: str, name: str) -> None:
        """Take a value's name away, for another one, if it has this."""
        if self._labels.get(value) == name:
            del self._labels[value]

    # -------------------------------------------------------------------------------------------- constants and sizes

    def constant(self, array: Any, dtype: Any = None) -> str:
        """An array as a node ``Constant``."""
        return self.add("Constant", value=np.asarray(array, dtype))

    def numbers(self, values: Sequence[int]) -> str:
        """Whole numbers, as axes and sizes are given."""
        return self.constant(np.asarray(values, np.int64).reshape(len(values)))

    def cast(self, value: str, dtype: Any) -> str:
        """A value in another dtype."""
        return self.add("Cast", value, to=TYPES[np.dtype(dtype).name])

    def cast_through(self, value: str, number: int, dtype: Any, **attributes: Any) -> str:
        """A value after a cast to a narrow type of ONNX, given by its number, and on to a dtype."""
        self.since.add(_SINCE.get(number, 0))
        return self.cast(self.add("Cast", value, to=number, **attributes), dtype)

    def shape(self, shape: Shape) -> str:
        """A shape as a vector of whole numbers, computed where a size is symbolic."""
        if all(isinstance(size, int) for size in shape):
            return self.numbers([int(str(size)) for size in shape])
        return self.add("Concat", *(self.size(size) for size in shape), axis=0)

    def size(self, size: Dim) -> str:
        """A size as a vector of one number."""
        if isinstance(size, int):
            return self.numbers([size])
        total = ""
        for atoms, coefficient in size._terms:
            factors = [self._atom(atom) for atom in atoms]
            if coefficient != 1 or not factors:
                factors.append(self.numbers([coefficient]))
            product = factors[0]
            for factor in factors[1:]:
                product = self.add("Mul", product, factor)
            total = self.add("Add", total, product) if total else product
        return total

    def scalar(self, size: Dim) -> str:
        """A size as a number without axes."""
        return self.add("Squeeze", self.size(size), self.numbers([0]))

    def _atom(self, atom: str | FloorDivision) -> str:
        if isinstance(atom, FloorDivision):
            return self.add("Div", self.size(atom.numerator), self.numbers([atom.denominator]))
        if atom not in self._places:
            raise FileFormatError(f"no input that the outputs need has the size '{atom}', which only data tell")
        name, axis, factor, offset = self._places[atom]
        size = self.add("Shape", name, start=axis, end=axis + 1)
        size = size if offset == 0 else self.add("Sub", size, self.numbers([offset]))
        return size if factor == 1 else self.add("Div", size, self.numbers([factor]))

    # -------------------------------------------------------------------------------------------- the result

    def nodes(self, free: Callable[[str], str] | None = None) -> list[onnx.NodeProto]:
        """All nodes that something needs, in their order, with the names that ONNX tools show; ``free`` makes one that
        no other value has."""
        needed = {value for value in self._labels if "\n" in value}
        kept = []
        for record in reversed(self._records):
            if needed.intersection(record[2]):
                needed.update(record[1])
                for attribute in record[3].values():
                    needed.update(getattr(attribute, "captured", {}).values())
                kept.append(record)
        free = free or partial(_free, taken=set(self._labels.values()))
        names = dict(self._labels)
        result = []
        for op, inputs, outputs, attributes in reversed(kept):
            for value in outputs:
                if value not in names:
                    caller, *_, kind = value.split("\n")
                    names[value] = free(f"{caller}/{kind}" if caller else kind)
            stored = {key: _stored(value, names, free) for key, value in attributes.items()}
            spelled = [names.get(value, value) for value in inputs]
            proto = helper.make_node(op, spelled, [names[value] for value in outputs], **stored)
            proto.name = names[outputs[0]]
            result.append(proto)
        return result


def _stored(value: Any, names: Mapping[str, str], free: Callable[[str], str]) -> Any:
    """An attribute as ONNX takes it."""
    if isinstance(value, np.ndarray):
        return numpy_helper.from_array(value)
    return value.proto(names, free) if hasattr(value, "proto") else value


def _free(name: str, taken: set[str]) -> str:
    chosen, count = name, 1
    while chosen in taken:
        count += 1
        chosen = f"{name}_{count}"
    taken.add(chosen)
    return chosen


def linear_along(out: Emitter, value: str, ndim: int, axis: int, weights: Any, dtype: Any) -> str:
    """A value times a matrix along one of its axes: the rows are what is there, the columns what becomes of it."""
    if (np.count_nonzero(weights, axis=0) == 1).all() and (weights.max(axis=0, initial=0) == 1).all():
        rows = weights.argmax(axis=0).tolist() if weights.size else []
        return out.add("Gather", value, out.numbers(rows), axis=axis)
    order = [*(i for i in range(ndim) if i != axis), axis]
    product = out.add("MatMul", out.add("Transpose", value, perm=order), out.constant(weights, dtype))
    return out.add("Transpose", product, perm=[order.index(i) for i in range(ndim)])


def is_whole(shape: Shape) -> bool:
    """Whether all sizes are numbers, of no more entries than a constant should have."""
    return all(isinstance(size, int) for size in shape) and math.prod(int(str(size)) for size in shape) <= 2**24
