"""Models in msgpack, with everything: graph, parameters, data, settings, and the state of training, bit for bit.

The container (``dataflow.files.msgpack.container``) has a header and tensors. The header holds

- ``name`` (one line of at most 200 characters), ``dtype``, ``doc``, ``outputs`` (names) and ``loss`` (a name or nil);
  since version 2 also, where they are declared, ``targets``: names of inputs by output, and ``classes``: lists of
  the texts that numbers stand for, or that entries along a last axis are called, by node
- ``specs``: each shape and dtype that occurs, as ``["float64", ["n", 2]]``
- ``applications``: each op that occurs with all its attributes, as ``["sum", {"axis": [0], "keepdims": false}]``;
  an output of an op with several as ``["topk:values", ...]``, in a node that is called ``NAME:values``; since version 2
  an attribute may be a graph, a map of its ``name``, ``inputs`` (each a name, a dtype and a shape), ``constants`` (the
  same and the value), ``nodes`` (each a name, an op, arguments, which may be names, and attributes) and ``outputs``
  (names with their nodes), and a size may be one that a node makes, such as ``"?1"``
- ``nodes``, in the graph's order. A node is an array of its name, the number of its spec, the number of the call it
  belongs to (nil for none), and then ``"input"``; or ``"parameter"`` and its initializer (a map with ``name``) or nil;
  or ``"constant"``; or the number of its application and an array of its arguments. An argument is the number of a
  node, an array around a plain number (``[2.0]``, an integer, a float or a boolean), or nil where an optional one is
  left out. A node of a gradient graph may end with the number of the node whose cotangent it is.
- ``blocks``: block declarations by name, as in TOML, those of plugins included; ``calls``: for each call its path, and
  a map of ``block``, ``share`` and ``inputs``, and since version 2 of ``attributes`` where they are not as in the block
- ``data``: nil, or a map of ``arrays`` (names of inputs, or nil), ``file`` (relative to the model's own folder, or
  nil), ``columns``, ``one_hot`` and ``scale``; since version 2 also, where they are declared, ``root``, ``separator``,
  ``decimal``, ``thousands``, ``percent``, ``weights``, ``missing``, ``categories``, ``standardize``, and ``learned``:
  what the training rows taught, as in TOML
- ``train``: a map of ``optimizer``, ``epochs``, ``batch_size`` (or nil), ``shuffle``, ``seed`` and ``validation``, and
  of each other key of ``[train]`` where it is not what holds unless given; ``seed``: that from which parameters are
  drawn
- ``training``: what the model knows of its training, as plain data, and ``parts``: what is no plain data in it. A part
  is its path (keys and positions), and the name of its tensor, or a map of ``integer`` to the hexadecimal text of a
  number of more than 64 bits. Under ``manifest`` it says where the parameters come from
- ``plugins``: which plugin registered each op, for the reader's information only

Numbers count from 0. The tensors are ``parameters/NAME`` (what a parameter was given, drawn or trained to; none while
it is still to be drawn), ``constants/NAME``, ``data/NAME`` and ``training/NUMBER``, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgpack
import numpy as np

from dataflow.data.source import DataSource
from dataflow.errors import DataflowError, FileFormatError, OpError
from dataflow.files.msgpack.container import Container, read_container, write_container
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.files.msgpack.unpack_subgraph import SubgraphReader
from dataflow.files.node_limits import NodeLimits
from dataflow.files.paths import file_for, root_for, settings_for
from dataflow.files.plain_checks import MAX_TITLE
from dataflow.files.versions import DATA_KEYS, version_of
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, OP, PARAMETER, Node
from dataflow.graph.subgraph import subgraphs_of
from dataflow.model.model import Model
from dataflow.model.train_settings import FILE_OPTIONS, TrainSettings
from dataflow.operations.attributes import plain
from dataflow.registry import registry
from dataflow.shapes import DTYPES, TensorSpec, parse_shape
from dataflow.support.conversion import numbers
from dataflow.support.gc_pause import collector_paused
from dataflow.support.texts import shorten

INTEGERS = range(-(2**63), 2**64)
"""The integers that msgpack has."""


def load_msgpack(path: str | Path, mmap: bool | Literal["auto"] = "auto") -> Model:
    """The model in a file; with ``mmap``, its parameters, constants and data are mapped (see ``read_container``). All
    that the file says is checked; what is wrong is a ``DataflowError`` with the file and, where there is one, the
    node."""
    container = read_container(path, mapped=mmap)
    try:
        model = unpack_model(container.header, container.tensors, Path(path).parent)
        model.parameters.guard = container.check_unchanged
        return model
    except DataflowError as error:
        raise error.at(file=path) from None


def save_msgpack(model: Model, path: str | Path) -> None:
    """Write a file that ``load_msgpack`` gives back bit for bit. A data file that does not lie in the new folder is
    left out, with a ``DataflowWarning``."""
    try:
        container = pack_model(model, Path(path).parent)
    except DataflowError as error:
        raise error.at(file=path) from None
    write_container(path, container.header, container.tensors, version=container.version)


def pack_model(model: Model, folder: Path, *, for_file: bool = True) -> Container:
    """What the file of a model holds that will stand in ``folder``. Not ``for_file``, it has no declared data, and may
    name ops that no plugin registers. Beyond the limits under which it can be read it is a ``DataflowError``."""
    graph, tensors = model.graph, dict[str, np.ndarray]()
    for name in model.parameters:
        if (value := model.parameters.known(name)) is not None:
            tensors[f"parameters/{name}"] = value
    for name in graph.names(CONSTANT):
        tensors[f"constants/{name}"] = graph.node_of(name).value
    header: dict[str, Any] = {"name": shorten(graph.name, MAX_TITLE), "dtype": graph.dtype.name, "doc": model.doc}
    header |= {"outputs": list(model.outputs), "loss": model.loss}
    if model.targets:
        header["targets"] = dict(model.targets)
    if graph.classes:
        header["classes"] = dict(graph.classes)
    with collector_paused():
        header |= _pack_graph(graph, for_file)
    header["data"] = None if model.data is None or not for_file else pack_data(model.data, folder, tensors)
    header["train"] = _pack_train(settings_for(model, folder) if for_file else model.train_settings)
    header["seed"] = int(model.parameters.seed)
    parts: list[list[Any]] = []
    header["training"] = _plain_data(model.training, [], parts, tensors)
    header["parts"] = parts
    owners = registry.registry().owners
    header["plugins"] = {name: str(owners["op", name]) for name in _ops_used(graph) if ("op", name) in owners}
    return Container(header, tensors, version_of(model))


# ------------------------------------------------------------------------------------------------ the graph


class _Table:
    """Rows that are numbered from 0 by their content."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, key: Any, row: Any) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(row)
        return self._numbers[key]


