"""Instructions and regions bound to arrays: functions without arguments, which allocate nothing where the op lets
them.

While they are bound, an array that the plan reads or writes is a ``Storage``, whose entries cannot be read; a constant
of the plan is an array, and may be read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from dataflow.backends.threads import run_all
from dataflow.backends.unreadable_arrays import Step, Storage, opened, run_each, step_of
from dataflow.errors import BackendError, DataflowError
from dataflow.plan import Instruction, Plan, Region

ARRAYS = (Storage, np.ndarray)
"""The operands that are arrays, not plain numbers or ``None``."""
SPREAD = 2**17
"""The most entries of a result for which a number beside it is written out."""
SPREAD_AHEAD = 2**13
"""The most entries of a result to which an operand that is repeated is copied before."""
PARALLEL = 2**20
"""Results of single entries, over all instructions of a region, from which more than one thread pays."""


def bind_instruction(instruction: Instruction, inputs: Sequence[Any], out: Storage) -> Step:
    """A function that computes one instruction into ``out``, from these storages, constants and numbers. A
    ``BackendError`` names the op that cannot be run."""
    op = instruction.op
    if op.elementwise and out.ndim > 1 and all(_is_flat(value, out.shape) for value in (out, *inputs)):
        # numpy needs less time to start on arrays of one axis
        inputs = [_flat(value, out.size) for value in inputs]
        out = out.reshape(-1)
    try:
        if op.ufunc is not None:
            operands, result = _operands(op.ufunc, inputs), opened(out)
            # these two warn of a third operand by position
            if op.ufunc in (np.maximum, np.minimum):
                a, b = _spread(operands, inputs, result)
                return _into(op.ufunc, a, b, result)
            return _spread_ahead(op.ufunc, operands, result) or partial(op.ufunc, *operands, result)
        if op.into_rule is not None:
            return step_of(op.into_rule(out, *inputs, **instruction.attributes))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise _failure(instruction, error) from error
    arrays, result = opened(inputs), opened(out)

    def copied() -> None:
        try:
            computed = op.checked(op.function(*arrays, **instruction.attributes), result.shape, result.dtype)
            np.copyto(result, computed)
        except DataflowError as error:
            raise error.at(node=instruction.node) from None
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise _failure(instruction, error) from error

    return copied


def bind_region(
    plan: Plan, region: Region, arrays: Callable[[int], Any], scratch: Sequence[np.ndarray], threads: int
) -> list[Step]:
    """Functions that run a region one after the other. ``arrays`` gives a slot's storage, constant or number; each
    thread has bytes of its own in ``scratch`` for the registers."""
    members = plan.instructions[region.start : region.stop]
    operands = {slot: arrays(slot) for slot in region.outputs}
    for instruction in members:
        for slot in instruction.inputs:
            if slot not in operands and slot not in region.registers:
                operands[slot] = arrays(slot)
    shape = region.shape
    if all(_is_flat(operands[slot], shape) for slot in (*region.inputs, *region.outputs)):
        shape = (region.size,)
        operands = {slot: _flat(operand, region.size) for slot, operand in operands.items()}
    length = region.tile
    tiles = list(_tiles(shape, length))
    if threads == 1 or len(tiles) == 1 or region.size * len(members) < PARALLEL:
        return [
            step
            for tile in tiles
            for step in _bind_tile(plan, region, members, operands, shape, tile, length, scratch[0])
        ]
    shares = [
        [
            step
            for tile in tiles[i::threads]
            for step in _bind_tile(plan, region, members, operands, shape, tile, length, own)
        ]
        for i, own in enumerate(scratch[:threads])
    ]
    return [partial(run_all, [partial(_run_quietly, share) for share in shares if share])]


Tile: TypeAlias = "tuple[int | slice, ...]"


def _bind_tile(
    plan: Plan,
    region: Region,
    members: Sequence[Instruction],
    operands: Mapping[int, Any],
    shape: tuple[int, ...],
    tile: Tile,
    length: int,
    scratch: np.ndarray,
) -> list[Step]:
    its_shape = tuple(part.stop - part.start for part in tile if isinstance(part, slice))
    whole = its_shape == shape
    parts = {slot: operand if whole else _part(operand, shape, tile) for slot, operand in operands.items()}
    register_bytes = 8 * length
    for slot, register in region.registers.items():
        parts[slot] = Storage(np.ndarray(its_shape, plan.spec(slot).dtype, scratch, register_bytes * register))
    return [
        bind_instruction(instruction, [parts[slot] for slot in instruction.inputs], parts[instruction.output])
        for instruction in members
    ]


def _is_flat(operand: Any, shape: tuple[int, ...]) -> bool:
    """Whether an operand of an elementwise op is a number or has that shape, in row-major order."""
    if not isinstance(operand, ARRAYS) or operand.size == 1:
        return True
    return operand.shape == shape and operand.flags.c_contiguous


def _flat(operand: Any, size: int) -> Any:
    """A flat operand with one axis, or none."""
    return operand.reshape(-1 if operand.size == size else ()) if isinstance(operand, ARRAYS) else operand


def _tiles(shape: tuple[int, ...], size: int) -> Iterator[Tile]:
    """Indices that cut an array of that shape into pieces of at most ``size`` elements, if an axis can be cut so."""
    if not shape or math.prod(shape) <= size:
        yield tuple(slice(0, length) for length in shape)
        return
    axis = next(i for i in range(len(shape)) if math.prod(shape[i + 1 :]) <= size)
    rows = max(1, size // math.prod(shape[axis + 1 :]))
    behind = tuple(slice(0, length) for length in shape[axis + 1 :])
    for before in itertools.product(*(range(length) for length in shape[:axis])):
        for start in range(0, shape[axis], rows):
            yield (*before, slice(start, min(start + rows, shape[axis])), *behind)


def _part(operand: Any, shape: tuple[int, ...], tile: Tile) -> Any:
    """What a tile reads or writes of an operand, which may have to be broadcast to the whole shape."""
    if not isinstance(operand, ARRAYS) or operand.ndim == 0:
        return operand
    index = []
    for length, part in zip(operand.shape, tile[len(shape) - operand.ndim :], strict=True):
        single = length == 1
        index.append(part if not single else 0 if isinstance(part, int) else slice(0, 1))
    return operand[tuple(index)]


def _operands(ufunc: np.ufunc, inputs: Sequence[Any]) -> list[Any]:
    """The arrays, and plain numbers as arrays of the dtype in which the ufunc takes them, so that they are not
    converted each time."""
    inputs = opened(inputs)
    kinds = [value.dtype if isinstance(value, np.ndarray) else type(value) for value in inputs]
    dtypes = ufunc.resolve_dtypes((*(np.dtype(kind) if kind is bool else kind for kind in kinds), None))
    operands = [
        value if isinstance(value, np.ndarray) else _converted(value, dtype)
        for value, dtype in zip(inputs, dtypes, strict=False)
    ]
    if ufunc in (np.add, np.multiply) and np.ndim(operands[0]) == 0:
        operands.reverse()  # numpy needs less time to start with a number on the right
    return operands


def _spread(operands: Sequence[Any], inputs: Sequence[Any], out: np.ndarray) -> list[Any]:
    """Plain numbers in an array as long as the result, where it is not long: against a single number, numpy compares
    float32 one by one."""
    if out.dtype != np.float32 or not 1 < out.size <= SPREAD:
        return list(operands)
    return [
        operand if isinstance(value, ARRAYS) else _filled(out.shape, np.asarray(operand, out.dtype).tobytes())
        for operand, value in zip(operands, inputs, strict=True)
    ]


@lru_cache(maxsize=8)
def _filled(shape: tuple[int, ...], number: bytes) -> np.ndarray:
    return np.full(shape, np.frombuffer(number, np.float32))


def _spread_ahead(ufunc: np.ufunc, operands: Sequence[Any], out: np.ndarray) -> Step | None:
    """Two steps where one operand, such as a bias, is repeated along the first axes of a small result: it is copied
    there first, and the rest is arrays of one axis, which takes two thirds of the time. ``None`` elsewhere."""
    if ufunc.nin != 2 or not 1 < out.size <= SPREAD_AHEAD or out.ndim < 2 or not out.flags.c_contiguous:
        return None
    arrays = [operand for operand in operands if isinstance(operand, np.ndarray) and operand.dtype == out.dtype]
    whole = [array for array in arrays if array.shape == out.shape and array.flags.c_contiguous]
    repeated = [array for array in arrays if array.ndim and array.shape == out.shape[out.ndim - array.ndim :]]
    repeated = [array for array in repeated if array.ndim < out.ndim and array.flags.c_contiguous]
    if len(whole) != 1 or len(repeated) != 1 or any(np.may_share_memory(array, out) for array in arrays):
        return None
    flat = out.reshape(-1)
    ends = [flat if operand is repeated[0] else operand.reshape(-1) for operand in operands]
    return partial(run_each, [partial(np.copyto, out, repeated[0]), partial(ufunc, *ends, flat)])


def _into(ufunc: np.ufunc, a: Any, b: Any, out: np.ndarray) -> Step:
    """A call with ``out`` by name, which costs less from a function than from a ``partial``."""

    def step() -> None:
        ufunc(a, b, out=out)

    return step


def _converted(value: float, dtype: np.dtype) -> Any:
    try:
        return np.array(value, dtype)
    except OverflowError:
        return value  # an integer beyond the dtype, which a comparison takes


def _run_quietly(steps: Sequence[Step]) -> None:
    with np.errstate(all="ignore"):  # each thread has a state of its own
        for step in steps:
            step()


REFUSALS = (ValueError, TypeError, IndexError, OverflowError)
"""What numpy raises for numbers that an op does not take, such as a whole number to a negative power."""


def refusal(error: Exception) -> BackendError:
    """The error for one of ``REFUSALS`` while a plan runs."""
    return BackendError(f"an op failed on arrays: {error}; 'dataflow run' says at which node")


def _failure(instruction: Instruction, error: Exception) -> BackendError:
    return BackendError(f"the numpy backend cannot run op '{instruction.op.name}': {error}", node=instruction.node)
