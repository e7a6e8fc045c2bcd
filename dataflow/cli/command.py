"""What all commands are alike in: options given twice, examples in their help."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

LONGEST_EXAMPLE = 76


class Command(click.Command):
    """A command that refuses an option given twice, unless its values add up, which its help says."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for option in self.params:
            if isinstance(option, click.Option) and option.multiple:
                option.help = f"{(option.help or '').removesuffix('.')}; can be repeated."

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, list(args))
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()  # what options have entered, such as a format of numbers; click leaves it open
            raise

    def _refuse_repeated(self, ctx: click.Context, words: list[str]) -> None:
        *_, given = self.make_parser(ctx).parse_args(words)
        for option, count in Counter(given).items():
            if count > 1 and takes_one_value(option):
                name = "/".join([*option.opts[-1:], *option.secondary_opts[-1:]])
                raise click.UsageError(f"{name} is given {_times(count)}, and takes one value; give it once", ctx)


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
