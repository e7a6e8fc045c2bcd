"""What a file declares beside its graph: ``[model]``, ``[data]`` and ``[train]``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dataflow import registry
from dataflow.data import CLASSES_LIMIT, DataSource
from dataflow.errors import DataError, DataflowError, GraphError, OpError, nearest
from dataflow.files.declarations import check_attributes, normal, read_choice, read_numbers
from dataflow.files.fields import KEYS, Fields, shown
from dataflow.files.nodes import Level
from dataflow.graph import INPUT, Graph
from dataflow.model import TrainSettings


def read_model(fields: Fields, graph: Graph, level: Level) -> tuple[list[str], str | None]:
    """The outputs and the loss. Unless outputs are given, they are the nodes that nothing uses but the loss."""
    fields.check_keys(KEYS["model"])
    loss = fields.text("loss", "the name of a node")
    if loss is not None:
        loss = normal(loss)
        try:
            spec = graph.value(loss).spec
        except GraphError as error:
            raise fields.placed_at_value(error, "loss") from None
        if spec.shape != () or not spec.is_float:
            message = f"the loss '{loss}' is {spec}; a loss is one float, such as sum(...) or mse(...)"
            raise fields.placed_at_value(GraphError(message), "loss")
    if "outputs" not in fields.data:
        return level.unused(besides=loss) or ([loss] if loss is not None else []), loss
    outputs = [normal(name) for name in fields.names("outputs", "names of nodes")]
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


# ------------------------------------------------------------------------------------------------ data


def read_data_source(fields: Fields, graph: Graph, folder: Path) -> DataSource:
    """The data as declared. Arrays are checked now, a file when it is loaded, but for its place: inside ``folder``."""
    inputs = dict.fromkeys(graph.names(INPUT))  # a file may have very many
    keys = {normal(key): key for key in fields.data if key not in KEYS["data"]}
    arrays = {name: fields.data[key] for name, key in keys.items()}
    for name, key in keys.items():
        if name not in inputs:
            known = [*inputs, *KEYS["data"]]
            fields.fail(f"there is no input {shown(key)}, which [data] gives{nearest(key, known)}", key)
    path = fields.text("file", "the name of a data file")
    if path is not None and arrays:
        fields.fail("[data] has arrays and a file; leave out one", next(iter(keys.values())))
    if arrays and "columns" in fields.data:
        # Without arrays and a file they are for the file that --data will name.
        fields.fail("columns are those of a file, and [data] has arrays", "columns")
    source = DataSource(
        arrays=arrays if path is None else None,
        file=None if path is None else Path(path),
        columns=_by_input(fields, "columns", inputs, _is_columns, 'a column, a range "p0:p63" or a list of them'),
        one_hot=_by_input(fields, "one_hot", inputs, _is_class_count, f"a number of classes from 1 to {CLASSES_LIMIT}"),
        scale=_by_input(fields, "scale", inputs, _is_finite, "a number"),
        folder=folder,
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


def _by_input(fields: Fields, key: str, inputs: Collection[str], accepts: Any, expected: str) -> Mapping[str, Any]:
    table = fields.table(key, key)
    for name, value in table.data.items():
        if normal(name) not in inputs:
            table.fail(f"there is no input {shown(name)}, which {key} names{nearest(name, inputs)}", name)
        if not accepts(value):
            table.fail_value(f"{key} of '{name}' takes {expected}, not {shown(value)}", name)
    return {normal(name): value for name, value in table.data.items()}


def _is_columns(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_class_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= CLASSES_LIMIT


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300


def _check_path(fields: Fields, path: str, source: DataSource) -> None:
    if not path.strip() or not path.isprintable() or "\\" in path:
        message = f"file takes the name of a data file, with slashes between folders, not {shown(path)}"
        raise fields.placed_at_value(DataError(message), "file")
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
        raise fields.placed_at_value(error, *[key for name, key in keys.items() if name == error.node]) from None


# ------------------------------------------------------------------------------------------------ training


def read_train(fields: Fields) -> TrainSettings:
    """How the model is trained unless something else is asked for."""
    fields.check_keys(KEYS["train"])
    default = TrainSettings()
    share = "a share from 0 up to, not including, 1"
    chosen: Mapping[str, Any] = default.optimizer
    if "optimizer" in fields.data:
        chosen = _read_optimizer(fields)
    return TrainSettings(
        optimizer=chosen,
        epochs=fields.integer("epochs", 0, default.epochs),
        batch_size=fields.integer("batch_size", 1, default.batch_size),
        shuffle=fields.get("shuffle", lambda value: isinstance(value, bool), "true or false", default.shuffle),
        seed=fields.integer("seed", 0, default.seed),
        validation=float(fields.get("validation", _is_share, share, default.validation)),
    )


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def _read_optimizer(fields: Fields) -> Mapping[str, Any]:
    table, chosen, name_path = read_choice(fields, "optimizer", "optimizer")
    given = {key: value for key, value in chosen.items() if key != "name"}
    try:
        optimizer = registry.optimizer(chosen["name"])
    except DataflowError as error:
        raise table.placed_at_value(error, *name_path) from None
    check_attributes(table, optimizer.attributes(), given, f"optimizer '{optimizer.name}'")
    try:
        optimizer.create(given)
    except OpError as error:
        named = [key for key in given if f"{key} " in error.message]
        raise table.placed(error, *named[:1]) from None
    return chosen
