"""What a training run tells: its history when it has ended, its progress while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from dataflow.errors import plural
from dataflow.support.arguments import checked
from dataflow.training.loss_plot import plot_loss


class StopTraining(Exception):  # noqa: N818 (it is no error)
    """Raised in a callback, it ends training after the current minibatch; what was trained is kept and saved, as if
    the run had been that long."""


@dataclass(repr=False)
class History:
    """The epochs that were finished, with what was measured after each one's updates. ``train`` returns it, and
    ``on_epoch`` gets it as it is then."""

    epochs: int = 0
    loss: list[float] = field(default_factory=list)
    """Of the whole training data, one for each epoch."""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    """By name, one number for each epoch; those of the examples that are held out begin with ``validation_``."""
    interrupted: bool = False
    """Whether the run ended before its last epoch did, because ``StopTraining``, Ctrl-C or the system asked for it."""
    checkpoint: Path | None = None
    """The newest checkpoint that was written and is still there."""
    best_epoch: int | None = None
    """With early stopping, the epoch, counted from 1, that was the best so far: its parameters are the result."""
    optimizer_start: str = ""
    """Where the model was trained before: whether the optimizer went on with its state, and if not, why."""

    def __repr__(self) -> str:
        last = {"loss": self.loss, **self.metrics}
        measured = [f"{name.replace('_', ' ')} {values[-1]:.6g}" for name, values in last.items() if values]
        epochs = f"{self.epochs} {plural('epoch', self.epochs)}"
        best = [] if self.best_epoch is None else [f"best epoch {self.best_epoch}"]
        interrupted = ["interrupted"] if self.interrupted else []
        return f"<history: {', '.join([epochs, *measured, *best, *interrupted])}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which ``json`` can write and ``pandas.DataFrame(history.to_dict()["metrics"])`` can hold."""
        return {
            "epochs": self.epochs,
            "loss": list(self.loss),
            "metrics": {name: list(values) for name, values in self.metrics.items()},
            "interrupted": self.interrupted,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            "best_epoch": self.best_epoch,
            "optimizer_start": self.optimizer_start,
        }

    @checked
    def plot(self, path: str | Path, *, title: str = "") -> None:
        """Draw the loss after each epoch, and the validation loss if examples were held out, into a ``.png``, ``.svg``
        or ``.pdf`` file. This needs matplotlib, the extra ``[plot]``."""
        curves = {"training": self.loss, "validation": self.metrics.get("validation_loss", [])}
        plot_loss({label: values for label, values in curves.items() if values}, path, title)

    @checked
    def add(self, measured: dict[str, float]) -> None:
        """Take in an epoch: its ``loss`` and its metrics."""
        self.epochs += 1
        for name, value in measured.items():
            (self.loss if name == "loss" else self.metrics.setdefault(name, [])).append(value)


def recorded_history(record: Mapping[str, Any]) -> History:
    """The history that a trained file or a checkpoint keeps. A file is not trusted: what is no list of numbers, one for
    each epoch, is left out."""
    loss, metrics = record.get("loss"), record.get("metrics")
    if not _is_series(loss):
        return History()
    kept = metrics if isinstance(metrics, Mapping) else {}
    fitting = {str(name): list(values) for name, values in kept.items() if _is_series(values, len(loss))}
    return History(len(loss), list(loss), fitting)


def _is_series(values: Any, count: int | None = None) -> TypeGuard[list[float]]:
    if not isinstance(values, list) or len(values) != (len(values) if count is None else count):
        return False
    return all(type(value) in (int, float) for value in values)


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a minibatch: what ``on_batch`` and ``on_progress`` get. All count from 1."""

    epoch: int
    """The epoch that the minibatch belongs to."""
    epochs: int
    """How many the run is to have."""
    batch: int
    """The minibatch's number in its epoch."""
    batches: int
    """How many minibatches an epoch has."""
    loss: float
    """Of this minibatch, before its update."""
