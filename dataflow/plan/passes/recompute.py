"""Recomputation: what the forward pass made is forgotten and made again when the backward pass needs it.

The instructions up to the point at which most memory is needed, the forward part, are cut into segments. What a later
segment reads is kept; what is left of a segment is computed a second time, right before it is first read after that
point. With segments of √n of n layers, √n values are kept and √n more exist at a time, and no instruction runs more
than twice (Chen, Xu, Zhang and Guestrin, 2016, "Training Deep Nets with Sublinear Memory Cost").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from dataflow.errors import MemoryLimitError
from dataflow.plan.passes.rewrite_plan import with_inputs
from dataflow.plan.structure import Instruction, Plan, View
from dataflow.support.byte_sizes import format_bytes

GROWTH = 1.4
"""The numbers of segments that are tried grow by this factor."""


def within(plan: Plan, limit: int, finish: Callable[[Plan], Plan]) -> Plan:
    """The finished plan that needs at most ``limit`` bytes for what is neither an argument nor an output, and computes
    as little as possible again. A ``MemoryLimitError`` says the smallest limit that can be met."""
    least = None
    for segments in _candidates(max(1, len(plan.instructions))):  # a plan of no instructions fits, too
        candidate = finish(plan if segments == 1 else recompute(plan, segments))
        if candidate.intermediate_bytes <= limit:
            return candidate
        if least is not None and candidate.intermediate_bytes > 2 * least:
            break  # more segments only keep more
        least = min(candidate.intermediate_bytes, least or candidate.intermediate_bytes)
    raise MemoryLimitError(
        f"a memory limit of {format_bytes(limit)} cannot be met: the intermediate values take "
        f"{format_bytes(least or 0)} at least, however much is computed again; smaller minibatches take less"
    )


def recompute(plan: Plan, segments: int) -> Plan:
    """The plan with its forward part cut into at most ``segments``, all but the last of which are computed again."""
    forward = _Forward(plan)
    boundaries = forward.boundaries(segments)
    segment_of = forward.segments(boundaries)
    again = _needed_again(plan, forward, segment_of)
    if not again:
        return plan
    return _with_copies(plan, forward, segment_of, again)


def _candidates(most: int) -> Iterator[int]:
    segments = 1
    while segments <= most:
        yield segments
        segments = max(segments + 1, int(segments * GROWTH))


class _Forward:
    """Where the roots of a plan are written and read, and where its forward part ends."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.written = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
        self.kept = plan.output_roots
        self.reads: dict[int, list[int]] = {slot: [] for slot in self.written}
        for i, instruction in enumerate(plan.instructions):
            for slot in {plan.root(slot) for slot in instruction.inputs}:
                if slot in self.reads:
                    self.reads[slot].append(i)
        self.end = self._peak()
        """The position after which most memory is in use."""

    def _held(self) -> Iterator[int]:
        return (slot for slot in self.written if slot not in self.kept)

    def _peak(self) -> int:
        change = [0] * (len(self.plan.instructions) + 1)
        for slot in self._held():
            size = self.plan.bytes_of(slot)
            change[self.written[slot]] += size
            change[max(self.reads[slot], default=self.written[slot]) + 1] -= size
        in_use = list(accumulate(change[:-1]))
        return max(range(len(in_use)), key=in_use.__getitem__, default=0)

    def last_read(self, slot: int) -> int:
        """The last position in the forward part that reads a slot, or that of writing it."""
        return max((i for i in self.reads[slot] if i <= self.end), default=self.written[slot])

    def is_stored(self, slot: int) -> bool:
        """Whether a result of the forward part is read after it."""
        reads = self.reads[slot]
        return slot not in self.kept and self.written[slot] <= self.end and bool(reads) and reads[-1] > self.end

    def boundaries(self, segments: int) -> list[int]:
        """The last positions of all segments but the last: about as many stored bytes lie in each, and few that later
        ones read are alive there."""
        stored, alive = [0] * (self.end + 1), [0] * (self.end + 2)
        for slot in self._held():
            start = self.written[slot]
            if start > self.end:
                continue
            size = self.plan.bytes_of(slot)
            if self.is_stored(slot):
                stored[start] += size
            alive[start] += size
            alive[self.last_read(slot)] -= size
        across = list(accumulate(alive))
        total = list(accumulate(stored))
        share = total[-1] / segments if total else 0
        positions: list[int] = []
        position = 0
        for i in range(1, segments):
            low = _first_at_least(total, (i - 0.5) * share, position)
            high = max(low + 1, _first_at_least(total, (i + 0.5) * share, low))
            best = min(
                range(low, min(high, self.end)), key=lambda at: (across[at], abs(total[at] - i * share)), default=-1
            )
            if best >= position:
                positions.append(best)
                position = best + 1
        return positions

    def segments(self, boundaries: Sequence[int]) -> list[int]:
        """The segment of each position of the forward part."""
        result: list[int] = []
        for number, boundary in enumerate([*boundaries, self.end]):
            result += [number] * (boundary + 1 - len(result))
        return result


