"""Models in TOML, written so that a person reads them and ``load`` gives the same model back.

TOML holds the model and not the state of its training. Whatever cannot stay as it is, is said in a ``DataflowWarning``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.data.source import DataSource
from dataflow.errors import DataflowError, DataflowWarning, FileFormatError
from dataflow.execution.parameters import Parameters
from dataflow.files.node_limits import check_nodes
from dataflow.files.paths import file_for, root_for, settings_for
from dataflow.files.plain_checks import MAX_TITLE
from dataflow.files.toml.folding import Folded, Line, fold
from dataflow.files.toml.known_keys import KEYS
from dataflow.files.toml.read import loads_toml
from dataflow.files.toml.registered_blocks import declaration
from dataflow.files.toml.toml_values import key, number, paragraph, string, table, value
from dataflow.files.toml.write_bodies import Pairs, body_sections, constant, dtype_pairs, name_bodies
from dataflow.files.versions import DATA_KEYS, version_of
from dataflow.graph.node import CONSTANT, INPUT, PARAMETER, Node
from dataflow.limits import current
from dataflow.model.comparison import same_model
from dataflow.model.model import Model
from dataflow.model.train_settings import FILE_OPTIONS, TrainSettings
from dataflow.operations.attributes import GraphAttribute, plain
from dataflow.registry import registry
from dataflow.support.atomic import replace_file
from dataflow.support.conversion import numbers
from dataflow.support.gc_pause import collector_paused
from dataflow.support.texts import shorten


def save_toml(model: Model, path: str | Path) -> None:
    """Write a model as TOML. The old file stays whole until the new one is."""
    try:
        check_nodes(model.graph)
        with collector_paused():
            text = toml_text(model, Path(path).parent)
    except DataflowError as error:
        raise error.at(file=path) from None
    data = text.encode()
    if len(data) > (most := current().structure):
        message = f"it would have {len(data) / 2**20:.0f} MiB, and TOML is read up to {most / 2**20:g}"
        raise FileFormatError(f"{message}; save the model as .msgpack", file=path)
    try:
        loads_toml(text, str(path))
    except DataflowError as error:
        message = f"as TOML it could not be read back ({error.message}); save the model as .msgpack"
        raise FileFormatError(message, file=path) from None
    replace_file(path, [data])


def toml_text(model: Model, folder: Path) -> str:
    """The TOML of a model whose file will stand in ``folder``."""
    if model.training:
        lost = "the state of its training and where that comes from"
        _warn(f"TOML holds the model, not {lost}, which are left out; .msgpack holds all")
    source = model.data
    place = (None, None) if source is None else (file_for(source, folder), root_for(source, folder))
    settings = settings_for(model, folder)
    blocks = model.graph.blocks
    if blocks:
        text = _Writer(model, place, settings, with_blocks=True).text()
        if _comes_back(text, model, folder):
            return text
        if model.graph.calls:
            _warn("the blocks are written out, node by node: their calls have parameters that a block cannot declare")
    writer = _Writer(model, place, settings, with_blocks=False)
    text = writer.text()
    if renamed := writer.folded.renamed:
        listed = [f"'{old}' as '{new}'" for old, new in renamed.items()]
        more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
        _warn(f"names that no line of a file can have are written differently: {', '.join(listed[:6])}{more}")
    return text


def _comes_back(text: str, model: Model, folder: Path) -> bool:
    """Whether reading the text gives the same nodes: a block's declaration may not be what its calls have become."""
    try:
        return same_model(loads_toml(text, str(folder / "model.toml")), model)
    except DataflowError:
        return False


def _warn(message: str) -> None:
    warnings.warn(message, DataflowWarning, stacklevel=4)


