"""Schedules: the learning rate as a function of the number of the update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dataflow import OpError, Schedule


class Constant(Schedule):
    """The optimizer's learning rate throughout, after the warm-up."""

    name = "constant"

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        return np.ones(len(updates))


class Step(Schedule):
    """Times ``factor`` after each ``every`` updates."""

    name = "step"

    def __init__(self, *, every: int, factor: float = 0.1, warmup: int = 0) -> None:
        super().__init__(warmup=warmup)
        self.every = _at_least_one(self, "every", every)
        self.factor = _positive(self, "factor", factor)

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        return np.power(self.factor, updates // self.every)


class Exponential(Schedule):
    """Times ``factor`` after each update."""

    name = "exponential"

    def __init__(self, *, factor: float, warmup: int = 0) -> None:
        super().__init__(warmup=warmup)
        self.factor = _positive(self, "factor", factor)

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        return np.power(self.factor, updates)


class Cosine(Schedule):
    """Down along half a cosine wave to ``floor`` times the learning rate at the end of the run (Loshchilov and Hutter,
    2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", without restarts)."""

    name = "cosine"
    uses_length = True

    def __init__(self, *, floor: float = 0.0, warmup: int = 0) -> None:
        super().__init__(warmup=warmup)
        self.floor = _share(self, "floor", floor)

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        return _along_cosine(1.0, self.floor, updates / length)


class OneCycle(Schedule):
    """Up from ``initial`` times the learning rate to all of it, after the share ``peak`` of the run, then down to
    ``final`` times it, both along half a cosine wave (Smith and Topin, 2019, "Super-Convergence: Very Fast Training of
    Neural Networks Using Large Learning Rates")."""

    name = "one_cycle"
    uses_length = True

    def __init__(self, *, peak: float = 0.3, initial: float = 0.04, final: float = 4e-6, warmup: int = 0) -> None:
        super().__init__(warmup=warmup)
        self.peak = _share(self, "peak", peak)
        self.initial = _share(self, "initial", initial)
        self.final = _share(self, "final", final)

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        top, last = max(self.peak * length - 1, 0.0), length - 1.0
        up = _along_cosine(self.initial, 1.0, updates / top) if top else np.ones(len(updates))
        down = _along_cosine(1.0, self.final, (updates - top) / max(last - top, 1e-9))
        return np.where(updates <= top, up, down)


class Plateau(Schedule):
    """Times ``factor`` whenever ``patience`` epochs in a row were not better by more than ``min_delta`` than the best
    before them, down to ``floor`` times the learning rate. What is compared is the loss of the held-out examples, or of
    those that are trained on where none are held out; it is measured by ``train``."""

    name = "plateau"

    def __init__(
        self, *, factor: float = 0.1, patience: int = 10, min_delta: float = 0.0, floor: float = 0.0, warmup: int = 0
    ) -> None:
        super().__init__(warmup=warmup)
        self.factor = _share(self, "factor", factor)
        self.patience = _at_least_one(self, "patience", patience)
        self.min_delta = min_delta
        if not 0 <= min_delta < math.inf:
            raise OpError(f"schedule '{self.name}': min_delta is a number ≥ 0, not {min_delta}")
        self.floor = _share(self, "floor", floor)
        self._best, self._waited, self._seen, self._now = math.inf, 0, 0, 1.0

    def observe(self, losses: Sequence[float]) -> None:
        for loss in losses[self._seen :]:
            better = loss < self._best - self.min_delta
            self._waited = 0 if better else self._waited + 1
            if better:
                self._best = loss
            elif self._waited == self.patience:
                self._waited, self._now = 0, max(self.floor, self._now * self.factor)
        self._seen = len(losses)

    def factors(self, updates: np.ndarray, length: int) -> np.ndarray:
        return np.full(len(updates), self._now)


ALL: list[type[Schedule]] = [Constant, Step, Exponential, Cosine, OneCycle, Plateau]


def _along_cosine(start: float, end: float, part: np.ndarray) -> np.ndarray:
    return end + (start - end) * ((1 + np.cos(np.pi * np.clip(part, 0.0, 1.0))) / 2)


def _at_least_one(owner: Schedule, name: str, value: int) -> int:
    if value < 1:
        raise OpError(f"schedule '{owner.name}': {name} is a whole number ≥ 1, not {value}")
    return value


def _positive(owner: Schedule, name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise OpError(f"schedule '{owner.name}': {name} is a number above 0, not {value}")
    return value


def _share(owner: Schedule, name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise OpError(f"schedule '{owner.name}': {name} lies from 0 to 1; it is {value}")
    return value
