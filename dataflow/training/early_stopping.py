"""Training that ends when a metric no longer improves, and keeps the parameters of its best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dataflow.errors import TrainingError, nearest
from dataflow.training.history import History
from dataflow.training.trainer import Trainer


class EarlyStopping:
    """Watches one of the numbers that are measured after each epoch.

    An epoch is the best so far if its number is better than every one before. The run is ``done`` when for
    ``patience`` epochs no number was better by more than ``min_delta`` than at the last such improvement. NaN is never
    better. All of this depends on the history alone, so that a run that goes on takes it in anew.
    """

    def __init__(self, settings: Mapping[str, Any], trainer: Trainer) -> None:
        self.done = False
        self._trainer = trainer
        measured = trainer.measured
        usual = "validation_loss" if "validation_loss" in measured else "loss"
        self._metric: str = settings.get("metric", usual)
        self._patience, self._min_delta = settings["patience"], settings["min_delta"]
        if self._metric not in measured:
            held = self._metric.startswith("validation_") and trainer.held_out is None
            advice = "; hold out examples with validation" if held else nearest(self._metric, measured)
            raise TrainingError(f"early_stopping: the metric '{self._metric}' is not measured{advice}")
        self._sign = -1.0 if trainer.better(self._metric) == "higher" else 1.0
        self._best = self._reference = math.inf
        self._waiting = 0

    def follow(self, history: History) -> None:
        """Take in the epochs that a run has before it goes on; the trainer has the parameters of the best of them."""
        for epoch, value in enumerate(self._values(history), start=1):
            if self._take(value):
                history.best_epoch = epoch
        kept = None if self._trainer.best is None else self._trainer.best.epoch
        if kept != history.best_epoch:
            raise TrainingError("the checkpoint does not hold the parameters of the best epoch; choose another folder")

    def after_epoch(self, history: History) -> None:
        """Take in the newest epoch, and keep its parameters where it is the best."""
        if self._take(self._values(history)[-1]):
            history.best_epoch = history.epochs
            self._trainer.keep_best()

    def _values(self, history: History) -> list[float]:
        return history.loss if self._metric == "loss" else history.metrics.get(self._metric, [])

    def _take(self, value: float) -> bool:
        """Whether it is the best so far."""
        value *= self._sign
        self._waiting += 1
        if value < self._reference - self._min_delta:
            self._reference, self._waiting = value, 0
        self.done = self._waiting >= self._patience
        is_best = value < self._best
        if is_best:
            self._best = value
        return is_best
