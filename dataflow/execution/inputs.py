"""What a run is given: arrays of the declared dtypes and shapes, and what the symbolic sizes stand for; examples
of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dataflow.errors import DataError, MissingInputError, UnknownInputError
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, OP
from dataflow.shapes import Shape, Size, axes_with, bind, format_shape
from dataflow.support.conversion import EntryError, convert


def feed(
    graph: Graph, given: Mapping[str, Any], *, texts: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The given inputs, parameters and constants as arrays, and the symbolic sizes as numbers; a ``DataError``
    names what does not fit. With ``texts``, "nan" and "inf" are numbers, as in JSON."""
    known: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for name, value in given.items():
        if name not in graph or graph.node_of(name).kind == OP:
            raise UnknownInputError.of(name, (n for n, node in graph.node_items() if node.kind != OP))
        known[name] = as_input(graph, name, value, texts=texts)
        shape = graph.node_of(name).shape
        before = dict(sizes)
        problem = bind(shape, known[name].shape, sizes)
        if problem is not None:
            hint = _missing_brackets(shape, known[name].shape, before)
            raise DataError(f"{graph.node_of(name).kind} '{name}': {problem}{hint}", node=name)
    return known, sizes


def _missing_brackets(shape: Shape, found: tuple[int, ...], sizes: dict[str, int]) -> str:
    """What to do where an array would fit with one more axis, given the sizes that are known; else nothing."""
    if shape and isinstance(shape[0], Size) and bind(shape, (1, *found), {**sizes}) is None:
        return "; one example is a batch of one: put it in brackets"
    if bind(shape, (*found, 1), {**sizes}) is None:
        return "; put each entry in brackets of its own: a column is [[1], [2]]"
    return ""


def as_input(graph: Graph, name: str, value: Any, *, texts: bool = False) -> np.ndarray:
    """``value`` as an array of the dtype that ``name`` is declared with; a ``DataError`` with the place of what does
    not fit."""
    try:
        return convert(graph.as_numbers(name, value), graph.node_of(name).dtype, texts=texts)
    except EntryError as error:
        raise error.named(name).at(node=name) from None


def needed_inputs(graph: Graph, nodes: Iterable[str]) -> list[str]:
    """The inputs that these nodes need, in the order of the graph."""
    needed = graph.needed_for(nodes)
    return [name for name in graph.names(INPUT) if name in needed]


def batch_symbol(graph: Graph, of: str | None = None) -> str | None:
    """The symbolic size of the batch: that of the first axis of the first input that has one (and that ``of``
    needs)."""
    needed = graph.needed_for([of]) if of is not None else graph
    for name in graph.names(INPUT):
        shape = graph.node_of(name).shape
        if name in needed and shape and isinstance(shape[0], Size) and shape[0].as_symbol:
            return shape[0].as_symbol
    return None


def is_by_example(graph: Graph, name: str, batch: str | None) -> bool:
    """Whether the first axis of a node's value is the batch's."""
    shape = graph.node_of(name).shape
    return batch is not None and bool(shape) and isinstance(shape[0], Size) and shape[0].as_symbol == batch


def batch_axis(graph: Graph, name: str, batch: str) -> int | None:
    """Along which axis a node's value is split into examples, if it is; a ``DataError`` where examples are mixed."""
    shape = graph.node_of(name).shape
    axes = axes_with(shape, batch)
    if not axes:
        return None
    if len(axes) > 1 or str(shape[axes[0]]) != batch:
        found = format_shape(shape)
        raise DataError(f"node '{name}' of shape {found} mixes examples, so they cannot be told apart", node=name)
    return axes[0]


def example_axis(graph: Graph, name: str) -> int | None:
    """Along which axis a node's value has examples; ``None`` where it has none, or mixes them."""
    batch = batch_symbol(graph)
    try:
        return None if batch is None else batch_axis(graph, name, batch)
    except DataError:
        return None


def one_example(graph: Graph, given: Mapping[str, Any], number: int) -> dict[str, np.ndarray]:
    """The given inputs cut down to one example of the batch, counted from 0."""
    batch = batch_symbol(graph)
    if batch is None:
        raise DataError('the model has no batch: none of its inputs has a symbolic first size such as "n"')
    known, sizes = feed(graph, given)
    count = sizes.get(batch, 0)
    if not sizes:
        raise MissingInputError(f"there is no example {number}, as no data is given")
    if not 0 <= number < count:
        raise DataError(f"there is no example {number}; the batch has {count}, counted from 0")
    cut = {}
    for name, array in known.items():
        axis = batch_axis(graph, name, batch)
        cut[name] = array if axis is None else np.take(array, [number], axis=axis)
    return cut
