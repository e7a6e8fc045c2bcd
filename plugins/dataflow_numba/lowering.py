"""A plan as a program for the interpreter: its instructions as whole numbers, and the places that they speak of.

What the interpreter has no instruction for is left to numpy, and runs between two stretches of the program.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dataflow.indexing import parse_key
from dataflow.plan import Instruction, Plan, Region
from dataflow.plan.structure import contiguous
from dataflow_numba.fusing import LEAST_WORK, MOST_WEIGHT, fused, is_whole_sum, whole_sums
from dataflow_numba.interpreter import (
    BY_BATCH,
    BY_COLUMNS,
    BY_ROWS,
    COPY,
    COPY_SIZES,
    DOTS,
    FIRST_OPERAND,
    FLOAT_NAMES,
    MAX,
    PRODUCT,
    REGION,
    SUM,
    TOTAL,
    ZERO,
)
from dataflow_numba.layouts import batch_strides, matrix_strides, reduced_axes, three_parts
from dataflow_numba.moving import MOST_AXES
from dataflow_numba.places import Place, Places, merged
from dataflow_numba.products import DIRECT, PACKED, TURNED
from dataflow_numba.program import Program
from dataflow_numba.reducing import PIECE
from dataflow_numba.regions import Lowered, lower_region

SHARED_WORK = 100_000
"""Elements (of a copy or a region's instructions) or tens of multiplications from which threads share the work."""
PACKED_BYTES = 2**18
"""A right factor over which rows are spread further than this is copied panel by panel."""
LARGE_PANEL = 2**20
"""Beyond this the panel of a product does not fit into the cache: numpy's library divides it better."""
VECTOR_BYTES = 64
"""The longest vectors: two of them side by side are a panel's row."""
PANEL_ROWS = 48
"""So many rows of the left factor make it worth while to copy panels."""


def lower(plan: Plan) -> Program:
    """The program of a plan."""
    lowering = _Lowering(plan)
    for stretch in plan.stretches():
        lowering.add(stretch)
    lowering.finish()
    return lowering.program


class _Lowering:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.places = Places(plan)
        self.program = Program(plan, self.places)
        self._operations = 0
        self._weight = 0
        self._sums = whole_sums(plan)
        self._partial: dict[int, Place] = {}
        """The sums of the tiles of slots that a region adds up."""

    def add(self, stretch: Instruction | Region) -> None:
        if isinstance(stretch, Region):
            done = self._region(stretch)
        else:
            done = self._instruction(stretch)
        if not done:
            self.program.stretches.append(stretch)

    def finish(self) -> None:
        """Copy the outputs that are arguments, constants, views, or another output."""
        for base, slot in self.places.copied_outputs:
            source = self.places.of(slot)
            target = Place(base, 0, source.shape, contiguous(source.shape), source.dtype)
            if not self._copy(source, target):
                self.program.stretches.append((base, slot))

    # -------------------------------------------------------------------------------------------- regions

    def _region(self, region: Region) -> bool:
        if region.size == 0:
            return True
        before = len(self.program.walks)
        lowered = self._own_region(region)
        if lowered is None:
            del self.program.walks[before:]
            lowered = lower_region(self.plan, region, self.places, self.program.walks, region.outputs)
        if lowered is None:
            del self.program.walks[before:]
            return False
        self.program.regions.append(lowered)
        shared = lowered.size * (region.stop - region.start) > SHARED_WORK and lowered.size > lowered.tile
        self._emit(
            REGION, shared, _dtype(lowered.dtype), self._operations, len(lowered.operations), lowered.size, lowered.tile
        )
        self._operations += len(lowered.operations)
        return True

    def _own_region(self, region: Region) -> Lowered | None:
        """With a function generated for it, and sums of its results along the way; ``None`` where it is small, or the
        code would be long."""
        if region.size * (region.stop - region.start) < LEAST_WORK:
            return None
        walks = self.program.walks
        added = {slot: alone for slot, alone in self._sums.items() if slot in region.outputs}
        outputs = [slot for slot in region.outputs if not added.get(slot, False)]
        lowered = lower_region(self.plan, region, self.places, walks, outputs, reuse=False)
        if lowered is None or self._weight + lowered.weight > MOST_WEIGHT:
            return None
        sums = []
        for slot in added:
            tiles = -(-region.size // PIECE)
            self._partial[slot] = partial = self.places.temporary((tiles,), np.dtype(lowered.dtype))
            sums.append((lowered.where[slot], len(walks)))
            walks += _at(partial)
        whole, body = fused(lowered, sums, walks)
        if body not in self.program.bodies:
            self._weight += lowered.weight
        number = self.program.bodies.setdefault(body, len(self.program.bodies))
        self.program.own += [(walk, number) for name, _, _, walk in whole.operations if name == "own"]
        return whole

    # -------------------------------------------------------------------------------------------- instructions

    def _instruction(self, instruction: Instruction) -> bool:
        op = instruction.op
        result = self.places.of(instruction.output)
        if result.size == 0:
            return True
        if op.reduces in (np.add, np.maximum):
            return self._reduction(instruction, result)
        if op.module.partition(".")[0] != "dataflow_ops":
            return False
        rules: dict[str, Callable[[Instruction, Place], bool]] = {
            "matmul": self._matmul,
            "concatenate": self._concatenate,
            "stack": self._stack,
            "place": self._place,
            "reshape": self._reordered,
        }
        return op.name in rules and rules[op.name](instruction, result)

    def _reduction(self, instruction: Instruction, result: Place) -> bool:
        partial = self._partial.get(instruction.inputs[0])
        if partial is not None and is_whole_sum(self.plan, instruction):
            self._emit(TOTAL, False, _dtype(partial.dtype.name), *_at(partial), *_at(result), partial.size)
            return True
        source = self.places.of(instruction.inputs[0])
        if source.dtype.name not in FLOAT_NAMES or result.dtype != source.dtype:
            return False
        axes = reduced_axes(instruction, source.shape)
        parts = three_parts(source, axes)
        if parts is None:
            kept = [axis for axis in range(len(source.shape)) if axis not in axes]
            order = [*kept, *sorted(axes)]
            shape = tuple(source.shape[axis] for axis in order)
            turned = Place(source.base, source.offset, shape, tuple(source.strides[a] for a in order), source.dtype)
            source = self.places.temporary(shape, source.dtype)
            if not self._copy(turned, source):
                return False
            parts = three_parts(source, set(range(len(kept), len(order))))
            assert parts is not None
        outer, outer_step, reduced, step, inner = parts
        code = SUM if instruction.op.reduces is np.add else MAX
        shared = source.size > SHARED_WORK and outer > 1
        ends = (*_at(source), *_at(result))
        self._emit(code, shared, _dtype(source.dtype.name), *ends, reduced, inner, outer_step, step, outer)
        return True

    def _matmul(self, instruction: Instruction, result: Place) -> bool:
        left, right = (self.places.of(slot) for slot in instruction.inputs)
        dtype = result.dtype
        if dtype.name not in FLOAT_NAMES or left.dtype != dtype or right.dtype != dtype:
            return False
        if len(left.shape) == 1:  # a row
            left = left.window(0, (1, *left.shape), (0, *left.strides))
            ahead = len(result.shape) - (len(right.shape) > 1)
            result = Place.at(result, (*result.shape[:ahead], 1, *result.shape[ahead:]))
        if len(right.shape) == 1:  # a column
            right = right.window(0, (*right.shape, 1), (*right.strides, 0))
            result = Place.at(result, (*result.shape, 1))
        batch = batch_strides(left, right, result)
        if batch is None:
            return False
        count, batch_steps = batch
        (rows, length), columns = left.shape[-2:], right.shape[-1]
        if length == 0:
            self._emit(ZERO, False, *_at(result), result.size * dtype.itemsize)
            return True
        a = matrix_strides(left)
        b = matrix_strides(right)
        c = matrix_strides(result)
        if columns == 1 and count == 1:
            if a[1] == 1 and b[0] == 1:
                ends = (*_at(left), a[0], *_at(right), *_at(result), c[0])
                self._emit(DOTS, False, _dtype(dtype.name), rows, length, *ends)
                return True
            if c[0] == 1:  # the transposed product, whose columns are many
                left, right, a, b = right, left, (b[1], b[0]), (a[1], a[0])
                rows, columns = columns, rows
                c = (columns, 1)
        return self._product(dtype, (left, a), (right, b), (result, c), (rows, columns, length), count, batch_steps)

    def _product(
        self,
        dtype: np.dtype,
        left: tuple[Place, tuple[int, int]],
        right: tuple[Place, tuple[int, int]],
        result: tuple[Place, tuple[int, int]],
        sizes: tuple[int, int, int],
        count: int,
        batch_steps: tuple[int, ...],
    ) -> bool:
        rows, columns, length = sizes
        panel = length * 2 * VECTOR_BYTES
        (a_row, a_along), (b_row, b_column) = left[1], right[1]
        crowded = length * max(b_row, a_along) * dtype.itemsize > PACKED_BYTES
        if panel > LARGE_PANEL or (rows >= PANEL_ROWS and length * a_along * dtype.itemsize > 8 * PACKED_BYTES):
            return False
        if b_column == 1:
            how, step = (PACKED if crowded and rows >= PANEL_ROWS else DIRECT), b_row
        elif b_row == 1:
            how, step = TURNED, b_column
        else:
            return False
        self.program.panel_bytes = max(self.program.panel_bytes, panel)
        shared = count * rows * columns * length > 10 * SHARED_WORK
        sharing = BY_BATCH if count > 1 else BY_COLUMNS if columns >= rows or how != DIRECT else BY_ROWS
        self._emit(
            PRODUCT,
            shared,
            *(_dtype(dtype.name), how, sharing, count, *batch_steps, rows, columns, length),
            *(*_at(left[0]), a_row, a_along, *_at(right[0]), step, *_at(result[0]), result[1][0]),
        )
        return True

    def _concatenate(self, instruction: Instruction, result: Place) -> bool:
        axis = instruction.attributes["axis"] % len(result.shape)
        start = 0
        pairs = []
        for slot in instruction.inputs:
            if self.plan.specs[slot] is None:
                return False
            source = self.places.of(slot)
            pairs.append((source, result.window(start * result.strides[axis], source.shape, result.strides)))
            start += source.shape[axis]
        return self._copies(pairs)

    def _stack(self, instruction: Instruction, result: Place) -> bool:
        axis = instruction.attributes["axis"] % len(result.shape)
        shape = result.shape[:axis] + result.shape[axis + 1 :]
        strides = result.strides[:axis] + result.strides[axis + 1 :]
        pairs = []
        for number, slot in enumerate(instruction.inputs):
            if self.plan.specs[slot] is None:
                return False
            target = result.window(number * result.strides[axis], shape, strides)
            pairs.append((self.places.of(slot).broadcast(shape), target))
        return self._copies(pairs)

    def _place(self, instruction: Instruction, result: Place) -> bool:
        """Zeros, and the input where the key says: numpy's own indexing tells the offset and the strides."""
        source = self.places.of(instruction.inputs[0])
        numbers = np.empty(result.shape, np.int8)
        window = numbers[parse_key(instruction.attributes["key"])]
        if not isinstance(window, np.ndarray):
            return False
        offset = window.__array_interface__["data"][0] - numbers.__array_interface__["data"][0]
        target = result.window(offset if window.size else 0, window.shape, window.strides)
        if source.dtype != result.dtype:
            return False
        self._emit(ZERO, False, *_at(result), result.size * result.dtype.itemsize)
        return self._copies([(source, target)])

    def _reordered(self, instruction: Instruction, result: Place) -> bool:
        source = self.places.of(instruction.inputs[0])
        return self._copies([(source, Place.at(result, source.shape))])

    # -------------------------------------------------------------------------------------------- internals

    def _copies(self, pairs: list[tuple[Place, Place]]) -> bool:
        if any(not _can_copy(source, target) for source, target in pairs):
            return False
        return all(self._copy(source, target) for source, target in pairs)

    def _copy(self, source: Place, target: Place) -> bool:
        if not _can_copy(source, target):
            return False
        if source.size == 0:
            return True
        sizes, (steps, target_steps) = merged(source.shape, source.strides, target.strides)
        walk = len(self.program.walks)
        self.program.walks += [*_at(source), *_at(target), len(sizes), *sizes, *steps, *target_steps]
        self._emit(COPY, source.size > SHARED_WORK, source.dtype.itemsize, walk, source.size)
        return True

    def _emit(self, code: int, shared: bool, *operands: int) -> None:
        stretches = self.program.stretches
        if not stretches or not isinstance(stretches[-1], list):
            stretches.append([])
        stretches[-1] += [code, FIRST_OPERAND + len(operands), int(shared), *operands]
        self.program.shared |= shared


def _dtype(name: str) -> int:
    return FLOAT_NAMES.index(name)


def _at(place: Place) -> tuple[int, int]:
    return place.base, place.offset


def _can_copy(source: Place, target: Place) -> bool:
    if source.dtype != target.dtype or source.dtype.itemsize not in COPY_SIZES or source.shape != target.shape:
        return False
    return len(merged(source.shape, source.strides, target.strides)[0]) <= MOST_AXES
