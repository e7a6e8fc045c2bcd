"""Matrix products as instructions; those that numpy's library does better are left to it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from dataflow.plan import Instruction
from dataflow_llvm.kernels.interpreter import BY_BATCH, BY_COLUMNS, BY_ROWS, DOTS, FLOAT_NAMES, PRODUCT
from dataflow_llvm.kernels.matrix_products import AS_IT_IS, DEPTH, DIRECT, PACKED, TURNED
from dataflow_llvm.lowering.emitter import SHARED_WORK, Emitter, at, dtype_number
from dataflow_llvm.lowering.layouts import batches, matrix_strides
from dataflow_llvm.lowering.places import Place

PACKED_BYTES = 2**18
"""A right factor over which rows are spread further than this is copied panel by panel."""
FAR_BYTES = 8 * PACKED_BYTES
"""A left factor that lies transposed over more than this is left to numpy's library, which copies it in pieces."""
VECTOR_BYTES = 64
"""The longest vectors: two of them side by side are a panel's row."""
MOST_STACKS = 64
"""The most instructions for one stack of products, whose axes cannot be joined to one."""
CROWDED_BYTES = 1024
"""Rows as many bytes apart, or a multiple, meet in few sets of the first cache."""
MANY_ROWS = 256
"""Rows of the left factor beside which copying panels takes no time."""
PANEL_ROWS = 48
"""Rows of the left factor from which it pays to copy panels."""


class Products:
    """The products of a plan, and what they share."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._uses = Counter(slot for instruction in emitter.plan.instructions for slot in instruction.inputs)
        self._turned: dict[tuple[int, Place], Place] = {}
        """Transposed right factors of several products, in row-major order."""

    def lower(
        self,
        instruction: Instruction,
        result: Place,
        addend: Place | None = None,
        finish: int = AS_IT_IS,
        source: Place | None = None,
    ) -> bool:
        """Emit a product's code, added to ``addend`` and finished, of the result's shape; false where it is left to
        numpy. The addend or the source may be where the result is."""
        left, right = (self.emitter.places.of(slot) for slot in instruction.inputs)
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
            if addend is not None:
                return addend == result or self.emitter.copy(addend, result)
            self.emitter.clear(result)
            return True
        adds = addend is not None
        stacks = batches(left, right, result, addend or result, source or result)
        if len(stacks) > MOST_STACKS:
            return False
        slot = instruction.inputs[1]
        return all(
            self._stack_of_products(slot, *places, count, steps, adds, finish) for places, count, steps in stacks
        )

    def _stack_of_products(
        self,
        slot: int,
        left: Place,
        right: Place,
        result: Place,
        addend: Place,
        source: Place,
        count: int,
        batch_steps: tuple[int, ...],
        adds: bool,
        finish: int,
    ) -> bool:
        dtype = result.dtype
        (rows, length), columns = left.shape[-2:], right.shape[-1]
        a, b, c, d, e = map(matrix_strides, (left, right, result, addend, source))
        if count > 1 and batch_steps == (rows * a[0], 0, rows * c[0], rows * d[0], rows * e[0]):
            rows, count = count * rows, 1  # one product of all rows
        if count == 1:
            batch_steps = (0, 0, 0, 0, 0)
        if adds and addend != result and (d[1] != 1 or count * min(rows, columns) == 1):
            stands = result.window(0, (count, rows, columns), (batch_steps[2], *c))
            if not self.emitter.copy(addend.window(0, stands.shape, (batch_steps[3], *d)), stands):
                return False
            addend, d, batch_steps = result, c, (*batch_steps[:3], batch_steps[2], batch_steps[4])
        if count == rows == 1 and a[1] == b[0] == 1:  # a row times a matrix that lies transposed
            self._dots((right, b[1]), left, (result, c[1]), columns, length, adds)
            return True
        if count == columns == 1 and a[1] == b[0] == 1:
            self._dots((left, a[0]), right, (result, c[0]), rows, length, adds)
            return True
        if batch_steps[1] == 0 and b[0] == 1 != b[1] and (count > 1 or self._uses[slot] > 1):
            right = self._turned_once(slot, right)
            b = matrix_strides(right)
        if columns == 1 and count == 1 and c[0] == 1:  # the transposed product, whose columns are many
            left, right, a, b = right, left, (b[1], b[0]), (a[1], a[0])
            rows, columns = columns, rows
            c = d = e = (columns, 1)
        factors, results = ((left, a), (right, b)), ((result, c), (addend, d), (source, e))
        return self._product(dtype, *factors, *results, (rows, columns, length), count, batch_steps, adds, finish)

    def _product(
        self,
        dtype: np.dtype,
        left: tuple[Place, tuple[int, int]],
        right: tuple[Place, tuple[int, int]],
        result: tuple[Place, tuple[int, int]],
        addend: tuple[Place, tuple[int, int]],
        source: tuple[Place, tuple[int, int]],
        sizes: tuple[int, int, int],
        count: int,
        batch_steps: tuple[int, ...],
        adds: bool,
        finish: int,
    ) -> bool:
        rows, columns, length = sizes
        panel = min(length, DEPTH) * 2 * VECTOR_BYTES
        (a_row, a_along), (b_row, b_column) = left[1], right[1]
        crowded = length * max(b_row, a_along) * dtype.itemsize > PACKED_BYTES or rows >= MANY_ROWS
        if rows >= PANEL_ROWS and length * a_along * dtype.itemsize > FAR_BYTES:
            return False
        if b_column == 1:
            how, step = (PACKED if crowded and rows >= PANEL_ROWS else DIRECT), b_row
        elif b_row == 1:
            how, step = TURNED, b_column
        else:
            return False
        self.emitter.program.panel_bytes = max(self.emitter.program.panel_bytes, panel)
        shared = count * rows * columns * length > 10 * SHARED_WORK
        sharing = BY_BATCH if count > 1 else BY_COLUMNS if columns >= rows or how != DIRECT else BY_ROWS
        self.emitter.emit(
            PRODUCT,
            shared,
            *(dtype_number(dtype), how, int(adds), sharing, count, *batch_steps, rows, columns, length),
            *(*at(left[0]), a_row, a_along, *at(right[0]), step),
            *(*at(result[0]), result[1][0], *at(addend[0]), addend[1][0]),
            *(*at(source[0]), source[1][0], finish),
        )
        return True

    def _dots(
        self, left: tuple[Place, int], right: Place, result: tuple[Place, int], rows: int, length: int, adds: bool
    ) -> None:
        """A matrix times a vector; with the matrix and with the result, the strides from row to row."""
        (matrix, by_row), (target, step) = left, result
        ends = (*at(matrix), by_row, *at(right), *at(target), step, int(adds))
        shared = rows * length > 10 * SHARED_WORK
        self.emitter.emit(DOTS, shared, dtype_number(target.dtype), rows, length, *ends)

    def _turned_once(self, slot: int, matrix: Place) -> Place:
        """A transposed right factor of several products, or of a stack of them, copied for all, row by row; with a gap
        between rows that would crowd each other out of the cache."""
        if (slot, matrix) not in self._turned:
            *ahead, row = matrix.shape
            gap = 0 if row * matrix.dtype.itemsize % CROWDED_BYTES else VECTOR_BYTES // matrix.dtype.itemsize
            wide = self.emitter.places.temporary((*ahead, row + gap), matrix.dtype)
            target = wide.window(0, matrix.shape, wide.strides)
            if not self.emitter.copy(matrix, target):
                return matrix
            self._turned[slot, matrix] = target
        return self._turned[slot, matrix]
