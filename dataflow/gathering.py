"""What a model is given from outside: values that someone wrote down, a data file, and what its own file declares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataflow.data import read_data
from dataflow.datafiles import numbers
from dataflow.errors import DataError
from dataflow.feeding import feed
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.shapes import bind


def gather(
    model: Model, data_file: Path | None, settings: Mapping[str, Any], example: int | None
) -> tuple[dict[str, Any], list[str]]:
    """The ``settings`` before the ``data_file`` before what the model declares, cut to one ``example``; and what the
    user should know of it.

    Where a setting gives a batch of another size, what the model's own file declares for the other inputs does not
    fit: it is left out, and said.
    """
    graph = model.graph
    chosen = {name: numbers(name, value) for name, value in settings.items()}
    known, sizes = feed(graph, chosen)
    notes = []
    if data_file is not None:
        found = read_data(data_file, graph, model.data)
    elif model.data is not None and not set(graph.names(INPUT)) <= known.keys():
        found = model.data.load(graph)
        for name in [name for name in found if name not in known]:
            if bind(graph.nodes[name]["shape"], found[name].shape, dict(sizes)) is not None:
                shape = list(found.pop(name).shape)
                notes.append(f"the model's own data for '{name}', of shape {shape}, does not fit --set and is left out")
    else:
        found = {}
    given: dict[str, Any] = {**found, **known}
    return (dict(model.one_example(given, example)) if example is not None else given), notes


def parse_setting(text: str) -> tuple[str, Any]:
    """The name and the value of ``NAME=JSON``; a ``DataError`` where it is something else."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise DataError(f"'{text}' is not of the form NAME=JSON, such as 'x=[[0, 1]]'.")
    try:
        return name.strip(), json.loads(value)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep, or too long a number"
        raise DataError(f"'{text}': what follows '=' is not JSON ({reason}).") from None