class _Writer:
    def __init__(
        self, model: Model, place: tuple[str | None, str | None], settings: TrainSettings, *, with_blocks: bool
    ) -> None:
        self.model = model
        self.graph, self.bodies = name_bodies(model.graph, model.graph.blocks if with_blocks else ())
        self.file, self.root = place
        self.settings = settings
        self.with_blocks = with_blocks
        pinned = {*model.outputs, *([model.loss] if model.loss else []), *self.graph.classes}
        self.version = version_of(model)
        no_inputs = [key for key in KEYS["data"] if self.version > 1 or key not in DATA_KEYS]
        self.folded: Folded = fold(self.graph, pinned, with_calls=with_blocks, no_inputs=no_inputs)

    def text(self) -> str:
        """The whole file."""
        sections = [
            self.head(),
            _section("inputs", self.inputs()),
            _section("parameters", self.parameters()),
            _section("constants", self.constants()),
            *(self.blocks() if self.with_blocks else []),
            *(
                _section(header, pairs)
                for body in self.bodies
                for header, pairs in body_sections(body, self.graph.dtype, _declared)
            ),
            _section("nodes", ((line.name, _declared(line)) for line in self.folded.lines)),
            _section("model", self.outputs()),
            _section("data", self.data()),
            *(_section(f"data.learned.{part}", pairs) for part, pairs in self.learned()),
            _section("train", _train(self.settings)),
        ]
        return "\n".join(section for section in sections if section)

    def head(self) -> str:
        pairs = [("dataflow", str(self.version)), ("name", string(shorten(self.model.name, MAX_TITLE)))]
        if self.graph.dtype != np.float64:
            pairs.append(("dtype", string(self.graph.dtype.name)))
        if self.model.doc:
            pairs.append(("doc", paragraph(self.model.doc)))
        return _lines(pairs)

    def declared(self, kind: str) -> Iterable[tuple[str, str, Node]]:
        """What is declared of a kind: its name, its name in the file, its node."""
        for name in self.graph.names(kind):
            node = self.graph.node_of(name)
            if name not in self.folded.folded and not (self.with_blocks and node.block is not None):
                yield name, self.folded.names[name], node

    def inputs(self) -> Iterable[tuple[str, str]]:
        for _, name, node in self.declared(INPUT):
            yield name, table([("shape", value(plain(node.shape))), *self.dtype(node)])

    def parameters(self) -> Iterable[tuple[str, str]]:
        drawn: Parameters | None = None
        for old, name, node in self.declared(PARAMETER):
            found = self.model.parameters.known(old)
            if found is None and (old != name or self.model.parameters.seed != self.model.train_settings.seed):
                # What is drawn depends on the seed and the name, so that only the numbers themselves will be the same.
                drawn = drawn or Parameters(self.graph, self.model.parameters.seed)
                found = drawn[old]
            try:
                yield name, self.parameter(node, found)
            except DataflowError as error:
                raise error.at(node=old) from None

    def parameter(self, node: Node, found: np.ndarray | None) -> str:
        if node.dtype.kind != "f":
            raise FileFormatError(f"it is {node.dtype}; a parameter in TOML is float64 or float32")
        shape = ("shape", value(plain(node.shape)))
        if found is not None and (found.size or node.init is None):
            return table([("value", value(found)), *self.dtype(node)])
        init = dict(node.init or {})
        text = string(init["name"]) if len(init) == 1 else value({k: plain(v) for k, v in init.items()})
        return table([shape, ("init", text), *self.dtype(node)])

    def constants(self) -> Iterable[tuple[str, str]]:
        for old, name, node in self.declared(CONSTANT):
            try:
                yield name, constant(node, self.graph.dtype)
            except DataflowError as error:
                raise error.at(node=old) from None

    def dtype(self, node: Node) -> Pairs:
        return dtype_pairs(node, self.graph.dtype)

    def blocks(self) -> Iterable[str]:
        for name, block in self.graph.blocks.items():
            if name in registry.registry().blocks and declaration(name) == block:
                continue  # a plugin has it
            header = f"blocks.{key(name)}"
            yield _section(header, ((k, value(v)) for k, v in block.items() if not isinstance(v, Mapping)))
            for part, content in block.items():
                if isinstance(content, Mapping):
                    yield _section(f"{header}.{key(part)}", ((k, value(v)) for k, v in content.items()))

    def renamed(self, items: Mapping[str, Any]) -> dict[str, Any]:
        """The same by the names of the file."""
        return {self.name_of(name): item for name, item in items.items()}

    def name_of(self, name: str) -> str:
        return self.folded.names.get(name, name)

    def outputs(self) -> Iterable[tuple[str, str]]:
        yield "outputs", value(list(map(self.name_of, self.model.outputs)))
        if self.model.loss is not None:
            yield "loss", string(self.name_of(self.model.loss))
        if targets := self.model.targets:
            yield "targets", value({name: self.name_of(target) for name, target in self.renamed(targets).items()})
        if classes := self.graph.classes:
            yield "classes", value(self.renamed(classes))

    def data(self) -> Iterable[tuple[str, str]]:
        source: DataSource | None = self.model.data
        if source is None:
            return
        if self.file is not None:
            yield "file", string(self.file)
            if self.root is not None:
                yield "root", string(self.root)
        for what in ("separator", "decimal", "thousands"):
            if (text := getattr(source, what)) is not None:
                yield what, string(text)
        if source.percent:
            yield "percent", value(True)
        for what in ("columns", "one_hot", "scale"):
            if chosen := getattr(source, what):
                yield what, value(self.renamed(chosen))
        for what in ("missing", "categories"):
            if rules := getattr(source, what):
                yield what, value(dict(rules))
        if source.standardize:
            yield "standardize", value(list(map(self.name_of, source.standardize)))
        if source.weights is not None:
            yield "weights", string(source.weights)
        for name, array in (source.arrays or {}).items():
            found = numbers(name, array)
            try:
                # As float64, because the input may be wider than the array.
                yield self.name_of(name), value(found.astype(np.float64) if found.dtype.kind == "f" else found)
            except DataflowError as error:
                raise error.at(node=name) from None

    def learned(self) -> Iterable[tuple[str, list[tuple[str, str]]]]:
        """What the training rows taught, by column and by input."""
        if self.model.data is not None and self.model.data.learned is not None:
            for part, items in self.model.data.learned.plain().items():
                named = self.renamed(items) if part == "inputs" else items
                yield part, [(name, value(item)) for name, item in named.items()]


def _declared(line: Line) -> str:
    if line.expression is not None:
        return string(line.expression)
    term = line.term
    try:
        pairs = [("op", string(term.op)), ("inputs", "[" + ", ".join(map(_operand, term.arguments)) + "]")]
        if term.attributes:
            written = {
                name: item.name if isinstance(item, GraphAttribute) else plain(item)
                for name, item in term.attributes.items()
            }
            pairs.append(("attributes", value(written)))
    except DataflowError as error:
        raise error.at(node=line.name) from None
    return table(pairs)


def _operand(argument: Any) -> str:
    if argument is None:
        raise FileFormatError("an input that is left out before others cannot be written in TOML")
    return string(argument) if isinstance(argument, str) else number(argument)


def _train(settings: TrainSettings) -> Iterable[tuple[str, str]]:
    for name, option in FILE_OPTIONS.items():
        if (item := option.plain(getattr(settings, name))) != option.default:
            yield name, value(item)


def _section(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    lines = _lines(pairs)
    return f"[{name}]\n{lines}" if lines or name == "nodes" else ""


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key(name)} = {text}\n" for name, text in pairs)
