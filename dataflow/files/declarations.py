"""Inputs, parameters and constants as a file declares them, and the names of one file or block."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow import attributes as attribute_module
from dataflow import registry
from dataflow.attributes import Attribute
from dataflow.errors import DataError, DataflowError, DtypeError, GraphError, OpError, ShapeError
from dataflow.files.fields import KEYS, Fields, shown
from dataflow.files.lines import Document
from dataflow.files.places import Key
from dataflow.graph import Graph, check_name
from dataflow.shapes import DTYPES, MAX_AXES, Shape, format_shape, parse_dim, parse_dtype, parse_shape
from dataflow.value import Value

RESERVED = ("True", "False", "None")
"""What names nothing at all: the constants of expressions."""
MAX_ELEMENTS = 2**40
"""How many numbers a parameter may have."""


class Names:
    """The names that are taken in one file, or in one block, each with the path of its declaration."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.taken: dict[str, tuple[str, tuple[Key, ...]]] = {}

    def claim(self, key: str, kind: str, path: Sequence[Key]) -> str:
        """The name that is declared by ``key`` at ``path``, in the form in which expressions know it."""
        name = normal(key)
        where = tuple(path)
        try:
            if "." in name:
                raise GraphError(f"{shown(key)} is no name; a dot is no part of a name")
            check_name(name)
            if name in RESERVED:
                raise GraphError(f"{name} is a constant of expressions and no name")
        except GraphError as error:
            raise self.document.locate(error, *where) from None
        if name in self.taken:
            self._fail_twice(name, kind, where)
        self.taken[name] = kind, where
        return name

    def _fail_twice(self, name: str, kind: str, where: tuple[Key, ...]) -> None:
        claims = [self.taken[name], (kind, where)]
        claims.sort(key=lambda claim: self.document.place(*claim[1]))
        (first_kind, first), (second_kind, second) = claims
        line = self.document.place(*first).line
        message = f"the name '{name}' is used twice: for {_article(second_kind)} here, and for {_article(first_kind)}"
        raise self.document.locate(GraphError(f"{message} on line {line}; rename one"), *second)


