"""From data to minibatches: the inputs that the loss needs, which of them have a row for each example, what is held
out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.preparation.apply import Prepared
from dataflow.data.source import DataSource
from dataflow.data.split import Rows, split_rows, split_source, stated_keys
from dataflow.errors import (
    DataError,
    MissingInputError,
    TrainingError,
    UnknownInputError,
    counted,
    listed,
    nearest,
    plural,
)
from dataflow.execution.inputs import feed, needed_inputs
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.model.model import Model
from dataflow.shapes import Size, format_shape
from dataflow.support.arrays import fixed, frozen
from dataflow.support.conversion import EntryError, convert
from dataflow.support.texts import shorten
from dataflow.training.minibatches.batches import ArrayMinibatches
from dataflow.training.settings import Settings


@dataclass(frozen=True)
class Examples:
    """Inputs by name, and what each example weighs, where examples are weighed."""

    arrays: dict[str, np.ndarray]
    weights: np.ndarray | None
    held_out: Examples | None = None
    """Those that are held out, where they do not come with the others."""

    def inputs(self, weights: str) -> dict[str, np.ndarray]:
        """The arrays, with the weights, if there are any, as the input of that name."""
        return self.arrays if self.weights is None else {**self.arrays, weights: fixed(self.weights)}


def given_examples(model: Model, data: Any, weights: Any, settings: Settings, *, declared: bool) -> Examples:
    """The examples of a run, which are those of the model's own data unless given. What is held out may be a file of
    its own: one that is ``declared`` lies beside the model's data, another where the caller says.

    What a source of data learns, it learns from the rows that are trained on; the model keeps it, and the names of the
    columns that ranges stood for."""
    data = own_or_given(model, data)
    if not isinstance(data, Mapping | DataSource):  # a file, a DataFrame or rows
        data = (model.data or DataSource()).at(data)
    model.release_widths()
    inputs = needed_inputs(model.graph, [str(model.loss)])
    split = split_inputs(model.graph, inputs)
    if isinstance(data, DataSource):
        examples = _taught_examples(model, data, weights, settings, inputs, split)
    else:
        arrays = kept(checked_arrays(model.graph, data, inputs))
        examples = Examples(arrays, _weights_for(model, weights, arrays, split))
    held_out = held_out_data(model, settings.validation, declared)
    if held_out is None:
        return examples
    try:
        held_arrays = kept(checked_arrays(model.graph, held_out.arrays, inputs, model.data))
    except DataError as error:
        raise error.at(file=settings.validation["file"]) from None  # type: ignore[index]
    held_weights = None
    if examples.weights is not None:
        held_weights = weights_of(held_out, len(held_arrays[split[0]]), examples.weights.dtype)
    return Examples(examples.arrays, examples.weights, Examples(held_arrays, held_weights))


def own_or_given(model: Model, data: Any) -> Any:
    """The data that is given, else the model's own."""
    if data is None and model.data is None:
        raise TrainingError(
            "there is no data to train on: the model's file declares none, and none is given with data= or --data"
        )
    return model.data if data is None else data


def _taught_examples(
    model: Model, source: DataSource, weights: Any, settings: Settings, inputs: Sequence[str], split: Sequence[str]
) -> Examples:
    """The examples of a source, which learns from those of them that are not held out."""
    graph, validation = model.graph, settings.validation
    weighing = [source.weights] if weights is None and source.weights is not None else []
    every = np.arange(source.count(graph, split, weighing))
    rows, held_rows = split_source(source, graph, split, validation, settings.seed)
    taught = source.learn(graph, rows)
    prepared = taught.prepared(graph)
    if weighing and prepared.weights is None:  # a table without such a column is refused above
        raise DataError(f"there is no array '{shorten(weighing[0])}', which is to weigh the examples")
    arrays = kept(checked_arrays(graph, prepared.arrays, inputs, taught, prepared.name))
    if model.data is not None:  # a table with faults teaches nothing
        model.data = taught if source is model.data else taught.of(model.data)
    checked = _weights_for(model, prepared.weights if weights is None else weights, arrays, split)
    if not split or "file" in stated_keys(validation):
        return Examples(arrays, checked)
    if prepared.rows is not None:  # some rows of the table were left out
        is_held = np.isin(prepared.rows, every[held_rows])
        rows, held_rows = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    parts = [
        Examples(rows_of(arrays, split, part), None if checked is None else fixed(checked[part]))
        for part in (rows, held_rows)
    ]
    return Examples(parts[0].arrays, parts[0].weights, parts[1])


def _weights_for(
    model: Model, weights: Any, arrays: Mapping[str, np.ndarray], split: Sequence[str]
) -> np.ndarray | None:
    if weights is None or not split:
        return None if weights is None else np.asarray(weights)  # without examples, whoever weighs them says so
    return checked_weights(weights, model.graph.node_of(str(model.loss)).dtype, len(arrays[split[0]]))


def held_out_data(model: Model, validation: Any, declared: bool) -> Prepared | None:
    """The data of a file that is held out; ``None`` where a share is."""
    stated = stated_keys(validation)
    if (file := stated.get("file")) is None:
        return None
    if stated.keys() != {"file"}:
        raise TrainingError("validation: file stands alone, as every example in it is held out")
    source = model.data or DataSource()
    if not declared:
        return source.at(file).prepared(model.graph)
    if source.folder is None:
        raise TrainingError(f"validation: '{file}' lies beside the data of the model, which declares none")
    return replace(source, file=Path(file), arrays=None).prepared(model.graph)


