"""``dataflow new-plugin``: a plugin to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dataflow.cli import common
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean
from dataflow.errors import FileFormatError
from dataflow.registry.new_plugin import new_plugin
from dataflow.support.atomic import replace_file


@click.command("new-plugin", cls=Command, epilog=example_text("dataflow new-plugin soft-step"))
@click.argument("name")
@click.option("--output-dir", type=FILE, metavar="DIR", default=Path(), help="Where the package's folder is made.")
@common.output_options
@click.pass_obj
def command(session: Session, name: str, output_dir: Path) -> None:
    """Write a plugin: a package with an op called NAME, its derivative and its test, an optimizer, the entry point by
    which dataflow finds it, and a README.

    It works as it is; put your own op in its place.
    """
    plugin = new_plugin(name)
    folder = output_dir / plugin.distribution
    if folder.exists() or folder.is_symlink():
        raise FileFormatError("exists already, and is kept; take another name", file=folder)
    for path, text in plugin.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(folder / path, [text.encode()])
    steps = [
        f"cd {shlex.quote(str(folder))}",
        "pip install -e .",
        f"dataflow ops {plugin.op}",
        "dataflow train example.toml",
        "pip install pytest && pytest",
    ]
    if session.as_json:
        files = [str(folder / path) for path in plugin.files]
        names = {"op": plugin.op, "optimizer": plugin.optimizer, "module": plugin.module}
        session.print_json({"folder": str(folder), **names, "files": files, "next": steps})
        return
    session.say(f"Wrote a plugin to {clean(folder)}: the op '{plugin.op}' stands in {plugin.module}.py.")
    session.say("\n".join(["Next:", *(f"  {step}" for step in steps)]))
