"""All trained parameters of one dtype side by side in one vector, and likewise their gradients and optimizer state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.execution.parameters import Parameters
from dataflow.support.arrays import read_only


@dataclass(frozen=True)
class Group:
    """The vectors of one dtype, all of one length. ``names`` are the parameters in their order in the vectors."""

    dtype: np.dtype
    names: tuple[str, ...]
    parameters: np.ndarray
    gradients: np.ndarray
    state: dict[str, np.ndarray]
    moderate: float
    """The largest squared norm of a gradient that is no reason for caution."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What a run has to keep: the parameters and the optimizer's state."""
        return {"parameters": self.parameters, **self.state}


class Vectors:
    """The vectors of a run, one group for each dtype, and views of them in the parameters' shapes. ``held`` are
    parameters that are read and that the optimizer does not change: arrays that stay where they are. Those of them that
    are ``state`` get new values after each minibatch, which are in ``new_state`` before."""

    def __init__(
        self,
        parameters: Parameters,
        names: Sequence[str],
        state_names: Sequence[str],
        held: Sequence[str] = (),
        state: Iterable[str] = (),
    ) -> None:
        self._parameters = parameters
        self.held = {name: parameters[name].copy() for name in held}
        self.new_state = {name: np.empty_like(self.held[name]) for name in state}
        self.views: dict[str, np.ndarray] = {}
        self.gradient_views: dict[str, np.ndarray] = {}
        by_dtype: dict[np.dtype, list[str]] = {}
        for name in names:
            by_dtype.setdefault(parameters[name].dtype, []).append(name)
        self.groups: list[Group] = []
        for dtype, members in by_dtype.items():
            size = sum(parameters[name].size for name in members)
            state = {name: np.zeros(size, dtype) for name in state_names}
            moderate = math.sqrt(np.finfo(dtype).max)
            group = Group(dtype, tuple(members), np.empty(size, dtype), np.zeros(size, dtype), state, moderate)
            self.groups.append(group)
            start = 0
            for name in members:
                value = parameters[name]
                part = slice(start, start := start + value.size)
                self.views[name] = group.parameters[part].reshape(value.shape)
                self.gradient_views[name] = group.gradients[part].reshape(value.shape)
                self.views[name][...] = value
        self.read = {**self.views, **self.held}
        """What a step reads: the trained parameters, then the held ones."""
        for name, array in self.read.items():
            parameters.adopt(name, array)
        self._changes = parameters.changes

    def refresh(self) -> None:
        """Take in parameters that were set since, and let the model's be the vectors' again."""
        self._parameters.check_unchanged()
        if self._changes == self._parameters.changes:
            return
        for name, view in self.read.items():
            value = self._parameters.current(name)
            if value is not view:
                view[...] = value
                self._parameters.adopt(name, view)
        self._changes = self._parameters.changes

    def give_up(self) -> None:
        """Leave the parameters to the model as they are, for good: nothing can be written to the vectors any more."""
        self.refresh()
        for group in self.groups:
            group.parameters.flags.writeable = False
        for array in self.held.values():
            array.flags.writeable = False
        for name, view in self.read.items():
            self._parameters.adopt(name, read_only(view))

    def changing(self) -> dict[str, np.ndarray]:
        """All that a step changes, by the names that checkpoints have for it."""
        own = {f"{group.dtype.name}.{name}": array for group in self.groups for name, array in group.arrays().items()}
        return own | {f"held.{name}": self.held[name] for name in self.new_state}

    def take_state(self) -> None:
        """Let state have the values that the last minibatch gave it."""
        for name, value in self.new_state.items():
            self.held[name][...] = value

    def snapshot(self) -> list[np.ndarray]:
        """A copy of everything but the gradients, for ``restore``."""
        return [array.copy() for array in self.changing().values()]

    def restore(self, snapshot: Sequence[np.ndarray]) -> None:
        """Back to a snapshot."""
        for array, saved in zip(self.changing().values(), snapshot, strict=True):
            array[...] = saved

    def finite(self) -> bool:
        """Whether the parameters and the optimizer's state have neither NaN nor infinity."""
        return all(bool(np.isfinite(array).all()) for array in self.changing().values())
