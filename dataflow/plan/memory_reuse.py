"""The arena: every result that is neither an output nor a register gets a place in one flat piece of memory."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left, insort
from collections.abc import Iterable

from dataflow.plan.structure import Instruction, Plan, Region, rounded


def arena(plan: Plan) -> Plan:
    """Places by best fit, each as long as its result is needed. A region's result takes the place of an input that is
    needed no more, where each entry is read before it is written."""
    stretches = list(plan.stretches())
    last = _last_uses(plan, stretches)
    outside = plan.output_roots
    memory = _Memory()
    offsets: dict[int, int] = {}
    ending: list[list[int]] = [[] for _ in stretches]
    for slot, position in last.items():
        ending[position].append(slot)
    for position, stretch in enumerate(stretches):
        handed_on: dict[int, int] = {}
        made = [slot for slot in _made(stretch) if slot not in outside]
        if isinstance(stretch, Region):
            free = {slot for slot in ending[position] if slot in offsets}
            handed_on = _in_place(plan, stretch, made, free)
        for slot in made:
            taken = handed_on.get(slot)
            offsets[slot] = memory.take(plan.bytes_of(slot)) if taken is None else offsets[taken]
        for slot in ending[position]:
            if slot in offsets and slot not in handed_on.values():
                memory.give(offsets[slot], plan.bytes_of(slot))
    return dataclasses.replace(plan, offsets=offsets, arena_bytes=memory.size)


def _last_uses(plan: Plan, stretches: list[Instruction | Region]) -> dict[int, int]:
    """The position of the last stretch that reads or writes the memory of a slot."""
    last: dict[int, int] = {}
    for position, stretch in enumerate(stretches):
        for slot in (*stretch.inputs, *_made(stretch)):
            last[plan.root(slot)] = position
    return last


def _made(stretch: Instruction | Region) -> tuple[int, ...]:
    return stretch.outputs if isinstance(stretch, Region) else (stretch.output,)


def _in_place(plan: Plan, region: Region, made: Iterable[int], free: set[int]) -> dict[int, int]:
    """For outputs of a region, the inputs whose places they take."""
    candidates = {slot for slot in free if slot in region.inputs}
    if not candidates:
        return {}
    members = plan.instructions[region.start : region.stop]
    last_read: dict[int, int] = {}
    written: dict[int, int] = {}
    for i, instruction in enumerate(members):
        written[instruction.output] = i
        for slot in instruction.inputs:
            last_read[slot] = i
            if slot in plan.views:
                candidates.discard(plan.views[slot].base)  # read in another order
    taken: dict[int, int] = {}
    for output in made:
        for slot in region.inputs:
            if slot in candidates and last_read[slot] <= written[output] and _same_layout(plan, slot, output):
                candidates.discard(slot)
                taken[output] = slot
                break
    return taken


def _same_layout(plan: Plan, slot: int, other_slot: int) -> bool:
    a, b = plan.spec(slot), plan.spec(other_slot)
    return a.shape == b.shape and a.dtype.itemsize == b.dtype.itemsize


class _Memory:
    """Free blocks, joined where they touch, in a memory that grows at its end."""

    def __init__(self) -> None:
        self.size = 0
        self._by_size: list[tuple[int, int]] = []
        self._by_start: dict[int, int] = {}
        self._by_end: dict[int, int] = {}

    def take(self, size: int) -> int:
        """Where a block of that size begins: in the smallest free block that is large enough."""
        size = rounded(size)
        if size == 0:
            return 0
        index = bisect_left(self._by_size, (size, -1))
        if index < len(self._by_size):
            length, start = self._by_size[index]
            self._remove(start, length)
            if length > size:
                self._insert(start + size, length - size)
            return start
        start = self.size
        if start in self._by_end:  # a free block at the end grows
            start = self._by_end[start]
            self._remove(start, self.size - start)
        self.size = start + size
        return start

    def give(self, start: int, size: int) -> None:
        """Free a block."""
        length = rounded(size)
        if length == 0:
            return
        if start in self._by_end:
            before = self._by_end[start]
            self._remove(before, start - before)
            start, length = before, length + start - before
        if (after := self._by_start.get(start + length)) is not None:
            self._remove(start + length, after)
            length += after
        self._insert(start, length)

    def _insert(self, start: int, length: int) -> None:
        insort(self._by_size, (length, start))
        self._by_start[start] = length
        self._by_end[start + length] = start

    def _remove(self, start: int, length: int) -> None:
        del self._by_size[bisect_left(self._by_size, (length, start))]
        del self._by_start[start]
        del self._by_end[start + length]
