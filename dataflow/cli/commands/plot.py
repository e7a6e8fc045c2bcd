"""``dataflow plot``: the loss over the epochs, or the decision boundary, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.progress import show_progress
from dataflow.cli.terminal_text import clean
from dataflow.errors import DataError, TrainingError, counted
from dataflow.model.gathering import gather_for_training
from dataflow.model.model import Model
from dataflow.support.figures import check_plot
from dataflow.training import History, boundary_plot, loss_plot, train
from dataflow.training.history import recorded_history
from dataflow.training.saving.saved_state import SavedState, newest_state
from dataflow.training.sweeps.runs import TRAINED


@click.command(
    "plot",
    cls=Command,
    epilog=example_text(
        "dataflow plot trained.msgpack --loss -o loss.pdf",
        "dataflow plot run1 --loss -o loss.svg                         the folder of --checkpoint",
        "dataflow plot trained.msgpack --boundary -o boundary.png",
        "dataflow plot models/xor.toml --checkpoint run1 --boundary -o boundary.svg",
        "dataflow plot models/xor.toml --train --boundary -o boundary.svg",
    ),
)
@common.model_argument
@click.option("--loss", is_flag=True, help="The loss after each epoch, and that of held-out examples.")
@click.option("--boundary", is_flag=True, help="What a model of two numbers makes of the plane, with the examples.")
@click.option("-o", "--output", type=FILE, metavar="FILE", required=True, help="The picture: .png, .svg or .pdf.")
@click.option("--checkpoint", type=FILE, metavar="DIR", help="Take history and parameters from the newest checkpoint.")
@click.option("--train", "asked", is_flag=True, help="Train first, as the file says; what is learned is not saved.")
@common.table_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    loss: bool,
    boundary: bool,
    output: Path,
    checkpoint: Path | None,
    asked: bool,
    given: Given,
) -> None:
    """Draw the loss of MODEL over the epochs, or its decision boundary. MODEL is a trained file, or a folder of
    checkpoints.

    Nothing is trained unless --train asks for it: a trained file keeps its losses, and so does each checkpoint.
    Checkpoints hold no graph, so that the boundary needs the model's file beside them, as --checkpoint DIR. --data
    gives the examples that are marked on the plane.
    """
    if loss == boundary:
        raise click.UsageError("say what to draw: either --loss or --boundary")
    if asked and (checkpoint is not None or model_file.is_dir()):
        raise click.UsageError("--train trains a model's file; from checkpoints nothing is trained")
    check_plot(output, loss_plot.DRAWING if loss else boundary_plot.DRAWING)
    common.check_outputs(output)
    state, model = _read(model_file, checkpoint, boundary)
    history = recorded_history(model.training) if model is not None and state is None else History()
    if state is not None:
        history = state.history
        if model is not None:
            model.parameters = {**model.parameters, **state.parameters(model)}
    if asked and model is not None:
        history = _train(session, model_file, model, history, given)
    with about(model_file):
        if loss:
            if not history.loss:
                raise TrainingError(
                    "has no losses: the file that dataflow train MODEL -o FILE writes has them, and so has the folder "
                    "of --checkpoint DIR; --train trains the model now"
                )
            history.plot(output, title=model_file.stem if model is None else model.name)
        elif model is not None:
            _draw_boundary(session, model, history, given, output)
    if session.as_json:
        drawn = "loss" if loss else "boundary"
        document = {"file": str(output), "drawn": drawn, "epochs": history.epochs, "warnings": session.take()}
        session.print_json(document)
    else:
        what = f"the loss of {counted(history.epochs, 'epoch')}" if loss else "the decision boundary"
        session.say(f"Drew {what} to {clean(output)}.")


def _read(model_file: Path, checkpoint: Path | None, boundary: bool) -> tuple[SavedState | None, Model | None]:
    """The checkpoint and the model that the arguments name. A folder has no model, but that of a sweep's run."""
    if not model_file.is_dir():
        with about(model_file):
            model = common.load_model(model_file)
        return None if checkpoint is None else newest_state(checkpoint), model
    if checkpoint is not None:
        raise click.UsageError(f"'{model_file}' is a folder: give the model's file beside --checkpoint DIR")
    if boundary and (model_file / TRAINED).is_file():
        return None, common.load_model(model_file / TRAINED)
    state = newest_state(model_file)
    if boundary:
        raise DataError(
            f"checkpoints hold no graph; name the model too: dataflow plot MODEL --checkpoint {model_file} --boundary",
            file=model_file,
        )
    return state, None


def _train(session: Session, model_file: Path, model: Model, history: History, given: Given) -> History:
    if history.loss:
        raise click.UsageError(f"'{model_file}' has been trained, and keeps its losses; leave out --train")
    with about(model_file), show_progress(session) as progress:
        inputs, source, notes = gather_for_training(model, *given)
        session.warn(*notes)
        return train(model, inputs or source, on_epoch=progress.epoch, on_batch=progress.batch)


def _draw_boundary(session: Session, model: Model, history: History, given: Given, output: Path) -> None:
    known = model.feed(gather(session, model, given))[0]
    boundary_plot.plot_boundary(model, known, output, title=model.name)
    if not history.epochs and not model.training:
        session.warn("the model has not been trained: this is what its first parameters make of the plane")
    if known.keys() <= model.parameters.keys():
        session.warn("there are no examples to mark; --data FILE gives them")
