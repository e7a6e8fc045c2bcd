"""The backend ``numba``: plans run by machine code that is compiled once, by the compiler that numba brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from dataflow.backends.kernels import REFUSALS, Step, bind_instruction, bind_region, refusal
from dataflow.backends.threads import thread_count
from dataflow.errors import BackendError
from dataflow.interfaces import Backend, Runner, TrainingLoop, TrainingTask
from dataflow.plan import Plan, Region, concrete
from dataflow_numba import library
from dataflow_numba.places import MEMORY, array_at
from dataflow_numba.team import Team

ALIGNMENT = 64


class NumbaBackend(Backend):
    """Runs plans with compiled kernels, on the CPU; what they have no instruction for, with numpy."""

    name = "numba"
    promises = (
        "The same bits in every run on one kind of processor, whatever the number of threads; "
        "matrix products too large for its own kernels repeat as numpy's do."
    )

    def prepare(self, plan: Plan, threads: int | None = None) -> Runner:
        library.check_installed()
        return NumbaRunner(plan, threads)

    def training(self, task: TrainingTask) -> TrainingLoop | None:
        library.check_installed()
        from dataflow_numba.training import make_loop

        return make_loop(task)


class NumbaRunner(Runner):
    """A plan as a program, with its memory. One run at a time."""

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        from dataflow_numba.generation import generated
        from dataflow_numba.lowering import lower
        from dataflow_numba.program import encode_regions

        self.plan = plan
        self.program = lower(plan)
        self.threads = thread_count(threads) if self.program.shared else 1
        self.operations, numbers, size = encode_regions(self.program)
        self.walks = np.array(self.program.walks or [0], np.int64)
        self.regions = self._compiled_regions()
        self.scratch_step = _rounded(size)
        self.scratch = aligned(max(ALIGNMENT, self.threads * self.scratch_step))
        for (dtype, value, count), offset in numbers.items():
            for thread in range(self.threads):
                start = thread * self.scratch_step + offset
                self.scratch[start : start + count].view(dtype)[:] = float.fromhex(value)
        self.memory = aligned(self.program.places.size)
        for offset, array in self.program.places.constants:
            if array.size:
                self.memory[offset : offset + array.nbytes].view(array.dtype)[:] = array.ravel()
        self.code = [
            np.array(stretch, np.int64) if isinstance(stretch, list) else stretch for stretch in self.program.stretches
        ]
        text = generated(plan)
        self.small = None if text is None else library.generated("small", text, lambda: text)
        """Code of the plan's own, where it is small."""
        self._execute = library.interpreter().function("execute", 4)
        self._lock = Lock()

    def _compiled_regions(self) -> library.Library | None:
        """The functions of regions that have their own, whose addresses go where the interpreter finds them."""
        from dataflow_numba.fusing import text_of

        if not self.program.own:
            return None
        bodies = list(self.program.bodies)
        compiled = library.generated("regions", repr(bodies), lambda: text_of(bodies, library.machine()))
        for walk, number in self.program.own:
            self.walks[walk] = compiled.address(f"own_{number}")
        return compiled

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = [_empty(self.plan, slot) for slot in self.plan.output_slots]
        with self._lock:
            self.bind([np.asarray(array, order="C") for array in arguments], outputs)()
        return outputs

    def bind(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], object]:
        bases = self.bases(arguments, outputs)
        if self.small is not None:
            return partial(
                _run_alone, self.small.function("step", 1), address(bases), (self, bases, arguments, outputs)
            )
        context, team = self.context(bases), Team(self.threads)
        kept = (self, arguments, outputs, bases, context)
        steps: list[Step] = []
        for stretch in self.code:
            if isinstance(stretch, np.ndarray):
                call = partial(self._execute, address(stretch), len(stretch), address(context), team.shared)
                steps.append(partial(_run, team, call, kept))
            else:
                steps += self._by_numpy(stretch, arguments, outputs)
        if len(steps) == 1 and isinstance(self.code[0], np.ndarray):
            return steps[0]

        def bound() -> None:
            try:
                with np.errstate(all="ignore"):
                    for step in steps:
                        step()
            except REFUSALS as error:
                raise refusal(error) from error

        return bound

    def bases(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """The addresses that places refer to. An array of another shape or dtype than the plan's, or whose entries do
        not lie side by side, is a ``BackendError``: machine code does not look."""
        slots = [*range(len(self.plan.arguments)), *self.plan.output_slots]
        arrays = [*arguments, *outputs]
        for slot, array in zip(slots, arrays, strict=True):
            spec = self.plan.specs[slot]
            if spec is None or (array.shape, array.dtype) != (spec.shape, spec.dtype) or not array.flags.c_contiguous:
                raise BackendError(f"the plan reads or writes {spec}, not {array.dtype} {array.shape}")
        return np.array([address(array) for array in (self.memory, *arrays)], np.int64)

    def context(self, bases: np.ndarray) -> np.ndarray:
        """The table of what the program's instructions refer to."""
        from dataflow_numba.interpreter import Context

        context = np.zeros(len(Context), np.int64)
        context[Context.REGIONS], context[Context.WALKS] = address(self.operations), address(self.walks)
        context[Context.BASES], context[Context.SCRATCH] = address(bases), address(self.scratch)
        context[Context.SCRATCH_STEP] = self.scratch_step
        return context

    def _by_numpy(self, stretch: Any, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[Step]:
        arrays = [self.memory, *arguments, *outputs]
        plan, places = self.plan, self.program.places

        def array(slot: int) -> Any:
            if plan.specs[slot] is None:
                return plan.constants[slot]
            place = places.of(slot)
            base = arrays[place.base]
            return array_at(place, base if place.base == MEMORY else base.reshape(-1))

        if isinstance(stretch, tuple):
            base, slot = stretch
            return [partial(np.copyto, arrays[base], array(slot))]
        if isinstance(stretch, Region):
            scratch = aligned(stretch.scratch_bytes)
            return bind_region(plan, stretch, array, [scratch], 1)
        return [bind_instruction(stretch, [array(slot) for slot in stretch.inputs], array(stretch.output))]


def _run_alone(function: Callable[..., None], bases: int, kept: object) -> None:
    function(bases)


def _run(team: Team, call: Step, kept: object) -> None:
    """``kept`` is what the call refers to by address alone."""
    team.run(call)


def address(array: np.ndarray) -> int:
    """Where an array's memory begins."""
    return int(array.__array_interface__["data"][0])


def aligned(size: int) -> np.ndarray:
    """Bytes that begin at a multiple of 64."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -address(memory) % ALIGNMENT
    return memory[start : start + size]


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _empty(plan: Plan, slot: int) -> np.ndarray:
    spec = plan.specs[slot]
    assert spec is not None
    return np.empty(concrete(spec), spec.dtype)
