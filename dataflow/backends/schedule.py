"""What a schedule is: the learning rate as a function of the number of the update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dataflow.backends.rule import Rule
from dataflow.errors import OpError
from dataflow.registry.registry import declare_kind


class Schedule(Rule):
    """How the learning rate changes during a run. A subclass has a ``name``, attributes as keyword-only parameters of
    ``__init__``, and says in ``factors`` what the optimizer's learning rate is multiplied by. Updates count from 0.

    In the first ``warmup`` updates the rate rises in equal steps to what ``factors`` gives for update 0, and the
    schedule begins after them.
    """

    kind = "schedule"
    uses_length: ClassVar[bool] = False
    """Whether ``factors`` depends on the length of the run. A run goes on then only with as many epochs as it began
    with."""

    def __init__(self, *, warmup: int = 0) -> None:
        if warmup < 0:
            raise OpError(f"schedule '{self.name}': warmup is a number of updates, 0 or more, not {warmup}")
        self.warmup = warmup

    @abstractmethod
    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        """What the learning rate is multiplied by in each of these updates, an array of whole numbers, of a run of
        ``length`` updates (1 or more; an update may lie beyond it)."""

    def observe(self, losses: Sequence[float]) -> None:
        """Take in the loss after each epoch so far: of the held-out examples if there are any, else of those that are
        trained on. It is called before each epoch, also when a run goes on; what ``factors`` gives may change then."""

    def rates(self, learning_rate: float, updates: np.ndarray, length: int) -> np.ndarray:
        """The learning rate of each of these updates."""
        if not self.warmup:
            return learning_rate * self.factors(updates, max(1, length))
        factors = self.factors(np.maximum(updates - self.warmup, 0), max(1, length - self.warmup))
        return learning_rate * np.asarray(np.minimum((updates + 1) / self.warmup, 1.0) * factors)


declare_kind("schedule", type)
