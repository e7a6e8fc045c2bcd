"""``dataflow completion``: what a shell has to know to complete command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dataflow.cli.command import Command, example_text
from dataflow.cli.common import debug_option
from dataflow.cli.completing import SHELLS, VARIABLE


@click.command(
    "completion",
    cls=Command,
    epilog=example_text(
        'eval "$(dataflow completion bash)"                          in ~/.bashrc',
        'eval "$(dataflow completion zsh)"                           in ~/.zshrc',
        "dataflow completion fish > ~/.config/fish/completions/dataflow.fish   once",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@debug_option
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, model files and the names of ops.

    The script asks dataflow itself, so that the commands of plugins are completed, too.
    """
    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(ctx.find_root().command, {}, "dataflow", VARIABLE).source())
