"""A plan ready to run: its program, its memory, and the calls that run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from dataflow.backends.interface import Runner
from dataflow.backends.kernels import REFUSALS, bind_instruction, bind_region, refusal
from dataflow.backends.last_binding import LastBinding
from dataflow.backends.memory import aligned
from dataflow.backends.numpy_backend import NumpyBackend
from dataflow.backends.threads import thread_count
from dataflow.backends.unreadable_arrays import Step, Storage, opened
from dataflow.errors import BackendError
from dataflow.plan import Plan, Region
from dataflow.plan.structure import ALIGNMENT, rounded
from dataflow.support.arrays import address
from dataflow_llvm.compiling import machine_code
from dataflow_llvm.kernels.interpreter import Context
from dataflow_llvm.lowering.fuse_region import text_of
from dataflow_llvm.lowering.lower_plan import lower
from dataflow_llvm.lowering.places import MEMORY, array_at
from dataflow_llvm.lowering.program import End, encode_regions
from dataflow_llvm.lowering.unroll_small_plan import generated
from dataflow_llvm.running.thread_team import Team


class LlvmRunner(Runner):
    """A plan as a program, with its memory. One run at a time."""

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.program = lower(plan)
        self.threads = thread_count(threads) if self.program.shared else 1
        self.operations, numbers, size = encode_regions(self.program)
        self.walks = np.array(self.program.walks or [0], np.int64)
        self.regions = self._compiled_regions()
        self.scratch_step = rounded(size)
        self.scratch = aligned(max(ALIGNMENT, self.threads * self.scratch_step))
        for (dtype, value, count), offset in numbers.items():
            for thread in range(self.threads):
                start = thread * self.scratch_step + offset
                self.scratch[start : start + count].view(dtype)[:] = float.fromhex(value)
        self.memory = self.program.places.lay_out()
        self.passing = aligned(max(ALIGNMENT, self.program.places.scratch_size))
        """What single instructions keep while they run."""
        self.code = [
            np.array(stretch, np.int64) if isinstance(stretch, list) else stretch for stretch in self.program.stretches
        ]
        text = generated(plan)
        self.small = None if text is None else machine_code.generated("small", text, lambda: text)
        """Code for this plan alone, where it is small."""
        self._execute = machine_code.interpreter().function("execute", 4)
        self._lock = Lock()
        self._last = LastBinding(plan, self.bind)

    def _compiled_regions(self) -> machine_code.Library | None:
        """Compile the functions of single regions, and write their addresses where the interpreter finds them."""
        if not self.program.own:
            return None
        bodies = list(self.program.bodies)
        compiled = machine_code.generated("regions", repr(bodies), lambda: text_of(bodies, machine_code.machine()))
        for walk, number in self.program.own:
            self.walks[walk] = compiled.address(f"own_{number}")
        return compiled

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock:
            return self._last.run(arguments)

    def bind(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], object]:
        bases = self.bases(arguments, outputs)
        if self.small is not None:
            return partial(
                _run_alone, self.small.function("step", 1), address(bases), (self, bases, arguments, outputs)
            )
        return self._bound(self.code, arguments, outputs, bases)

    def pieces(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Sequence[tuple[int, int, Step]]:
        bases = self.bases(arguments, outputs)
        pieces = []
        for start, stop, begun, end in self.program.parts:
            code = self._between(begun, end)
            if code or start < stop:  # no code where a product has done the addition that follows it
                pieces.append((start, stop, self._bound(code, arguments, outputs, bases)))
        return pieces

    def _between(self, begun: End, end: End) -> list[Any]:
        """The stretches of code between two places, the first and the last perhaps in part."""
        code = []
        for number in range(max(0, begun[0] - 1), end[0]):
            stretch = self.code[number]
            if isinstance(stretch, np.ndarray):
                first = begun[1] if number == begun[0] - 1 else 0
                stretch = stretch[first : end[1] if number == end[0] - 1 else None]
                if len(stretch):
                    code.append(stretch)
            elif number >= begun[0]:
                code.append(stretch)
        return code

    def _bound(
        self, code: Sequence[Any], arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray], bases: np.ndarray
    ) -> Step:
        context, team = self.context(bases), Team(self.threads)
        kept = (self, arguments, outputs, bases, context)
        steps: list[Step] = []
        for stretch in code:
            if isinstance(stretch, np.ndarray):
                call = partial(self._execute, address(stretch), len(stretch), address(context), team.shared)
                steps.append(partial(_run, team, call, kept))
            else:
                steps += self._by_numpy(stretch, arguments, outputs)
        if self.program.reads_indices:
            steps.append(partial(self._check_indices, context, arguments))
        if len(steps) == 1 and isinstance(code[0], np.ndarray):
            return steps[0]
        return partial(_run_all, steps)

    def bases(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """The addresses that places refer to. An array of another shape or dtype than the plan's, or whose entries do
        not lie side by side, is a ``BackendError``: machine code does not check."""
        slots = [*range(len(self.plan.arguments)), *self.plan.output_slots]
        arrays = [*arguments, *outputs]
        for slot, array in zip(slots, arrays, strict=True):
            spec = self.plan.specs[slot]
            if spec is None or (array.shape, array.dtype) != (spec.shape, spec.dtype) or not array.flags.c_contiguous:
                raise BackendError(f"the plan reads or writes {spec}, not {array.dtype} {array.shape}")
        return np.array([address(array) for array in (self.memory, *arrays, self.passing)], np.int64)

    def context(self, bases: np.ndarray) -> np.ndarray:
        """The table of addresses that the program's instructions refer to."""
        context = np.zeros(len(Context), np.int64)
        context[Context.REGIONS], context[Context.WALKS] = address(self.operations), address(self.walks)
        context[Context.BASES], context[Context.SCRATCH] = address(bases), address(self.scratch)
        context[Context.SCRATCH_STEP] = self.scratch_step
        return context

    def _check_indices(self, context: np.ndarray, arguments: Sequence[np.ndarray]) -> None:
        """Where an index is out of range, numpy says which."""
        if context[Context.FAULT]:
            context[Context.FAULT] = 0
            NumpyBackend().prepare(self.plan, 1).run(arguments)

    def _by_numpy(self, stretch: Any, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[Step]:
        arrays = [self.memory, *arguments, *outputs]
        plan, places = self.plan, self.program.places

        def array(slot: int) -> Any:
            if slot in plan.constants:
                return plan.constants[slot]
            place = places.of(slot)
            base = arrays[place.base]
            return Storage(array_at(place, base if place.base == MEMORY else base.reshape(-1)))

        if isinstance(stretch, tuple):
            base, slot = stretch
            return [partial(np.copyto, arrays[base], opened(array(slot)))]
        if isinstance(stretch, Region):
            scratch = aligned(stretch.scratch_bytes)
            return bind_region(plan, stretch, array, [scratch], 1)
        return [bind_instruction(stretch, [array(slot) for slot in stretch.inputs], array(stretch.output))]


def _run_all(steps: Sequence[Step]) -> None:
    try:
        with np.errstate(all="ignore"):
            for step in steps:
                step()
    except REFUSALS as error:
        raise refusal(error) from error


def _run_alone(function: Callable[..., None], bases: int, kept: object) -> None:
    function(bases)


def _run(team: Team, call: Step, kept: object) -> None:
    """``kept`` is what the call refers to by address alone."""
    team.run(call)
