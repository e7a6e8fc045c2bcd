"""``dataflow diff``: what differs between two models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean, left_out
from dataflow.data.readers.opening import STANDARD_INPUT, Origin
from dataflow.data.write_results import plain_document, plain_numbers
from dataflow.errors import DataflowError, counted
from dataflow.graph.graph import Graph
from dataflow.model.comparison import (
    ArrayDifference,
    Comparison,
    Difference,
    ResultComparison,
    compare,
    compare_results,
)
from dataflow.model.gathering import gather_weighed
from dataflow.model.model import Model
from dataflow.shapes import format_shape
from dataflow.support.number_texts import number_text
from dataflow.support.text_tables import columns_text
from dataflow.support.texts import shorten

ROWS = 40
"""So many rows of a table are printed."""
CELL = 44
"""So many characters of a value."""
DETAILS = ("batch", "interrupted", "manifest", "state")
"""What is not printed of a training run where the other model was not trained."""
NO_FILE = "/dev/null"
"""What git names where there is no file."""


@click.command(
    "diff",
    cls=Command,
    epilog=example_text(
        "dataflow diff models/xor.toml xor.msgpack",
        "dataflow diff before.msgpack after.msgpack --data test.csv",
        "git config diff.dataflow.command 'dataflow diff --git'",
    ),
)
@click.argument("files", metavar="A B", type=FILE, nargs=-1, required=True)
@common.data_options
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if anything differs.")
@click.option("--git", is_flag=True, help="Take the arguments that git gives to a command that shows differences.")
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    files: tuple[Path, ...],
    given: Given,
    exit_code: bool,
    git: bool,
) -> None:
    """Compare the models A and B, of any formats: nodes, attributes, parameters, settings, training and declared data.

    With --data or --set, both are run, each as it reads the data, and outputs, metrics and gradients are compared as
    well. Parameters are compared bit by bit. The exit status is 0 whether they differ or not, unless --exit-code is
    given.
    """
    if git:
        _show_for_git(session, files)
        return
    if len(files) != 2:
        count = "one was" if len(files) == 1 else f"{len(files)} were"
        raise click.UsageError(f"two models are compared, A and B; {count} given")
    models = [_load(path) for path in files]
    comparison = compare(models[0], models[1])
    results = None
    if given != (None, {}, None):
        fed, weights = [], []
        # standard input is read once, for both
        data = Origin.at(Path(STANDARD_INPUT)) if str(given.file) == STANDARD_INPUT else given.file
        for path, model in zip(files, models, strict=True):
            with about(path):
                inputs, weighs, notes = gather_weighed(model, data, given.settings, given.example)
                session.warn(*notes)
                fed.append(inputs)
                weights.append(weighs)
        results = compare_results(models[0], models[1], fed[0], fed[1], (weights[0], weights[1]))
    if session.as_json:
        session.print_json(_document(files, comparison, results))
    else:
        session.say(_text([clean(path) for path in files], models, comparison, results))
    if exit_code and not comparison.same:
        session.end(f"{files[0]} and {files[1]} differ")


def _load(path: Path) -> Model:
    with about(path):
        return common.load_model(path)


# ------------------------------------------------------------------------------------------------ git


def _show_for_git(session: Session, words: Sequence[Path]) -> None:
    """``PATH OLD HASH MODE NEW HASH MODE``, and for a renamed file its new name and more. Where a file is no model, a
    line says so, as an error would end git's whole output."""
    if len(words) == 1:
        session.say(f"{clean(words[0])}: not merged")
        return
    if len(words) < 7:
        raise click.UsageError("--git takes what git gives: PATH OLD-FILE OLD-HASH OLD-MODE NEW-FILE NEW-HASH NEW-MODE")
    old, new = words[1], words[4]
    titles = [f"a/{words[0]}", f"b/{words[7] if len(words) > 7 else words[0]}"]
    try:
        models = [None if str(path) == NO_FILE else _load(path) for path in (old, new)]
    except DataflowError as error:
        session.say(f"dataflow diff {' '.join(map(clean, titles))}\n{clean(error.message)}\n")
        return
    match models:
        case [Model() as a, Model() as b]:
            text = _text(["a", "b"], [a, b], compare(a, b), None)
        case [None, Model() as b]:
            text = f"new: {b!r}"
        case [Model() as a, None]:
            text = f"deleted: {a!r}"
        case _:
            text = ""
    session.say(f"dataflow diff {' '.join(map(clean, titles))}\n{text}\n")


# ------------------------------------------------------------------------------------------------ text


