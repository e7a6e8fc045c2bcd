"""Pieces read from places that are known when the plan runs, and pieces put there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.plan import Instruction, Plan
from dataflow.plan.structure import contiguous
from dataflow_llvm.kernels.gathering import KINDS
from dataflow_llvm.kernels.interpreter import COPY_SIZES, GATHERING
from dataflow_llvm.lowering.emitter import SHARED_WORK, Emitter, at
from dataflow_llvm.lowering.places import Place
from dataflow_ops.gathering import gather_elements, gather_nd, scatter_elements, scatter_nd

MOST_COPIES = 32
"""The most pieces at places that are known before which are copied each by itself."""
INDEX_DTYPES = ("int32", "int64")


@dataclass(frozen=True)
class Pieces:
    """Pieces of an array in row-major order, as the kernels' walks say where they lie; ``axes`` are the sizes and
    strides of those that the indices name."""

    count: int
    each: int
    outer: int
    inner: int
    length: int
    axes: Sequence[tuple[int, int]]
    wraps: bool = True


def lower_gather(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """Emit the code of reading pieces; false where it is left to numpy."""
    if instruction.op is gather_nd and _few_copies(emitter, instruction, result):
        return True
    x, indices = (emitter.places.of(slot) for slot in instruction.inputs)
    pieces = _pieces(instruction, x.shape, indices.shape)
    if pieces is None or x.dtype.itemsize not in COPY_SIZES:
        return False
    source, target = (
        emitter.row_major(x),
        result if result.is_row_major else emitter.places.scratch(result.shape, x.dtype),
    )
    if source is None or not _emit(emitter, f"gather_{x.dtype.itemsize}", source, indices, target, pieces):
        return False
    return target is result or emitter.copy(target, result)


def lower_scatter(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """Emit the code of putting pieces, one after the other as numpy does; false where it is left to numpy."""
    x, indices, updates = (emitter.places.of(slot) for slot in instruction.inputs)
    combine = instruction.attributes["combine"]
    kinds = {"replace": f"put_{result.dtype.itemsize}", "add": f"add_{result.dtype.name}"}
    pieces = _pieces(instruction, x.shape, indices.shape)
    if pieces is None or kinds.get(combine) not in KINDS or not (x.dtype == updates.dtype == result.dtype):
        return False
    source = emitter.row_major(updates)
    if source is None or not result.is_row_major or not _can_emit(indices):
        return False
    if _is_zero(emitter.plan, instruction.inputs[0]):
        emitter.clear(result)
    elif not emitter.copy(x, result):
        return False
    return _emit(emitter, kinds[combine], result, indices, source, pieces)


def _pieces(instruction: Instruction, shape: tuple[int, ...], indices: tuple[int, ...]) -> Pieces | None:
    given, count = instruction.attributes, math.prod(indices)
    if instruction.op in (gather_nd, scatter_nd):
        batch, depth = given["batch_dims"], indices[-1]
        named = slice(batch, batch + depth)
        axes = list(zip(shape[named], contiguous(shape)[named], strict=True))
        count = math.prod(indices[:-1])
        each, outer = math.prod(indices[batch:-1]), math.prod(shape[batch:])
        return Pieces(count, each, outer, 1, math.prod(shape[batch + depth :]), axes)
    axis = given["axis"] % len(shape)
    if (*shape[:axis], *shape[axis + 1 :]) != (*indices[:axis], *indices[axis + 1 :]):
        return None
    inner = math.prod(shape[axis + 1 :])
    axes = [(shape[axis], inner)]
    return Pieces(count, indices[axis] * inner, shape[axis] * inner, inner, 1, axes, given.get("wrap", True))


def _can_emit(indices: Place) -> bool:
    return indices.dtype.name in INDEX_DTYPES


def _emit(emitter: Emitter, kind: str, array: Place, indices: Place, other: Place, pieces: Pieces) -> bool:
    whole = emitter.row_major(indices) if _can_emit(indices) else None
    if whole is None:
        return False
    if pieces.count == 0:
        return True
    program, walk = emitter.program, len(emitter.program.walks)
    program.walks += [*at(array), *at(whole), indices.dtype.itemsize, *at(other), len(pieces.axes)]
    program.walks += [pieces.each, pieces.outer, pieces.inner, pieces.length, int(pieces.wraps)]
    program.walks += [number for axis in pieces.axes for number in axis]
    program.reads_indices = True
    shared = kind.startswith("gather") and pieces.count * pieces.length > SHARED_WORK
    emitter.emit(GATHERING, shared, KINDS.index(kind), walk, pieces.count)
    return True


def _few_copies(emitter: Emitter, instruction: Instruction, result: Place) -> bool:
    """A few pieces at places that are known."""
    slot, indices = instruction.inputs
    places = _known(emitter.plan, indices)
    x = emitter.places.of(slot)
    if not isinstance(places, np.ndarray) or instruction.attributes["batch_dims"]:
        return False
    rows = places.reshape(-1, places.shape[-1]).astype(int)
    depth = rows.shape[1]
    if len(rows) > MOST_COPIES or (rows < -np.array(x.shape[:depth])).any() or (rows >= x.shape[:depth]).any():
        return False
    shape, strides = x.shape[depth:], x.strides[depth:]
    starts = (rows % x.shape[:depth]) @ np.array(x.strides[:depth], int)
    whole = Place.at(result, (len(rows), *shape))
    targets = [whole.window(number * whole.strides[0], shape, whole.strides[1:]) for number in range(len(rows))]
    pairs = [(x.window(int(start), shape, strides), target) for start, target in zip(starts, targets, strict=True)]
    return emitter.copies(pairs)


def _is_zero(plan: Plan, slot: int) -> bool:
    """Whether a slot is a constant of zeros, none of them −0."""
    base = plan.constants.get(plan.root(slot))
    return isinstance(base, np.ndarray) and not any(base.tobytes())


def _known(plan: Plan, slot: int) -> object:
    """What a slot holds if that is a constant, or a view of one."""
    base = plan.constants.get(plan.root(slot))
    return plan.read({plan.root(slot): base}, slot) if isinstance(base, np.ndarray) else base


RULES = {
    gather_nd: lower_gather,
    gather_elements: lower_gather,
    scatter_nd: lower_scatter,
    scatter_elements: lower_scatter,
}
