"""Regions: elementwise instructions over one shape that stand together, so that they can be run tile by tile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from dataflow.plan.structure import Instruction, Plan, Region, concrete

DEFERRED = 4
"""The most instructions put off until after a region; what they read has to be kept until then."""


def regions(plan: Plan) -> Plan:
    """Group what is elementwise. An instruction in between whose result only the caller reads, such as the gradient of
    a parameter, is put after the region that it would cut in two."""
    final = _last_reads(plan)
    outside = plan.output_roots
    order: list[Instruction] = []
    made: list[Region] = []
    for members, others in _groups(plan, final):
        if members:
            made.append(_region(plan, outside, final, members, others, len(order)))
        order += members
        order += others
    return dataclasses.replace(plan, instructions=tuple(order), regions=tuple(made))


def _last_reads(plan: Plan) -> dict[int, Instruction]:
    """The last instruction that reads a slot's memory, where there is one."""
    return {plan.root(slot): instruction for instruction in plan.instructions for slot in instruction.inputs}


def _groups(plan: Plan, final: dict[int, Instruction]) -> Iterator[tuple[list[Instruction], list[Instruction]]]:
    """Members of a region, and what comes after them, one group after the other."""
    members: list[Instruction] = []
    others: list[Instruction] = []
    made: set[int] = set()
    shape: tuple[int, ...] | None = None
    for instruction in plan.instructions:
        its_shape = _shape(plan, instruction)
        joins = its_shape is not None and its_shape == shape and not _reads_a_view_of(plan, instruction, made)
        if its_shape is None and instruction.output not in final and members and len(others) < DEFERRED:
            others.append(instruction)
            continue
        if not joins:
            yield members, others
            members, others, made = [], [], set()
        shape = its_shape
        if its_shape is None:
            others.append(instruction)
        else:
            members.append(instruction)
            made.add(instruction.output)
    yield members, others


def _shape(plan: Plan, instruction: Instruction) -> tuple[int, ...] | None:
    spec = plan.specs[instruction.output]
    return concrete(spec) if instruction.op.elementwise and spec is not None else None


def _reads_a_view_of(plan: Plan, instruction: Instruction, made: set[int]) -> bool:
    views = plan.views
    return bool(views) and any(slot in views and views[slot].base in made for slot in instruction.inputs)


def _region(
    plan: Plan,
    outside: frozenset[int],
    final: dict[int, Instruction],
    members: Sequence[Instruction],
    others: Sequence[Instruction],
    start: int,
) -> Region:
    made = {instruction.output for instruction in members}
    inside = {id(instruction) for instruction in members}
    needed = {plan.root(slot) for instruction in others for slot in instruction.inputs}
    outputs = tuple(
        slot
        for slot in (instruction.output for instruction in members)
        if slot in outside or slot in needed or (slot in final and id(final[slot]) not in inside)
    )
    read = dict.fromkeys(slot for instruction in members for slot in instruction.inputs)
    inputs = tuple(slot for slot in read if slot not in made and plan.specs[slot] is not None)
    registers, count = _registers(plan, members, set(outputs))
    shape = concrete(plan.spec(members[0].output))
    return Region(start, start + len(members), shape, inputs, outputs, registers, count)


def _registers(plan: Plan, members: Sequence[Instruction], outputs: set[int]) -> tuple[dict[int, int], int]:
    """A register for each result that nothing reads after the region. A result takes the register of an input that is
    not read again, if their entries are of one size: each entry is read before it is written."""
    last = {slot: i for i, instruction in enumerate(members) for slot in instruction.inputs}
    registers: dict[int, int] = {}
    free: list[int] = []
    count = 0
    for i, instruction in enumerate(members):
        ending = [slot for slot in dict.fromkeys(instruction.inputs) if slot in registers and last[slot] == i]
        output = instruction.output
        if output not in outputs:
            size = plan.spec(output).dtype.itemsize
            for slot in ending:
                if plan.spec(slot).dtype.itemsize == size:
                    registers[output] = registers[slot]
                    ending.remove(slot)
                    break
            else:
                if not free:
                    free.append(count)
                    count += 1
                registers[output] = free.pop()
        free += [registers[slot] for slot in ending]
        if output not in last and output in registers:
            free.append(registers[output])
    return registers, count
