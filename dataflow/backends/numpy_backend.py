"""The numpy backend. What runs a plan is imported when the first one is made, so that a command starts quickly."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dataflow.backends.interface import Backend, Runner
from dataflow.backends.threads import PRODUCT_THREADS
from dataflow.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from dataflow.plan import Plan


class NumpyBackend(Backend):
    """Runs everything with numpy, on the CPU."""

    name = "numpy"
    promises = "The same bits in every run on one machine with one numpy and one number of threads."

    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        from dataflow.backends.numpy_runner import NumpyRunner

        return NumpyRunner(plan, threads)

    def scope(self) -> AbstractContextManager[object]:
        return PRODUCT_THREADS


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The backend that is always there."""
    return [NumpyBackend()]
