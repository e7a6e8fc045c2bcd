"""What a run is given: arrays of the declared dtypes and shapes, and what the symbolic sizes stand for; examples
of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.errors import DataError, nearest
from dataflow.graph import INPUT, OP, Graph
from dataflow.shapes import Size, bind, format_shape


def feed(graph: Graph, given: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The given inputs, parameters and constants as arrays, and the symbolic sizes as numbers; a ``DataError``
    names what does not fit."""
    known: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for name, value in given.items():
        if name not in graph or graph.nodes[name]["kind"] == OP:
            feedable = [n for n, data in graph.nodes(data=True) if data["kind"] != OP]
            raise DataError(f"there is no input '{name}'{nearest(str(name), feedable)}")
        known[name] = as_input(graph, name, value)
        shape = graph.nodes[name]["shape"]
        problem = bind(shape, known[name].shape, sizes)
        if problem is not None:
            alone = known[name].ndim == len(shape) - 1 and isinstance(shape[0], Size)
            hint = "; one example is a batch of one: put it in brackets" if alone else ""
            raise DataError(f"{graph.nodes[name]['kind']} '{name}': {problem}{hint}", node=name)
    return known, sizes


def as_input(graph: Graph, name: str, value: Any) -> np.ndarray:
    """``value`` as an array of the dtype that ``name`` is declared with; a ``DataError`` where that would lose
    something."""
    dtype: np.dtype = graph.nodes[name]["dtype"]
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"'{name}' takes an array whose rows have one length", node=name) from None
    if array.dtype.kind not in "fiub" or (dtype.kind == "b" and array.dtype.kind != "b" and array.size):
        raise DataError(f"'{name}' takes {dtype} numbers, not {array.dtype}", node=name)
    if dtype.kind == "i" and array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
        raise DataError(f"'{name}' takes whole numbers ({dtype}), not decimals", node=name)
    return array.astype(dtype, copy=False)


def batch_symbol(graph: Graph, of: str | None = None) -> str | None:
    """The symbolic size of the batch: that of the first axis of the first input that has one (and that ``of``
    needs)."""
    needed = graph.needed_for([of]) if of is not None else graph
    for name in graph.names(INPUT):
        shape = graph.nodes[name]["shape"]
        if name in needed and shape and isinstance(shape[0], Size) and shape[0].as_symbol:
            return shape[0].as_symbol
    return None


def batch_axis(graph: Graph, name: str, batch: str) -> int | None:
    """Along which axis a node's value is split into examples, if it is; a ``DataError`` where examples are mixed."""
    shape = graph.nodes[name]["shape"]
    axes = [i for i, size in enumerate(shape) if isinstance(size, Size) and batch in size.names]
    if not axes:
        return None
    if len(axes) > 1 or shape[axes[0]].as_symbol != batch:
        found = format_shape(shape)
        raise DataError(f"node '{name}' of shape {found} mixes examples, so they cannot be told apart", node=name)
    return axes[0]


def one_example(graph: Graph, given: Mapping[str, Any], number: int) -> dict[str, np.ndarray]:
    """The given inputs cut down to one example of the batch, counted from 0; negative numbers count from the end."""
    batch = batch_symbol(graph)
    if batch is None:
        raise DataError('the model has no batch: none of its inputs has a symbolic first size such as "n"')
    known, sizes = feed(graph, given)
    count = sizes.get(batch, 0)
    if not -count <= number < count:
        raise DataError(f"there is no example {number}; the batch has {count}, counted from 0")
    cut = {}
    for name, array in known.items():
        axis = batch_axis(graph, name, batch)
        cut[name] = array if axis is None else np.take(array, [number], axis=axis)
    return cut
