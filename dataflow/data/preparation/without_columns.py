"""Arrays by input, which are no tables, prepared: labels become one-hot rows, then numbers are standardized and
scaled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.data.preparation.apply import declared_later, standardized
from dataflow.data.preparation.learn import learn_array
from dataflow.data.preparation.learned import LearnedInput, Preparation
from dataflow.errors import DataError
from dataflow.graph.graph import Graph
from dataflow.limits import advice, hold, memory_left
from dataflow.shapes import format_shape
from dataflow.support.byte_sizes import format_bytes
from dataflow.support.conversion import EntryError, convert, first_place, misfit, to_array, to_dtype

ENTRIES_LIMIT = 2**24
"""The most entries of a one-hot input."""

_WIDE = np.dtype(np.float64)


def read_arrays(
    arrays: Mapping[str, Any], graph: Graph, changed: Collection[str], *, nan: bool
) -> dict[str, np.ndarray]:
    """Arrays of numbers: in the dtypes of their inputs, but those that are ``changed`` before they get them. Without
    ``nan``, NaN is a missing cell, which is an error."""
    return {name: _as_read(name, value, graph, name in changed, nan) for name, value in arrays.items()}


def learn_arrays(
    arrays: Mapping[str, np.ndarray], standardize: Collection[str], one_hot: Collection[str], rows: slice | np.ndarray
) -> Preparation:
    """Means and deviations over these rows, the first axis."""
    names = [name for name in standardize if name in arrays and name not in one_hot]
    return Preparation({}, {name: learn_array(name, arrays[name], rows) for name in names})


def apply_arrays(
    arrays: Mapping[str, np.ndarray],
    graph: Graph,
    one_hot: Mapping[str, Any],
    standardize: Collection[str],
    scale: Mapping[str, float],
    learned: Preparation,
) -> dict[str, np.ndarray]:
    """The arrays in the dtypes of their inputs."""
    for name in arrays:
        if name in standardize and name not in one_hot and learned.input(name).mean is None:
            raise declared_later("standardize of", name)
    classes = {name: _class_count(name, one_hot[name]) for name in arrays if name in one_hot}
    _check_memory({name: arrays[name] for name in classes}, graph, classes)
    result = {}
    for name, array in arrays.items():
        if name in classes:
            array = _one_hot(name, array, classes[name], len(graph.node_of(name).shape))
        array = _standardized(name, array, learned.input(name))
        if name in scale:
            array = _scaled(name, array, float(scale[name]))
        try:
            result[name] = convert(array, graph.node_of(name).dtype)
        except EntryError as error:
            raise error.named(name).at(node=name) from None
    return result


def _as_read(name: str, value: Any, graph: Graph, is_changed: bool, nan: bool) -> np.ndarray:
    try:
        if not is_changed:
            return convert(value, graph.node_of(name).dtype, texts=True, nan=nan)
        array = to_array(value, texts=True, nan=nan)
        return to_dtype(array, _WIDE) if array.dtype.kind == "O" else array
    except EntryError as error:
        raise error.named(name).at(node=name) from None


def _class_count(name: str, classes: int | bool | Sequence[str]) -> int:
    """How many classes there are, where they are given as whole numbers."""
    if classes is True:
        raise DataError(f"one_hot = true of '{name}' finds the classes in a table; this is an array", node=name)
    return classes if isinstance(classes, int) else len(classes)


def _check_memory(labels: Mapping[str, np.ndarray], graph: Graph, classes: Mapping[str, int]) -> None:
    """Refuse one-hot rows that take more memory together than a small file may make."""
    sizes = {
        name: array.size * classes[name] * graph.node_of(name).dtype.itemsize
        for name, array in labels.items()
        if array.shape[-1:] != (classes[name],)
    }
    total, most = sum(sizes.values()), memory_left()
    if total > most:
        largest = max(sizes, key=sizes.__getitem__)
        raise DataError(
            f"the one-hot inputs would take {format_bytes(total)} together, the largest, '{largest}', "
            f"{format_bytes(sizes[largest])}; there may be {format_bytes(most)}" + advice("memory", total)
        )
    hold(total, "")


def _one_hot(name: str, array: np.ndarray, classes: int, ndim: int) -> np.ndarray:
    if array.ndim == ndim and array.shape[-1:] == (classes,):
        return array
    labels = array[..., 0] if array.ndim == ndim and array.shape[-1:] == (1,) else array
    if labels.ndim != ndim - 1:
        found = f"the shape {format_shape(array.shape)}"
        raise DataError(
            f"input '{name}' is one-hot: one column of labels from 0 to {classes - 1} is expected, {found} found"
        )
    if labels.size * classes > ENTRIES_LIMIT:
        raise DataError(f"input '{name}' would have {labels.size * classes} one-hot entries, at most {ENTRIES_LIMIT}")
    with np.errstate(invalid="ignore"):
        wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if wrong.any():
        place = first_place(wrong)
        expected = f"a whole number from 0 to {classes - 1} is expected (one_hot = {classes})"
        raise EntryError(f"{expected}, {labels[place]:g} found", place).named(name).at(node=name)
    hot = np.zeros((*labels.shape, classes), np.bool_)
    np.put_along_axis(hot, labels.astype(np.int64)[..., None], True, axis=-1)
    return hot


def _standardized(name: str, array: np.ndarray, learned: LearnedInput) -> np.ndarray:
    if learned.mean is not None and array.shape[1:] != learned.mean.shape:
        shapes = f"{format_shape(learned.mean.shape)}, {format_shape(array.shape[1:])} found"
        raise DataError(f"what was learned of input '{name}' has the shape {shapes}", node=name)
    return standardized(array, learned)


def _scaled(name: str, array: np.ndarray, factor: float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        result: np.ndarray = array * factor
    lost = np.isfinite(array) & ~np.isfinite(result)
    if lost.any():
        place = first_place(lost)
        message = f"{misfit(array[place], result.dtype)}, after it is multiplied by scale = {factor:g}"
        raise EntryError(message, place).named(name).at(node=name)
    return result
