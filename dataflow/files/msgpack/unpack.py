"""From the header and tensors of a msgpack file to a model. Nothing that the file says is trusted.

The layout is described in ``dataflow.files.msgpack.binary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import RuleError
from dataflow.data.source import DataSource
from dataflow.errors import DataflowError, FileFormatError
from dataflow.files.msgpack.unpack_graph import unpack_graph
from dataflow.files.plain_checks import (
    MAX_NAME,
    brief,
    check_keys,
    is_columns,
    map_of,
    name_of,
    row_of,
    sequence,
    typed,
    whole,
)
from dataflow.files.versions import DATA_KEYS
from dataflow.graph.graph import Graph
from dataflow.graph.node import PARAMETER
from dataflow.graph.widths import check_parameter_shapes
from dataflow.model.model import Model
from dataflow.model.table_kinds import Choice
from dataflow.model.train_settings import FILE_OPTIONS, TrainOption, TrainSettings
from dataflow.operations import attributes
from dataflow.operations.op import Op
from dataflow.support.gc_pause import collector_paused
from dataflow.support.texts import quoted

_KEYS = {
    *("name", "dtype", "doc", "outputs", "loss", "specs", "applications", "nodes", "blocks", "calls"),
    *("data", "train", "seed", "training", "parts", "plugins"),
}
_TEXT_KEYS = ("root", "separator", "decimal", "thousands", "weights")
_DATA_KEYS = {"arrays", "file", "columns", "one_hot", "scale"}


def unpack_model(
    header: Mapping[str, Any], tensors: Mapping[str, np.ndarray], folder: Path, ops: Mapping[str, Op] | None = None
) -> Model:
    """The model, whose arrays are those of ``tensors``; ``folder`` is the file's own. ``ops`` are ops that count before
    the registered ones."""
    check_keys(header, _KEYS, "header", {"targets", "classes"})
    unused = dict(tensors)
    with collector_paused():
        graph = unpack_graph(header, unused, ops or {})
    check_parameter_shapes(graph, {name: graph.node_of(name).shape for name in graph.names(PARAMETER)})
    data = unpack_data(header["data"], graph, unused, folder)
    train = _unpack_train(header["train"])
    outputs = [name_of(output, "an output") for output in sequence(header["outputs"], "outputs")]
    loss = None if header["loss"] is None else name_of(header["loss"], "the loss")
    targets = map_of(header.get("targets", {}), lambda value: isinstance(value, str), "targets", "the name of an input")
    for name, texts in typed(header.get("classes", {}), dict, "classes").items():
        graph.name_classes(name, texts)
    doc = typed(header["doc"], str, "doc")
    model = Model(graph, outputs, loss, targets=targets, doc=doc, data=data, train=train)
    seed = whole(header["seed"], "seed")
    if seed != train.seed:
        model.parameters.redraw(seed)
    for name in model.parameters:
        if graph.node_of(name).init is not None and f"parameters/{name}" in tensors:
            model.parameters.adopt(name, tensors[f"parameters/{name}"])
    model.training = _unpack_training(header["training"], header["parts"], unused)
    for name in unused:
        raise FileFormatError(f"tensor {quoted(name)} belongs to nothing that the header names")
    return model


def unpack_data(packed: Any, graph: Graph, unused: dict[str, np.ndarray], folder: Path) -> DataSource | None:
    """The source that ``data`` in a header stands for, whose arrays are taken out of ``unused``."""
    if packed is None:
        return None
    check_keys(packed, _DATA_KEYS, "data", frozenset(DATA_KEYS))
    arrays = None
    if packed["arrays"] is not None:
        names = [name_of(name, "data") for name in sequence(packed["arrays"], "arrays")]
        arrays = {}
        for name in names:
            if f"data/{name}" not in unused:
                raise FileFormatError(f"data of {brief(name)} is declared, and there is no tensor for it")
            arrays[name] = unused.pop(f"data/{name}")
    columns = map_of(packed["columns"], is_columns, "columns", "a name, a range or a list of them")
    one_hot = map_of(packed["one_hot"], _is_classes, "one_hot", "a whole number, names or true")
    scale = map_of(packed["scale"], lambda value: type(value) is float, "scale", "a number")
    file = None if packed["file"] is None else _relative(packed["file"])
    source = DataSource(arrays, file, columns, one_hot, scale, folder, **_unpack_new_keys(packed))
    source.check(graph)
    return source


def _is_classes(value: Any) -> bool:
    return type(value) is int or value is True or isinstance(value, list)


def _unpack_new_keys(packed: Mapping[str, Any]) -> dict[str, Any]:
    """What the keys since version 2 say."""
    found: dict[str, Any] = {key: typed(packed[key], str, key) for key in _TEXT_KEYS if key in packed}
    found |= {key: typed(packed[key], dict, key) for key in ("missing", "categories") if key in packed}
    if "percent" in packed:
        found["percent"] = typed(packed["percent"], bool, "percent")
    if "standardize" in packed:
        names = sequence(packed["standardize"], "standardize")
        found["standardize"] = [name_of(name, "standardize") for name in names]
    if "learned" in packed:
        try:
            found["learned"] = Preparation.of_plain(packed["learned"])
        except RuleError as error:
            place = f" at {brief('.'.join(map(str, error.keys)))}" if error.keys else ""
            raise FileFormatError(f"learned{place}: {error.message}") from None
    return found


def _relative(file: Any) -> Path:
    ways = (PurePosixPath(file), PureWindowsPath(file)) if isinstance(file, str) and file and "\0" not in file else ()
    if not ways or any(way.is_absolute() or way.drive or way.root or ".." in way.parts for way in ways):
        raise FileFormatError(f"the data file {brief(file)} is no path inside the folder of its model")
    return Path(file)


def _unpack_train(packed: Any) -> TrainSettings:
    required = {name for name, option in FILE_OPTIONS.items() if option.required}
    check_keys(packed, required, "train", FILE_OPTIONS.keys() - required)
    values = {name: _unpack_option(option, packed[name]) for name, option in FILE_OPTIONS.items() if name in packed}
    return TrainSettings(**values)


def _unpack_option(option: TrainOption, value: Any) -> Any:
    kind = option.kind
    if isinstance(kind, Choice) and value is not None:
        _check_choice(option.name, kind, value)
    elif not option.accepts(value):
        raise FileFormatError(kind.refusal(option.name, brief(value)))
    return option.check(value)


def _check_choice(option: str, kind: Choice, value: Any) -> None:
    chosen = typed(value, dict, option)
    name = name_of(chosen.get("name"), f"the {kind.kind}")
    try:
        plugin = kind.find(name)
    except DataflowError:  # training says so; all else goes without
        return
    given = {key: item for key, item in chosen.items() if key != "name"}
    attributes.bind(plugin.attributes(), given, f"{kind.kind} '{name}'")


def _unpack_training(tree: Any, parts: Any, unused: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the model knows of its training, with everything that is no plain data put back in its place."""
    result: dict[str, Any] = typed(tree, dict, "training")
    for i, row in enumerate(sequence(parts, "parts")):
        path, what = row_of(row, 2, f"part {i}")
        place: Any = result
        keys = sequence(path, f"part {i}")
        for depth, key in enumerate(keys, 1):
            if not _has(place, key) or (depth == len(keys) and place[key] is not None):
                raise FileFormatError(f"part {i} of training: nothing waits for it at {brief(path)}")
            if depth == len(keys):
                place[key] = _part(what, i, unused)
            else:
                place = place[key]
        if not keys:
            raise FileFormatError(f"part {i} of training has no place")
    return result


def _has(place: Any, key: Any) -> bool:
    if isinstance(place, dict):
        return isinstance(key, str) and key in place
    return isinstance(place, list) and type(key) is int and 0 <= key < len(place)


def _part(what: Any, i: int, unused: dict[str, np.ndarray]) -> Any:
    if isinstance(what, str) and what.startswith("training/") and what in unused:
        return unused.pop(what)
    match what:
        case {"integer": str(text)} if len(what) == 1 and len(text) <= MAX_NAME and text.isascii():
            try:
                return int(text, 16)
            except ValueError:
                pass
    raise FileFormatError(f"part {i} of training is a tensor or an integer, not {brief(what)}")
