"""The backend ``llvm``: plans run by machine code that is compiled once, by LLVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataflow.backends.interface import Backend, Runner, TrainingLoop, TrainingTask

if TYPE_CHECKING:
    from dataflow.plan import Plan


class LlvmBackend(Backend):
    """Runs plans with compiled kernels, on the CPU; what they have no instruction for, with numpy.

    The rest of the package is imported when it is used: it needs the compiler, which may not be installed.
    """

    name = "llvm"
    former_names = ("numba",)
    promises = (
        "The same bits in every run on one kind of processor, whatever the number of threads; "
        "matrix products too large for its own kernels repeat as numpy's do."
    )

    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        _check_installed()
        from dataflow_llvm.running.runner import LlvmRunner

        return LlvmRunner(plan, threads)

    def training(self, task: TrainingTask) -> TrainingLoop | None:
        _check_installed()
        from dataflow_llvm.running.training_loop import make_loop

        return make_loop(task)


def _check_installed() -> None:
    from dataflow_llvm.compiling.machine_code import check_installed

    check_installed()
