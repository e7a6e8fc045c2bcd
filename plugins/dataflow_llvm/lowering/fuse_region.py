"""Code for large elementwise regions, where it pays: what one instruction hands to the next stays in registers.

The region's operations are replaced by one, between the loads and stores of what does not lie as the region runs over
it. Regions that differ only in where their arrays lie share a function. No name that a file gives gets into it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from llvmlite import ir

from dataflow.plan import Instruction, Plan, Region, concrete
from dataflow_llvm.kernels.assembly import I8, I64, SIZES, VOID, Lanes, Machine, begin, element, i64, load, loop
from dataflow_llvm.kernels.elementwise_tiles import OWN_ARGUMENTS
from dataflow_llvm.kernels.formulas import FORMULAS
from dataflow_llvm.kernels.reductions import PIECE
from dataflow_llvm.lowering.lower_region import Lowered, Operand

LEAST_WORK = 2**20
"""Elements times instructions, of all regions that are alike, from which they get code of their own: with fewer,
compiling takes longer than many steps would save."""
MOST_WEIGHT = 1000
"""The longest code for a plan's regions, in instructions for one vector."""
STAGE_WEIGHT = 30
"""A function is a few loops over the tile, one after the other, each not much longer than this: so short that the
processor begins the next vectors before it is done with one, and need not wait for its results."""
INTERLEAVED = 2
"""Vectors that a loop works on at once."""


@dataclass(frozen=True)
class Body:
    """What a function computes: operations whose operands are ("number", hexadecimal text), ("place", index) and
    ("value", number of the operation)."""

    dtype: str
    operations: tuple[tuple[str, tuple[Any, ...]], ...]
    kept: tuple[tuple[int, int], ...]
    """Which values go to which places: what is needed afterwards, and what one stage hands to the next."""
    stages: tuple[int, ...]
    """The stage of each operation."""
    places: int
    rows: tuple[tuple[int, int, int], ...] = ()
    """Places that are rows of an array: their numbers, the bytes of a row, and those from row to row."""


def regions_to_fuse(plan: Plan) -> set[int]:
    """Where the regions begin that are worth code of their own, alone or with others that compute the same."""
    alike: dict[Any, list[Region]] = {}
    for region in plan.regions:
        alike.setdefault(_pattern(plan, region), []).append(region)
    worth = (
        regions
        for regions in alike.values()
        if sum(region.size * (region.stop - region.start) for region in regions) >= LEAST_WORK
    )
    return {region.start for regions in worth for region in regions}


def _pattern(plan: Plan, region: Region) -> Any:
    """What a region computes, wherever its arrays lie: its shape, and its ops with their operands, which are plain
    numbers, or counted as they come."""
    numbers: dict[int, int] = {}

    def operand(slot: int) -> Any:
        if slot in plan.constants and np.ndim(plan.constants[slot]) == 0:
            return repr(plan.constants[slot])
        return numbers.setdefault(slot, len(numbers))

    members = plan.instructions[region.start : region.stop]
    return region.shape, tuple((member.op, *map(operand, (*member.inputs, member.output))) for member in members)


def whole_sums(plan: Plan) -> dict[int, bool]:
    """The slots that an instruction adds up to one number, and whether nothing else reads them."""
    uses = Counter(slot for instruction in plan.instructions for slot in instruction.inputs)
    uses.update(plan.output_slots)
    uses.update(view.base for view in plan.views.values())
    return {
        instruction.inputs[0]: uses[instruction.inputs[0]] == 1
        for instruction in plan.instructions
        if is_whole_sum(plan, instruction)
    }


def is_whole_sum(plan: Plan, instruction: Instruction) -> bool:
    """Whether an instruction adds up all entries of its input."""
    source, result = plan.specs[instruction.inputs[0]], plan.specs[instruction.output]
    if instruction.op.reduces is not np.add or source is None or result is None:
        return False
    return source.dtype == result.dtype and math.prod(concrete(result)) == 1


