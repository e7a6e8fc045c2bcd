"""``dataflow train``: gradient descent, and a trained model as a file."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dataflow import registry
from dataflow.cli import common
from dataflow.cli.common import FILE, about, example_text, gather
from dataflow.cli.group import Session
from dataflow.cli.progress import shown
from dataflow.cli.text import clean, counted, settings_text, table
from dataflow.errors import DataError, DataflowError, FileFormatError, NonFiniteError
from dataflow.files import save
from dataflow.graph import INPUT, PARAMETER
from dataflow.model import Model
from dataflow.plot import check_plot, plot_loss
from dataflow.results import plain_numbers
from dataflow.training import History, train
from dataflow.training.checkpoints import KEPT
from dataflow.training.interrupts import deferred

SHOWN = (1, 2, 5)
"""Of many epochs, those are printed whose number is one of these times a power of ten, and the last."""


@click.command(
    "train",
    epilog=example_text(
        "dataflow train models/digits.toml -o digits.msgpack",
        'dataflow train models/xor.toml --epochs 100 --optimizer \'{"name": "adam", "learning_rate": 0.05}\'',
        "dataflow train models/digits.toml --checkpoint run1 --resume -o digits.msgpack",
    ),
)
@common.model_argument
@common.data_options
@click.option("--epochs", type=click.IntRange(min=0), metavar="N", help="How often the whole data is gone through.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Examples in a minibatch.")
@click.option("--learning-rate", type=float, metavar="RATE", help="The optimizer's learning rate.")
@click.option("--optimizer", metavar="NAME|JSON", help='A name, or {"name": "sgd", "momentum": 0.9}.')
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="For drawing parameters, and the order of examples."
)
@click.option("--checkpoint", type=FILE, metavar="DIR", help="Save a checkpoint in this folder after each epoch.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Save a checkpoint after every N minibatches instead: within long epochs, or less often than short ones.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="K",
    default=KEPT,
    show_default=True,
    help="How many checkpoints stay in the folder.",
)
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Save the trained model: .msgpack or .toml.")
@click.option("--plot", type=FILE, metavar="FILE", help="Draw the loss: .png, .svg or .pdf (needs matplotlib).")
@common.resource_options
@common.backend_option
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    optimizer: str | None,
    seed: int | None,
    checkpoint: Path | None,
    checkpoint_every: int | None,
    keep: int,
    resume: bool,
    output: Path | None,
    plot: Path | None,
    memory_limit: str | None,
    threads: int | None,
    backend: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train MODEL on its data by gradient descent; what no option says is what the file declares.

    On a terminal a bar shows the progress. Ctrl-C and SIGTERM end the run after the current minibatch, save, and say
    how to go on. If NaN or infinity appears, training stops and the last good parameters are saved.
    """
    for option, asked in (("--resume", resume), ("--checkpoint-every", checkpoint_every)):
        if asked and checkpoint is None:
            raise click.UsageError(f"{option} needs the folder of the checkpoints: --checkpoint DIR")
    chosen = None if optimizer is None else _optimizer(optimizer)
    _check_targets(output, plot)
    with about(model_file):
        model = common.load_model(model_file)
        given = gather(session, model, data_file, settings, example)
        data = _trainable(model, given)
    session.flush()
    session.live = True
    silent = quiet or not sys.stderr.isatty()
    try:
        with (
            about(model_file),
            deferred(terminate=True, resend=False) as interrupt,
            shown(silent) as progress,
        ):
            history = train(
                model,
                data or None,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                optimizer=chosen,
                seed=seed,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                keep=keep,
                resume=resume,
                backend=backend or "numpy",
                threads=threads,
                memory_limit=memory_limit,
                on_epoch=progress.epoch,
                on_batch=None if silent else progress.batch,
            )
    except NonFiniteError as error:
        raise _with_rescue(error, model, model_file, output) from None
    except KeyboardInterrupt:
        left = "nothing" if checkpoint is None else f"only what was in {checkpoint} before"
        session.fail(f"interrupted twice, before the run could end in order; {left} was saved")
        raise click.exceptions.Exit(128 + (interrupt.signal or signal.SIGINT)) from None
    session.live = False
    if plot is not None and history.loss:
        plot_loss(history, plot, title=model.name)
    if history.interrupted:
        advice = _how_to_go_on(model, model_file, output, checkpoint, history)
    elif output is not None:
        save(model, output)
    if as_json:
        common.print_json(_document(model, history, backend or "numpy"))
    elif not history.interrupted:
        _tell(session, model, history, output, plot)
    if history.interrupted:
        session.flush()
        click.echo(clean(advice), err=True)
        raise click.exceptions.Exit(128 + (interrupt.signal or signal.SIGINT))


def _tell(session: Session, model: Model, history: History, output: Path | None, plot: Path | None) -> None:
    session.say(_summary(model, history))
    if output is not None:
        session.say(f"Saved the trained model to {output}.")
    else:
        session.say("The trained model was not saved; -o FILE.msgpack saves it.")
    if plot is not None:
        session.say(f"Drew the loss to {plot}." if history.loss else f"No epoch was trained, so {plot} was not drawn.")


