"""Models in TOML, written so that a person reads them and ``load`` gives the same model back.

TOML holds the model and not the state of its training. Whatever cannot stay as it is, is said in a ``DataflowWarning``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.attributes import plain
from dataflow.data import DataSource
from dataflow.datafiles import numbers
from dataflow.errors import DataflowError, DataflowWarning, FileFormatError
from dataflow.files.atomic import replace_file
from dataflow.files.checks import MAX_TITLE
from dataflow.files.folding import Folded, Line, fold
from dataflow.files.paths import file_for
from dataflow.files.same import same_model
from dataflow.files.text import loads_toml
from dataflow.files.toml_values import key, number, paragraph, string, table, value
from dataflow.graph import CONSTANT, INPUT, PARAMETER
from dataflow.limits import current
from dataflow.model import Model, TrainSettings
from dataflow.parameters import Parameters
from dataflow.tokens import shorten


def save_toml(model: Model, path: str | Path) -> None:
    """Write a model as TOML. The old file stays whole until the new one is."""
    try:
        text = toml_text(model, Path(path).parent)
    except DataflowError as error:
        raise error.at(file=path) from None
    data = text.encode()
    if len(data) > (most := current().structure):
        message = f"it would have {len(data) / 2**20:.0f} MiB, and TOML is read up to {most / 2**20:g}"
        raise FileFormatError(f"{message}; save the model as .msgpack", file=path)
    replace_file(path, [data])


def toml_text(model: Model, folder: Path) -> str:
    """The TOML of a model whose file will stand in ``folder``."""
    if model.training:
        lost = "the state of its training and where that comes from"
        _warn(f"TOML holds the model, not {lost}, which are left out; .msgpack holds all")
    file = None if model.data is None else file_for(model.data, folder)
    blocks = model.graph.graph.get("blocks")
    if blocks:
        text = _Writer(model, file, with_blocks=True).text()
        if _comes_back(text, model, folder):
            return text
        _warn("the blocks are written out, node by node: their calls have parameters that a block cannot declare")
    writer = _Writer(model, file, with_blocks=False)
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
    def __init__(self, model: Model, file: str | None, *, with_blocks: bool) -> None:
        self.model = model
        self.graph = model.graph
        self.file = file
        self.with_blocks = with_blocks
        pinned = {*model.outputs, *([model.loss] if model.loss else [])}
        self.folded: Folded = fold(self.graph, pinned, with_calls=with_blocks)

    def text(self) -> str:
        """The whole file."""
        sections = [
            self.head(),
            _section("inputs", self.inputs()),
            _section("parameters", self.parameters()),
            _section("constants", self.constants()),
            *(self.blocks() if self.with_blocks else []),
            _section("nodes", ((line.name, _declared(line)) for line in self.folded.lines)),
            _section("model", self.outputs()),
            _section("data", self.data()),
            _section("train", _train(self.model.train_settings)),
        ]
        return "\n".join(section for section in sections if section)

    def head(self) -> str:
        pairs = [("dataflow", "1"), ("name", string(shorten(self.model.name, MAX_TITLE)))]
        if self.graph.dtype != np.float64:
            pairs.append(("dtype", string(self.graph.dtype.name)))
        if self.model.doc:
            pairs.append(("doc", paragraph(self.model.doc)))
        return _lines(pairs)

    def declared(self, kind: str) -> Iterable[tuple[str, str, dict[str, Any]]]:
        """What is declared of a kind: its name, its name in the file, its data."""
        for name in self.graph.names(kind):
            data = self.graph.nodes[name]
            if name not in self.folded.folded and not (self.with_blocks and data["block"] is not None):
                yield name, self.folded.names[name], data

    def inputs(self) -> Iterable[tuple[str, str]]:
        for _, name, data in self.declared(INPUT):
            yield name, table([("shape", value(plain(data["shape"]))), *self.dtype(data)])

    def parameters(self) -> Iterable[tuple[str, str]]:
        drawn: Parameters | None = None
        for old, name, data in self.declared(PARAMETER):
            found = self.model.parameters.known(old)
            if found is None and (old != name or self.model.parameters.seed != self.model.train_settings.seed):
                # What is drawn depends on the seed and the name, so that only the numbers themselves will be the same.
                drawn = drawn or Parameters(self.graph, self.model.parameters.seed)
                found = drawn[old]
            try:
                yield name, self.parameter(data, found)
            except DataflowError as error:
                raise error.at(node=old) from None

    def parameter(self, data: Mapping[str, Any], found: np.ndarray | None) -> str:
        if data["dtype"].kind != "f":
            raise FileFormatError(f"it is {data['dtype']}; a parameter in TOML is float64 or float32")
        shape = ("shape", value(plain(data["shape"])))
        if found is not None and (found.size or data["init"] is None):
            return table([("value", value(found)), *self.dtype(data)])
        init = dict(data["init"])
        text = string(init["name"]) if len(init) == 1 else value({k: plain(v) for k, v in init.items()})
        return table([shape, ("init", text), *self.dtype(data)])

    def constants(self) -> Iterable[tuple[str, str]]:
        for old, name, data in self.declared(CONSTANT):
            try:
                is_bool = data["dtype"] == np.bool_
                yield name, table([("value", value(data["value"])), *([] if is_bool else self.dtype(data))])
            except DataflowError as error:
                raise error.at(node=old) from None

    def dtype(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data["dtype"] == self.graph.dtype else [("dtype", string(data["dtype"].name))]

    def blocks(self) -> Iterable[str]:
        for name, block in self.graph.graph["blocks"].items():
            header = f"blocks.{key(name)}"
            yield _section(header, ((k, value(v)) for k, v in block.items() if not isinstance(v, Mapping)))
            for part, content in block.items():
                if isinstance(content, Mapping):
                    yield _section(f"{header}.{key(part)}", ((k, value(v)) for k, v in content.items()))

    def outputs(self) -> Iterable[tuple[str, str]]:
        names = self.folded.names
        yield "outputs", value([names.get(name, name) for name in self.model.outputs])
        if self.model.loss is not None:
            yield "loss", string(names.get(self.model.loss, self.model.loss))

    def data(self) -> Iterable[tuple[str, str]]:
        source: DataSource | None = self.model.data
        if source is None:
            return
        names = self.folded.names
        if self.file is not None:
            yield "file", string(self.file)
        for what in ("columns", "one_hot", "scale"):
            chosen: Mapping[str, Any] = getattr(source, what)
            if chosen:
                yield what, value({names.get(name, name): item for name, item in chosen.items()})
        for name, array in (source.arrays or {}).items():
            found = numbers(name, array)
            try:
                # As float64, because the input may be wider than the array.
                yield names.get(name, name), value(found.astype(np.float64) if found.dtype.kind == "f" else found)
            except DataflowError as error:
                raise error.at(node=name) from None


def _declared(line: Line) -> str:
    if line.expression is not None:
        return string(line.expression)
    term = line.term
    try:
        pairs = [("op", string(term.op)), ("inputs", "[" + ", ".join(map(_operand, term.arguments)) + "]")]
        if term.attributes:
            pairs.append(("attributes", value({name: plain(item) for name, item in term.attributes.items()})))
    except DataflowError as error:
        raise error.at(node=line.name) from None
    return table(pairs)


def _operand(argument: Any) -> str:
    if argument is None:
        raise FileFormatError("an input that is left out before others cannot be written in TOML")
    return string(argument) if isinstance(argument, str) else number(argument)


def _train(settings: TrainSettings) -> Iterable[tuple[str, str]]:
    default = TrainSettings()
    if dict(settings.optimizer) != dict(default.optimizer):
        yield "optimizer", value({name: plain(item) for name, item in settings.optimizer.items()})
    for name in ("epochs", "batch_size", "shuffle", "seed", "validation"):
        if (item := getattr(settings, name)) != getattr(default, name):
            yield name, value(item)


def _section(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    lines = _lines(pairs)
    return f"[{name}]\n{lines}" if lines or name == "nodes" else ""


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key(name)} = {text}\n" for name, text in pairs)