def fused(lowered: Lowered, sums: Sequence[tuple[Operand, int]], walks: list[int]) -> tuple[Lowered, Body]:
    """The region with one operation, ``own``, for all its formulas, and what its function computes; each register of
    ``lowered`` is written once. ``sums`` are the operands whose tiles are added up, and the walks that say where the
    sums go. The walk of ``own`` has room for the function's address and its places."""
    moves = [operation for operation in lowered.operations if operation[0] in ("load", "store")]
    formulas = [operation for operation in lowered.operations if operation[0] not in ("load", "store")]
    in_memory = [result for _, result, _, _ in moves] + [operand for operand, _ in sums]
    in_memory += [o for _, result, operands, _ in formulas for o in (*operands, result) if o[0] in ("array", "rows")]
    places = {operand: number for number, operand in enumerate(dict.fromkeys(in_memory))}
    names = {
        operand: ("register", number)
        for number, operand in enumerate(operand for operand in places if operand[0] == "register")
    }
    registers = len(names)

    values: dict[Operand, int] = {}
    operations: list[tuple[str, tuple[Any, ...]]] = []
    for name, result, operands, _ in formulas:
        known = [_source(operand, values, places) for operand in operands]
        values[result] = len(operations)
        operations.append((name, tuple(known)))
    kept = {number: places[operand] for operand, number in values.items() if operand in places}
    stages = _stages(operations)
    handed, more = _handed(operations, stages, kept, len(places))
    rows = tuple((number, *operand[1][1:]) for operand, number in places.items() if operand[0] == "rows")
    body = Body(lowered.dtype, tuple(operations), tuple({**kept, **handed}.items()), stages, len(places) + more, rows)

    walk = len(walks)
    walks += [0] * (1 + body.places)
    arguments = [names.get(operand, operand) for operand in places]
    arguments += [("register", registers + number) for number in range(more)]
    moved = [
        (name, names.get(result, result), [names.get(o, o) for o in operands], walk)
        for name, result, operands, walk in moves
    ]
    loads, stores = ([operation for operation in moved if operation[0] == name] for name in ("load", "store"))
    adding = [("partial", names.get(operand, operand), [names.get(operand, operand)], place) for operand, place in sums]
    whole = [*loads, ("own", arguments[0], arguments, walk), *stores, *adding]
    result = replace(lowered, operations=whole, registers=registers + more)
    result.tile_bytes = PIECE * SIZES[lowered.dtype]
    return result, body


def _source(operand: Operand, values: dict[Operand, int], places: dict[Operand, int]) -> Operand:
    if operand in values:
        return "value", values[operand]
    if operand in places:
        return "place", places[operand]
    return "number", operand[1].hex()  # 0 and -0 are equal


def _stages(operations: Sequence[tuple[str, Any]]) -> tuple[int, ...]:
    """Fill one stage after the other up to its weight."""
    stages, stage, total = [], 0, 0
    for name, _ in operations:
        weight = FORMULAS[name].weight
        if total and total + weight > STAGE_WEIGHT:
            stage, total = stage + 1, 0
        total += weight
        stages.append(stage)
    return tuple(stages)


def _handed(
    operations: Sequence[tuple[str, Any]], stages: Sequence[int], kept: dict[int, int], first: int
) -> tuple[dict[int, int], int]:
    """New places, from ``first`` on, for values that a later stage needs and that are not kept anyway; and their
    number. A place is used again after its value's last use."""
    last: dict[int, int] = {}
    for stage, (_, operands) in zip(stages, operations, strict=True):
        for kind, number in operands:
            if kind == "value" and stages[number] < stage and number not in kept:
                last[number] = stage
    handed: dict[int, int] = {}
    free: list[int] = []
    count = 0
    for stage in range(max(stages, default=0) + 1):
        for number in sorted(number for number in last if stages[number] == stage):
            if not free:
                free.append(first + count)
                count += 1
            handed[number] = free.pop()
        free += [handed[number] for number, end in last.items() if end == stage]
    return handed, count


