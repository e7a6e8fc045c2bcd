"""What a file declares beside its graph: ``[model]``, ``[data]`` and ``[train]``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dataflow.data.allowed_folders import split_upwards
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import RuleError, read_categories, read_missing, read_one_hot
from dataflow.data.readers.dialect import EXPECTED, can_be
from dataflow.data.source import DataSource
from dataflow.errors import DataError, DataflowError, FileFormatError, GraphError, OpError, nearest
from dataflow.files.plain_checks import is_columns
from dataflow.files.toml.declarations import check_attributes, read_choice, read_classes, read_numbers
from dataflow.files.toml.known_keys import KEYS, Fields, shown
from dataflow.files.toml.nodes import Level
from dataflow.files.toml.places import Key
from dataflow.files.versions import DATA_KEYS
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.graph.node_names import normal_name
from dataflow.metrics.comparisons import check_targets
from dataflow.model.option_kinds import Names, OptionKind
from dataflow.model.table_kinds import Choice, Table, ValueOrTable
from dataflow.model.train_settings import FILE_OPTIONS, TrainSettings
from dataflow.support.conversion import EntryError


def read_model(fields: Fields, graph: Graph, level: Level) -> tuple[list[str], str | None, dict[str, str]]:
    """The outputs (unless given, the nodes that nothing uses but the loss), the loss and the targets."""
    fields.check_keys(KEYS["model"])
    outputs, loss = _read_outputs(fields, graph, level)
    fields.needs_version(2, "targets")
    table = fields.table("targets", "targets")
    targets = {}
    for key, value in table.data.items():
        if not isinstance(value, str):
            table.fail_value(f"targets takes the name of an input for each output, not {shown(value)}", key)
        targets[normal_name(key)] = normal_name(value)
        try:
            check_targets(graph, outputs, targets)
        except GraphError as error:
            raise table.placed_at_value(error, key) from None
    read_classes(fields, graph)
    return outputs, loss, targets


def _read_outputs(fields: Fields, graph: Graph, level: Level) -> tuple[list[str], str | None]:
    loss = fields.text("loss", "the name of a node")
    if loss is not None:
        loss = normal_name(loss)
        try:
            spec = graph.value(loss).spec
        except GraphError as error:
            raise fields.placed_at_value(error, "loss") from None
        if spec.shape != () or not spec.is_float:
            message = f"the loss '{loss}' is {spec}; a loss is one float, such as sum(...) or mse(...)"
            raise fields.placed_at_value(GraphError(message), "loss")
    if "outputs" not in fields.data:
        unused = level.unused(besides=loss)
        outputs = [node for name in unused for node in [name] * (name in graph) or _outputs_of(graph, name)]
        return outputs or ([loss] if loss is not None else []), loss
    outputs = [normal_name(name) for name in fields.names("outputs", "names of nodes")]
    seen: set[str] = set()
    for i, name in enumerate(outputs):
        try:
            graph.value(name)
            if name in seen:
                raise GraphError(f"the output '{name}' is listed twice")
            seen.add(name)
        except GraphError as error:
            raise fields.placed_at_value(error, "outputs", i) from None
    return outputs, loss


def _outputs_of(graph: Graph, name: str) -> list[str]:
    return [f"{name}:{output}" for output in graph.outputs_of(name)]


# ------------------------------------------------------------------------------------------------ data


def read_data_source(fields: Fields, graph: Graph, folder: Path) -> DataSource:
    """The data as declared. Arrays are checked now, a file when it is loaded, but for its place: inside ``folder``."""
    inputs = dict.fromkeys(graph.names(INPUT))  # a file may have very many
    names = [key for key in fields.data if _names_input(fields, key, inputs)]
    keys = {normal_name(key): key for key in names}
    arrays = {name: fields.data[key] for name, key in keys.items()}
    for key in DATA_KEYS:
        if key not in names:
            fields.needs_version(2, key)
    for name, key in keys.items():
        if name not in inputs:
            known = [*inputs, *KEYS["data"]]
            fields.fail(f"unknown input {shown(key)}, which [data] gives{nearest(key, known)}", key)
    path, root = fields.text("file", "the name of a data file"), None
    if path is not None and "root" not in fields.data:
        root, path = split_upwards(path)
    if path is not None and arrays:
        fields.fail("[data] has arrays and a file; leave out one", next(iter(keys.values())))
    if arrays and "columns" in fields.data:
        # Without arrays and a file they are for the file that --data will name.
        fields.fail("columns are those of a file, and [data] has arrays", "columns")
    source = DataSource(
        arrays=arrays if path is None else None,
        file=None if path is None else Path(path),
        columns=_by_input(fields, "columns", inputs, is_columns, 'a column, a range "p0:p63" or a list of them'),
        one_hot=_one_hot(fields, inputs),
        scale=_by_input(fields, "scale", inputs, _is_finite, "a number"),
        folder=folder,
        **({"root": root} | _new_keys(fields, names, inputs)),
    )
    try:
        source.check(graph)
    except DataError as error:
        raise fields.placed(error) from None
    if path is not None:
        _check_path(fields, path, source)
    elif arrays:
        _check_arrays(fields, keys, source, graph)
    return source


def _names_input(fields: Fields, key: str, inputs: Collection[str]) -> bool:
    """Whether a key of ``[data]`` gives an array. The newer keys do where an input has their name and there is no
    file."""
    if key in DATA_KEYS:
        return normal_name(key) in inputs and (fields.version < 2 or "file" not in fields.data)
    return key not in KEYS["data"]


def _new_keys(fields: Fields, names: Collection[str], inputs: Collection[str]) -> dict[str, Any]:
    """What the keys since version 2 say, but those that name inputs."""
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[], Any]] = {
        "root": lambda: fields.text("root", "the name of a folder"),
        **{key: partial(fields.get, key, partial(can_be, key), expected) for key, expected in EXPECTED.items()},
        "percent": lambda: fields.get("percent", lambda value: isinstance(value, bool), "true or false"),
        "weights": lambda: fields.text("weights", "the name of a column"),
        "missing": lambda: _by_column(fields, "missing", read_missing),
        "categories": lambda: _by_column(fields, "categories", read_categories),
        "standardize": lambda: _standardize(fields, inputs),
        "learned": lambda: _learned(fields, inputs),
    }
    for key, read in readers.items():
        if key in fields.data and key not in names:
            found[key] = read()
    return found


def _by_column(fields: Fields, key: str, read: Callable[[Any], Any]) -> Mapping[str, Any]:
    table = fields.table(key, key)
    for column, value in table.data.items():
        try:
            read(value)
        except RuleError as error:
            message = f"{key} of {shown(column)}: {error.message}"
            keys = error.keys if isinstance(value, dict) else ()
            raise table.placed_at_value(FileFormatError(message), column, *keys) from None
    return table.data


def _standardize(fields: Fields, inputs: Collection[str]) -> list[str]:
    names = fields.names("standardize", "inputs")
    for i, name in enumerate(names):
        if normal_name(name) not in inputs:
            message = f"unknown input {shown(name)}, which standardize names{nearest(name, inputs)}"
            fields.fail_value(message, "standardize", i)
    return [normal_name(name) for name in names]


def _learned(fields: Fields, inputs: Collection[str]) -> Preparation:
    table = fields.table("learned", "learned")
    try:
        learned = Preparation.of_plain(table.data)
    except RuleError as error:
        raise table.placed(FileFormatError(f"learned: {error.message}"), *error.keys) from None
    for name in learned.inputs:
        if normal_name(name) not in inputs:
            table.fail(f"unknown input {shown(name)}, which learned names{nearest(name, inputs)}", "inputs", name)
    return Preparation(learned.columns, {normal_name(name): item for name, item in learned.inputs.items()})


def _one_hot(fields: Fields, inputs: Collection[str]) -> Mapping[str, Any]:
    chosen = _by_input(fields, "one_hot", inputs, lambda value: True, "")
    table = fields.table("one_hot", "one_hot")
    for name, value in table.data.items():
        try:
            read_one_hot(value)
        except RuleError as error:
            message = f"one_hot of '{name}': {error.message}" + ("" if error.keys else f", not {shown(value)}")
            raise table.placed_at_value(FileFormatError(message), name, *error.keys) from None
        if type(value) is not int:
            table.needs_version(2, name, "one_hot by names")
    return chosen


def _by_input(fields: Fields, key: str, inputs: Collection[str], accepts: Any, expected: str) -> Mapping[str, Any]:
    table = fields.table(key, key)
    for name, value in table.data.items():
        if normal_name(name) not in inputs:
            table.fail(f"unknown input {shown(name)}, which {key} names{nearest(name, inputs)}", name)
        if not accepts(value):
            table.fail_value(f"{key} of '{name}' takes {expected}, not {shown(value)}", name)
    return {normal_name(name): value for name, value in table.data.items()}


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300


def _check_path(fields: Fields, path: str, source: DataSource) -> None:
    if not path.strip() or not path.isprintable() or "\\" in path:
        message = f"file takes the name of a data file, with slashes between folders, not {shown(path)}"
        raise fields.placed_at_value(DataError(message), "file")
    if "root" not in fields.data:  # else whoever reads the file needs to know whether the user allows it
        try:
            source.path()
        except DataError as error:
            raise fields.placed_at_value(error, "file") from None


def _check_arrays(fields: Fields, keys: Mapping[str, str], source: DataSource, graph: Graph) -> None:
    for key in keys.values():
        read_numbers(fields, key)
    try:
        source.load(graph)
    except DataError as error:
        entry = error.index if isinstance(error, EntryError) else ()
        named = [key for name, key in keys.items() if name == error.node]
        path: tuple[Key, ...] = (*named, *entry) if named else ()
        raise fields.placed_at_value(DataError(error.message, node=error.node), *path) from None


# ------------------------------------------------------------------------------------------------ training


def read_train(fields: Fields) -> TrainSettings:
    """How the model is trained unless something else is asked for."""
    fields.check_keys(KEYS["train"])
    return TrainSettings(
        **{name: _read(fields, name, option.kind) for name, option in FILE_OPTIONS.items() if name in fields.data}
    )


def _read(fields: Fields, key: str, kind: OptionKind, owner: str = "") -> Any:
    """The value at a key of ``[train]``, or of a table in it, called ``owner.key`` in messages."""
    name = f"{owner}{key}"
    match kind:
        case ValueOrTable():
            is_table = isinstance(fields.data[key], dict)
            return _read(fields, key, kind.table if is_table else kind.value, owner)
        case Choice():
            return _read_choice(fields, key, kind)
        case Table():
            return _read_table(fields, key, kind, name)
        case Names():
            fields.names(key, "names")

    def accepts(value: Any) -> bool:
        return kind.accepts(value) and not (type(value) is int and value >= 2**63)

    value = fields.get(key, accepts, kind.expected)
    try:
        return kind.check(name, value)
    except DataflowError as error:
        raise fields.placed_at_value(error, key) from None


def _read_table(fields: Fields, key: str, kind: Table, name: str) -> Mapping[str, Any]:
    if not isinstance(fields.data[key], dict):
        fields.fail_value(f"{name} takes {kind.expected}, not {shown(fields.data[key])}", key)
    table = fields.table(key, name)
    table.check_keys(kind.keys)
    values = {inner: _read(table, inner, kind.keys[inner].kind, f"{name}.") for inner in table.data}
    try:
        return kind.check(name, values)
    except DataflowError as error:
        raise fields.placed_at_value(error, key) from None


def _read_choice(fields: Fields, key: str, kind: Choice) -> Mapping[str, Any]:
    table, chosen, name_path = read_choice(fields, key, kind.kind)
    given = {key: value for key, value in chosen.items() if key != "name"}
    try:
        plugin = kind.find(chosen["name"])
    except DataflowError as error:
        raise table.placed_at_value(error, *name_path) from None
    try:
        if given.keys() <= plugin.attributes().keys():  # else a name may be misspelled
            plugin.check_needed(given)
        check_attributes(table, plugin.attributes(), given, f"{kind.kind} '{plugin.name}'")
        plugin.create(given)
    except OpError as error:
        named = [key for key in given if f"{key} " in error.message]
        raise table.placed(error, *named[:1]) from None
    return chosen
