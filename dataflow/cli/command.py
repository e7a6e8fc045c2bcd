"""What all commands are alike in: options given twice, examples in their help."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import reduce, wraps
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
LONGEST_EXAMPLE = 76


class Command(click.Command):
    """A command that refuses an option given twice, unless its values add up, which its help says."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        refuse_repeated(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()  # what options have entered, such as a format of numbers; click leaves it open
            raise


def refuse_repeated(command: click.Command) -> None:
    """Make any click command, and those of a group, refuse an option given twice, unless its values add up."""
    if "make_parser" in vars(command):
        return  # it does already
    make_parser = command.make_parser

    @wraps(make_parser)
    def make_strict_parser(ctx: click.Context) -> Any:
        parser = make_parser(ctx)
        parse = parser.parse_args

        @wraps(parse)
        def parse_strictly(args: list[str]) -> Any:
            options, rest, given = parse(args)
            if not ctx.resilient_parsing:
                _check_repeated(ctx, given)
            return options, rest, given

        parser.parse_args = parse_strictly  # type: ignore[method-assign]
        return parser

    command.make_parser = make_strict_parser  # type: ignore[method-assign]
    for option in command.params:
        if isinstance(option, click.Option) and option.multiple and "can be repeated" not in (option.help or ""):
            option.help = f"{(option.help or '').removesuffix('.')}; can be repeated.".removeprefix("; ")
    if isinstance(command, click.Group):
        get_command = command.get_command

        @wraps(get_command)
        def get_strict_command(ctx: click.Context, cmd_name: str) -> click.Command | None:
            if (found := get_command(ctx, cmd_name)) is not None:
                refuse_repeated(found)
            return found

        command.get_command = get_strict_command  # type: ignore[method-assign]


def _check_repeated(ctx: click.Context, given: list[click.Parameter]) -> None:
    for option, count in Counter(given).items():
        if count > 1 and takes_one_value(option):
            name = "/".join([*option.opts[-1:], *option.secondary_opts[-1:]])
            raise click.UsageError(f"{name} is given {_times(count)}, and takes one value; give it once", ctx)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """All these options, in this order, as one decorator."""
    return lambda function: reduce(lambda decorated, option: option(decorated), reversed(options), function)


def refuse(*faults: tuple[bool, str]) -> None:
    """A ``UsageError`` for the first fault that holds."""
    for holds, message in faults:
        if holds:
            raise click.UsageError(message)


def example_text(*lines: str) -> str:
    """Format the examples at the end of a command's help, one after the other. A long one goes on below, as a shell
    takes it, and a remark stands above its example."""
    return "\b\nExample:\n" + "\n".join(f"  {part}" for line in lines for part in _example(line))


def _example(line: str) -> Iterator[str]:
    words, *remark = re.split(r" {3,}", line)
    if remark:
        yield f"# {remark[0]}"
    while len(words) > LONGEST_EXAMPLE:
        end = max(words.rfind(f" {mark}", 0, LONGEST_EXAMPLE) for mark in ("--", "-o "))
        yield f"{words[:end]} \\"
        words = f"    {words[end + 1 :]}"
    yield words


def takes_one_value(option: click.Parameter) -> bool:
    """Whether a second one would replace the first: not where values add up, nor where there is nothing but yes."""
    if not isinstance(option, click.Option) or option.multiple or option.count:
        return False
    return not option.is_flag or bool(option.secondary_opts)


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
