"""One walk over a plan's instructions, which may replace each by others or by a slot that holds the same already."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from dataflow.operations.op import Op
from dataflow.plan.structure import Instruction, Plan
from dataflow.shapes import TensorSpec

Replacement: TypeAlias = "int | Instruction | None"
Visit: TypeAlias = "Callable[[Rewriting, Instruction], Replacement]"


class Rewriting:
    """What a rule may ask, and add, while the walk goes on."""

    def __init__(self, plan: Plan) -> None:
        self.specs = list(plan.specs)
        self.constants = dict(plan.constants)
        self.makers: dict[int, Instruction] = {}
        """The instruction that makes a slot, as far as the walk has come."""
        self.instructions: list[Instruction] = []
        self._results: dict[tuple[np.ufunc | None, tuple[int, ...]], int] | None = None
        """What ``result`` looks things up in, from when it is first asked."""

    def emit(
        self, op: Op, inputs: tuple[int, ...], spec: TensorSpec | None, attributes: Mapping[str, Any], node: str
    ) -> int:
        """The slot of a new instruction, which stands before the one that is visited."""
        self.specs.append(spec)
        instruction = Instruction(op, inputs, len(self.specs) - 1, attributes, node)
        self.add(instruction)
        return instruction.output

    def add(self, instruction: Instruction) -> None:
        """Go on with an instruction as it is."""
        self.makers[instruction.output] = instruction
        self.instructions.append(instruction)
        if self._results is not None:
            self._results.setdefault((instruction.op.ufunc, instruction.inputs), instruction.output)

    def number(self, value: float) -> int:
        """A slot for a plain number."""
        return self._constant(value, None)

    def array(self, value: np.ndarray) -> int:
        """A slot for a constant array."""
        array = np.array(value, order="C")
        array.flags.writeable = False
        return self._constant(array, TensorSpec(array.shape, array.dtype))

    def uniform(self, slot: int) -> float | None:
        """The number that every entry of a slot is known to be; ``None`` where there is none."""
        while slot in self.makers:
            maker = self.makers[slot]
            if maker.op.view is None:
                return None
            slot = maker.inputs[0]
        value = self.constants.get(slot)
        if isinstance(value, np.ndarray):
            return value.item() if value.size == 1 else None
        return value

    def made_by(self, slot: int, ufunc: np.ufunc) -> Instruction | None:
        """The instruction that makes a slot, if it is that ufunc."""
        maker = self.makers.get(slot)
        return maker if maker is not None and maker.op.ufunc is ufunc else None

    def result(self, ufunc: np.ufunc, inputs: tuple[int, ...]) -> int | None:
        """The slot with what that ufunc makes of these inputs, if it is there by now."""
        if self._results is None:
            self._results = {}
            for instruction in self.instructions:
                self._results.setdefault((instruction.op.ufunc, instruction.inputs), instruction.output)
        return self._results.get((ufunc, inputs))

    def _constant(self, value: Any, spec: TensorSpec | None) -> int:
        self.specs.append(spec)
        slot = len(self.specs) - 1
        self.constants[slot] = value
        return slot


def rewritten(plan: Plan, visit: Visit) -> Plan:
    """The plan after ``visit`` was asked of each instruction in order: ``None`` keeps it, an instruction with the same
    output takes its place, and a slot is read in future where its output was read."""
    state = Rewriting(plan)
    same: dict[int, int] = {}
    for instruction in plan.instructions:
        if same and not same.keys().isdisjoint(instruction.inputs):
            inputs = tuple([same.get(slot, slot) for slot in instruction.inputs])
            instruction = with_inputs(instruction, inputs)
        replacement = visit(state, instruction)
        if isinstance(replacement, int):
            same[instruction.output] = replacement
        else:
            state.add(replacement or instruction)
    return dataclasses.replace(
        plan,
        output_slots=tuple(same.get(slot, slot) for slot in plan.output_slots),
        specs=tuple(state.specs),
        constants=state.constants,
        instructions=tuple(state.instructions),
    )


def with_inputs(instruction: Instruction, inputs: tuple[int, ...]) -> Instruction:
    """The same instruction on other inputs."""
    return Instruction(instruction.op, inputs, instruction.output, instruction.attributes, instruction.node)


def with_op(instruction: Instruction, op: Op, inputs: tuple[int, ...]) -> Instruction:
    """Another op, without attributes, that gives the same result."""
    return Instruction(op, inputs, instruction.output, {}, instruction.node)


def key_of(op: Op, inputs: tuple[int, ...], attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two instructions with the same result have in common. 0.0 and −0.0 are not the same, nor 1 and 1.0."""
    return (op, inputs, repr(sorted(attributes.items()))) if attributes else (op, inputs)
