"""``dataflow new``: a model file to begin with, for a table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean
from dataflow.data.allowed_folders import split_upwards
from dataflow.data.read_table import read_table
from dataflow.errors import DataError, FileFormatError, counted, nearest
from dataflow.files.toml.first_model import FirstModel, first_model
from dataflow.support.atomic import replace_file


@click.command(
    "new",
    cls=Command,
    epilog=example_text(
        "dataflow new houses.toml --data houses.csv --target price",
        "dataflow train houses.toml -o houses.msgpack",
    ),
)
@click.argument("model_file", metavar="MODEL.toml", type=FILE)
@click.option("--data", "data_file", type=FILE, metavar="FILE", required=True, help="The table to learn from.")
@click.option("--target", metavar="COLUMN", help="The column to predict.")
@click.option("--force", is_flag=True, help="Replace MODEL.toml if there is one.")
@common.output_options
@click.pass_obj
def command(session: Session, model_file: Path, data_file: Path, target: str | None, force: bool) -> None:
    """Write a model that predicts one column of a table from the others, and trains as it is.

    Numbers are standardized, texts become categories, missing cells are filled; the loss suits the target. Columns that
    tell nothing, such as identifiers, are left out. Comments in the file say what to change.
    """
    if model_file.suffix != ".toml":
        raise FileFormatError("the file to begin with is TOML; give it a name that ends in .toml", file=model_file)
    if model_file.exists() and not force:
        raise FileFormatError("exists already, and is kept; --force replaces it", file=model_file)
    common.check_outputs(model_file)

    def columns(names: Sequence[str]) -> Sequence[str]:
        if target not in names:
            said = "say which column to predict with --target" if target is None else f"unknown column '{target}'"
            raise DataError(f"{said}{nearest(target or '', names)}")
        return names

    with about(data_file):
        table = read_table(str(data_file), columns=columns, kinds={})
        file, root = _place(data_file, model_file)
        draft = first_model(table, str(target), name=model_file.stem, file=file, root=root)
    replace_file(model_file, [draft.text.encode()])
    trained = str(model_file.with_suffix(".msgpack"))
    home = ["--data-root", os.path.normpath(model_file.parent / root)] if root else []
    words = ["dataflow", "train", str(model_file), *home, "-o", trained]
    if session.as_json:
        session.print_json(_document(draft, model_file, words, session.take()))
    else:
        session.say(_summary(draft, model_file, shlex.join(words)))


def _place(data_file: Path, model_file: Path) -> tuple[str, str | None]:
    """The data file as the model names it, and the folder that this begins at where it is outside the model's."""
    if str(data_file) == "-":
        return "-", None
    path = Path(os.path.relpath(data_file.resolve(), model_file.parent.resolve()))
    root, file = split_upwards(path.as_posix())
    return file, root


def _summary(draft: FirstModel, model_file: Path, command_line: str) -> str:
    what = {"number": "", "two classes": ", one of two classes", "classes": ", one of several classes"}
    target = f"'{clean(draft.target)}'{what[draft.prediction]}"
    lines = [
        f"Wrote {clean(model_file)}: predicts {target} from {counted(len(draft.inputs), 'column')}.",
        *(f"Left out '{clean(name)}': {clean(reason)}." for name, reason in draft.left_out.items()),
        f"Train it: {clean(command_line)}",
    ]
    return "\n".join(lines)


def _document(draft: FirstModel, model_file: Path, words: Sequence[str], notes: Sequence[str]) -> dict[str, object]:
    return {
        "model": str(model_file),
        "target": draft.target,
        "prediction": draft.prediction,
        "inputs": list(draft.inputs),
        "left_out": draft.left_out,
        "train": list(words),
        "warnings": list(notes),
    }
