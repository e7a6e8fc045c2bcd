"""``dataflow convert``: a model from one file format to another."""

from __future__ import annotations

import filecmp
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import clean
from dataflow.errors import DataflowError, FileFormatError, counted
from dataflow.files import load, save
from dataflow.model.model import Model
from dataflow.registry import registry
from dataflow.support.atomic import replace_file

SHAPE_HELP = "The shape of an input of an ONNX file that leaves sizes open, such as x=n,3,640,640."


@click.command(
    "convert",
    cls=Command,
    epilog=example_text(
        "dataflow convert models/xor.toml xor.msgpack",
        "dataflow convert trained.msgpack trained.toml",
    ),
)
@click.argument("source", metavar="A", type=FILE)
@click.argument("target", metavar="B", type=FILE)
@parameters_option
@click.option("--shape", "shapes", metavar="INPUT=SIZE,...", multiple=True, help=SHAPE_HELP)
@common.settings_option("--constant", "constants", "A value that an input of an ONNX file keeps, such as sr=16000.")
@click.option("--force", is_flag=True, help="Replace B whatever it is.")
@common.output_options
@click.pass_obj
def command(
    session: Session, source: Path, target: Path, shapes: tuple[str, ...], constants: dict[str, Any], force: bool
) -> None:
    """Read the model A and write it as B, each in the format that its ending names.

    msgpack keeps everything, bit for bit. TOML holds the model but not the state of a training run, which a warning
    says when it is dropped. Where B is a file already, one that convert can make again is replaced. One with the state
    of a training run, TOML that someone wrote, or what cannot be read, is kept unless --force is given.
    """
    with about(target):
        registry.file_format(target.suffix)
    common.check_outputs(target)
    with about(source):
        model = common.load_model(source, _read_shapes(shapes), constants)
    with about(target):
        _save_what_loads(model, target, force)
    if session.as_json:
        session.print_json({"from": str(source), "to": str(target), "warnings": session.take()})
    else:
        session.say(f"Wrote {counted(len(model.graph), 'node')} of '{model.name}' to {clean(target)}.")


def _read_shapes(texts: tuple[str, ...]) -> dict[str, tuple[int | str, ...]]:
    """``x=n,3,64``: sizes, each a number or the name of one that stays open."""
    shapes = {}
    for text in texts:
        name, equals, sizes = text.partition("=")
        parts = [part.strip() for part in sizes.split(",")]
        if not equals or not name or not all(part.isdecimal() or part.isidentifier() for part in parts):
            raise click.BadParameter(f"'{clean(text)}' is not like x=n,3,64", param_hint="--shape")
        if name in shapes:
            raise click.BadParameter(f"the shape of '{clean(name)}' is given twice", param_hint="--shape")
        shapes[name] = tuple(int(part) if part.isdecimal() else part for part in parts)
    return shapes


def _save_what_loads(model: Model, target: Path, force: bool) -> None:
    """Write a file beside the target and load it, then make it the target: an older file is never replaced by one that
    cannot be loaded."""
    written = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            save(model, written)
        if not registry.file_format(target.suffix).reads_back:
            load(written)
        if target.exists() and not force and not filecmp.cmp(target, written, shallow=False):
            scratch = written.with_stem(f"{written.stem}-again")
            try:
                _check_replaceable(target, scratch)
            finally:
                scratch.unlink(missing_ok=True)
        with written.open("rb") as file:
            replace_file(target, iter(lambda: file.read(2**20), b""))
        for warning in told:  # once there is something to tell of
            warnings.warn(warning.message, stacklevel=2)
    except DataflowError as error:
        if error.file is not None and Path(error.file) == written:
            error.file = str(target)
        raise
    finally:
        written.unlink(missing_ok=True)


def _check_replaceable(target: Path, scratch: Path) -> None:
    """A ``FileFormatError`` for a file that cannot be made again from another: with the state of a training run, TOML
    in other words than ours, or what cannot be read here. ``scratch`` is overwritten."""
    what = "cannot be read here"
    with warnings.catch_warnings(), suppress(DataflowError):
        warnings.simplefilter("ignore")
        model = load(target)
        what = "holds the state of a training run" if model.training else ""
        if not what and target.suffix == ".toml":
            save(model, scratch)
            what = "" if target.read_bytes() == scratch.read_bytes() else "was not written by convert"
    if what:
        raise FileFormatError(f"exists already, {what}, and is kept; --force replaces it", file=target)