def _pack_graph(graph: Graph, for_file: bool) -> dict[str, Any]:
    specs, applications, limits = _Table(), _Table(), NodeLimits()
    limits.add_nodes(len(graph))
    bodies = SubgraphReader(registry.lookup, limits)
    calls = graph.calls
    numbers_of_nodes = {name: i for i, name in enumerate(graph)}
    numbers_of_calls = {path: i for i, path in enumerate(calls)}
    rows = []
    for name, node in graph.node_items():
        spec = _spec(name, node, specs)
        call = node.block
        row = [name, spec, None if call is None else numbers_of_calls[call]]
        if node.kind == OP:
            row.append(_application(graph, name, node, applications, bodies if for_file else None))
            arguments = graph.arguments(name)
            limits.add_inputs(len(arguments), name)
            row.append([_argument(name, x, numbers_of_nodes) for x in arguments])
            if node.cotangent_of is not None:
                row.append(numbers_of_nodes[node.cotangent_of])
        else:
            row.append(node.kind)
            if node.kind == PARAMETER:
                row.append(None if node.init is None else {key: plain(value) for key, value in node.init.items()})
        rows.append(row)
    return {
        "specs": specs.rows,
        "applications": applications.rows,
        "nodes": rows,
        "blocks": plain_tree(graph.blocks),
        "calls": [[path, plain_tree(call)] for path, call in calls.items()],
    }


def _spec(name: str, node: Node, table: _Table) -> int:
    row, count = [node.dtype.name, plain(node.shape)], len(table.rows)
    number = table.number(TensorSpec(node.shape, node.dtype), row)
    if number == count:
        try:
            parse_shape(row[1])  # what is written can be read
        except DataflowError as error:
            raise error.at(node=name) from None
    return number


