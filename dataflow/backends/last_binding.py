"""A plan bound to the arrays of its last run, for the next one: binding takes longer than many a model takes to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dataflow.backends.memory import empty
from dataflow.backends.unreadable_arrays import Step
from dataflow.plan import Plan

SMALL = 2**16
"""Arguments of at most this many bytes are copied to where the plan reads them. A larger one is read where it is, as
long as each run is given the same array."""
LARGE = 2**26
"""Larger arguments than this, in bytes, are never copied: for another array the plan is bound again. Outputs of more
bytes together are handed out rather than copied."""

Bind = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Step]


class LastBinding:
    """Runs a plan on any arrays; ``bind`` gives the function that runs it on certain ones."""

    def __init__(self, plan: Plan, bind: Bind) -> None:
        self._plan, self._bind = plan, bind
        self._places: list[np.ndarray] = []
        self._outputs: list[np.ndarray] = []
        self._step: Step | None = None
        self._copied: set[int] = set()
        """The arguments that were another array in one run than in the run before."""

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, which belong to the caller."""
        step = self._fitting(arguments)
        step()
        if sum(array.nbytes for array in self._outputs) > LARGE:
            self._step = None
            return self._outputs
        return [array.copy() for array in self._outputs]

    def _fitting(self, arguments: Sequence[np.ndarray]) -> Step:
        """The last run's function, with the arguments in place, if it can be used again; else one bound anew."""
        if self._step is not None:
            others = [i for i, place in enumerate(self._places) if arguments[i] is not place]
            elsewhere = {i for i in others if not self._is_copied(i, arguments[i])}
            if not elsewhere:
                for i in others:
                    self._places[i][...] = arguments[i]
                return self._step
            self._copied |= {i for i in elsewhere if arguments[i].nbytes <= LARGE}
        self._step = None  # an interrupt from here on leads to a new binding
        self._places = [
            array.copy() if self._is_copied(i, array) or not array.flags.c_contiguous else array
            for i, array in enumerate(map(np.asarray, arguments))
        ]
        self._outputs = [empty(self._plan.spec(slot)) for slot in self._plan.output_slots]
        self._step = self._bind(self._places, self._outputs)
        return self._step

    def _is_copied(self, number: int, array: np.ndarray) -> bool:
        return array.nbytes <= SMALL or number in self._copied
