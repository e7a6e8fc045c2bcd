"""What is said of a command that is called in a wrong way: one line, with what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import click

from dataflow.errors import closest, listed

NUMBERS = {"a valid integer range": "a whole number", "a valid float range": "a number"}


def usage_text(error: click.ClickException, commands: Callable[[], Iterable[click.Command]]) -> str:
    """A wrong call in one line. ``commands`` gives all commands, in which an option is looked for that this one does
    not have."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    where = "" if ctx is None else f"; '{ctx.command_path} -h' shows how it is called"
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        return f"unknown option '{error.option_name}'{_meant(error.option_name, ctx, commands) or where}"
    if isinstance(error, click.MissingParameter) and error.param is not None and ctx is not None:
        return f"{_called(error.param, ctx)} is missing{where}"
    message = error.format_message()
    if ctx is not None and (extra := re.fullmatch(r"Got unexpected extra arguments? \((.*)\)\.?", message, re.DOTALL)):
        return f"unexpected '{extra[1]}'; '{ctx.command_path}' takes {_taken(ctx)}{where}"
    for theirs, ours in NUMBERS.items():
        message = message.replace(theirs, ours)
    return message.removesuffix(".")


def _taken(ctx: click.Context) -> str:
    """The arguments of a command."""
    arguments = [p.make_metavar(ctx) for p in ctx.command.get_params(ctx) if isinstance(p, click.Argument)]
    return f"{' '.join(arguments)} and options" if arguments else "options alone"


def asking_less(command: click.Command | None) -> str:
    """What to say where a command took too much work: its options that make it do less."""
    options = {name for parameter in command.params for name in parameter.opts} if command is not None else set()
    ways = [f"{what}, {option} NAME" for option, what in _LESS.items() if option in options]
    return f"; ask for less: {' or '.join(ways)}" if ways else ""


_LESS = {"--wrt": "one array", "--of": "an earlier node"}


def _meant(option: str, ctx: click.Context, commands: Callable[[], Iterable[click.Command]]) -> str:
    here = {name.lstrip("-"): name for name in reversed(_options(ctx.command, ctx))}
    if close := closest(option.lstrip("-"), list(here)):  # dashes make no two names alike
        return "; did you mean " + " or ".join(f"'{here[name]}'" for name in close) + "?"
    others = [str(command.name) for command in commands() if option in _options(command, ctx)]
    return f"; it is an option of {listed(others, 4)}" if others else ""


def _options(command: click.Command, ctx: click.Context) -> list[str]:
    return [name for parameter in command.get_params(ctx) for name in parameter.opts if name.startswith("-")]


def _called(parameter: click.Parameter, ctx: click.Context) -> str:
    metavar = parameter.make_metavar(ctx)
    return metavar if isinstance(parameter, click.Argument) else f"{' or '.join(parameter.opts)} {metavar}"