def text_of(bodies: Iterable[Body], machine: Machine) -> str:
    """A module with a function ``own_N`` for each body."""
    module = ir.Module("regions")
    for number, body in enumerate(bodies):
        _write(module, f"own_{number}", body, machine)
    return str(module)


def _write(module: ir.Module, name: str, body: Body, machine: Machine) -> None:
    builder, (words, array, scratch, begins, size) = begin(module, name, VOID, OWN_ARGUMENTS)
    rows = {number: sizes for number, *sizes in body.rows}
    arena = element(builder, array, builder.neg(begins), I8)
    bases = [
        _place(builder, load(builder, words, i, I64), arena if i in rows else array, scratch)
        for i in range(body.places)
    ]
    lanes = Lanes(builder, body.dtype, machine.vector_bytes // SIZES[body.dtype])
    together = INTERLEAVED * machine.vector_bytes
    middle = builder.sub(size, builder.urem(size, i64(together)))
    for stage in range(max(body.stages, default=0) + 1):
        for start, stop, count in ((i64(0), middle, INTERLEAVED), (middle, size, 1)):
            with loop(builder, start, stop, i64(count * machine.vector_bytes)) as offset:
                offsets = [builder.add(offset, i64(k * machine.vector_bytes)) for k in range(count)]
                _write_stage(lanes, body, stage, _Addresses(builder, bases, rows, begins, offsets))
    builder.ret_void()


def _place(builder: ir.IRBuilder, word: Any, array: Any, scratch: Any) -> Any:
    base = builder.select(builder.trunc(word, ir.IntType(1)), array, scratch)
    return element(builder, base, builder.shl(builder.lshr(word, i64(1)), i64(6)), I8)


class _Addresses:
    """Where some vectors stand in each place; ``offsets`` say where in the tile, which ``begins`` in the region."""

    def __init__(
        self, builder: ir.IRBuilder, bases: list[Any], rows: dict[int, list[int]], begins: Any, offsets: list[Any]
    ) -> None:
        self.builder, self.bases, self.rows, self.begins, self.offsets = builder, bases, rows, begins, offsets

    def of(self, place: int) -> list[Any]:
        return [element(self.builder, self.bases[place], self._moved(place, offset), I8) for offset in self.offsets]

    def _moved(self, place: int, offset: Any) -> Any:
        if place not in self.rows:
            return offset
        builder, (row, step) = self.builder, self.rows[place]
        whole = builder.add(self.begins, offset)
        between = builder.mul(builder.udiv(whole, i64(row)), i64(step - row))
        return builder.add(whole, between)


def _write_stage(lanes: Lanes, body: Body, stage: int, addresses: _Addresses) -> None:
    """Operation by operation, each for all vectors. Loads come before stores: a place that is read may be written as
    well."""
    kept = dict(body.kept)
    values: dict[int, list[Any]] = {}
    loaded: dict[int, list[Any]] = {}

    def entries(operand: Any) -> list[Any]:
        kind, content = operand
        if kind == "number":
            return [lanes.number(float.fromhex(content))] * len(addresses.offsets)
        if kind == "value" and content in values:
            return values[content]
        place = kept[content] if kind == "value" else content
        if place not in loaded:
            loaded[place] = [lanes.load(address) for address in addresses.of(place)]
        return loaded[place]

    for number, (name, operands) in enumerate(body.operations):
        if body.stages[number] == stage:
            formula = FORMULAS[name]
            columns = [
                [lanes.fitting(entry, takes) for entry in entries(operand)]
                for operand, takes in zip(operands, formula.takes, strict=True)
            ]
            values[number] = [formula.write(lanes, *vector) for vector in zip(*columns, strict=True)]
    for number, results in values.items():
        if number in kept:
            for value, address in zip(results, addresses.of(kept[number]), strict=True):
                lanes.store(lanes.fitting(value, "n"), address)
