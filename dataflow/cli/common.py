"""What commands share: common options, loading a model, and collecting its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from dataflow.cli.command import F, together
from dataflow.cli.completing import complete_model_files
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import take_given_parameters
from dataflow.cli.terminal_text import clean
from dataflow.cli.train_options import declared_option
from dataflow.data.allowed_folders import OPTION, allow
from dataflow.errors import (
    DataError,
    FileFormatError,
    listed,
    nearest,
)
from dataflow.files import load
from dataflow.graph.node import INPUT
from dataflow.model import gathering
from dataflow.model.model import Model
from dataflow.notation.names import NOTATIONS
from dataflow.support.atomic import check_target
from dataflow.support.number_texts import MOST_DIGITS, NOTE, NumberFormat, number_format

FILE = click.Path(path_type=Path)


model_argument = click.argument("model_file", metavar="MODEL", type=FILE, shell_complete=complete_model_files)


def _keep_json(ctx: click.Context, option: click.Parameter, as_json: bool) -> None:
    ctx.ensure_object(Session).as_json = as_json


def _allow_data(ctx: click.Context, option: click.Parameter, folder: Path | None) -> None:
    ctx.with_resource(allow(folder))


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error, for a report."
)
output_options = together(
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_keep_json,
        help="Print one JSON document, and nothing else.",
    ),
    debug_option,
    click.option(
        "--quiet", is_flag=True, expose_value=False, help="Print nothing but errors and the document of --json."
    ),
)
"""What the session then has."""
data_root_option = click.option(
    OPTION,
    metavar="DIR",
    type=FILE,
    expose_value=False,
    callback=_allow_data,
    help="Allow the model's file to name data in this folder, outside its own.",
)
"""It holds while the command runs."""


class Given(NamedTuple):
    """What ``--data``, ``--set`` and ``--example`` give."""

    file: Path | None
    settings: Mapping[str, Any]
    example: int | None = None


def data_options(function: F) -> F:
    """Add ``--data``, ``--data-root``, ``--set`` and ``--example``, which the function gets as one ``Given``."""
    return together(
        _data_option(
            "Inputs: .csv, .tsv, .jsonl (also .gz), .npy, .npz, .json, .parquet, .arrow, or - for standard input."
        ),
        data_root_option,
        settings_option("--set", "settings", "The value of an input, parameter or constant, as in 'x=[[0, 1]]'."),
        click.option(
            "--example",
            type=click.IntRange(min=0),
            metavar="K",
            help="Take only example K of the batch, counted from 0; the batch size becomes 1.",
        ),
    )(_with_given(function))


def table_options(function: F) -> F:
    """Add ``--data``, ``--data-root`` and ``--set``, as one ``Given``, for what goes through a whole table."""
    return together(
        _data_option("The table, or arrays by input; - is standard input."),
        data_root_option,
        settings_option("--set", "settings", "The value of an input, in the place of the table's, as in 'scale=2'."),
    )(_with_given(function))


def _data_option(text: str) -> Callable[[F], F]:
    return click.option("--data", "data_file", type=FILE, metavar="FILE", help=text)


def _with_given(function: F) -> F:
    @wraps(function)
    def gathered(
        *arguments: Any,
        data_file: Path | None,
        settings: Mapping[str, Any],
        example: int | None = None,
        **options: Any,
    ) -> Any:
        return function(*arguments, given=Given(data_file, settings, example), **options)

    return cast(F, gathered)


def settings_option(flag: str, name: str, text: str) -> Callable[[F], F]:
    """Add an option of values by name, each as ``NAME=JSON``."""
    return click.option(flag, name, multiple=True, metavar="NAME=JSON", callback=_parse_settings, help=text)


def _choose_format(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if FORMAT not in ctx.meta:
        ctx.meta[FORMAT] = ctx.with_resource(_noted_format(ctx.find_object(Session)))
    setattr(ctx.meta[FORMAT], str(option.name), value)


number_options = together(
    click.option(
        "--digits",
        type=click.IntRange(1, MOST_DIGITS),
        metavar="N",
        expose_value=False,
        callback=_choose_format,
        help="Write numbers with N significant digits; JSON and files of results are exact.",
    ),
    click.option(
        "--exact",
        is_flag=True,
        expose_value=False,
        callback=_choose_format,
        help="Write numbers with all their digits, and those near 0, too.",
    ),
)
"""They hold while the command runs: for what it prints, draws and sets, not for JSON and files of results. Where they
hide numbers, a note says so in the end."""
FORMAT = "dataflow.number_format"


@contextmanager
def _noted_format(session: Session | None) -> Iterator[NumberFormat]:
    with number_format() as form:
        yield form
    if form.hides and session is not None:
        session.note(NOTE)


def split_names(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str] | None:
    """Split the values of an option of names at their commas."""
    if not values:
        return None
    names = [name.strip() for text in values for name in text.split(",")]
    if not all(names):
        raise click.BadParameter("names are written with one comma between them: W1,b1", ctx, option)
    return names


def wrt_option(text: str, *, required: bool = False) -> Callable[[F], F]:
    """Add ``--wrt`` with this help; it takes several names with commas between them, and several times adds up."""
    return click.option(
        "--wrt",
        multiple=True,
        required=required,
        metavar="NAME,...",
        callback=split_names,
        help=f"{text}.",
    )


names_option = wrt_option("Differentiate with respect to these inputs, parameters or nodes")
of_option = click.option("--of", metavar="NODE", help="The node to differentiate.")
of_any_option = click.option("--of", metavar="NODE", help="What is differentiated: any node; the loss unless given.")
backend_option = declared_option("backend")
resource_options = together(declared_option("memory_limit"), declared_option("threads"))
notation_option = click.option(
    "--notation",
    type=click.Choice(NOTATIONS),
    default="math",
    help="Names as symbols, W⁽¹⁾ and ŷ (unless given), or plain, as the file has them: W1 and yhat.",
)


def check_outputs(*paths: Path | None) -> None:
    """Raise a ``FileFormatError`` unless all these files can be written: known before long work starts. None of them
    replaces what the command reads."""
    context = click.get_current_context()
    outputs = [path for path in paths if path is not None]
    context.meta[OUTPUTS] = outputs
    for path in outputs:
        check_target(path)
    own = set(map(id, outputs))  # not by value: an input may be the same path, spelled in the same way
    given = [value if isinstance(value, tuple) else (value,) for value in context.params.values()]
    _keep_inputs([path for path in chain(*given) if isinstance(path, Path) and id(path) not in own])


OUTPUTS = "dataflow.outputs"


def _keep_inputs(inputs: Iterable[Path]) -> None:
    outputs = click.get_current_context().meta.get(OUTPUTS, ())
    for path in inputs:
        for output in outputs:
            if output.exists() and path.exists() and output.samefile(path):
                raise FileFormatError("is read by this command, and is kept; write to another file", file=output)


def gather(session: Session, model: Model, given: Given, *, whole: bool = False) -> dict[str, Any]:
    """Collect the model's inputs: ``--set`` wins over ``--data``, which wins over what the model declares; with
    ``--example`` only that one, unless the ``whole`` batch is wanted."""
    inputs, notes = gathering.gather(model, given.file, given.settings, None if whole else given.example)
    session.warn(*notes)
    return inputs


def load_model(
    path: Path, shapes: Mapping[str, Sequence[int | str]] | None = None, constants: Mapping[str, Any] | None = None
) -> Model:
    """Load the model, as ``--parameters`` says. A ``FileFormatError`` where the command would replace data of its."""
    model = load(path, shapes=shapes, constants=constants)
    take_given_parameters(model)
    with suppress(DataError):  # a folder that is not allowed: nothing is read there
        declared = None if model.data is None else model.data.path()
        _keep_inputs([] if declared is None else [declared])
    return model


def targets(model: Model, of: str | None, wrt: list[str] | None) -> tuple[str | None, list[str]]:
    """Return what is differentiated, and with respect to what.

    The first is ``--of``, else the loss, else, with ``--wrt``, the only output; ``None`` if nothing can be
    differentiated. The second is ``--wrt``, else all parameters."""
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


def _some_inputs(model: Model) -> str:
    return listed([name for name in model.graph.names(INPUT) if model.graph.spec(name).is_float][:3]) or "a node"


def _parse_settings(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``NAME=JSON`` settings to values by name."""
    try:
        settings = [gathering.parse_setting(text) for text in values]
    except DataError as error:
        raise click.BadParameter(error.message, ctx, option) from None
    if twice := [name for name, count in Counter(name for name, _ in settings).items() if count > 1]:
        raise click.BadParameter(f"'{clean(twice[0])}' is given twice; give it once.", ctx, option)
    return dict(settings)
