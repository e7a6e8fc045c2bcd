"""What other processes need of a sweep: its model and its data, in msgpack files, and never as pickles.

Files are mapped into memory, so that large data are there once, however many processes read them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.readers.opening import FORMATS, STANDARD_INPUT, Origin
from dataflow.data.source import DataSource
from dataflow.errors import TrainingError
from dataflow.execution.inputs import feed
from dataflow.files.msgpack.binary import pack_data, pack_model
from dataflow.files.msgpack.container import (
    Container,
    container_bytes,
    parse_container,
    read_container,
    write_container,
)
from dataflow.files.msgpack.unpack import unpack_data, unpack_model
from dataflow.graph.graph import Graph
from dataflow.limits import unlimited
from dataflow.model.model import Model
from dataflow.support.arrays import read_only
from dataflow.support.conversion import EntryError, convert

MODEL, DATA = "model.msgpack", "data.msgpack"


def repeatable(data: Any, scratch: Path) -> Any:
    """The data, so that every run can read it: what comes once, from standard input or an iterator, is kept."""
    if not isinstance(data, DataSource) or data.origin is None:
        return data
    if isinstance(data.origin, str | os.PathLike):
        if os.fspath(data.origin) != STANDARD_INPUT:
            return data
        read = Origin.at(Path(STANDARD_INPUT))
        ending = next(ending for ending, kind in FORMATS.items() if kind == read.format)
        path = scratch / f"standard-input{ending.removesuffix('.gz')}{'.gz' if read.packed else ''}"
        path.write_bytes(read.data)
        return data.at(path)
    return data.at(list(data.origin)) if hasattr(data.origin, "__next__") else data


def pack_inputs(folder: Path, model: Model, data: Any, weights: Any) -> None:
    """Write model and data into a folder; a ``TrainingError`` for what no file can hold."""
    with unlimited():
        containers = _containers(model, data, weights, os.fspath)
        for name, (header, tensors, version) in zip((MODEL, DATA), containers, strict=True):
            write_container(folder / name, header, tensors, version=version, sync=False)


def packed_inputs(model: Model, data: Any, weights: Any) -> tuple[list[bytes], dict[str, str], dict[str, str]]:
    """The same as bytes, for a process elsewhere, and the plugins of the model's ops. Files of data are named by whole
    paths; by these, as texts begin with them, what was given is the third."""
    given: dict[str, str] = {}

    def whole(path: Any) -> str:
        found: str = os.path.abspath(path)
        if Path(path) == Path():
            given[os.path.join(found, "")] = ""
        else:
            given[found] = str(Path(path))
        return found

    with unlimited():
        containers = _containers(model, data, weights, whole)
        return [container_bytes(*one) for one in containers], dict(containers[0][0]["model"]["plugins"]), given


def unpack_inputs(folder: Path) -> tuple[Model, Any, Any]:
    """The model, which nothing else shares, the data and the weights."""
    with unlimited():
        return _unpacked(*(read_container(folder / name, mapped="auto") for name in (MODEL, DATA)))


def inputs_of(packed: Sequence[bytes]) -> tuple[Model, Any, Any]:
    """What ``packed_inputs`` packed."""
    with unlimited():
        return _unpacked(*map(parse_container, packed))


def _containers(
    model: Model, data: Any, weights: Any, spelled: Callable[[Any], str]
) -> list[tuple[dict[str, Any], dict[str, np.ndarray], int]]:
    packed = pack_model(model, Path(), for_file=False)
    own = dict(packed.tensors)
    header = {"model": packed.header, "source": _pack_source(model.data, own, spelled)}
    tensors: dict[str, np.ndarray] = {}
    kind, source = "none", None
    if isinstance(data, Mapping):
        kind = "arrays"
        tensors |= {f"data/{name}": array for name, array in feed(model.graph, data)[0].items()}
    elif isinstance(data, DataSource):
        kind, source = "source", _pack_source(data, tensors, spelled)
    elif data is not None:
        raise _not_portable(data)
    if weights is not None:
        try:
            tensors["weights"] = convert(weights, np.dtype(np.float64))
        except EntryError as error:
            raise error.named("weights") from None
    return [(header, own, packed.version), ({"kind": kind, "source": source}, tensors, packed.version)]


def _unpacked(of_model: Container, of_data: Container) -> tuple[Model, Any, Any]:
    tensors = dict(of_model.tensors)
    own = {name: tensors.pop(name) for name in of_model.tensors if name.startswith("data/")}
    model = unpack_model(of_model.header["model"], tensors, Path())
    model.data = _unpack_source(of_model.header["source"], own, model.graph)
    given = {name: read_only(array) for name, array in of_data.tensors.items()}
    weights = given.pop("weights", None)
    match of_data.header["kind"]:
        case "arrays":
            return model, {name.removeprefix("data/"): array for name, array in given.items()}, weights
        case "source":
            return model, _unpack_source(of_data.header["source"], given, model.graph), weights
    return model, None, weights


def _pack_source(
    source: DataSource | None, tensors: dict[str, np.ndarray], spelled: Callable[[Any], str]
) -> dict[str, Any] | None:
    if source is None:
        return None
    if source.origin is not None and not isinstance(source.origin, str | os.PathLike):
        raise _not_portable(source.origin)
    places = {"file": source.file, "folder": source.folder, "origin": source.origin}
    # the file is where it is, wherever the folder is in which this is written
    rules = pack_data(replace(source, file=None, folder=None, origin=None), Path(), tensors)
    spelling = {"file": os.fspath if source.folder is not None else spelled, "folder": spelled, "origin": spelled}
    return {"rules": rules} | {key: None if place is None else spelling[key](place) for key, place in places.items()}


def _unpack_source(packed: Any, tensors: dict[str, np.ndarray], graph: Graph) -> DataSource | None:
    if packed is None:
        return None
    places: dict[str, Any] = {
        key: None if packed[key] is None else Path(packed[key]) for key in ("file", "folder", "origin")
    }
    return replace(unpack_data(packed["rules"], graph, tensors, Path()) or DataSource(), **places)


def _not_portable(data: Any) -> TrainingError:
    return TrainingError(
        f"a {type(data).__name__} cannot be sent to other processes; give arrays or a file, or use jobs=1"
    )
