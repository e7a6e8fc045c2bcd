"""All trained parameters of one dtype side by side in one vector, and likewise their gradients and optimizer state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.parameters import Parameters


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
    """The vectors of a run, one group for each dtype, and views of them in the parameters' shapes."""

    def __init__(self, parameters: Parameters, names: Sequence[str], state_names: Sequence[str]) -> None:
        self._parameters = parameters
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
        for name in names:
            parameters.adopt(name, self.views[name])

    def refresh(self) -> None:
        """Take in parameters that were set since, and let the model's be the vectors' again."""
        for name, view in self.views.items():
            value = self._parameters[name]
            if value is not view:
                view[...] = value
                self._parameters.adopt(name, view)

    def snapshot(self) -> list[np.ndarray]:
        """A copy of everything but the gradients, for ``restore``."""
        return [array.copy() for group in self.groups for array in group.arrays().values()]

    def restore(self, snapshot: Sequence[np.ndarray]) -> None:
        """Back to a snapshot."""
        arrays = [array for group in self.groups for array in group.arrays().values()]
        for array, saved in zip(arrays, snapshot, strict=True):
            array[...] = saved

    def finite(self) -> bool:
        """Whether the parameters and the optimizer's state have neither NaN nor infinity."""
        return all(bool(np.isfinite(array).all()) for group in self.groups for array in group.arrays().values())
