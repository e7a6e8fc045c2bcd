"""The numpy backend: a plan's instructions bound to arrays beforehand, one function after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from threading import Lock
from typing import Any

import numpy as np

from dataflow.backends.interface import Runner
from dataflow.backends.kernels import REFUSALS, bind_instruction, bind_region, refusal
from dataflow.backends.last_binding import LastBinding
from dataflow.backends.memory import aligned, empty
from dataflow.backends.threads import PRODUCT_THREADS, thread_count
from dataflow.backends.unreadable_arrays import Step, Storage, opened, single_steps
from dataflow.operations.engine_ops import matmul
from dataflow.plan import Instruction, Plan, Region, concrete
from dataflow.support.error_state import ERROR_STATE
from dataflow.support.gc_pause import collector_paused

TINY_PRODUCT, SMALL_PRODUCT = 2**13, 2**23
"""Multiplications up to which any BLAS stays on one thread by itself, and up to which one thread is faster."""
TINY_FOR_OPENBLAS = 2**18
"""Up to which OpenBLAS does where both factors are matrices."""


class NumpyRunner(Runner):
    """A plan with its arena. One run at a time."""

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self._plan = plan
        self._threads = thread_count(threads)
        self._product_threads = _product_threads(plan, self._threads)
        self._memory: np.ndarray | None = None
        self._scratch: list[np.ndarray] = []
        self._lock = Lock()
        self._last = LastBinding(plan, self.bind)

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock, PRODUCT_THREADS:
            outside = ERROR_STATE.ignore()
            try:
                return self._last.run(arguments)
            finally:
                ERROR_STATE.restore(outside)

    def bind(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], object]:
        return partial(self._run, self._steps(arguments, outputs))

    def _run(self, steps: Sequence[Step]) -> None:
        if self._product_threads is not None and self._product_threads != PRODUCT_THREADS.now:
            PRODUCT_THREADS.use(self._product_threads)
        try:
            for step in steps:
                step()
        except REFUSALS as error:
            raise refusal(error) from error

    # -------------------------------------------------------------------------------------------- arrays

    def _steps(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[Step]:
        with collector_paused():
            return [each for _, _, step in self.pieces(arguments, outputs) for each in single_steps(step)]

    def pieces(self, arguments: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[tuple[int, int, Step]]:
        """Each function with the instructions that it runs. Those of a region come tile by tile, one after the other;
        a function for several threads runs the whole region."""
        plan = self._plan
        known: dict[int, Any] = {**plan.constants, **dict(enumerate(map(Storage, arguments)))}
        made = {instruction.output for instruction in plan.instructions}
        copies: list[tuple[np.ndarray, int]] = []
        for output, slot in zip(outputs, plan.output_slots, strict=True):
            if slot in made and slot not in known and output.flags.c_contiguous:
                known[slot] = Storage(output)
            else:
                copies.append((output, slot))

        def arrays(slot: int) -> Any:
            if slot not in known:
                known[slot] = self._array(slot, arrays)
            return known[slot]

        pieces: list[tuple[int, int, Step]] = []
        position = 0
        for stretch in plan.stretches():
            if isinstance(stretch, Region):
                steps = bind_region(plan, stretch, arrays, self._registers(), self._threads)
                count = stretch.stop - stretch.start
                each = count if len(steps) == 1 else 1
                pieces += [(start := position + i % count, start + each, step) for i, step in enumerate(steps)]
                position = stretch.stop
            else:
                inputs = [arrays(slot) for slot in stretch.inputs]
                pieces.append((position, position + 1, bind_instruction(stretch, inputs, arrays(stretch.output))))
                position += 1
        copied = [(position, position, partial(np.copyto, output, opened(arrays(slot)))) for output, slot in copies]
        return pieces + copied

    def _array(self, slot: int, arrays: Callable[[int], Any]) -> Storage | np.ndarray:
        """The storage of a result; a view of a constant is an array, as constants are."""
        plan = self._plan
        spec = plan.spec(slot)
        if (view := plan.views.get(slot)) is not None:
            base = arrays(view.base)
            window = view.of(opened(base), spec)
            return Storage(window) if isinstance(base, Storage) else window
        if slot not in plan.offsets:
            return Storage(empty(spec))
        if self._memory is None:
            self._memory = aligned(plan.arena_bytes)
        return Storage(np.ndarray(concrete(spec), spec.dtype, self._memory, plan.offsets[slot]))

    def _registers(self) -> list[np.ndarray]:
        if not self._scratch:
            size = max(region.scratch_bytes for region in self._plan.regions)
            self._scratch = [aligned(size) for _ in range(self._threads)]
        return self._scratch


def _product_threads(plan: Plan, threads: int) -> int | None:
    """The threads for matrix products; ``None`` where they are too small for it to matter."""
    products = [instruction for instruction in plan.instructions if instruction.op is matmul]
    if all(_is_tiny(plan, product) for product in products):
        return None
    largest = max(_multiplications(plan, product) for product in products)
    return 1 if largest <= SMALL_PRODUCT else threads


def _is_tiny(plan: Plan, product: Instruction) -> bool:
    """Whether the BLAS stays on one thread by itself."""
    shape = concrete(plan.spec(product.output))
    are_matrices = len(shape) == 2 and min(shape) > 1 and _has_openblas()
    return _multiplications(plan, product) <= (TINY_FOR_OPENBLAS if are_matrices else TINY_PRODUCT)


@cache
def _has_openblas() -> bool:
    """Whether numpy was built with OpenBLAS."""
    build: Any = np.show_config(mode="dicts")
    return "openblas" in str(build.get("Build Dependencies", {}).get("blas", {}).get("name", ""))


def _multiplications(plan: Plan, product: Instruction) -> int:
    return math.prod(concrete(plan.spec(product.output))) * concrete(plan.spec(product.inputs[0]))[-1]
