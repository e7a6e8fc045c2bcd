"""The order of instructions: what only leads to outputs comes as soon as it can."""

from __future__ import annotations

import dataclasses
from collections import Counter

from dataflow.plan.structure import Plan


def order(plan: Plan) -> Plan:
    """Run what leads to one output only, such as the product that is a parameter's gradient, as soon as its inputs are
    there, so that nothing is kept for it. All else stays in its order."""
    tails, root = _tails(plan), _roots(plan)
    position = {instruction.output: i for i, instruction in enumerate(plan.instructions)}
    ready: dict[int, int] = {}
    for instruction in plan.instructions:
        end = tails.get(instruction.output)
        if end is not None:
            at = ready.get(end, -1)
            for slot in instruction.inputs:
                source = root.get(slot, slot)
                made = position.get(source, -1)
                if made > at and tails.get(source) != end:
                    at = made
            ready[end] = at
    when = {slot: ready[tails[slot]] if slot in tails else at for slot, at in position.items()}
    return dataclasses.replace(
        plan, instructions=tuple(sorted(plan.instructions, key=lambda instruction: when[instruction.output]))
    )


def _tails(plan: Plan) -> dict[int, int]:
    """The slots that are read at most once, up to the end of a plan, each with the slot at that end."""
    root = _roots(plan)
    readers = Counter([root.get(slot, slot) for instruction in plan.instructions for slot in instruction.inputs])
    tails: dict[int, int] = {}
    end_of: dict[int, int | None] = {}
    for instruction in reversed(plan.instructions):
        output = instruction.output
        end = output if readers[output] == 0 else end_of.get(output) if readers[output] == 1 else None
        if end is not None:
            tails[output] = end
        for slot in instruction.inputs:
            end_of[root.get(slot, slot)] = end
    return tails


def _roots(plan: Plan) -> dict[int, int]:
    """For each view the slot that holds its memory."""
    return {slot: view.base for slot, view in plan.views.items()}
