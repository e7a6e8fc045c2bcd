"""The declared options of training as options of commands.

An option that is a table in a file is given key by key (``--clip.norm=1.0``), by a name or number where the table has
a short form (``--schedule cosine``), or whole, as JSON. What is given key by key changes what the file declares, and
``none`` holds as if it declared nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, cast

import click
from click.core import ParameterSource

from dataflow.cli.command import Command, F, together
from dataflow.errors import DataflowError
from dataflow.model.option_kinds import Flag, Names, Number, OneOf, OptionKind, Share, Text, Whole
from dataflow.model.table_kinds import Changes, Choice, Table, TableKind, ValueOrTable
from dataflow.model.train_settings import TrainOption, options_of

NONE = "none"
"""What is given for an option that the file may declare and the run does without."""
_DOTTED = re.compile(r"--(?P<option>[a-z][a-z-]*)\.(?P<key>[a-z][a-z0-9_-]*)(?:=(?P<value>.*))?", re.DOTALL)
_KEY = re.compile(r"(?P<key>[a-z][a-z0-9_]*)=(?P<value>.*)", re.DOTALL)


class DottedCommand(Command):
    """A command whose options that are tables may be given key by key."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_undotted(args)))


def _undotted(words: Sequence[str]) -> Iterator[str]:
    """``--clip`` and ``norm=1.0`` for ``--clip.norm=1.0`` or ``--clip.norm 1.0``; what is true or false may go without
    its value, and is true."""
    rest = list(words)
    tables = {name.replace("_", "-"): option for name, option in options_of().items() if _is_table(option)}
    while rest:
        word = rest.pop(0)
        match = _DOTTED.fullmatch(word)
        if word == "--":
            yield word
            yield from rest
            return
        if match is None or match["option"] not in tables:
            yield word
            continue
        key, value = match["key"].replace("-", "_"), match["value"]
        if value is None and _is_flag(tables[match["option"]], key) and rest[:1] not in (["true"], ["false"]):
            value = "true"
        if value is None and not rest:
            raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.")
        yield f"--{match['option']}"
        yield f"{key}={rest.pop(0) if value is None else value}"


def _is_table(option: TrainOption) -> bool:
    return isinstance(option.kind, TableKind)


def _is_flag(option: TrainOption, key: str) -> bool:
    table = option.kind.table if isinstance(option.kind, ValueOrTable) else option.kind
    return isinstance(table, Table) and key in table.keys and isinstance(table.keys[key].kind, Flag)


def train_options(function: F) -> F:
    """All of them, of which the function gets those that are given."""

    @wraps(function)
    def with_given(*arguments: Any, **options: Any) -> Any:
        source = click.get_current_context().get_parameter_source
        left_out = {name for name in options_of() if source(name) is ParameterSource.DEFAULT}
        return function(*arguments, **{name: value for name, value in options.items() if name not in left_out})

    return together(*map(click_option, options_of().values()))(cast(F, with_given))


def declared_option(name: str, help: str | None = None) -> Callable[[F], F]:  # noqa: A002
    """One of them, for a command that takes few; ``None`` where it is not given."""
    return click_option(replace(options_of()[name], optional=False), help)


def click_option(option: TrainOption, help: str | None = None) -> Callable[[F], F]:  # noqa: A002
    """``--batch-size N`` for ``batch_size``, ``--shuffle/--no-shuffle`` for true or false."""
    words = option.name.replace("_", "-")
    help = help or option.help  # noqa: A001
    if isinstance(option.kind, Flag):
        return click.option(f"--{words}/--no-{words}", option.name, default=None, help=help)
    kind = option.kind
    if isinstance(kind, TableKind):
        return click.option(
            f"--{words}",
            option.name,
            multiple=True,
            metavar=kind.metavar,
            callback=_table_parser(option),
            help=f"{help} {_ways(words, kind)}",
        )
    if isinstance(kind, Names):
        return click.option(
            f"--{words}", option.name, multiple=True, metavar=kind.metavar, callback=_names_parser(option), help=help
        )
    decorate = click.option(f"--{words}", option.name, type=_type_of(option), metavar=kind.metavar, help=help)
    return (lambda function: decorate(_with_device(function))) if option.name == "backend" else decorate


