"""``dataflow train``: gradient descent, and a trained model as a file."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dataflow.backends.cluster import join, open_workers
from dataflow.cli import common, sweeping
from dataflow.cli.about import about
from dataflow.cli.command import example_text, refuse
from dataflow.cli.common import FILE, Given
from dataflow.cli.going_on import explain_how_to_go_on
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.progress import show_progress, tell_workers
from dataflow.cli.rescue import Rescue
from dataflow.cli.terminal_text import clean, settings_text, table
from dataflow.cli.train_options import NONE, DottedCommand, train_options
from dataflow.data.source import DataSource
from dataflow.data.write_results import plain_numbers
from dataflow.errors import DataError, DataflowError, NonFiniteError, counted
from dataflow.files import save
from dataflow.graph.node import INPUT, PARAMETER
from dataflow.model.gathering import gather_for_training
from dataflow.model.model import Model
from dataflow.registry import registry
from dataflow.support.figures import check_plot
from dataflow.support.number_texts import number_text
from dataflow.training import History, train
from dataflow.training.saving.checkpoints import KEPT
from dataflow.training.saving.interrupts import deferred

SHOWN = (1, 2, 5)
"""Of many epochs, those are printed whose number is one of these times a power of ten, and the last."""


@click.command(
    "train",
    cls=DottedCommand,
    epilog=example_text(
        "dataflow train models/digits.toml -o digits.msgpack",
        'dataflow train models/xor.toml --epochs 100 --optimizer \'{"name": "adam", "learning_rate": 0.05}\'',
        "dataflow train models/digits.toml --schedule cosine --schedule.warmup=100 --clip.norm=1.0",
        "dataflow train models/digits.toml --checkpoint run1 --resume -o digits.msgpack",
        "dataflow train models/digits.toml --validation.share 0.2 --validation.shuffle --early-stopping.patience 5",
        "dataflow train models/digits.toml --sweep learning_rate=0.01,0.1 --sweep seed=0..9 -o best.msgpack",
    ),
)
@common.model_argument
@common.data_options
@parameters_option
@train_options
@click.option(
    "--weights",
    metavar="COLUMN",
    help="The column that weighs each example's loss, or none, whatever the file declares.",
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
@click.option(
    "--cluster",
    metavar="local:N|ADDRESS|mpi:N|mpi",
    help="Compute gradients, or do the runs of a sweep, in N processes here, or on the workers of a Dask scheduler "
    "(needs the extra cluster); or in N processes of MPI, or those that mpiexec started (needs the extra mpi).",
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Save the trained model: .msgpack or .toml.")
@click.option("--plot", type=FILE, metavar="FILE", help="Draw the loss: .png, .svg or .pdf (needs matplotlib).")
@sweeping.sweep_options
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    /,
    model_file: Path,
    given: Given,
    weights: str | None,
    checkpoint: Path | None,
    checkpoint_every: int | None,
    keep: int,
    resume: bool,
    cluster: str | None,
    output: Path | None,
    plot: Path | None,
    over: Mapping[str, Any],
    jobs: int | None,
    **options: Any,
) -> None:
    """Train MODEL on its data by gradient descent. Options override what the file declares; --clip none is as if it
    declared no clip.

    On a terminal a bar shows the progress. Ctrl-C, SIGTERM and SIGHUP end the run after the current minibatch, save to
    the checkpoint folder or the output file, and say how to go on. If NaN or infinity appears, training stops and the
    last good parameters are saved. A run that is stopped replaces no file: if the output file exists already, the
    parameters are saved beside it.

    With --sweep, MODEL is trained once for each combination of the values, in several processes, or with --cluster on
    its workers. A table shows the runs, in --checkpoint DIR each gets a folder with its history and its trained model,
    and -o is the best of them by the first metric of the held-out examples, else by the loss.
    """
    folder = "needs the folder of the checkpoints: --checkpoint DIR"
    both = "--jobs are processes here, and a cluster has its own workers; leave out one of them"
    refuse(
        (resume and checkpoint is None, f"--resume {folder}"),
        (checkpoint_every is not None and checkpoint is None, f"--checkpoint-every {folder}"),
        (cluster is not None and jobs is not None, both),
        (jobs is not None and not over, "--jobs is for a sweep: --sweep KEY=V,V"),
    )
    join(cluster)
    _check_targets(output, plot)
    with about(model_file):
        model = common.load_model(model_file)
        if weights is not None:
            model.data = replace(model.data or DataSource(), weights=None if weights == NONE else weights)
        inputs, source, notes = gather_for_training(model, *given)
        if source is None and weights not in (None, NONE):
            raise DataError("--weights names a column of the data; leave out --set of inputs, --example")
        session.warn(*notes)
        inputs = _set_parameters(model, inputs)
    rescue = Rescue(model, model_file, output, checkpoint)
    session.flush()
    session.live = True
    if over:
        options |= {"checkpoint_every": checkpoint_every, "keep": keep, "resume": resume, "cluster": cluster}
        sweeping.run_sweep(session, rescue, inputs or source, over, jobs, plot, checkpoint=checkpoint, **options)
        return
    try:
        with (
            about(model_file),
            deferred(terminate=True, resend=False) as interrupt,
            open_workers(cluster, lambda opened: tell_workers(opened, session.quiet)) as workers,
            show_progress(session) as progress,
        ):
            history = train(
                model,
                inputs or source,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                keep=keep,
                resume=resume,
                cluster=workers,
                on_epoch=progress.epoch,
                on_batch=progress.batch if session.shows_progress else None,
                **options,
            )
    except KeyboardInterrupt:
        left = f"only what was in {checkpoint} before" if checkpoint is not None and checkpoint.is_dir() else "nothing"
        session.fail(f"interrupted twice, before the run could end in order; {left} was saved")
        raise click.exceptions.Exit(128 + (interrupt.signal or signal.SIGINT)) from None
    except NonFiniteError as error:
        error.message += rescue.save_and_say("they")
        raise
    except DataflowError as error:
        error.message += rescue.save_and_say("the parameters as they are") if rescue.learned else ""
        raise
    except Exception:
        if rescue.learned:
            session.warn(f"the run ended too early{rescue.save_and_say('the parameters as they are')}")
        raise
    session.live = False
    if history.interrupted:
        advice = explain_how_to_go_on(rescue, history)
        session.flush()
        click.echo(clean(advice), err=True)
    elif output is not None:
        try:
            save(model, output)
        except DataflowError as error:
            error.message += rescue.save_and_say("the trained parameters")
            raise
    with _naming_the_output(rescue, history):
        if plot is not None and history.loss:
            history.plot(plot, title=model.name)
        if session.as_json:
            session.print_json(_document(model, history))
        elif not history.interrupted:
            _tell(session, model, history, output, plot)
    if history.interrupted:
        raise click.exceptions.Exit(128 + (interrupt.signal or signal.SIGINT))


@contextmanager
def _naming_the_output(rescue: Rescue, history: History) -> Iterator[None]:
    """Add to later errors where the trained model was saved."""
    output = None if history.interrupted else rescue.output
    kept = "" if output is None else f"; the trained model is in {output}"
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataflowError(f"{error.filename}: {error.strerror}{kept}") from error
    except DataflowError as error:
        error.message += kept
        raise


def _tell(session: Session, model: Model, history: History, output: Path | None, plot: Path | None) -> None:
    session.say(_summary(model, history))
    if output is not None:
        session.say(f"Saved the trained model to {clean(output)}.")
    else:
        session.say("The trained model was not saved; -o FILE.msgpack saves it.")
    if plot is not None:
        drawn = f"Drew the loss to {clean(plot)}."
        session.say(drawn if history.loss else f"No epoch was trained, so {clean(plot)} was not drawn.")


def _check_targets(output: Path | None, plot: Path | None) -> None:
    """Check before a long run that its results can be saved."""
    if output is not None:
        with about(output):
            registry.file_format(output.suffix)
    if plot is not None:
        check_plot(plot, "drawing the loss curve")
    common.check_outputs(output, plot)


def _set_parameters(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Set the given parameters, from which training starts, and return the given inputs."""
    for name, value in inputs.items():
        kind = model.graph.node_of(name).kind
        if kind == PARAMETER:
            model.parameters[name] = value
        elif kind != INPUT:
            raise DataError(f"the constant '{name}' cannot be set for training; change it in the file", node=name)
    return {name: value for name, value in inputs.items() if model.graph.node_of(name).kind == INPUT}


