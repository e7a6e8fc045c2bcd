"""What commands share: their common options, and what a model is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from dataflow import gathering
from dataflow.cli.group import Session
from dataflow.cli.text import listed
from dataflow.errors import DataError, DataflowError, nearest
from dataflow.files import load
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.results import dump

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def example_text(*lines: str) -> str:
    """The examples at the end of a command's help, one a line."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def model_argument(function: F) -> F:
    """The argument MODEL."""
    return click.argument("model_file", metavar="MODEL", type=FILE)(function)


def output_options(function: F) -> F:
    """``--json``, ``--debug`` and ``--quiet``."""
    function = click.option("--quiet", is_flag=True, help="Print errors, and what --json gives, but nothing else.")(
        function
    )
    function = click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error, for a report."
    )(function)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")(function)


def data_options(function: F) -> F:
    """``--data``, ``--set`` and ``--example``."""
    function = click.option(
        "--example",
        type=int,
        metavar="K",
        help="Only example K of the batch, counted from 0; the batch size becomes 1.",
    )(function)
    function = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=JSON",
        callback=_parsed_settings,
        help="The value of an input, parameter or constant, as in 'x=[[0, 1]]'; can be repeated.",
    )(function)
    return click.option("--data", "data_file", type=FILE, metavar="FILE", help="Inputs: .csv, .csv.gz, .npz or .json.")(
        function
    )


def backend_option(function: F) -> F:
    """``--backend``."""
    return click.option("--backend", metavar="NAME", help="What computes; numpy unless given.")(function)


def resource_options(function: F) -> F:
    """``--memory-limit`` and ``--threads``."""
    function = click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="Threads at most; as many as pay unless given."
    )(function)
    return click.option(
        "--memory-limit",
        metavar="SIZE",
        help="What intermediate values may take, such as 64MB; what is needed late is computed twice where that helps.",
    )(function)


def names_option(function: F) -> F:
    """``--wrt``, several names with commas between them."""
    return click.option(
        "--wrt", metavar="NAME,...", callback=split_names, help="With respect to these inputs, parameters or nodes."
    )(function)


def of_option(function: F) -> F:
    """``--of``."""
    return click.option("--of", metavar="NODE", help="What is differentiated: any node.")(function)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Errors inside are about this file, unless they name another."""
    try:
        yield
    except DataflowError as error:
        error.at(file=path)
        raise


def gather(
    session: Session, model: Model, data_file: Path | None, settings: Mapping[str, Any], example: int | None
) -> dict[str, Any]:
    """What the model is given: ``--set`` before ``--data`` before what the model declares, cut to one example."""
    given, notes = gathering.gather(model, data_file, settings, example)
    session.warn(*notes)
    return given


def load_model(path: Path) -> Model:
    """The model in a file."""
    return load(path)


def targets(model: Model, of: str | None, wrt: list[str] | None) -> tuple[str | None, list[str]]:
    """What is differentiated with respect to what: the loss unless ``--of`` says, or the only output of a model
    without a loss if there is a ``--wrt``; all parameters unless ``--wrt`` says. ``None`` where there is nothing to
    differentiate."""
    target = of or model.loss
    if target is None and wrt:
        if len(model.outputs) != 1:
            raise DataError(f"the model has no loss; say of which node with --of{nearest('', model.outputs)}")
        target = model.outputs[0]
    if target is not None:
        model.graph.value(target)
    names = list(model.parameters) if wrt is None else wrt
    if of is not None and not names:
        raise DataError(
            f"the model has no parameters; say with respect to what with --wrt, such as {_some_inputs(model)}"
        )
    return target if names else None, names


def print_json(document: Any) -> None:
    """The one document on standard output."""
    click.echo(dump(document))


def _some_inputs(model: Model) -> str:
    return listed([name for name in model.graph.names(INPUT) if model.graph.spec(name).is_float][:3]) or "a node"


def _parsed_settings(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    try:
        return dict(gathering.parse_setting(text) for text in values)
    except DataError as error:
        raise click.BadParameter(error.message, ctx, option) from None


def split_names(ctx: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    """The names of ``--wrt``."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise click.BadParameter("names are written with one comma between them: W1,b1", ctx, option)
    return names
