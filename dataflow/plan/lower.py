"""The first pass: a graph becomes instructions. Composite ops are expanded, and what is computed twice is computed
once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, GraphError
from dataflow.graph import CONSTANT, OP, Graph, concrete_attributes, infer, trace_op
from dataflow.op import Literal, Op
from dataflow.plan.rewriting import key_of
from dataflow.plan.structure import Instruction, Plan
from dataflow.shapes import TensorSpec, bind, substitute


def lower(
    graph: Graph, outputs: Sequence[str], arguments: Mapping[str, TensorSpec], known: Mapping[str, int] | None = None
) -> Plan:
    """What ``outputs`` need, for arguments of these concrete shapes; ``known`` says what symbolic sizes stand for that
    no argument has."""
    sizes: dict[str, int] = dict(known or {})
    for name, spec in arguments.items():
        problem = bind(graph.value(name).shape, substitute(spec.shape, {}), sizes)
        if problem is not None:
            raise GraphError(f"argument '{name}': {problem}", node=name)
    builder = _Builder()
    slots: dict[str, int] = {name: builder.slot(spec) for name, spec in arguments.items()}
    nodes = graph.nodes
    for name in graph.schedule(outputs):
        data = nodes[name]
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
    output_slots = tuple(slots[name] for name in outputs)
    return Plan(
        tuple(arguments),
        tuple(outputs),
        output_slots,
        tuple(builder.specs),
        builder.constants,
        tuple(builder.instructions),
    )


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
            self.constants[slot] = np.ascontiguousarray(value).reshape(value.shape)
            return slot
        key = (type(value), repr(value))
        if key not in self.known:
            self.known[key] = self.slot(None)
            self.constants[self.known[key]] = value
        return self.known[key]

    def completed(self, op: Op, inputs: Sequence[int]) -> list[int]:
        if op.variadic or len(inputs) == len(op.inputs):
            return list(inputs)
        return [*inputs, *[self.constant(None)] * (len(op.inputs) - len(inputs))]

    def emit(self, op: Op, inputs: Sequence[int], attributes: Mapping[str, Any], node: str) -> int:
        """The slot with the op's result; nothing is added if it is there already."""
        key = key_of(op, tuple(inputs), attributes)
        if key not in self.known:
            specs = [self.specs[slot] for slot in inputs]
            literals: dict[int, Literal] = {}
            if None in specs:
                numbers = {i: self.constants[slot] for i, slot in enumerate(inputs) if specs[i] is None}
                literals = {i: number for i, number in numbers.items() if number is not None}
                beside = [spec.dtype for spec in specs if spec is not None]
                for i, literal in literals.items():
                    specs[i] = TensorSpec((), np.result_type(literal, *beside))
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
