"""One run of a sweep: what is known of it, and the files in which it leaves its result.

A run's folder holds, beside checkpoints, ``trained.msgpack`` and, written last, ``history.json``: a folder that has it
has a run that ended. A run that ended by NaN or infinity has its reason there and no trained model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataflow.data.write_results import dump, plain_document
from dataflow.errors import DataflowError, NonFiniteError, TrainingError
from dataflow.files import load, save
from dataflow.model.model import Model
from dataflow.support.atomic import replace_file
from dataflow.training.history import History
from dataflow.training.loop import train
from dataflow.training.saving.locking import NAME as LOCK
from dataflow.training.saving.locking import locked

TRAINED, HISTORY = "trained.msgpack", "history.json"
PATIENCE = 20.0
"""So many seconds a run waits for a process that was told to end, or whose parent was killed, to let go of a folder."""


@dataclass
class SweepRun:
    """A run of a sweep, as far as it has come."""

    name: str
    values: Mapping[str, Any]
    """The value of each swept key."""
    epochs: int
    """How many it is to have."""
    folder: Path | None = None
    """Where its files are."""
    state: str = "waiting"
    """Then ``"running"``; in the end ``"finished"``, ``"failed"`` (NaN, or settings that cannot be), ``"interrupted"``,
    or ``"lost"`` where its process died."""
    error: str | None = None
    """Why it failed or was lost."""
    history: History = field(default_factory=History)
    """While it runs in another process, only the last numbers are known."""

    @property
    def measured(self) -> dict[str, float]:
        """What was measured of the run's parameters, by name: last, or with early stopping in its best epoch."""
        series = {"loss": self.history.loss, **self.history.metrics}
        epoch = self.history.best_epoch or 0
        return {name: values[epoch - 1] for name, values in series.items() if len(values) >= max(1, epoch)}


@dataclass(frozen=True)
class Task:
    """A run to be done: plain data, which can be sent to another process."""

    number: int
    options: Mapping[str, Any]
    """What ``train`` is given."""
    folder: str | None
    """For the result, unless the model is to keep it."""
    checkpoints: bool
    """Whether the folder is for checkpoints as well, and what is there is gone on from."""
    checkpoint_every: int | None
    keep: int
    record: Mapping[str, Any]
    """What ``history.json`` says of the run besides its history: ``name``, ``values``, ``settings``, and as ``until``
    the settings that say when it ends."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; plain data as well."""

    state: str
    error: str | None
    history: Mapping[str, Any]


def do_run(task: Task, model: Model, data: Any, weights: Any, on_epoch: Callable[[History], object]) -> Outcome:
    """Train, and leave the result in the task's folder. Errors of this run alone are its outcome."""
    folder = Path(task.folder or "")
    resume = task.checkpoints and any(folder.glob("checkpoint-*.msgpack"))
    error: str | None = None
    try:
        if task.checkpoints:
            _wait_until_free(folder)
        history = train(
            model,
            data,
            weights=weights,
            checkpoint=folder if task.checkpoints else None,
            checkpoint_every=task.checkpoint_every,
            keep=task.keep,
            resume=resume,
            on_epoch=on_epoch,
            **task.options,
        )
        if history.interrupted:
            return Outcome("interrupted", None, history.to_dict())
        if task.folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if model.data is not None and model.data.file is not None:  # it does not lie in this folder
                model.data = replace(model.data, file=None, folder=None)
            save(model, folder / TRAINED)
            _write_history(task, folder, history, None)
        return Outcome("finished", None, history.to_dict())
    except DataflowError as caught:
        error = str(caught)
        history = _history_of(model)
        if isinstance(caught, NonFiniteError) and task.folder is not None:  # it would happen again
            folder.mkdir(parents=True, exist_ok=True)
            _write_history(task, folder, history, error)
    except MemoryError:
        error, history = "there is not enough memory for this run", _history_of(model)
    except Exception as caught:  # noqa: BLE001 (a plugin's fault in one run does not end the others)
        error, history = f"{type(caught).__name__}: {caught}", _history_of(model)
    return Outcome("failed", error, history.to_dict())


def read_outcome(folder: Path, record: Mapping[str, Any]) -> Outcome | None:
    """How the run in a folder ended; ``None`` where it has not. A ``TrainingError`` where it was another run."""
    path = folder / HISTORY
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known, error, history = found["run"], found["error"], _parsed(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise TrainingError("cannot be read; delete it, and the run is done again", file=path) from None
    saved, own = dict(known), json.loads(dump(plain_document(dict(record))))
    settings = [one.get("settings") for one in (saved, own)]
    if settings[0] != settings[1]:
        there, here = (one if isinstance(one, dict) else {} for one in settings)
        names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
        raise TrainingError(
            f"was made with other settings ({', '.join(names)}); use the same, or choose another folder", file=path
        )
    if saved.get("until") != own["until"] or (error is None and not (folder / TRAINED).is_file()):
        return None
    return Outcome("finished" if error is None else "failed", error, history.to_dict())


def read_model(folder: Path) -> Model:
    """The trained model of a run that finished."""
    return load(folder / TRAINED, mmap=False)


def history_from(plain: Mapping[str, Any]) -> History:
    """The history of an outcome."""
    checkpoint = plain.get("checkpoint")
    return History(
        plain["epochs"],
        list(plain["loss"]),
        {name: list(values) for name, values in plain["metrics"].items()},
        bool(plain.get("interrupted")),
        None if checkpoint is None else Path(checkpoint),
        plain.get("best_epoch"),
        str(plain.get("optimizer_start", "")),
    )


def _parsed(found: Mapping[str, Any]) -> History:
    history = history_from({key: value for key, value in found.items() if key != "checkpoint"})
    series = [history.loss, *history.metrics.values()]
    if not isinstance(found["run"], dict) or not all(isinstance(x, float) for values in series for x in values):
        raise TypeError
    return history


def _write_history(task: Task, folder: Path, history: History, error: str | None) -> None:
    document = {"run": dict(task.record), "error": error, **history.to_dict()}
    for temporary in ("checkpoint", "interrupted"):
        document.pop(temporary, None)
    text = dump(plain_document(document)) + "\n"
    replace_file(folder / HISTORY, [text.encode()])


def _history_of(model: Model) -> History:
    """How far a run came that ended in an error."""
    record = model.training
    if not {"epochs", "loss", "metrics"} <= record.keys():
        return History()
    return history_from({key: record[key] for key in ("epochs", "loss", "metrics")})


def _wait_until_free(folder: Path) -> None:
    """Wait while another process still holds the folder's lock; who waits in vain gets its error from ``train``."""
    until = time.monotonic() + PATIENCE
    while (folder / LOCK).exists() and time.monotonic() < until:
        try:
            with locked(folder):
                return
        except TrainingError:
            time.sleep(0.05)
