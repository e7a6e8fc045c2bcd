"""A plan that XLA compiles, and runs for arrays of numpy."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from dataflow.backends.interface import Runner
from dataflow.backends.numpy_backend import NumpyBackend
from dataflow.errors import BackendError, DataflowError
from dataflow.plan import Plan
from dataflow_jax.settings import computing
from dataflow_jax.trace_plan import TracedPlan


class JaxRunner(Runner):
    """It is compiled when it first runs."""

    def __init__(self, plan: Plan, device: str | None) -> None:
        self._plan, self._device = plan, device
        self._traced = TracedPlan(plan)
        self._compiled = jax.jit(self._traced.run)
        with computing(device):  # a device that is not there is found now
            self._constants = [jax.numpy.array(constant) for constant in self._traced.constants]

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            with computing(self._device):
                outputs, right = self._compiled(list(arguments), self._constants)
                results = [np.array(output, order="C") for output in outputs]
                if right:
                    return results
        except DataflowError:
            raise
        except Exception as error:  # whatever a call back raised, or XLA
            NumpyBackend().prepare(self._plan).run(arguments)
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BackendError(f"the jax backend cannot run the plan: {reason}") from error
        return NumpyBackend().prepare(self._plan).run(arguments)  # which says what is wrong
