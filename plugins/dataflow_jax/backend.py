"""The backend ``jax``: plans compiled by XLA, on what JAX finds: processors, GPUs, TPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dataflow.backends.interface import Backend, Runner, TrainingLoop, TrainingTask
from dataflow.errors import BackendError, MissingExtraError

if TYPE_CHECKING:
    from dataflow.plan import Plan

DEVICES = ("cpu", "gpu", "tpu")


class JaxBackend(Backend):
    """Runs plans as functions that XLA compiles; what they have no function for, by a call back to numpy.

    The rest of the package is imported when it is used: it needs JAX, which may not be installed.
    """

    name = "jax"
    promises = (
        "The same bits in every run on one machine with one version of JAX and the same number of devices, "
        "on processors; on a GPU the last digits may differ from run to run."
    )

    def __init__(self, device: str | None = None) -> None:
        self.device = device

    def on(self, device: str) -> JaxBackend:
        if device not in DEVICES:
            raise BackendError(f"the backend 'jax' has no device '{device}'; available: {', '.join(DEVICES)}")
        return JaxBackend(device)

    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        check_installed()
        from dataflow_jax.runner import JaxRunner

        return JaxRunner(plan, self.device)

    def training(self, task: TrainingTask) -> TrainingLoop | None:
        check_installed()
        from dataflow_jax.training_loop import make_loop

        return make_loop(task, self.device)

    def function(self, plan: Plan) -> Callable[..., Any]:
        check_installed()
        from dataflow_jax.trace_plan import TracedPlan

        return TracedPlan(plan).outputs


def check_installed() -> None:
    """A ``MissingExtraError`` where JAX is not installed."""
    try:
        import jax  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "the backend 'jax' needs JAX: pip install \"dataflow-autodiff[jax]\" (for a GPU or TPU, JAX's own page "
            "says what to install)"
        ) from None
