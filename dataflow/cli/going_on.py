"""What to type to go on with a training run that was stopped."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from dataflow.cli.group import ARGUMENTS
from dataflow.cli.rescue import Rescue
from dataflow.errors import counted
from dataflow.model.model import Model
from dataflow.training import History
from dataflow.training.saving.checkpoints import is_newest


def explain_how_to_go_on(rescue: Rescue, history: History) -> str:
    """Save an interrupted run, unless a checkpoint has it, and say where it is and what to type next."""
    words = arguments_of_call()
    after = f"Interrupted after {counted(history.epochs, 'epoch')}"
    if is_newest(history, rescue.model.training):
        again = [*words, *([] if "--resume" in words else ["--resume"])]
        return f"{after}; the newest checkpoint is {history.checkpoint}. Go on with: {command_line(again)}"
    if not rescue.learned:
        return f"{after}{rescue.save_and_say('')}. Start again with: {command_line(words)}"
    if rescue.output is None and rescue.checkpoint is None:
        again = [*words, "--checkpoint", f"{rescue.model_file.stem}-run"]
        return f"{after}{rescue.save_and_say('the parameters')}. Start again with: {command_line(again)}"
    target = rescue.save()
    epochs = click.get_current_context().params["epochs"]
    left = (rescue.model.train_settings.epochs if epochs is None else epochs) - history.epochs
    for option in ("--epochs", "--checkpoint", "--checkpoint-every"):
        words = _without(words, option)
    again = [str(target) if Path(word) == rescue.model_file else word for word in words if word != "--resume"]
    again += ["--epochs", str(left), *_data_option(rescue.model, words)]
    assert target is not None  # there is a place to save it to
    if target == rescue.output:  # which the next run reads
        again = [*_without(_without(again, "-o"), "--output"), "-o", str(_next(target))]
    lost = "the order of shuffled examples then begins" if target.suffix == ".msgpack" else "the optimizer then starts"
    return (
        f"{after}; the parameters are in {target}. Go on with: {command_line(again)} ({lost} anew; "
        "with --checkpoint DIR a run goes on bit for bit)"
    )


def _next(path: Path) -> Path:
    """``x-2.msgpack`` for ``x.msgpack``."""
    return path.with_name(f"{path.stem}-2{path.suffix}")


def _data_option(model: Model, words: list[str]) -> list[str]:
    """Return ``--data FILE`` if the saved model needs it to find the data."""
    path = None if model.data is None else model.data.path()
    names_data = any(word == "--data" or word.startswith("--data=") for word in words)
    return [] if path is None or names_data else ["--data", str(path)]


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


def arguments_of_call() -> list[str]:
    """Return the words of this call after ``dataflow``."""
    words: list[str] = click.get_current_context().find_root().meta[ARGUMENTS]
    return words


def command_line(words: list[str]) -> str:
    """Format a call of ``dataflow`` as it is typed in a shell, by as many processes of MPI as run now."""
    size = os.environ.get("PMI_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", ""))
    ahead = ["mpiexec", "-n", size] if size.isdecimal() else []
    return " ".join([*ahead, "dataflow", *map(shlex.quote, words)])
