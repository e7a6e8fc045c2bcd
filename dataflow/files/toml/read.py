"""Models declared in TOML.

A file is read in this order: structure and names; what each node uses and calls; the graph, node by node, so that
shapes are checked; what is said of outputs, data and training. The first fault ends it, with the file, line and column.
Lines are looked for only then, so that they cost nothing where all is well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataflow.errors import DataflowError, GraphError
from dataflow.files.plain_checks import MAX_TITLE
from dataflow.files.toml.blocks import Blocks
from dataflow.files.toml.building import Builder, Result, Site
from dataflow.files.toml.declarations import Names, add_input, read_declarations, read_dtype
from dataflow.files.toml.document import Document, parse_toml, read_toml
from dataflow.files.toml.known_keys import KEYS, Fields, check_version
from dataflow.files.toml.nodes import Level
from dataflow.files.toml.run_settings import read_data_source, read_model, read_train
from dataflow.files.versions import DATA_KEYS
from dataflow.graph.graph import Graph
from dataflow.limits import advice, current
from dataflow.model.model import Model
from dataflow.support.gc_pause import collector_paused


def load_toml(path: str | Path) -> Model:
    """The model in a file. Whatever is wrong with it is a ``DataflowError`` with the file, line and column."""
    return _read(read_toml(path), Path(path).parent, Path(path).stem)


def loads_toml(text: str, file: str = "<text>") -> Model:
    """The model that ``text`` declares. ``file`` is named in errors, and data files are looked for beside it."""
    return _read(parse_toml(text, file), Path(file).parent, "")


def _read(document: Document, folder: Path, name: str) -> Model:
    try:
        with collector_paused():
            return _read_model(Fields(document, document.data, (), "the file"), folder, name)
    except DataflowError as error:
        raise error.at(file=document.file) from None


def _read_model(fields: Fields, folder: Path, name: str) -> Model:
    check_version(fields)
    fields.check_keys(KEYS["file"])
    graph = Graph(_read_name(fields, name), read_dtype(fields) or "float64")
    doc = fields.text("doc", default="")
    names = Names(fields.document)
    _check_count(fields, "inputs", "parameters", "constants", "nodes")
    scope = _declare(fields, graph, names)
    blocks = Blocks(fields.table("blocks", "[blocks]"), graph.dtype)
    level = Level(fields.table("nodes", "[nodes]"), names, blocks.names)
    blocks.check_calls(level, besides=len(graph))
    builder = Builder(graph, blocks)
    builder.add(Site(level), scope)
    graph.blocks.update(blocks.own | builder.registered)
    graph.calls.update(builder.calls)
    outputs, loss, targets = read_model(fields.table("model", "[model]"), graph, level)
    data = read_data_source(fields.table("data", "[data]"), graph, folder) if "data" in fields.data else None
    train = read_train(fields.table("train", "[train]")) if "train" in fields.data else None
    return Model(graph, outputs, loss, targets=targets, doc=doc, data=data, train=train)


def _check_count(fields: Fields, *sections: str) -> None:
    """Refuse a file that declares more than a graph may have, before anything is built."""
    tables = (fields.data.get(section) for section in sections)
    count, most = sum(len(table) for table in tables if isinstance(table, dict)), current().nodes
    if count > most:
        fields.fail(f"there are {count} declarations; a file has at most {most} nodes" + advice("nodes", count))


def _read_name(fields: Fields, default: str) -> str:
    def accepts(value: Any) -> bool:
        return isinstance(value, str) and value.isprintable() and len(value) <= MAX_TITLE

    return str(fields.get("name", accepts, f"text on one line, of at most {MAX_TITLE} characters", default))


def _declare(fields: Fields, graph: Graph, names: Names) -> dict[str, Result]:
    """Add the inputs, parameters and constants to the graph."""
    scope: dict[str, Result] = {}
    inputs = fields.table("inputs", "[inputs]")
    data = fields.data.get("data")
    taken = set(KEYS["data"])
    if fields.version < 2 or not isinstance(data, dict) or "file" not in data:
        taken -= set(DATA_KEYS)
    for key in inputs.data:
        if key in taken:
            message = f"'{key}' names no input, because it has a meaning under [data]; rename it"
            raise inputs.placed(GraphError(message), key)
        name = names.claim(key, "input", (*inputs.path, key))
        scope[name] = add_input(inputs.table(key, f"input '{name}'"), graph, name)
    for name, declaration in read_declarations(fields, names, graph.dtype):
        scope[name] = declaration.add(graph, name)
    return scope