def _text(
    titles: Sequence[str], models: Sequence[Model], comparison: Comparison, results: ResultComparison | None
) -> str:
    a, b = titles
    heading = "The models are the same." if comparison.same else f"A: {a}, {models[0]!r}\nB: {b}, {models[1]!r}"
    parts = [heading, *_structure(models, comparison)]
    for section in ("model", "parameters", "settings"):
        parts += _section(section, getattr(comparison, section))
    brief = () if all(model.training for model in models) else DETAILS
    parts += _section(
        "training", {key: x for key, x in comparison.training.items() if key.partition(".")[0] not in brief}
    )
    parts += _section("data", comparison.data)
    if results is not None:
        for title, differences in (("output", results.outputs), ("gradient", results.gradients)):
            parts += _arrays(title, differences)
        parts += _pairs("metric", results.metrics)
        if not (results.outputs or results.metrics or results.gradients):
            parts.append("There is no output, loss or gradient that both models compute from these inputs.")
    return "\n\n".join(parts)


def _structure(models: Sequence[Model], comparison: Comparison) -> Iterator[str]:
    graph_a, graph_b = (model.graph for model in models)
    rows: list[tuple[str, ...]] = [(name, "removed", _formula(graph_a, name), "") for name in comparison.removed]
    rows += [(name, "added", "", _formula(graph_b, name)) for name in comparison.added]
    follow, arrays = 0, {}
    for name, differences in comparison.changed.items():
        if graph_b.node_of(name).op and differences.keys() <= {"shape", "dtype"}:
            follow += 1  # nobody declared it: it is inferred from what is declared elsewhere
            continue
        for part, difference in differences.items():
            if isinstance(difference, ArrayDifference):
                arrays[name] = difference
            else:
                rows.append((name, part.removeprefix("attributes."), *map(_cell, difference)))
    if rows:
        yield _cut_table(("node", "", "A", "B"), rows)
    if follow:
        yield f"{counted(follow, 'more node')} of another shape or dtype as a consequence."
    yield from _arrays("constant", arrays)


def _section(title: str, differences: Mapping[str, Difference]) -> Iterator[str]:
    arrays = {name: x for name, x in differences.items() if isinstance(x, ArrayDifference)}
    yield from _pairs(title, {name: x for name, x in differences.items() if name not in arrays})
    yield from _arrays(title.removesuffix("s"), arrays)


def _pairs(title: str, differences: Mapping[str, Any]) -> Iterator[str]:
    if differences:
        yield _cut_table((title, "A", "B"), [(name, *map(_cell, pair)) for name, pair in differences.items()])


def _arrays(title: str, differences: Mapping[str, ArrayDifference]) -> Iterator[str]:
    if differences:
        headers = (title, "shape", "norm A", "norm B", "norm B − A", "largest", "entries")
        yield _cut_table(headers, [(name, *_cells_of(x)) for name, x in differences.items()])


def _cells_of(x: ArrayDifference) -> tuple[str, ...]:
    shapes = [format_shape(shape) for shape in x.shapes]
    if x.dtypes[0] != x.dtypes[1]:
        shapes = [f"{dtype} {shape}" for dtype, shape in zip(x.dtypes, shapes, strict=True)]
    shape = shapes[0] if shapes[0] == shapes[1] else " → ".join(shapes)
    norms = [number_text(norm) for norm in x.norms]
    if x.difference is None:
        return (shape, *norms, "", "", "")
    return (shape, *norms, number_text(x.difference), number_text(x.largest), f"{x.entries:,}")


def _cut_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [headers, *(tuple(map(clean, row)) for row in rows[:ROWS])]
    return columns_text(cells, len(headers)) + left_out(len(rows) - ROWS, "row")


def _formula(graph: Graph, name: str) -> str:
    """A node on one line: ``relu(z)``, ``input (n, 2)``."""
    node = graph.node_of(name)
    if not node.op:
        return f"{node.kind} {format_shape(node.shape)} {node.dtype.name}"
    return shorten(f"{node.op}({', '.join(map(str, graph.arguments(name)))})", CELL)


def _cell(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {format_shape(value.shape)}"
    if value in (None, "", {}):
        return "none"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return shorten(", ".join(map(str, value)) or "none", CELL)
    return shorten(number_text(value, 12) if isinstance(value, float) else str(value), CELL)


# ------------------------------------------------------------------------------------------------ JSON


def _document(files: Sequence[Path], comparison: Comparison, results: ResultComparison | None) -> dict[str, Any]:
    return {
        "a": str(files[0]),
        "b": str(files[1]),
        "same": comparison.same,
        **{section.name: _plain(getattr(comparison, section.name)) for section in fields(comparison)},
        "results": None
        if results is None
        else {key.name: _plain(getattr(results, key.name)) for key in fields(results)},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, ArrayDifference):
        return {entry.name: plain_document(_plain(getattr(value, entry.name))) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic | float):
        return plain_numbers(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)