def _with_device(function: F) -> F:
    """``--device``, which becomes a part of the backend's name."""

    @wraps(function)
    def on_device(*arguments: Any, **options: Any) -> Any:
        device = options.pop("device")
        if device is not None and options.get("backend") is None:
            raise click.UsageError("--device goes with --backend, as in --backend jax --device gpu")
        if device is not None and ":" in options["backend"]:
            raise click.UsageError("the device is given twice, in --backend and by --device; leave one out")
        if device is not None:
            options["backend"] += f":{device}"
        return function(*arguments, **options)

    help_text = "The kind of device on which a backend computes that has several, such as cpu, gpu or tpu."
    return cast(F, click.option("--device", metavar="NAME", help=help_text)(on_device))


def _ways(words: str, kind: TableKind) -> str:
    """How a table is given."""
    if isinstance(kind, Choice):
        key = next(key for key in kind.example if key != "name")
        return f"As --{words}.{key}={kind.example[key]}, or as JSON: {json.dumps(dict(kind.example))}."
    table = kind.table if isinstance(kind, ValueOrTable) else kind
    assert isinstance(table, Table)
    keys = ", ".join(f"--{words}.{key} {declared.kind.metavar}".rstrip() for key, declared in table.keys.items())
    return f"By key: {keys}; or all as JSON."


class _WholeOrNone(click.IntRange):
    """A whole number, or ``none``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == NONE else super().convert(value, param, ctx)


def _type_of(option: TrainOption) -> Any:
    match kind := option.kind:
        case Whole():
            return (_WholeOrNone if option.optional else click.IntRange)(min=kind.least)
        case Share():
            return click.FloatRange(0, 1, max_open=True)
        case Number():
            return float
        case OneOf():
            return click.Choice(kind.values)
        case _:
            return str


def _table_parser(option: TrainOption) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], Any]:
    kind = option.kind
    assert isinstance(kind, TableKind)

    def parsed(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
        word, whole = "", None
        changes = Changes()
        try:
            for text in texts:
                if match := _KEY.fullmatch(text):
                    key, inner = match["key"], kind.key_kind(option.name, match["key"])
                    value = match["value"] if inner is None and key == "name" else _plain(inner, match["value"])
                    if key in changes:
                        raise click.BadParameter(f"{key} is given twice.", ctx, parameter)
                    changes[key] = value if inner is None else inner.check(f"{option.name}.{key}", value)
                elif word:
                    raise click.BadParameter(f"'{word}' and '{text}' are two values; give one.", ctx, parameter)
                else:
                    word = text
                    whole = None if option.optional and word == NONE else _whole(kind, word)
            if word and whole is None:
                return kind.changed(option.default, changes) if changes else None
            if isinstance(whole, dict):
                return {**whole, **changes}
            if not changes:
                return whole
            if whole is not None:
                changes = Changes(kind.changed(option.check(whole), changes))
            return changes
        except DataflowError as error:
            raise click.BadParameter(error.message, ctx, parameter) from None
        except (ValueError, RecursionError):
            raise click.BadParameter(f"'{text}' is {_no_value(option)}.", ctx, parameter) from None

    return parsed


def _whole(kind: TableKind, text: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        return json.loads(text)
    if isinstance(kind, Choice):
        return text
    if isinstance(kind, ValueOrTable):
        return kind.value.check("the value", _plain(kind.value, text))
    raise ValueError(text)


def _no_value(option: TrainOption) -> str:
    kind = option.kind
    if isinstance(kind, Choice):
        return f"neither a name nor JSON such as '{json.dumps(dict(kind.example))}'"
    return f"no value; it takes {kind.expected}, key by key or as JSON{', or none' if option.optional else ''}"


def _plain(kind: OptionKind | None, text: str) -> Any:
    """Plain data that a word stands for, which is the word itself where it is no JSON."""
    if isinstance(kind, Text):
        return text
    if isinstance(kind, Names):
        return _names([text])
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _names_parser(option: TrainOption) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], Any]:
    def parsed(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
        try:
            return option.check(_names(texts)) if texts and not (option.optional and texts == (NONE,)) else None
        except DataflowError as error:
            raise click.BadParameter(error.message, ctx, parameter) from None
        except (ValueError, RecursionError):
            raise click.BadParameter("the names are no JSON list; write NAME,NAME.", ctx, parameter) from None

    return parsed


def _names(texts: Sequence[str]) -> list[Any]:
    """Names with commas between them, or a JSON list; several words add up."""
    names: list[Any] = []
    for text in texts:
        names += json.loads(text) if text.lstrip()[:1] == "[" else [name.strip() for name in text.split(",")]
    return names
