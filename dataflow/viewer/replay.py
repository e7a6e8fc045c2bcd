"""Repeat a training run from what a trained file keeps of it, to get the parameters at some of its epochs.

A file keeps the parameters at the start and at the end, the settings and the losses, but no parameters in between: the
run is repeated, bit for bit, for those epochs, and its end is compared with the parameters in the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import BackendError, DataflowError, TrainingError
from dataflow.model.model import Model
from dataflow.model.train_settings import DECIDING_OPTIONS, TrainSettings, options_of
from dataflow.training import History, Progress, train

FRAMES = 32
"""The default number of epochs that are shown."""
MOST_UPDATES = 50_000
MOST_SECONDS = 5.0
"""Processor time. A run of more updates, or that takes longer, is repeated only where a number of frames is given."""


@dataclass(frozen=True)
class Frame:
    """The parameters after a number of epochs."""

    epoch: int
    parameters: dict[str, np.ndarray]


@dataclass(frozen=True)
class Replay:
    """The frames, in the order of their epochs, and a note on where they come from."""

    frames: list[Frame]
    note: str


@dataclass(frozen=True)
class Observer:
    """What to call while the run is repeated."""

    batch: Callable[[Progress], object] | None = None
    epoch: Callable[[History], object] | None = None


def replay(
    model: Model, data: Mapping[str, Any] | None, frames: int | None, observer: Observer | None = None
) -> Replay:
    """The frames of the run that ``model.training`` records; the last one alone, which is the model as it is, where the
    run cannot be repeated, with the reason."""
    record = model.training
    last = _frame(_epochs(record), model)
    reason = _why_not(model, record, frames)
    if reason:
        return Replay([last], reason)
    try:
        frames_kept, parameters = _repeated(model, record, data, frames, observer or Observer())
    except DataflowError as error:
        return Replay([last], f"the training run could not be repeated: {error}")
    if record.get("batch"):
        ended = "it was interrupted within an epoch, which is left out"
    elif all(parameters[name].tobytes() == model.parameters[name].tobytes() for name in parameters):
        ended = "it ends in the file's parameters, bit for bit"
    else:
        largest = max(float(np.abs(parameters[name] - model.parameters[name]).max(initial=0)) for name in parameters)
        ended = (
            f"it ends up to {largest:.1e} away from the file's parameters, so other data, another machine or another "
            f"version trained the file"
        )
    return Replay(frames_kept, f"repeated from the start and the settings that the file keeps; {ended}")


def chosen_epochs(epochs: int, frames: int) -> list[int]:
    """At most ``frames`` epochs from 0 to the last, closer together at the beginning, where more happens."""
    if epochs < frames:
        return list(range(epochs + 1))
    spread = np.geomspace(1, epochs + 1, frames) - 1
    epochs_shown = np.maximum(np.round(spread).astype(int), np.arange(frames))
    return sorted({int(epoch) for epoch in np.minimum(epochs_shown, epochs)})


def _frame(epoch: int, model: Model) -> Frame:
    return Frame(epoch, {name: array.copy() for name, array in model.parameters.items()})


def _epochs(record: Mapping[str, Any]) -> int:
    epochs = record.get("epochs", 0)
    return epochs if type(epochs) is int and epochs >= 0 else 0


def _why_not(model: Model, record: Mapping[str, Any], frames: int | None) -> str:
    """Say why the run is not repeated; empty if it is."""
    start = record.get("start")
    if not record:
        return "the model has not been trained"
    if frames == 0:
        return "the training run was not repeated, as --frames 0 says"
    if record.get("updates_before"):
        return "the training run went on from an earlier one, and the file does not keep what its optimizer knew then"
    if record.get("sync_every", 1) != 1:
        return "the training run was one of a cluster, whose workers trained by themselves between two meetings"
    if not isinstance(start, Mapping) or not _fits(model, start):
        return "the file does not keep what the parameters were when training began"
    return ""


def _fits(model: Model, start: Mapping[str, Any]) -> bool:
    """Whether a file's start fits the model; it is not trusted, and may be anything."""
    return start.keys() == set(model.parameters) and all(
        isinstance(array, np.ndarray)
        and (array.shape, array.dtype) == (model.parameters[name].shape, model.parameters[name].dtype)
        for name, array in start.items()
    )


def _repeated(
    model: Model, record: Mapping[str, Any], data: Mapping[str, Any] | None, frames: int | None, observer: Observer
) -> tuple[list[Frame], dict[str, np.ndarray]]:
    """Repeat the run; return the frames and the parameters at the end."""
    epochs = _epochs(record)
    copy = Model(
        model.graph,
        model.outputs,
        model.loss,
        data=model.data,
        train=TrainSettings(**_settings(record)),  # given as options, a seed would draw anew
    )
    copy.parameters = record["start"]
    wanted = set(chosen_epochs(epochs, frames or FRAMES))
    bounded = frames is None
    began = time.process_time()
    frames_kept = [_frame(0, copy)]

    def after(history: History) -> None:
        if history.epochs in wanted:
            frames_kept.append(_frame(history.epochs, copy))
        if observer.epoch is not None:
            observer.epoch(history)

    def after_batch(progress: Progress) -> None:
        if bounded and progress.epochs * progress.batches > MOST_UPDATES:
            raise TrainingError(f"it has more than {MOST_UPDATES:,} updates; --frames {FRAMES} repeats it all the same")
        if bounded and time.process_time() - began > MOST_SECONDS:
            done = (progress.epoch - 1) * progress.batches + progress.batch
            raise TrainingError(
                f"{done:,} of its {progress.epochs * progress.batches:,} updates took {MOST_SECONDS:g} seconds; "
                f"--frames {FRAMES} repeats it all the same"
            )
        if observer.batch is not None:
            observer.batch(progress)

    def run(backend: str) -> None:
        train(copy, data, epochs=epochs, backend=backend, on_epoch=after, on_batch=after_batch)

    try:
        run(str(record.get("backend", "numpy")))
    except BackendError:
        del frames_kept[1:]
        copy.parameters = record["start"]
        run("numpy")
    return frames_kept, _frame(epochs, copy).parameters


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings that the file keeps; a ``TrainingError`` where they cannot be read."""
    for name, option in DECIDING_OPTIONS.items():
        if not option.accepts(record[name]) if name in record else option.required:
            raise TrainingError(f"what the file says of '{name}' cannot be read")
    kept = options_of(TrainSettings).keys() & DECIDING_OPTIONS.keys() & record.keys()
    return {name: record[name] for name in kept}