def _first_at_least(total: Sequence[int], wanted: float, start: int) -> int:
    position = start
    while position < len(total) - 1 and total[position] < wanted:
        position += 1
    return position


def _needed_again(plan: Plan, forward: _Forward, segment_of: Sequence[int]) -> dict[int, list[int]]:
    """For each segment but the last, the positions that have to run again, in their order."""
    last = segment_of[-1]
    forgotten = {
        slot
        for slot in forward.written
        if forward.is_stored(slot)
        and segment_of[forward.written[slot]] < last
        and segment_of[forward.last_read(slot)] == segment_of[forward.written[slot]]
    }
    needed: dict[int, set[int]] = {}
    frontier = [forward.written[slot] for slot in forgotten]
    while frontier:
        position = frontier.pop()
        segment = segment_of[position]
        positions = needed.setdefault(segment, set())
        if position in positions:
            continue
        positions.add(position)
        for slot in plan.instructions[position].inputs:
            root = plan.root(slot)
            source = forward.written.get(root)
            if source is None or root in forward.kept or segment_of[source] != segment:
                continue  # an argument, or what an earlier segment keeps
            if segment_of[forward.last_read(root)] == segment:
                frontier.append(source)
    return {segment: sorted(positions) for segment, positions in needed.items()}


def _with_copies(plan: Plan, forward: _Forward, segment_of: Sequence[int], again: dict[int, list[int]]) -> Plan:
    specs = list(plan.specs)
    views = dict(plan.views)
    copy_of: dict[int, int] = {}
    instructions: list[Instruction] = list(plan.instructions[: forward.end + 1])
    pending = dict(again)

    def copied(slot: int) -> int:
        """The slot to read instead, after the forward part."""
        if slot in copy_of:
            return copy_of[slot]
        view = plan.views.get(slot)
        if view is None or view.base not in copy_of:
            return slot
        specs.append(specs[slot])
        copy_of[slot] = len(specs) - 1
        views[copy_of[slot]] = View(copy_of[view.base], view.offset, view.strides, view.op, view.node)
        return copy_of[slot]

    def run_again(positions: Sequence[int]) -> None:
        for position in positions:
            instruction = plan.instructions[position]
            inputs = tuple([copied(slot) for slot in instruction.inputs])
            specs.append(specs[instruction.output])
            copy_of[instruction.output] = len(specs) - 1
            instructions.append(dataclasses.replace(instruction, inputs=inputs, output=len(specs) - 1))

    segment_with = {plan.instructions[at].output: number for number, positions in again.items() for at in positions}
    for instruction in plan.instructions[forward.end + 1 :]:
        for slot in instruction.inputs:
            segment = segment_with.get(plan.root(slot))
            if segment in pending:
                run_again(pending.pop(segment))
        instructions.append(with_inputs(instruction, tuple([copied(slot) for slot in instruction.inputs])))
    return dataclasses.replace(plan, specs=tuple(specs), views=views, instructions=tuple(instructions))