def normal(name: str) -> str:
    """The name in the form in which expressions know it."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


# ------------------------------------------------------------------------------------------------ inputs


def read_dtype(fields: Fields, key: str = "dtype") -> str | None:
    """The dtype by name, if one is given."""
    name = fields.text(key, 'a dtype such as "float32"')
    if name is not None and name not in DTYPES:
        try:
            parse_dtype(name)
        except DtypeError as error:
            raise fields.placed_at_value(error, key) from None
    return None if name is None else str(name)


def read_shape(fields: Fields) -> Shape | None:
    """The shape, if one is given."""
    if "shape" not in fields.data:
        return None
    given = fields.data["shape"]
    try:
        return parse_shape(given)
    except ShapeError as error:
        raise fields.placed_at_value(error, "shape", *_wrong_size(given)) from None


def read_sizes(fields: Fields) -> tuple[int, ...] | None:
    """The shape, if one is given, which must be of numbers."""
    shape = read_shape(fields)
    if shape is None:
        return None
    sizes: list[int] = []
    for i, size in enumerate(shape):
        if not isinstance(size, int):
            message = f"{fields.what} takes numbers as sizes, not '{size}'; only inputs have symbolic ones"
            raise fields.placed_at_value(ShapeError(message), "shape", i)
        sizes.append(size)
    return tuple(sizes)


def _wrong_size(given: Any) -> tuple[int, ...]:
    """The position of the first size that is none."""
    for i, size in enumerate(given if isinstance(given, list) else []):
        try:
            parse_dim(size if isinstance(size, int | str) else -1)
        except ShapeError:
            return (i,)
    return ()


def add_input(fields: Fields, graph: Graph, name: str) -> Value:
    """Declare the input in the graph; without a shape it is a scalar."""
    fields.check_keys(KEYS["input"])
    shape: Sequence[Any] = read_shape(fields) or ()
    return graph.input(name, shape, read_dtype(fields))


# ------------------------------------------------------------------------------------------------ parameters, constants


@dataclass(frozen=True)
class Declaration:
    """A parameter or a constant, checked, to be added to the graph under one name or, in a block, under several."""

    fields: Fields
    kind: str
    shape: tuple[int, ...] | None
    init: Mapping[str, Any] | None
    value: np.ndarray | None
    dtype: str | None

    def add(self, graph: Graph, name: str) -> Value:
        """Declare it in the graph."""
        try:
            if self.kind == "constant":
                return graph.constant(name, self.value, self.dtype)
            return graph.parameter(name, self.shape, init=self.init, value=self.value, dtype=self.dtype)
        except DataflowError as error:
            raise self.fields.placed(error) from None


def read_declaration(fields: Fields, kind: str, default: np.dtype) -> Declaration:
    """A parameter or constant as declared; ``default`` is the dtype of what says nothing else."""
    fields.check_keys(KEYS[kind])
    dtype = read_dtype(fields)
    shape = read_sizes(fields)
    if kind == "constant":
        if "value" not in fields.data:
            raise fields.placed(GraphError(f"{fields.what} needs a value"))
        return Declaration(fields, kind, shape, None, _read_value(fields, shape, dtype, default), dtype)
    found = default if dtype is None else DTYPES[dtype]
    if found.kind != "f":
        message = f"{fields.what} has the dtype {found}; a parameter is float64 or float32"
        raise fields.placed(DtypeError(message), *(["dtype"] if dtype else []))
    if ("init" in fields.data) == ("value" in fields.data):
        given = "not both" if "init" in fields.data else 'such as init = "he_normal" with a shape'
        raise fields.placed(GraphError(f"{fields.what} needs an init or a value, {given}"))
    if "value" in fields.data:
        return Declaration(fields, kind, shape, None, _read_value(fields, shape, dtype, default), dtype)
    if shape is None:
        raise fields.placed(GraphError(f"{fields.what} has an init and needs a shape"))
    if (count := math.prod(shape)) > MAX_ELEMENTS:
        message = f"{fields.what} of the shape {format_shape(shape)} is {count:.2g} numbers; there may be 2^40"
        raise fields.placed_at_value(ShapeError(message), "shape")
    return Declaration(fields, kind, shape, _read_init(fields, shape), None, dtype)


def read_choice(fields: Fields, key: str, kind: str) -> tuple[Fields, dict[str, Any], tuple[Key, ...]]:
    """What is chosen by name, or by a table of a name and attributes: the table, the choice, the path to the name."""
    given = fields.data[key]
    if isinstance(given, str):
        return Fields(fields.document, {"name": given}, (*fields.path, key), kind), {"name": given}, ()
    if not isinstance(given, dict):
        fields.fail_value(f"{key} takes a name, or a table of a name and attributes, not {shown(given)}", key)
    table = fields.table(key, kind)
    if not isinstance(given.get("name"), str):
        what = f"takes text, not {shown(given['name'])}" if "name" in given else "is missing"
        table.fail(f"the name of the {kind} {what}", *(["name"] if "name" in given else []))
    return table, dict(given), ("name",)


def check_attributes(fields: Fields, attributes: Mapping[str, Attribute], given: Mapping[str, Any], owner: str) -> None:
    """Bind them; an error stands at the one that is wrong."""
    try:
        attribute_module.bind(attributes, given, owner)
    except OpError as error:
        raise fields.placed(error, *_wrong_attribute(attributes, given)) from None


def _wrong_attribute(attributes: Mapping[str, Attribute], given: Mapping[str, Any]) -> tuple[str, ...]:
    for name in given:
        if name not in attributes:
            return (name,)
    for name, value in given.items():
        try:
            attributes[name].check(value)
        except DataflowError:
            return (name,)
    return ()


def _read_init(fields: Fields, shape: tuple[int, ...]) -> Mapping[str, Any]:
    table, chosen, name_path = read_choice(fields, "init", "initializer")
    given = {key: value for key, value in chosen.items() if key != "name"}
    try:
        initializer = registry.initializer(chosen["name"])
    except DataflowError as error:
        raise table.placed_at_value(error, *name_path) from None
    check_attributes(table, initializer.attributes, given, f"initializer '{initializer.name}'")
    try:
        # Some faults show only when numbers are drawn: a scale below 0, a shape without the axis that is the fan-in.
        initializer.draw(np.random.default_rng(0), (1,) * len(shape), given)
    except DataflowError as error:
        raise table.placed(error) from None
    return chosen


# ------------------------------------------------------------------------------------------------ literal values


def _read_value(fields: Fields, shape: tuple[int, ...] | None, dtype: str | None, default: np.dtype) -> np.ndarray:
    """The literal value as an array of the dtype it will have."""
    array = read_numbers(fields, "value")
    if array.dtype.kind == "b" and fields.what.startswith("parameter"):
        raise fields.placed_at_value(DataError(f"{fields.what} takes numbers, not booleans"), "value")
    if array.dtype.kind != "b" or dtype is not None:
        array = _converted(fields, array, default if dtype is None else DTYPES[dtype])
    if shape is not None and shape != array.shape:
        declared, found = format_shape(shape), format_shape(array.shape)
        message = f"{fields.what} is declared with the shape {declared}, its value has {found}"
        raise fields.placed_at_value(ShapeError(message), "value")
    return array


def _converted(fields: Fields, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(all="ignore"):
        result = array.astype(dtype)
        lossy = np.isinf(result) & np.isfinite(array) if dtype.kind == "f" else result != array
    if lossy.any():
        number = array[lossy].reshape(-1)[0].item()
        raise fields.placed_at_value(DataError(f"{fields.what} is {dtype}, which {number!r} does not fit"), "value")
    return result


def read_numbers(fields: Fields, key: str) -> np.ndarray:
    """A number, or nested lists of numbers with rows of one length; else a ``DataError`` at the entry that is wrong."""
    given = fields.data[key]
    try:
        array = np.array(given)
        if array.dtype.kind in "fib" and array.ndim <= MAX_AXES:
            return array
    except (ValueError, OverflowError):
        pass
    path, message = _wrong_number(given)
    raise fields.placed_at_value(DataError(f"{key} takes numbers, in rows of one length; {message}"), key, *path)


def _wrong_number(given: Any) -> tuple[tuple[int, ...], str]:
    """Where the first fault of a nested list is, and what it is. Nesting is as deep as TOML was let in."""
    shape: list[int] | None = None
    pending: list[tuple[tuple[int, ...], Any]] = [((), given)]
    lengths: dict[int, int] = {}
    while pending:
        path, item = pending.pop()
        depth = len(path)
        if isinstance(item, list):
            if shape is not None and depth >= len(shape):
                return path, "a list stands where a number is expected"
            if lengths.setdefault(depth, len(item)) != len(item):
                return path, f"this row has {_entries(len(item))}, others have {lengths[depth]}"
            if not item and shape is None:
                shape = [lengths[i] for i in range(depth + 1)]
            pending += [((*path, i), item[i]) for i in reversed(range(len(item)))]
        elif not isinstance(item, int | float):
            return path, f"{shown(item)} is no number"
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            return path, f"{shown(item)} has more than 64 bits; write it as a float, 1e30"
        else:
            if shape is None:
                shape = [lengths[i] for i in range(depth)]
            if depth != len(shape):
                return path, "a number stands where a list is expected"
    return (), f"at most {MAX_AXES} axes, and there are {len(lengths)}"


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"
