"""From gradients to updates: which minibatches make one, how large its gradient may be, at which learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy, deepcopy

import numpy as np

from dataflow.backends.optimizer import ACCUMULATED
from dataflow.backends.schedule import Schedule
from dataflow.errors import PluginError
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.settings import Settings

SAFE_RATE = 1e3
"""Up to this learning rate, a gradient of moderate size cannot make parameters overflow in one update."""
BLOCK = 2048
"""Updates whose learning rates are computed together."""


class Updates:
    """What is done with the gradient of a minibatch, which is in the vectors; ``per_epoch`` minibatches are an epoch.

    Gradients of ``accumulate`` minibatches are added for an update, and fewer at the end of an epoch. ``earlier()``
    updates, of runs before, are behind the optimizer's state: they count for its rule, and not for the schedule.
    """

    def __init__(self, vectors: Vectors, settings: Settings, per_epoch: int, earlier: Callable[[], int]) -> None:
        self._vectors, self._per_epoch, self._earlier = vectors, per_epoch, earlier
        self.accumulate, self.clip = settings.accumulate, settings.clip
        self.optimizer = settings.rule
        self.rates: Rates | None = None
        self._updates_per_epoch = -(-per_epoch // self.accumulate)
        self._is_plain = settings.course is None and settings.clip is None
        self._is_simple = self._is_plain and self.accumulate == 1 and not vectors.new_state
        if settings.course is not None:
            self.optimizer = copy(settings.rule)  # whose learning rate changes, and the caller's does not
            self.rates = Rates(settings.course, self.optimizer.learning_rate)
            self.lay_out(settings.epochs)

    def lay_out(self, epochs: int) -> None:
        """Say how long the run is."""
        if self.rates is not None:
            self.rates.lay_out(epochs * self._updates_per_epoch)

    def take(self, loss: float, batch: int, steps: int) -> int | None:
        """Add the gradient of a minibatch, the one of that number in its epoch, and make the update that is due, after
        so many others. Returns how many were made, 0 or 1; ``None`` where something is not finite, and nothing is
        changed then but gradients.

        A squared norm tells in one pass whether a gradient is finite. Only where that is so large, or the learning
        rate, that the update might overflow, are the parameters copied first.
        """
        if self._is_simple and math.isfinite(loss) and self._is_moderate():
            self.apply(steps)
            return 1
        is_due = self.accumulate == 1 or self._add(batch)
        risky, finite, groups = False, math.isfinite(loss), self._vectors.groups
        for new in self._vectors.new_state.values():
            finite = finite and bool(np.isfinite(new).all())
        for group in groups:
            gradients = group.gradients
            if not gradients.dot(gradients) < group.moderate:
                finite = finite and bool(np.isfinite(gradients).all())
                risky = True
        if not finite:
            return None
        if not is_due:
            for group in groups:
                group.state[ACCUMULATED][...] = group.gradients
            return 0
        if not self._is_plain:
            self.prepare(steps)
        risky = risky or not getattr(self.optimizer, "learning_rate", 0.0) <= SAFE_RATE
        before = self._vectors.snapshot() if risky else None
        self.apply(steps)
        if before is not None and not self._vectors.finite():
            self._vectors.restore(before)
            return None
        return 1

    def _is_moderate(self) -> bool:
        """Whether neither the gradient nor the learning rate can make anything overflow."""
        for group in self._vectors.groups:
            gradients = group.gradients
            if not float(gradients.dot(gradients)) < group.moderate:
                return False
        return getattr(self.optimizer, "learning_rate", 0.0) <= SAFE_RATE

    def prepare(self, steps: int) -> None:
        """Set the learning rate of the update after so many others, and clip its gradient."""
        if self.rates is not None:
            self.optimizer.learning_rate = self.rates.at(steps)
        if self.clip is not None:
            self._clip()

    def apply(self, steps: int) -> None:
        """Change the parameters by the gradient, after so many updates."""
        number = self._earlier() + steps + 1
        for group in self._vectors.groups:
            self.optimizer.update(group.parameters, group.gradients, group.state, number)

    def rates_between(self, first: int, stop: int) -> np.ndarray:
        """The learning rates of some updates, where earlier runs' count, too."""
        assert self.rates is not None
        earlier = self._earlier()
        return self.rates.between(first - earlier, stop - earlier)

    def made(self, position: int, minibatches: int) -> int:
        """How many updates so many minibatches make, from a position counted from the run's start on."""
        return self._before(position + minibatches) - self._before(position) if self.accumulate > 1 else minibatches

    def _before(self, position: int) -> int:
        epochs, batch = divmod(position, self._per_epoch)
        return epochs * self._updates_per_epoch + batch // self.accumulate

    def _add(self, batch: int) -> bool:
        """Add the gradients of the minibatches before; whether the update is due."""
        if batch % self.accumulate:
            for group in self._vectors.groups:
                group.gradients[...] += group.state[ACCUMULATED]
        return (batch + 1) % self.accumulate == 0 or batch + 1 == self._per_epoch

    def _clip(self) -> None:
        assert self.clip is not None
        gradients = [group.gradients for group in self._vectors.groups]
        if "value" in self.clip:
            for vector in gradients:
                np.clip(vector, -self.clip["value"], self.clip["value"], out=vector)
            return
        norm = _norm(gradients)
        if norm > self.clip["norm"]:
            for vector in gradients:
                vector *= self.clip["norm"] / norm


