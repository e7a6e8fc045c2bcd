"""Inputs, parameters and constants as a file declares them, and the names of one file or block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import DataError, DataflowError, DtypeError, GraphError, OpError, ShapeError
from dataflow.files.toml.document import Document
from dataflow.files.toml.known_keys import KEYS, Fields, shown
from dataflow.files.toml.places import Key
from dataflow.graph.graph import Graph
from dataflow.graph.node_names import check_name, normal_name
from dataflow.graph.value import Value
from dataflow.operations import attributes as attribute_module
from dataflow.operations.attributes import Attribute
from dataflow.registry import registry
from dataflow.shapes import (
    DTYPES,
    TRAINED,
    Shape,
    Size,
    format_shape,
    is_static,
    parse_dim,
    parse_dtype,
    parse_shape,
    renamed,
)
from dataflow.support.conversion import EntryError, convert, to_array, to_dtype

MAX_ELEMENTS = 2**40
"""How many numbers a parameter may have."""


class Names:
    """The names that are taken in one file, or in one block, each with the path of its declaration."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.taken: dict[str, tuple[str, tuple[Key, ...]]] = {}

    def claim(self, key: str, kind: str, path: Sequence[Key]) -> str:
        """The name that is declared by ``key`` at ``path``, in the form in which expressions know it."""
        name = normal_name(key)
        where = tuple(path)
        try:
            if "." in name:
                raise GraphError(f"{shown(key)} is not a name; a dot is not part of a name")
            check_name(name)
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
        place = f" on line {line}" if line is not None else ""
        message = f"the name '{name}' is used twice: for {_article(second_kind)} here, and for {_article(first_kind)}"
        raise self.document.locate(GraphError(f"{message}{place}; rename one"), *second)


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


# ------------------------------------------------------------------------------------------------ inputs


def read_dtype(fields: Fields) -> str | None:
    """The dtype by name, if one is given."""
    name = fields.text("dtype", 'a dtype such as "float32"')
    if name is not None and name not in DTYPES:
        try:
            parse_dtype(name)
        except DtypeError as error:
            raise fields.placed_at_value(error, "dtype") from None
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


def read_sizes(fields: Fields) -> Shape | None:
    """The shape, if one is given, which must be of numbers."""
    shape = read_shape(fields)
    for i, size in enumerate(shape or ()):
        if not isinstance(size, int):
            message = f"{fields.what} takes numbers as sizes, not '{size}'; only inputs have symbolic ones"
            raise fields.placed_at_value(ShapeError(message), "shape", i)
    return shape


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
    shape: Shape | None
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


def read_declarations(
    parent: Fields, names: Names, default: np.dtype, attributes: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, Declaration]]:
    """The parameters and then the constants that a file or a block declares, by their names; ``default`` is the dtype
    of what says nothing else. Sizes may have the ``attributes`` of a block in them."""
    for section, kind in ("parameters", "parameter"), ("constants", "constant"):
        table = parent.table(section, f"{section} of {parent.what}" if parent.path else f"[{section}]")
        for key in table.data:
            name = names.claim(key, kind, (*table.path, key))
            yield name, _read_declaration(table.table(key, f"{kind} '{name}'"), kind, default, attributes or {})


