"""``dataflow convert``: a model from one file format to another."""

from __future__ import annotations

from pathlib import Path

import click

from dataflow import registry
from dataflow.cli import common
from dataflow.cli.common import FILE, about, example_text
from dataflow.cli.group import Session
from dataflow.cli.text import counted
from dataflow.files import save


@click.command(
    "convert",
    epilog=example_text(
        "dataflow convert models/xor.toml xor.msgpack",
        "dataflow convert trained.msgpack trained.toml",
    ),
)
@click.argument("source", metavar="A", type=FILE)
@click.argument("target", metavar="B", type=FILE)
@common.output_options
@click.pass_obj
def command(session: Session, source: Path, target: Path, as_json: bool, quiet: bool) -> None:
    """Read the model A and write it as B, each in the format that its ending names.

    msgpack keeps everything, bit for bit. TOML holds the model but not the state of a training run, which a warning
    says when it is dropped.
    """
    with about(target):
        registry.file_format(target.suffix)
    with about(source):
        model = common.load_model(source)
    with about(target):
        save(model, target)
    if as_json:
        common.print_json({"from": str(source), "to": str(target), "warnings": session.take()})
    else:
        session.say(f"Wrote {counted(len(model.graph), 'node')} of '{model.name}' to {target}.")