class Rates:
    """The learning rate of each update of a run.

    They are computed in blocks that begin at multiples of their size, so that their bits depend neither on where a run
    was interrupted nor on the backend.
    """

    def __init__(self, course: Schedule, learning_rate: float) -> None:
        self._course = deepcopy(course)  # it may change with what it observes
        self._learning_rate = learning_rate
        self._length = 0
        self._start, self._block = 0, np.empty(0)

    def lay_out(self, length: int) -> None:
        """Say how many updates the run has."""
        self._length, self._block = length, np.empty(0)

    def observe(self, losses: Sequence[float]) -> None:
        """Take in the loss after each epoch so far."""
        self._course.observe(losses)
        self._block = np.empty(0)

    def at(self, update: int) -> float:
        """The learning rate of an update, counted from 0."""
        return float(self._block_of(update)[update - self._start])

    def between(self, first: int, stop: int) -> np.ndarray:
        """The learning rates of some updates, one after the other."""
        parts = []
        while first < stop:
            part = self._block_of(first)[first - self._start : stop - self._start]
            parts.append(part)
            first += len(part)
        return np.concatenate(parts) if parts else np.empty(0)

    def _block_of(self, update: int) -> np.ndarray:
        if not 0 <= update - self._start < len(self._block):
            self._start = update // BLOCK * BLOCK
            updates = np.arange(self._start, self._start + BLOCK)
            block = np.asarray(self._course.rates(self._learning_rate, updates, self._length), np.float64)
            if block.shape != (BLOCK,) or not (block >= 0).all() or not np.isfinite(block).all():
                what = f"schedule '{self._course.name}': factors gives a finite number ≥ 0 for each update"
                raise PluginError(f"{what}, not so from update {self._start} on")
            self._block = block
        return self._block


def _norm(vectors: Sequence[np.ndarray]) -> float:
    """The norm of all vectors together, also where its square is too large for their dtype."""
    with np.errstate(all="ignore"):
        square = sum(float(vector.dot(vector)) for vector in vectors)
    if math.isfinite(square):
        return math.sqrt(square)
    largest = max(float(np.abs(vector).max(initial=0.0)) for vector in vectors)
    scaled = [vector.astype(np.float64) / largest for vector in vectors]
    return largest * math.sqrt(sum(float(vector.dot(vector)) for vector in scaled))
