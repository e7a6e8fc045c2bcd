"""A plan as a program for the interpreter: its instructions as whole numbers, and the places that they refer to.

What the interpreter has no instruction for is left to numpy, and runs between two stretches of the program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from dataflow.operations.engine_ops import matmul, place, random_uniform, reshape, stack
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.plan import Instruction, Plan, Region
from dataflow.plan.passes.placements import place_all
from dataflow.plan.structure import contiguous
from dataflow.support.arrays import address
from dataflow_llvm.kernels.copies import MOST_AXES
from dataflow_llvm.kernels.interpreter import (
    BY_BATCH,
    BY_COLUMNS,
    BY_ROWS,
    COPY,
    COPY_SIZES,
    DOTS,
    FIRST_OPERAND,
    FLOAT_NAMES,
    MAX,
    PLUS_ZERO,
    PRODUCT,
    RANDOM,
    REGION,
    SUM,
    TOTAL,
    ZERO,
)
from dataflow_llvm.kernels.matrix_products import DIRECT, PACKED, TURNED
from dataflow_llvm.kernels.reductions import PIECE
from dataflow_llvm.lowering.added_products import added_products
from dataflow_llvm.lowering.fuse_region import MOST_WEIGHT, fused, is_whole_sum, regions_to_fuse, whole_sums
from dataflow_llvm.lowering.layouts import batches, matrix_strides, reduced_axes, three_parts
from dataflow_llvm.lowering.lower_region import Lowered, lower_region
from dataflow_llvm.lowering.lower_windows import WINDOW_OPS, lower_windows
from dataflow_llvm.lowering.places import Place, Places, merged
from dataflow_llvm.lowering.program import Program
from dataflow_ops.joining import concatenate

SHARED_WORK = 100_000
"""Elements (of a copy or a region's instructions) or tens of multiplications above which threads share the work."""
RANDOM_WORK = 10
"""The elements of a copy that take as long as a random number."""
PACKED_BYTES = 2**18
"""A right factor over which rows are spread further than this is copied panel by panel."""
LARGE_PANEL = 2**20
"""Beyond this the panel of a product does not fit into the cache: numpy's library divides it better."""
VECTOR_BYTES = 64
"""The longest vectors: two of them side by side are a panel's row."""
MOST_STACKS = 64
"""The most instructions for one stack of products, whose axes cannot be joined to one."""
MANY_ROWS = 256
"""Rows of the left factor beside which copying panels takes no time."""
PANEL_ROWS = 48
"""Rows of the left factor from which it pays to copy panels."""


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
        self._worth = regions_to_fuse(plan)
        self._sums = whole_sums(plan)
        self._partial: dict[int, Place] = {}
        """The sums of the tiles of slots that a region adds up."""
        self._uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
        self._turned: dict[tuple[int, Place], Place] = {}
        """Transposed right factors of several products, in row-major order."""
        self._added = added_products(plan)
        self._done: set[int] = set()
        """Where the regions begin whose addition a product has done."""

    def add(self, stretch: Instruction | Region) -> None:
        if isinstance(stretch, Region):
            done = self._region(stretch)
        else:
            done = self._instruction(stretch)
        if not done:
            self._leave(stretch)

    def _leave(self, stretch: Instruction | Region) -> None:
        """Leave a stretch to numpy, which takes its arrays from the same places."""
        self.program.stretches.append(stretch)
        outputs = stretch.outputs if isinstance(stretch, Region) else (stretch.output,)
        for slot in (*stretch.inputs, *outputs):
            if self.plan.specs[slot] is not None:
                self.places.of(slot)

    def finish(self) -> None:
        """Copy the outputs that are arguments, constants, views, or another output."""
        for base, slot in self.places.copied_outputs:
            source = self.places.of(slot)
            target = Place(base, 0, source.shape, contiguous(source.shape), source.dtype)
            if not self._copy(source, target):
                self.program.stretches.append((base, slot))

    # -------------------------------------------------------------------------------------------- regions

    def _region(self, region: Region) -> bool:
        if region.size == 0 or region.start in self._done:
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
        """Lower a region with a function generated for it, which also sums its results; ``None`` where the region is
        small or the code would be long."""
        if region.start not in self._worth:
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
        rules: dict[Op, Callable[[Instruction, Place], bool]] = {
            matmul: self._matmul,
            concatenate: self._concatenate,
            stack: self._stack,
            place: self._place,
            place_all: self._place_all,
            reshape: self._reordered,
            random_uniform: self._random,
            **dict.fromkeys(WINDOW_OPS, partial(lower_windows, self)),
        }
        return op in rules and rules[op](instruction, result)

    def _reduction(self, instruction: Instruction, result: Place) -> bool:
        partial = self._partial.get(instruction.inputs[0])
        if partial is not None and is_whole_sum(self.plan, instruction):
            self._emit(TOTAL, False, _dtype(partial.dtype.name), *_at(partial), *_at(result), partial.size)
            return True
        source = self.places.of(instruction.inputs[0])
        if source.dtype.name not in FLOAT_NAMES or result.dtype != source.dtype:
            return False
        axes = reduced_axes(instruction, source.shape)
        if axes is None:
            return False
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
        addition = self._added.get(instruction.output)
        if addition is None:
            return self._product_of(instruction, result)
        if not self._product_of(instruction, self.places.of(addition.target), adds=True):
            return False
        self._done.add(addition.region)
        return True

    def _product_of(self, instruction: Instruction, result: Place, adds: bool = False) -> bool:
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
        if 0 in left.shape[-2:]:
            if adds:
                return True
            self._emit(ZERO, False, *_at(result), result.size * dtype.itemsize)
            return True
        stacks = batches(left, right, result)
        if len(stacks) > MOST_STACKS:
            return False
        slot = instruction.inputs[1]
        return all(self._stack_of_products(slot, *places, count, steps, adds) for places, count, steps in stacks)

    def _stack_of_products(
        self, slot: int, left: Place, right: Place, result: Place, count: int, batch_steps: tuple[int, ...], adds: bool
    ) -> bool:
        dtype = result.dtype
        (rows, length), columns = left.shape[-2:], right.shape[-1]
        a = matrix_strides(left)
        b = matrix_strides(right)
        c = matrix_strides(result)
        if count > 1 and batch_steps[1] == 0 and (batch_steps[0], batch_steps[2]) == (rows * a[0], rows * c[0]):
            rows, count, batch_steps = count * rows, 1, (0, 0, 0)  # one product of all rows
        if count == 1:
            batch_steps = (0, 0, 0)
        if batch_steps[1] == 0 and b[0] == 1 != b[1] and (count > 1 or self._uses[slot] > 1):
            right = self._turned_once(slot, right)
            b = matrix_strides(right)
        if columns == 1 and count == 1:
            if a[1] == 1 and b[0] == 1 and not adds:
                ends = (*_at(left), a[0], *_at(right), *_at(result), c[0])
                self._emit(DOTS, False, _dtype(dtype.name), rows, length, *ends)
                return True
            if c[0] == 1:  # the transposed product, whose columns are many
                left, right, a, b = right, left, (b[1], b[0]), (a[1], a[0])
                rows, columns = columns, rows
                c = (columns, 1)
        factors = ((left, a), (right, b))
        return self._product(dtype, *factors, (result, c), (rows, columns, length), count, batch_steps, adds)

    def _product(
        self,
        dtype: np.dtype,
        left: tuple[Place, tuple[int, int]],
        right: tuple[Place, tuple[int, int]],
        result: tuple[Place, tuple[int, int]],
        sizes: tuple[int, int, int],
        count: int,
        batch_steps: tuple[int, ...],
        adds: bool,
    ) -> bool:
        rows, columns, length = sizes
        panel = length * 2 * VECTOR_BYTES
        (a_row, a_along), (b_row, b_column) = left[1], right[1]
        crowded = length * max(b_row, a_along) * dtype.itemsize > PACKED_BYTES or rows >= MANY_ROWS
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
            *(_dtype(dtype.name), how, int(adds), sharing, count, *batch_steps, rows, columns, length),
            *(*_at(left[0]), a_row, a_along, *_at(right[0]), step, *_at(result[0]), result[1][0]),
        )
        return True

    def _turned_once(self, slot: int, matrix: Place) -> Place:
        """A transposed right factor of several products, or of a stack of them, copied to row-major order for all."""
        if (slot, matrix) not in self._turned:
            target = self.places.temporary(matrix.shape, matrix.dtype)
            if not self._copy(matrix, target):
                return matrix
            self._turned[slot, matrix] = target
        return self._turned[slot, matrix]

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
        """Zeros, and the input where the key says."""
        source = self.places.of(instruction.inputs[0])
        target = _window(result, instruction.attributes["key"])
        if target is None or source.dtype != result.dtype:
            return False
        self._emit(ZERO, False, *_at(result), result.size * result.dtype.itemsize)
        return self._copies([(source, target)])

    def _place_all(self, instruction: Instruction, result: Place) -> bool:
        pairs = []
        for slot, key in zip(instruction.inputs, instruction.attributes["keys"], strict=True):
            target = _window(result, key)
            if self.plan.specs[slot] is None or target is None:
                return False
            pairs.append((self.places.of(slot), target))
        if result.dtype.name not in FLOAT_NAMES or not all(_can_copy(*pair) for pair in pairs):
            return False
        if sum(source.size for source, _ in pairs) < result.size:
            self._emit(ZERO, False, *_at(result), result.size * result.dtype.itemsize)
        for source, target in pairs:
            self._copy(source, target, PLUS_ZERO[result.dtype.itemsize])
        return True

    def _reordered(self, instruction: Instruction, result: Place) -> bool:
        source = self.places.of(instruction.inputs[0])
        return self._copies([(source, Place.at(result, source.shape))])

    def _random(self, instruction: Instruction, result: Place) -> bool:
        (slot,) = instruction.inputs
        step = self.plan.specs[slot]
        if step is None or step.dtype != np.int64:
            return False
        keys = [instruction.attributes[name] for name in ("seed", "stream")]
        if max(keys) >= 2**63:  # an instruction's words have a sign
            return False
        ends = (*_at(result), result.size, *_at(self.places.of(slot)))
        self._emit(RANDOM, RANDOM_WORK * result.size > SHARED_WORK, _dtype(result.dtype.name), *ends, *keys)
        return True

    # -------------------------------------------------------------------------------------------- internals

    def _copies(self, pairs: list[tuple[Place, Place]]) -> bool:
        if any(not _can_copy(source, target) for source, target in pairs):
            return False
        return all(self._copy(source, target) for source, target in pairs)

    def _copy(self, source: Place, target: Place, how: int | None = None) -> bool:
        if not _can_copy(source, target):
            return False
        if source.size == 0:
            return True
        sizes, (steps, target_steps) = merged(source.shape, source.strides, target.strides)
        walk = len(self.program.walks)
        self.program.walks += [*_at(source), *_at(target), len(sizes), *sizes, *steps, *target_steps]
        self._emit(COPY, source.size > SHARED_WORK, how or source.dtype.itemsize, walk, source.size)
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


def _window(place: Place, key: str) -> Place | None:
    """The entries that a key names: numpy's own indexing tells the offset and the strides."""
    numbers = np.empty(place.shape, np.int8)
    window = numbers[parse_key(key)]
    if not isinstance(window, np.ndarray):
        return None
    offset = address(window) - address(numbers) if window.size else 0
    return place.window(offset, window.shape, window.strides)


def _can_copy(source: Place, target: Place) -> bool:
    if source.dtype != target.dtype or source.dtype.itemsize not in COPY_SIZES or source.shape != target.shape:
        return False
    return len(merged(source.shape, source.strides, target.strides)[0]) <= MOST_AXES
