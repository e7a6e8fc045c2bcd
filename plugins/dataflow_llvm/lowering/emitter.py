"""What writes a program: instructions as words, copies among them, and the places that they refer to."""

from __future__ import annotations

import numpy as np

from dataflow.plan import Plan
from dataflow_llvm.kernels.copies import MOST_AXES
from dataflow_llvm.kernels.interpreter import COPY, COPY_SIZES, FIRST_OPERAND, FLOAT_NAMES, TURN, TURNED_SIZES, ZERO
from dataflow_llvm.lowering.places import MEMORY, Place, Places, merged
from dataflow_llvm.lowering.program import Program

SHARED_WORK = 100_000
"""Elements (of a copy or a region's instructions) or tens of multiplications above which threads share the work."""

LEAST_TURNED = 8
"""Rows and columns from which a matrix is transposed in squares."""


class Emitter:
    """A program in the making."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.places = Places(plan)
        self.program = Program(plan, self.places)

    def emit(self, code: int, shared: bool, *operands: int) -> None:
        """An instruction; ``shared``, whether threads share its work."""
        stretches = self.program.stretches
        if not stretches or not isinstance(stretches[-1], list):
            stretches.append([])
        stretches[-1] += [code, FIRST_OPERAND + len(operands), int(shared), *operands]
        self.program.shared |= shared

    def copy(self, source: Place, target: Place, how: int | None = None) -> bool:
        """Copy an array to another of the same shape; false where it cannot be done. ``how`` is the size of an entry
        unless it is given."""
        if not can_copy(source, target):
            return False
        if source.size == 0 or (how is None and at(source) == at(target)):  # which is there by now
            return True
        sizes, (steps, target_steps) = merged(source.shape, source.strides, target.strides)
        if how is None and self._turn(source, target, sizes, steps, target_steps):
            return True
        walk = len(self.program.walks)
        self.program.walks += [*at(source), *at(target), len(sizes), *sizes, *steps, *target_steps]
        self.emit(COPY, source.size > SHARED_WORK, how or source.dtype.itemsize, walk, source.size)
        return True

    def _turn(self, source: Place, target: Place, sizes: list[int], steps: list[int], target_steps: list[int]) -> bool:
        """Copy one matrix to its transpose, or each of a stack; false where that is not what a copy does."""
        if len(sizes) not in (2, 3) or source.dtype.itemsize not in TURNED_SIZES or min(sizes[-2:]) < LEAST_TURNED:
            return False
        rows, columns = (-1, -2) if steps[-2] == target_steps[-1] == 1 else (-2, -1)
        if not steps[columns] == target_steps[rows] == 1:
            return False
        count, *batch_steps = (1, 0, 0) if len(sizes) == 2 else (sizes[0], steps[0], target_steps[0])
        matrices = (*at(source), steps[rows], *at(target), target_steps[columns])
        operands = (source.dtype.itemsize, count, *batch_steps, sizes[rows], sizes[columns], *matrices)
        self.emit(TURN, source.size > SHARED_WORK, *operands)
        return True

    def copies(self, pairs: list[tuple[Place, Place]]) -> bool:
        """Copy each first array to the second; false, with nothing done, where one cannot be copied."""
        if any(not can_copy(source, target) for source, target in pairs):
            return False
        return all(self.copy(source, target) for source, target in pairs)

    def row_major(self, place: Place) -> Place | None:
        """The array in row-major order: as it is, or a copy for the present instruction; ``None`` where there can be
        none."""
        if place.is_row_major:
            return place
        copy = self.places.scratch(place.shape, place.dtype)
        return copy if self.copy(place, copy) else None

    def clear(self, target: Place) -> None:
        """Zeros for an array in row-major order."""
        self.emit(ZERO, False, *at(target), target.size * target.dtype.itemsize)

    def fill(self, target: Place, value: float | bool) -> bool:
        """One number for all entries."""
        number = np.array(value, target.dtype)
        source = Place(MEMORY, self.places.constant(number), target.shape, (0,) * len(target.shape), target.dtype)
        return self.copy(source, target)


def dtype_number(dtype: np.dtype) -> int:
    """What stands for a float dtype in an instruction."""
    return FLOAT_NAMES.index(dtype.name)


def at(place: Place) -> tuple[int, int]:
    """The two words that say where an array begins."""
    return place.base, place.offset


def can_copy(source: Place, target: Place) -> bool:
    """Whether a copy has an instruction."""
    if source.dtype != target.dtype or source.dtype.itemsize not in COPY_SIZES or source.shape != target.shape:
        return False
    return len(merged(source.shape, source.strides, target.strides)[0]) <= MOST_AXES