def weights_of(prepared: Prepared, count: int, dtype: np.dtype) -> np.ndarray:
    """What each of so many examples weighs: 1 where nothing says it."""
    return (np.ones(count) if prepared.weights is None else prepared.weights).astype(dtype)


def checked_arrays(
    graph: Graph,
    data: Mapping[str, Any],
    needed: Sequence[str],
    source: DataSource | None = None,
    name: str | None = None,
) -> dict[str, np.ndarray]:
    """The inputs that are needed, in their declared dtypes and shapes. ``source`` is where they are from, which is
    called ``name``."""
    inputs = dict.fromkeys(graph.names(INPUT))
    for given in data:
        if given not in inputs:
            raise UnknownInputError.of(given, sorted(inputs))
    arrays, _ = feed(graph, data)
    missing = [x for x in needed if x not in arrays]
    if missing:
        lacking = f"{plural('input', len(missing))} {listed(missing)}"
        columns = [] if source is None else source.columns_of(missing)
        where = f"; a table has {'it' if len(missing) == 1 else 'them'} as {listed(columns, 12)}" if columns else ""
        raise MissingInputError(f"the loss needs the {lacking}, which the data lacks{where}", file=name)
    return {x: arrays[x] for x in needed}


def kept(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same data for a whole run, whatever the caller does with its own arrays meanwhile."""
    return {name: frozen(array) for name, array in arrays.items()}


def checked_weights(weights: Any, dtype: np.dtype, count: int) -> np.ndarray:
    """A weight for each of so many examples: numbers from 0 up."""
    try:
        array = convert(weights, dtype)
    except EntryError as error:
        raise error.named("weights") from None
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.shape != (count,):
        shape = format_shape(array.shape)
        raise DataError(
            f"weights are a number for each of the {counted(count, 'example')}; an array of shape {shape} found"
        )
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"a weight is a number from 0 up; that of example {row + 1} is {array[row]:g}")
    return array


def split_inputs(graph: Graph, inputs: Sequence[str]) -> list[str]:
    """The inputs that have a row for each example: those whose first size is the examples' symbol, which is that of the
    first input that begins with a symbol. Empty where there is none."""
    symbols = [size.as_symbol for name in inputs if isinstance(size := _first(graph, name), Size) and size.as_symbol]
    split = []
    for name in inputs if symbols else ():
        shape = graph.node_of(name).shape
        first = _first(graph, name)
        if isinstance(first, Size) and first.as_symbol == symbols[0]:
            split.append(name)
            shape = shape[1:]
        if any(isinstance(size, Size) and symbols[0] in size.names for size in shape):
            raise TrainingError(
                f"input '{name}' has the size of the examples, '{symbols[0]}', elsewhere than as its whole first size, "
                "so that no minibatch can be cut from it",
                node=name,
            )
    return split


def minibatches(
    arrays: Mapping[str, np.ndarray],
    split: Sequence[str],
    settings: Settings,
    held_out: Mapping[str, np.ndarray] | None = None,
) -> tuple[ArrayMinibatches, Mapping[str, np.ndarray] | None]:
    """The minibatches of the training examples, and the examples that are held out, if any: a part of ``arrays``,
    unless they are given."""
    size, validation = settings.batch_size, settings.validation
    if not split:
        if validation or (size is not None and any(array.ndim and len(array) > size for array in arrays.values())):
            raise TrainingError(
                'no input has a symbolic first size, such as "n", so that examples cannot be told apart; train on all '
                "at once, without batch_size and validation"
            )
        return ArrayMinibatches(arrays, [], 1, None), None
    count = len(arrays[split[0]])
    if count == 0:
        raise DataError("there are no examples to train on: the data is empty")
    if held_out is None:
        rows, held_rows = split_rows(count, validation, settings.seed, partial(_column, arrays, split))
        held_out = rows_of(arrays, split, held_rows)
        arrays = rows_of(arrays, split, rows)
    count = len(arrays[split[0]])
    batches = ArrayMinibatches(arrays, split, count, size, settings.shuffle, settings.seed)
    return batches, held_out if len(held_out[split[0]]) else None


def weighed_minibatches(
    examples: Examples, split: Sequence[str], settings: Settings, weights: str
) -> tuple[ArrayMinibatches, Mapping[str, np.ndarray] | None]:
    """``minibatches`` of examples that may be weighed, by an input that is called ``weights``."""
    apart = None if examples.held_out is None else examples.held_out.inputs(weights)
    batches, held_out = minibatches(examples.inputs(weights), split, settings, apart)
    for arrays, what in ((batches.arrays, "training"), (held_out, "held-out")):
        if weights and arrays is not None and not arrays[weights].any():
            raise DataError(f"no {what} example has a weight above 0")
    return batches, held_out


def rows_of(arrays: Mapping[str, np.ndarray], split: Sequence[str], rows: Rows) -> dict[str, np.ndarray]:
    """These rows of the inputs that have one for each example, and the others as they are."""
    drawn = isinstance(rows, np.ndarray)  # else they are views of arrays that are read-only
    return {
        name: array if name not in split else fixed(array[rows]) if drawn else array[rows]
        for name, array in arrays.items()
    }


def _column(arrays: Mapping[str, np.ndarray], split: Sequence[str], name: str) -> np.ndarray:
    if name not in split:
        raise TrainingError(f"stratify names an input that has a row for each example{nearest(name, split)}")
    return arrays[name]


def _first(graph: Graph, name: str) -> Any:
    shape = graph.node_of(name).shape
    return shape[0] if shape else None
