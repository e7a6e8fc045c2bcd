"""From the header and tensors of a msgpack file to a model. Nothing that the file says is trusted.

The layout is described in ``dataflow.files.binary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from dataflow import attributes, registry
from dataflow.data import DataSource
from dataflow.errors import FileFormatError
from dataflow.files.checks import MAX_NAME, brief, check_keys, map_of, name_of, row_of, sequence, typed, whole
from dataflow.files.scan import shown
from dataflow.files.unpack_graph import unpack_graph
from dataflow.graph import Graph
from dataflow.model import Model, TrainSettings

_KEYS = {
    *("name", "dtype", "doc", "outputs", "loss", "specs", "applications", "nodes", "blocks", "calls"),
    *("data", "train", "seed", "training", "parts", "plugins"),
}
_DATA_KEYS = {"arrays", "file", "columns", "one_hot", "scale"}
_TRAIN_KEYS = {"optimizer", "epochs", "batch_size", "shuffle", "seed", "validation"}


def unpack_model(header: Mapping[str, Any], tensors: Mapping[str, np.ndarray], folder: Path) -> Model:
    """The model, whose arrays are those of ``tensors``; ``folder`` is the file's own."""
    check_keys(header, _KEYS, "header")
    unused = dict(tensors)
    graph = unpack_graph(header, unused)
    data = _unpack_data(header["data"], graph, unused, folder)
    train = _unpack_train(header["train"])
    outputs = [name_of(output, "an output") for output in sequence(header["outputs"], "outputs")]
    loss = None if header["loss"] is None else name_of(header["loss"], "the loss")
    doc = typed(header["doc"], str, "doc")
    model = Model(graph, outputs, loss, doc=doc, data=data, train=train)
    seed = whole(header["seed"], "seed")
    if seed != train.seed:
        model.parameters.redraw(seed)
    for name in model.parameters:
        if graph.nodes[name]["init"] is not None and f"parameters/{name}" in tensors:
            model.parameters.adopt(name, tensors[f"parameters/{name}"])
    model.training = _unpack_training(header["training"], header["parts"], unused)
    for name in unused:
        raise FileFormatError(f"tensor {shown(name)} belongs to nothing that the header names")
    return model


def _unpack_data(packed: Any, graph: Graph, unused: dict[str, np.ndarray], folder: Path) -> DataSource | None:
    if packed is None:
        return None
    check_keys(packed, _DATA_KEYS, "data")
    arrays = None
    if packed["arrays"] is not None:
        names = [name_of(name, "data") for name in sequence(packed["arrays"], "arrays")]
        arrays = {}
        for name in names:
            if f"data/{name}" not in unused:
                raise FileFormatError(f"data of {brief(name)} is declared, and there is no tensor for it")
            arrays[name] = unused.pop(f"data/{name}")
    columns = map_of(packed["columns"], _is_columns, "columns", "a name, a range or a list of them")
    one_hot = map_of(packed["one_hot"], lambda value: type(value) is int, "one_hot", "a whole number")
    scale = map_of(packed["scale"], lambda value: type(value) is float, "scale", "a number")
    file = None if packed["file"] is None else _relative(packed["file"])
    source = DataSource(arrays, file, columns, one_hot, scale, folder)
    source.check(graph)
    return source


def _is_columns(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _relative(file: Any) -> Path:
    ways = (PurePosixPath(file), PureWindowsPath(file)) if isinstance(file, str) and file and "\0" not in file else ()
    if not ways or any(way.is_absolute() or way.drive or way.root or ".." in way.parts for way in ways):
        raise FileFormatError(f"the data file {brief(file)} is no path inside the folder of its model")
    return Path(file)


def _unpack_train(packed: Any) -> TrainSettings:
    check_keys(packed, _TRAIN_KEYS, "train")
    optimizer = typed(packed["optimizer"], dict, "optimizer")
    name = name_of(optimizer.get("name"), "the optimizer")
    if name in registry.registry().optimizers:  # else training says so; all else goes without
        given = {key: value for key, value in optimizer.items() if key != "name"}
        attributes.bind(registry.optimizer(name).attributes(), given, f"optimizer '{name}'")
    size = packed["batch_size"]
    share = typed(packed["validation"], float, "validation")
    if not 0 <= share < 1:
        raise FileFormatError(f"validation is a share from 0 up to, not including, 1; it is {share}")
    return TrainSettings(
        optimizer,
        whole(packed["epochs"], "epochs"),
        None if size is None else whole(size, "batch_size", 1),
        typed(packed["shuffle"], bool, "shuffle"),
        whole(packed["seed"], "seed"),
        share,
    )


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
