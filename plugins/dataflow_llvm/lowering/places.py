"""Where a plan's slots lie while it runs: a base, an offset and strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.backends.memory import aligned
from dataflow.plan import Plan, concrete
from dataflow.plan.structure import contiguous, rounded
from dataflow_llvm.lowering.placed_parts import placed_parts

MEMORY = 0
"""The base of the program's own memory; those of the arguments follow, those of the outputs, and that of scratch."""


@dataclass(frozen=True, slots=True)
class Place:
    """An array: its base, its first entry's offset from it in bytes, its strides in entries."""

    base: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def at(cls, place: Place, shape: tuple[int, ...]) -> Place:
        """A place in row-major order seen in another shape."""
        return cls(place.base, place.offset, shape, contiguous(shape), place.dtype)

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def is_row_major(self) -> bool:
        """Whether the entries lie side by side in order."""
        steps = zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        return self.size == 0 or all(size == 1 or step == expected for size, step, expected in steps)

    def broadcast(self, shape: tuple[int, ...]) -> Place:
        """Repeated to a shape, by strides of 0."""
        missing = len(shape) - len(self.shape)
        own = [0 if size == 1 else step for size, step in zip(self.shape, self.strides, strict=True)]
        return Place(self.base, self.offset, shape, (0,) * missing + tuple(own), self.dtype)

    def window(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Place:
        """Other entries of the same array; the offset in entries."""
        return Place(self.base, self.offset + offset * self.dtype.itemsize, shape, strides, self.dtype)


class Places:
    """The places of a plan's slots. A slot without a place in the plan's arena gets one behind it when it is first
    asked for, which must be before ``lay_out`` makes the memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.size = rounded(plan.arena_bytes)
        self._constants: list[tuple[int, np.ndarray]] = []
        """What the memory holds before a run: an offset, and an array."""
        self._laid_out = False
        made = {instruction.output for instruction in plan.instructions}
        self.parts = placed_parts(plan)
        """Slots that lie in others."""
        self.unsigned: set[int] = set()
        """Those that hold 0 where they would hold −0."""
        self._filled = {part.target for part in self.parts.values()}
        self._own: dict[int, tuple[int, int]] = {}
        first_output = 1 + len(plan.arguments)
        self.scratch_base = first_output + len(plan.output_slots)
        """The base of memory that holds something while one instruction of the plan runs, and is used again by the
        next."""
        self.scratch_size = 0
        """The most bytes of it that an instruction takes."""
        self._taken = 0
        self.copied_outputs: list[tuple[int, int]] = []
        """Outputs that are copied at the end: their base, and their slot."""
        for number, slot in enumerate(plan.output_slots):
            if slot in made and slot not in self._own:
                self._own[slot] = (first_output + number, 0)
            else:
                self.copied_outputs.append((first_output + number, slot))

    def of(self, slot: int) -> Place:
        """The place of a slot that holds an array."""
        spec = self.plan.specs[slot]
        assert spec is not None
        shape = concrete(spec)
        view = self.plan.views.get(slot)
        if view is None:
            base, offset = self._root(slot, spec.dtype)
            strides = self.parts[slot].strides if slot in self.parts else contiguous(shape)
            return Place(base, offset, shape, strides, spec.dtype)
        base, offset = self._root(view.base, spec.dtype)
        return Place(base, offset + view.offset * spec.dtype.itemsize, shape, view.strides, spec.dtype)

    def put(self, slot: int, place: Place) -> None:
        """Put a slot where another one is, in row-major order."""
        self._own[slot] = (place.base, place.offset)

    def temporary(self, shape: tuple[int, ...], dtype: np.dtype) -> Place:
        """New memory in row-major order."""
        return Place(MEMORY, self.take(math.prod(shape) * dtype.itemsize), shape, contiguous(shape), dtype)

    def scratch(self, shape: tuple[int, ...], dtype: np.dtype) -> Place:
        """Memory in row-major order for the present instruction alone."""
        place = Place(self.scratch_base, self._taken, shape, contiguous(shape), dtype)
        self._taken += rounded(place.size * dtype.itemsize)
        self.scratch_size = max(self.scratch_size, self._taken)
        return place

    def forget_scratch(self) -> None:
        """Another instruction begins."""
        self._taken = 0

    def constant(self, array: np.ndarray) -> int:
        """New memory that holds an array; where it begins."""
        offset = self.take(array.nbytes)
        self._constants.append((offset, array))
        return offset

    def lay_out(self) -> np.ndarray:
        """Make the memory, with the constants in it. No new place can be added afterwards."""
        self._laid_out = True
        memory = aligned(self.size)
        for offset, array in self._constants:
            memory[offset : offset + array.nbytes].view(array.dtype)[:] = array.ravel()
        return memory

    def take(self, size: int) -> int:
        """Reserve ``size`` bytes of new memory; return where they begin."""
        if self._laid_out:
            raise RuntimeError("a place was asked for after the memory was made")
        offset = self.size
        self.size += rounded(size)
        return offset

    def _root(self, slot: int, dtype: np.dtype) -> tuple[int, int]:
        plan = self.plan
        if slot < len(plan.arguments):
            return 1 + slot, 0
        if slot in self._own:
            return self._own[slot]
        if slot in self.parts:
            base, offset = self._root(self.parts[slot].target, dtype)
            return base, offset + self.parts[slot].offset * dtype.itemsize
        if slot in plan.offsets and slot not in self._filled:
            return MEMORY, plan.offsets[slot]
        array = plan.constants.get(slot)
        size = array.nbytes if isinstance(array, np.ndarray) else plan.bytes_of(slot)
        self._own[slot] = (MEMORY, self.take(size))
        if isinstance(array, np.ndarray) and array.size:
            self._constants.append((self._own[slot][1], np.asarray(array, order="C")))
        return self._own[slot]


def merged(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Fewer axes for the same walk: those of size 1 left out, and neighbours joined where all strides allow it; at
    least one axis."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        own = [step[axis] for step in strides]
        if sizes and all(kept[-1] == step * size for kept, step in zip(steps, own, strict=True)):
            sizes[-1] *= size
            for kept, step in zip(steps, own, strict=True):
                kept[-1] = step
        else:
            sizes.append(size)
            for kept, step in zip(steps, own, strict=True):
                kept.append(step)
    if not sizes:
        return [1], [[1] for _ in strides]
    return sizes, steps


def array_at(place: Place, memory: np.ndarray) -> Any:
    """The place as a numpy array, given its base's."""
    strides = tuple(step * place.dtype.itemsize for step in place.strides)
    if place.size == 0:
        return np.empty(place.shape, place.dtype)
    return np.ndarray(place.shape, place.dtype, memory, place.offset, strides)