def _read_declaration(fields: Fields, kind: str, default: np.dtype, attributes: Mapping[str, Any]) -> Declaration:
    fields.check_keys(KEYS[kind])
    dtype = read_dtype(fields)
    if kind == "parameter" and "init" in fields.data:
        shape = _filled(fields, read_shape(fields), attributes)
    else:
        shape = read_sizes(fields)
    if shape is not None and not is_static(shape):
        fields.needs_version(2, "shape", "a width that data decide")
    if kind == "constant":
        if "value" not in fields.data:
            raise fields.placed(GraphError(f"{fields.what} needs a value"))
        return Declaration(fields, kind, shape, None, _read_value(fields, shape, dtype, default), dtype)
    found = default if dtype is None else DTYPES[dtype]
    if found.name not in TRAINED:
        message = f"{fields.what} has the dtype {found}; a parameter is float64 or float32"
        raise fields.placed(DtypeError(message), *(["dtype"] if dtype else []))
    if ("init" in fields.data) == ("value" in fields.data):
        given = "not both" if "init" in fields.data else 'such as init = "he_normal" with a shape'
        raise fields.placed(GraphError(f"{fields.what} needs an init or a value, {given}"))
    if "value" in fields.data:
        return Declaration(fields, kind, shape, None, _read_value(fields, shape, dtype, default), dtype)
    if shape is None:
        raise fields.placed(GraphError(f"{fields.what} has an init and needs a shape"))
    if (count := math.prod(size for size in shape if isinstance(size, int))) > MAX_ELEMENTS:
        message = f"{fields.what} of the shape {format_shape(shape)} is {count:.2g} numbers; there may be 2^40"
        raise fields.placed_at_value(ShapeError(message), "shape")
    return Declaration(fields, kind, shape, _read_init(fields, shape), None, dtype)


def _filled(fields: Fields, shape: Shape | None, attributes: Mapping[str, Any]) -> Shape | None:
    """The shape with the numbers that a block's attributes stand for."""
    if shape is None or is_static(shape):
        return shape
    sizes = {name: value for name, value in attributes.items() if type(value) is int}
    for i, size in enumerate(shape):
        if isinstance(size, Size) and (wrong := (size.names & attributes.keys()) - sizes.keys()):
            name = min(wrong)
            message = f"a size is a whole number, and the attribute '{name}' is {shown(attributes[name])}"
            raise fields.placed_at_value(ShapeError(message), "shape", i)
    try:
        return parse_shape(renamed(shape, sizes))
    except ShapeError as error:
        error.message += f", with {', '.join(f'{name} = {value}' for name, value in sizes.items())}"
        raise fields.placed_at_value(error, "shape") from None


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


def _read_init(fields: Fields, shape: Shape) -> Mapping[str, Any]:
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


def _read_value(fields: Fields, shape: Shape | None, dtype: str | None, default: np.dtype) -> np.ndarray:
    """The literal value as an array of the dtype it will have."""
    array = read_numbers(fields, "value")
    if array.dtype.kind == "b" and fields.what.startswith("parameter"):
        raise fields.placed_at_value(DataError(f"{fields.what} takes numbers, not booleans"), "value")
    if array.dtype.kind != "b" or dtype is not None:
        try:
            array = convert(fields.data["value"], default if dtype is None else DTYPES[dtype])
        except EntryError as error:
            fault = DataError(f"{fields.what}: {error.message}")
            raise fields.placed_at_value(fault, "value", *error.index) from None
    if shape is not None and shape != array.shape:
        declared, found = format_shape(shape), format_shape(array.shape)
        message = f"{fields.what} is declared with the shape {declared}, its value has {found}"
        raise fields.placed_at_value(ShapeError(message), "value")
    return array


def read_numbers(fields: Fields, key: str) -> np.ndarray:
    """A number, or nested lists of numbers with rows of one length; else a ``DataError`` at the entry that is wrong."""
    try:
        array = to_array(fields.data[key])
        return to_dtype(array, np.dtype(np.int64)) if array.dtype.kind in "uO" else array
    except EntryError as error:
        raise fields.placed_at_value(DataError(f"{key} takes numbers: {error.message}"), key, *error.index) from None


def read_classes(fields: Fields, graph: Graph) -> None:
    """What numbers of nodes stand for, which goes into the graph."""
    fields.needs_version(2, "classes")
    table = fields.table("classes", "classes")
    for key, texts in table.data.items():
        try:
            graph.name_classes(normal_name(key), texts)
        except GraphError as error:
            raise table.placed_at_value(error, key) from None
