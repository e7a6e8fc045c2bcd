"""From data to minibatches: the inputs that the loss needs, which of them have a row for each example, what is held
out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import DataError, TrainingError, nearest
from dataflow.feeding import as_input
from dataflow.graph import INPUT, Graph
from dataflow.model import Model
from dataflow.shapes import Size, bind
from dataflow.training.batches import ArrayMinibatches
from dataflow.training.settings import Settings


def declared_data(model: Model) -> Mapping[str, np.ndarray]:
    """The data that the model's file declares."""
    if model.data is None:
        raise TrainingError("there is no data to train on: the model's file declares none, and none is given")
    return model.data.load(model.graph)


def checked_arrays(model: Model, data: Mapping[str, Any], needed: Sequence[str]) -> dict[str, np.ndarray]:
    """The inputs that are needed, in their declared dtypes and shapes."""
    graph = model.graph
    inputs = dict.fromkeys(graph.names(INPUT))
    sizes: dict[str, int] = {}
    arrays = {}
    for name, value in data.items():
        if name not in inputs:
            raise DataError(f"there is no input '{name}'{nearest(str(name), inputs)}")
        array = as_input(graph, name, value)
        problem = bind(graph.nodes[name]["shape"], array.shape, sizes)
        if problem is not None:
            raise DataError(f"input '{name}': {problem}", node=name)
        arrays[name] = array
    missing = [name for name in needed if name not in arrays]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        raise DataError(f"the loss needs the input{'s' if len(missing) > 1 else ''} {listed}, which the data lacks")
    return {name: arrays[name] for name in needed}


def split_inputs(graph: Graph, inputs: Sequence[str]) -> list[str]:
    """The inputs that have a row for each example: those whose first size is the examples' symbol, which is that of the
    first input that begins with a symbol. Empty where there is none."""
    symbols = [size.as_symbol for name in inputs if isinstance(size := _first(graph, name), Size) and size.as_symbol]
    split = []
    for name in inputs if symbols else ():
        shape = graph.nodes[name]["shape"]
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
    arrays: Mapping[str, np.ndarray], split: Sequence[str], settings: Settings
) -> tuple[ArrayMinibatches, dict[str, np.ndarray] | None]:
    """The minibatches of the training examples, and the examples that are held out, if any."""
    size, share = settings.batch_size, settings.validation
    if not split:
        if share or (size is not None and any(array.ndim and len(array) > size for array in arrays.values())):
            raise TrainingError(
                'no input has a symbolic first size, such as "n", so that examples cannot be told apart; train on all '
                "at once, without batch_size and validation"
            )
        return ArrayMinibatches(arrays, [], 1, None), None
    count = len(arrays[split[0]])
    if count == 0:
        raise DataError("there are no examples to train on: the data is empty")
    held = math.ceil(round(share * count, 9))
    if held >= count:
        raise TrainingError(f"validation = {share:g} holds out {held} of {count} examples and leaves none to train on")
    first = {name: array[: count - held] if name in split else array for name, array in arrays.items()}
    last = {name: array[count - held :] if name in split else array for name, array in arrays.items()}
    batches = ArrayMinibatches(first, split, count - held, size, settings.shuffle, settings.seed)
    return batches, last if held else None


def _first(graph: Graph, name: str) -> Any:
    shape = graph.nodes[name]["shape"]
    return shape[0] if shape else None
