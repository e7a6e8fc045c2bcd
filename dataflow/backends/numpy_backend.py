"""The numpy backend: every primitive op's own kernel, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dataflow.hookspecs import hookimpl
from dataflow.interfaces import Backend, Runner
from dataflow.plan import Plan


class NumpyBackend(Backend):
    """Runs everything with numpy, on the CPU."""

    name = "numpy"
    promises = "The same bits in every run on one machine with one numpy and one number of threads."

    def prepare(self, plan: Plan) -> Runner:
        return NumpyRunner(plan)


class NumpyRunner(Runner):
    """A plan with its kernels and attributes bound."""

    def __init__(self, plan: Plan) -> None:
        self._start: list[Any] = [None] * len(plan.specs)
        for slot, value in plan.constants.items():
            self._start[slot] = value
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...], int, tuple[int, ...]]] = [
            (
                partial(step.op.function, **step.attributes) if step.attributes else step.op.function,
                step.inputs,
                step.output,
                ending,
            )
            for step, ending in zip(plan.instructions, plan.last_uses, strict=True)
        ]
        self._outputs = plan.output_slots

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        slots = self._start.copy()
        slots[: len(arguments)] = arguments
        with np.errstate(all="ignore"):
            for kernel, inputs, output, ending in self._steps:
                slots[output] = kernel(*[slots[i] for i in inputs])
                for slot in ending:
                    slots[slot] = None
        return [np.asarray(slots[i]) for i in self._outputs]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The backend that is always there."""
    return [NumpyBackend()]