def _document(model: Model, history: History) -> dict[str, Any]:
    backend = model.training["backend"]
    return {
        "epochs": history.epochs,
        "loss": plain_numbers(history.loss),
        "parameters": {name: plain_numbers(model.parameters[name]) for name in model.parameters},
        "metrics": {name: plain_numbers(values) for name, values in history.metrics.items()},
        **({} if history.best_epoch is None else {"best_epoch": history.best_epoch}),
        **({} if not history.optimizer_start else {"optimizer_start": history.optimizer_start}),
        "backend": {"name": backend, "promises": registry.backend(backend).promises},
    }


def _summary(model: Model, history: History) -> str:
    record = model.training
    optimizer = settings_text(record["optimizer"]) if record else ""
    heading = f"{model.name}: {counted(history.epochs, 'epoch')}" + (f" of {optimizer}" if optimizer else "")
    if history.optimizer_start:
        heading += f"; {history.optimizer_start}"
        heading += "" if "anew" in history.optimizer_start else " (--fresh-optimizer starts it anew)"
    if not history.loss:
        return heading
    count = len(history.loss)
    landmarks = {first * 10**power for first in SHOWN for power in range(len(str(count)))}
    numbers = [n for n in range(1, count + 1) if count <= 10 or n == count or n in landmarks]
    columns = {"loss": history.loss, **history.metrics}
    digits = 12 if len(columns) < 3 else 8  # more columns than that would not fit beside each other
    rows = [(str(n), *(number_text(values[n - 1], digits) for values in columns.values())) for n in numbers]
    headers = ("epoch", *(name.replace("_", " ") for name in columns))
    chosen = history.best_epoch or count
    result = ", ".join(
        f"{name.replace('_', ' ')} {number_text(values[chosen - 1], 12)}" for name, values in columns.items()
    )
    what = "final" if history.best_epoch is None else f"the best epoch, {chosen}, is the result"
    if (after := count - chosen) > 0:
        what += f", as the {after} after it were no better" if after > 1 else ", as the one after it was no better"
    return f"{heading}\n\n{table(headers, rows)}\n\n{what}: {result}"