def _application(graph: Graph, name: str, node: Node, table: _Table, bodies: SubgraphReader | None) -> int:
    """``bodies`` reads what attributes hold as they will be read from the file."""
    op, count = graph.op_of(name), len(table.rows)
    if bodies is not None and not registry.is_registered(op):
        raise OpError(f"op '{op.name}' is registered by no plugin, so that no file can name it", node=name)
    try:
        # As they will be when they come back, so that saving the loaded model gives the same file.
        graphs = {key: node.attributes[key] for key in op.graph_attributes}
        bound = op.bind({key: plain(value) for key, value in node.attributes.items()} | graphs)
    except DataflowError as error:
        raise error.at(node=name) from None
    attributes = {key: plain(value) for key, value in bound.items()}
    try:
        number = table.number((op.name, msgpack.packb(attributes)), [op.name, attributes])
    except (OverflowError, ValueError, TypeError):
        raise FileFormatError(f"an attribute of op '{op.name}' does not fit into 64 bits", node=name) from None
    if bodies is not None and number == count:
        bodies.with_graphs(op, attributes)
    return number


def _argument(node: str, argument: Any, numbers_of_nodes: Mapping[str, int]) -> Any:
    if isinstance(argument, str):
        return numbers_of_nodes[argument]
    if type(argument) is int and argument not in INTEGERS:
        raise FileFormatError(f"the number {shorten(str(argument))} has more than 64 bits", node=node)
    return None if argument is None else [argument]


def _ops_used(graph: Graph) -> list[str]:
    used = dict.fromkeys(node.op.partition(":")[0] for _, node in graph.node_items() if node.kind == OP)
    for inner in subgraphs_of(graph):
        used.update(dict.fromkeys(_ops_used(inner.graph)))
    return list(used)


# ------------------------------------------------------------------------------------------------ all else


def pack_data(source: DataSource, folder: Path, tensors: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """What ``data`` holds in the header of a file that will stand in ``folder``; arrays are added to ``tensors``."""
    file = file_for(source, folder)
    for name, value in (source.arrays or {}).items():
        tensors[f"data/{name}"] = _storable(name, value)
    packed = {
        "arrays": None if source.arrays is None else list(source.arrays),
        "file": file,
        "columns": {name: plain_tree(columns) for name, columns in source.columns.items()},
        "one_hot": {name: plain_tree(classes) for name, classes in source.one_hot.items()},
        "scale": {name: float(factor) for name, factor in source.scale.items()},
        **{key: plain_tree(found) for key in DATA_KEYS if (found := getattr(source, key)) and key != "learned"},
    }
    packed.pop("root", None)
    if file is not None and (root := root_for(source, folder)) is not None:
        packed["root"] = root
    if source.learned:
        packed["learned"] = source.learned.plain()
    return packed if any(value is not None and value != {} for value in packed.values()) else None


def _storable(name: str, value: Any) -> np.ndarray:
    array = numbers(name, value)
    if array.dtype.name in DTYPES:
        return array
    wider = array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)
    if not np.array_equal(wider, array, equal_nan=array.dtype.kind == "f"):
        raise FileFormatError(f"the data of '{name}' is {array.dtype}, which is neither float64 nor int64; convert it")
    return wider


def _pack_train(settings: TrainSettings) -> dict[str, Any]:
    packed = {name: option.plain(getattr(settings, name)) for name, option in FILE_OPTIONS.items()}
    return {
        name: value
        for name, value in packed.items()
        if FILE_OPTIONS[name].required or value != FILE_OPTIONS[name].default
    }


def plain_tree(value: Any) -> Any:
    """A declaration as plain data; what is none is a ``FileFormatError``."""
    parts: list[list[Any]] = []
    tree = _plain_data(value, [], parts, {})
    if parts:
        raise FileFormatError(f"a declaration holds something else than plain data, at {parts[0][0]}")
    return tree


def _plain_data(value: Any, path: list[Any], parts: list[list[Any]], tensors: dict[str, np.ndarray]) -> Any:
    """The value with lists for tuples; arrays become tensors, and nil stands where they were."""
    if len(path) > 48:
        raise FileFormatError("the state of training is nested more than 48 deep")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise FileFormatError(f"the state of training has keys that are no text, at {path}")
        return {key: _plain_data(item, [*path, key], parts, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_data(item, [*path, i], parts, tensors) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        name = f"training/{len(parts)}"
        tensors[name] = value
        parts.append([path, name])
        return None
    if type(value) is int and value not in INTEGERS:
        parts.append([path, {"integer": hex(value)}])
        return None
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise FileFormatError(f"the state of training holds a {type(value).__name__} at {path}, which no file can hold")