def _optimizer(text: str) -> str | dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return text
    try:
        found: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise click.BadParameter(
            f'\'{text}\' is neither a name nor JSON such as \'{{"name": "sgd", "momentum": 0.9}}\'.',
            param_hint="'--optimizer'",
        ) from None
    return found


def _check_targets(output: Path | None, plot: Path | None) -> None:
    """What can be known before a long run of whether its results can be saved after it."""
    if output is not None:
        with about(output):
            registry.file_format(output.suffix)
    if plot is not None:
        check_plot(plot, "drawing the loss curve")
    for path in (output, plot):
        if path is not None and not path.parent.is_dir():
            raise FileFormatError(f"there is no folder '{path.parent}'; create it first", file=path)


def _trainable(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of what is given, after the parameters were set to begin from."""
    for name, value in given.items():
        kind = model.graph.nodes[name]["kind"]
        if kind == PARAMETER:
            model.parameters[name] = value
        elif kind != INPUT:
            raise DataError(f"the constant '{name}' cannot be set for training; change it in the file", node=name)
    return {name: value for name, value in given.items() if model.graph.nodes[name]["kind"] == INPUT}


def _with_rescue(error: NonFiniteError, model: Model, model_file: Path, output: Path | None) -> NonFiniteError:
    """The error, with where the last good parameters were saved."""
    try:
        error.message += f"; they were saved to {_rescue(model, model_file, output)}"
    except DataflowError as fault:
        error.message += f"; they could not be saved: {fault}"
    return error


def _rescue(model: Model, model_file: Path, output: Path | None) -> Path:
    """Save a run that did not come to its end, and return where: in the output file; else beside the model, so that
    the path of its data still holds; else, if nothing can be written there, in the current folder."""
    if output is not None:
        save(model, output)
        return output
    stem = model_file.name.removesuffix(model_file.suffix).removesuffix("-interrupted")
    target = model_file.with_name(f"{stem}-interrupted.msgpack")
    try:
        save(model, target)
    except FileFormatError:
        target = Path(target.name)
        save(model, target)
    return target


def _how_to_go_on(
    model: Model, model_file: Path, output: Path | None, checkpoint: Path | None, history: History
) -> str:
    """Save what there is of an interrupted run; where that is, and the command that goes on."""
    words = _own_arguments()
    hint = ""
    if checkpoint is not None:
        saved = f"the newest checkpoint is {history.checkpoint}"
        again = [*words, *([] if "--resume" in words else ["--resume"])]
    else:
        target = _rescue(model, model_file, output)
        saved = f"the parameters are in {target}"
        epochs = click.get_current_context().params["epochs"]
        left = (model.train_settings.epochs if epochs is None else epochs) - history.epochs
        again = [str(target) if Path(word) == model_file else word for word in _without(words, "--epochs")]
        again += ["--epochs", str(left)]
        hint = " (the optimizer then starts anew; with --checkpoint DIR a run goes on bit for bit)"
    command_line = " ".join(["dataflow", *map(shlex.quote, again)])
    return f"Interrupted after {counted(history.epochs, 'epoch')}; {saved}. Go on with: {command_line}{hint}"


def _own_arguments() -> list[str]:
    """The words of this call after ``dataflow``."""
    context = click.get_current_context()
    words: list[str] = context.find_root().meta["dataflow.arguments"]
    return words


def _without(words: list[str], option: str) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word.startswith(f"{option}="):
            skip = False
        elif word == option:
            skip = True
        else:
            kept.append(word)
    return kept


def _document(model: Model, history: History, backend: str) -> dict[str, Any]:
    return {
        "epochs": history.epochs,
        "loss": plain_numbers(history.loss),
        "parameters": {name: plain_numbers(model.parameters[name]) for name in model.parameters},
        "metrics": {name: plain_numbers(values) for name, values in history.metrics.items()},
        "backend": {"name": backend, "promises": registry.backend(backend).promises},
    }


def _summary(model: Model, history: History) -> str:
    record = model.training
    optimizer = settings_text(record["optimizer"]) if record else ""
    heading = f"{model.name}: {counted(history.epochs, 'epoch')}" + (f" of {optimizer}" if optimizer else "")
    if not history.loss:
        return heading
    count = len(history.loss)
    landmarks = {first * 10**power for first in SHOWN for power in range(len(str(count)))}
    numbers = [n for n in range(1, count + 1) if count <= 10 or n == count or n in landmarks]
    columns = {"loss": history.loss, **history.metrics}
    digits = 12 if len(columns) < 3 else 8  # more columns than that would not fit beside each other
    rows = [(str(n), *(f"{values[n - 1]:.{digits}g}" for values in columns.values())) for n in numbers]
    headers = ("epoch", *(name.replace("_", " ") for name in columns))
    final = ", ".join(f"{name.replace('_', ' ')} {values[-1]:.12g}" for name, values in columns.items())
    return f"{heading}\n\n{table(headers, rows)}\n\nfinal: {final}"
