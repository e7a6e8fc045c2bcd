"""What a model is given from outside: values that someone wrote down, a data file, and what its own file declares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.readers.json_files import parse_json
from dataflow.data.readers.opening import Origin
from dataflow.data.source import DataSource
from dataflow.errors import DataError
from dataflow.execution.inputs import batch_symbol, feed
from dataflow.graph.node import INPUT
from dataflow.model.model import Model
from dataflow.shapes import bind
from dataflow.support.texts import shorten


def gather(
    model: Model, data_file: Path | None, settings: Mapping[str, Any], example: int | None
) -> tuple[dict[str, Any], list[str]]:
    """The ``settings`` before the ``data_file`` before what the model declares, cut to one ``example``; and what the
    user should know of it.

    Where a setting gives a batch of another size, what the model's own file declares for the other inputs does not
    fit: it is left out, and said."""
    given, _, notes = gather_weighed(model, data_file, settings, example)
    return given, notes


def gather_weighed(
    model: Model, data_file: Path | Origin | None, settings: Mapping[str, Any], example: int | None
) -> tuple[dict[str, Any], np.ndarray | None, list[str]]:
    """What ``gather`` gives, with what the data says that each example weighs between the two."""
    graph = model.graph
    known, sizes = feed(graph, settings, texts=True)
    notes = []
    arrays: dict[str, np.ndarray] = {}
    weights = None
    if data_file is not None or (model.data is not None and not set(graph.names(INPUT)) <= known.keys()):
        own = model.own_source() if data_file is None else None
        source = own or model.taught((model.data or DataSource()).at(data_file))
        prepared = source.prepared(graph)
        arrays, weights = dict(prepared.arrays), prepared.weights
    if data_file is None:
        for name in [name for name in arrays if name not in known]:
            if bind(graph.node_of(name).shape, arrays[name].shape, dict(sizes)) is not None:
                shape = list(arrays.pop(name).shape)
                notes.append(f"the model's own data for '{name}', of shape {shape}, does not fit --set and is left out")
    given: dict[str, Any] = {**arrays, **known}
    model.decide_widths(given)
    if weights is not None and feed(graph, given)[1].get(str(batch_symbol(graph))) != len(weights):
        weights = None
    if example is not None:
        given = dict(model.one_example(given, example))
        weights = None if weights is None else weights[[example]]
    return given, weights, notes


def gather_for_training(
    model: Model, data_file: Path | None, settings: Mapping[str, Any], example: int | None
) -> tuple[dict[str, Any], DataSource | None, list[str]]:
    """What training is given: the ``settings`` and the source of data, from which it takes the examples. Where inputs
    are among the settings, or one ``example`` is asked for, there is no source, but what ``gather`` gives."""
    graph = model.graph
    source = model.data if data_file is None else (model.data or DataSource()).at(data_file)
    if example is None and not any(name in graph and graph.node_of(name).kind == INPUT for name in settings):
        return feed(graph, settings, texts=True)[0], source, []
    if source is not None and source.learns:
        raise DataError("what the data teaches is learned from all training rows; leave out --set of inputs, --example")
    given, notes = gather(model, data_file, settings, example)
    if source is not None and model.data is not None and not model.data.columns.keys() <= settings.keys():
        model.data = source.learn(graph).of(model.data)
    return given, None, notes


def parse_setting(text: str) -> tuple[str, Any]:
    """The name and the value of ``NAME=JSON``; a ``DataError`` where it is something else."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise DataError(f"'{text}' is not of the form NAME=JSON, such as 'x=[[0, 1]]'.")
    try:
        return name.strip(), parse_json(value)
    except DataError as error:
        raise DataError(f"'{shorten(text, 200)}': what follows '=' {error.message}.") from None
