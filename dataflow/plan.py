"""The plan: a graph compiled, once for each set of concrete shapes, into instructions over slots.

Nothing that runs per step looks at networkx, at names or at Python signatures. Composite ops are expanded into
primitive ones, what is computed twice is computed once, and what nothing needs is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, GraphError
from dataflow.graph import CONSTANT, OP, Graph, concrete_attributes, infer, trace_op
from dataflow.op import Literal, Op
from dataflow.shapes import TensorSpec, bind, substitute


@dataclass(frozen=True, slots=True)
class Instruction:
    """``slots[output] = op(*slots[inputs], **attributes)``. ``node`` is the graph's node that it belongs to."""

    op: Op
    inputs: tuple[int, ...]
    output: int
    attributes: Mapping[str, Any]
    node: str


@dataclass(frozen=True)
class Plan:
    """Instructions in an order in which they can run, in single-assignment form: each slot is written once."""

    arguments: tuple[str, ...]
    """The inputs and parameters that a run is given, in order; they fill the first slots."""
    outputs: tuple[str, ...]
    output_slots: tuple[int, ...]
    specs: tuple[TensorSpec | None, ...]
    """What each slot holds; ``None`` for an optional input left out and for a plain number."""
    constants: Mapping[int, Any]
    """Slots that are filled beforehand: arrays, plain numbers, ``None``."""
    instructions: tuple[Instruction, ...]
    last_uses: tuple[tuple[int, ...], ...] = field(repr=False)
    """For each instruction the slots that nothing needs after it."""


def make_plan(
    graph: Graph, outputs: Sequence[str], arguments: Mapping[str, TensorSpec], known: Mapping[str, int] | None = None
) -> Plan:
    """Compile what ``outputs`` need, for arguments of these concrete shapes.

    An input or parameter that is needed and not among the arguments is a ``GraphError``; shapes that do not fit the
    declared ones are refused, as is a size that no argument determines.
    """
    sizes: dict[str, int] = dict(known or {})
    for name, spec in arguments.items():
        problem = bind(graph.value(name).shape, substitute(spec.shape, {}), sizes)
        if problem is not None:
            raise GraphError(f"argument '{name}': {problem}", node=name)
    builder = _Builder()
    slots: dict[str, int] = {name: builder.slot(spec) for name, spec in arguments.items()}
    for name in graph.schedule(outputs):
        data = graph.nodes[name]
        if name in slots:
            continue
        if data["kind"] == CONSTANT:
            slots[name] = builder.constant(data["value"])
            continue
        if data["kind"] != OP:
            raise GraphError(f"{data['kind']} '{name}' is needed and not among the plan's arguments", node=name)
        op = graph.op_of(name)
        inputs = [slots[x] if isinstance(x, str) else builder.constant(x) for x in graph.arguments(name)]
        try:
            attributes = concrete_attributes(op, data["attributes"], sizes)
            slots[name] = builder.emit(op, builder.completed(op, inputs), attributes, name)
        except DataflowError as error:
            raise error.at(node=name) from None
    return builder.finished(tuple(arguments), tuple(outputs), tuple(slots[name] for name in outputs))


class _Builder:
    def __init__(self) -> None:
        self.specs: list[TensorSpec | None] = []
        self.constants: dict[int, Any] = {}
        self.instructions: list[Instruction] = []
        self.known: dict[Any, int] = {}

    def slot(self, spec: TensorSpec | None) -> int:
        self.specs.append(spec)
        return len(self.specs) - 1

    def constant(self, value: Any) -> int:
        if isinstance(value, np.ndarray):
            slot = self.slot(TensorSpec(value.shape, value.dtype))
            self.constants[slot] = value
            return slot
        key = (type(value), repr(value))
        if key not in self.known:
            self.known[key] = self.slot(None)
            self.constants[self.known[key]] = value
        return self.known[key]

    def completed(self, op: Op, inputs: Sequence[int]) -> list[int]:
        missing = 0 if op.variadic else len(op.inputs) - len(inputs)
        return [*inputs, *(self.constant(None) for _ in range(missing))]

    def emit(self, op: Op, inputs: Sequence[int], attributes: Mapping[str, Any], node: str) -> int:
        """The slot with the op's result; nothing is added if it is there already."""
        key = (op, tuple(inputs), tuple(attributes.items()))
        if key not in self.known:
            literals: dict[int, Literal] = {
                i: self.constants[slot]
                for i, slot in enumerate(inputs)
                if self.specs[slot] is None and self.constants[slot] is not None
            }
            beside = [spec.dtype for slot in inputs if (spec := self.specs[slot]) is not None]
            specs = [
                TensorSpec((), np.result_type(literals[i], *beside)) if i in literals else self.specs[slot]
                for i, slot in enumerate(inputs)
            ]
            if op.is_primitive:
                output = self.slot(infer(op, specs, attributes, literals))
                self.instructions.append(Instruction(op, tuple(inputs), output, attributes, node))
            else:
                output = self._expand(op, inputs, specs, attributes, literals, node)
            self.known[key] = output
        return self.known[key]

    def _expand(
        self,
        op: Op,
        inputs: Sequence[int],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
        literals: Mapping[int, Literal],
        node: str,
    ) -> int:
        trace = trace_op(op, specs, attributes, literals)
        slots = {name: slot for name, slot in zip(trace.inputs, inputs, strict=True) if name is not None}
        for name in trace.graph.schedule([trace.output]):
            data = trace.graph.nodes[name]
            if name in slots:
                continue
            if data["kind"] == CONSTANT:
                slots[name] = self.constant(data["value"])
                continue
            inner = trace.graph.op_of(name)
            arguments = [slots[x] if isinstance(x, str) else self.constant(x) for x in trace.graph.arguments(name)]
            slots[name] = self.emit(inner, self.completed(inner, arguments), data["attributes"], node)
        return slots[trace.output]

    def finished(self, arguments: tuple[str, ...], outputs: tuple[str, ...], output_slots: tuple[int, ...]) -> Plan:
        last: dict[int, int] = {}
        for position, instruction in enumerate(self.instructions):
            for slot in (*instruction.inputs, instruction.output):
                last[slot] = position
        kept = {*output_slots, *self.constants}
        ending: list[list[int]] = [[] for _ in self.instructions]
        for slot, position in last.items():
            if slot not in kept:
                ending[position].append(slot)
        return Plan(
            arguments,
            outputs,
            output_slots,
            tuple(self.specs),
            self.constants,
            tuple(self.instructions),
            tuple(tuple(slots) for slots in ending),
        )
