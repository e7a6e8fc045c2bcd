"""The first pass: a graph becomes instructions. Composite ops are expanded, and what is computed twice is computed
once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, GraphError, RuleError
from dataflow.graph.graph import Graph, infer, trace_op
from dataflow.graph.node import Node, concrete_attributes
from dataflow.graph.walk import constant_of, walk
from dataflow.limits import spend
from dataflow.operations.op import Op
from dataflow.operations.operands import Literal, literals_of, with_literals
from dataflow.plan.passes.rewrite_plan import key_of
from dataflow.plan.structure import Instruction, Plan
from dataflow.shapes import Shape, TensorSpec, bind, format_shape, made_names, substitute

PLANNED = 25
"""The steps of work of a node in all passes together."""


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
    if graph.makes_sizes:
        _refuse_made_sizes(graph, outputs)
    builder = _Builder()

    def apply(name: str, op: Op, node: Node, inputs: Sequence[int]) -> int:
        try:
            spend(PLANNED, name)
            slot = builder.emit(op, inputs, concrete_attributes(op, node, sizes), name)
            _check_shape(op, builder.specs[slot], node.shape, sizes)
            return slot
        except DataflowError as error:
            raise error.at(node=name) from None

    slots = builder.walk(
        graph, graph.schedule(outputs), {name: builder.slot(spec) for name, spec in arguments.items()}, apply
    )
    output_slots = tuple(slots[name] for name in outputs)
    return Plan(
        tuple(arguments),
        tuple(outputs),
        output_slots,
        tuple(builder.specs),
        builder.constants,
        tuple(builder.instructions),
    )


def _refuse_made_sizes(graph: Graph, outputs: Sequence[str]) -> None:
    for name in graph.schedule(outputs):
        node = graph.node_of(name)
        if made_names(node.shape):
            raise GraphError(
                f"the shape {format_shape(node.shape)} of node '{name}' ({node.op}) depends on values, and "
                "a plan has shapes that are known before; run, gradients, compile and train work; for a plan, use ops "
                "of fixed shapes, such as where, or a scan in place of a loop",
                node=name,
            )


def _check_shape(op: Op, spec: TensorSpec | None, shape: Shape, sizes: Mapping[str, int]) -> None:
    """A ``RuleError`` where a symbolic size stands for a number with which the shape is another than without, such as
    that of ``x[0:2]`` where x has one row."""
    if spec is None or spec.shape == shape:
        return
    declared = substitute(shape, sizes)
    if spec.shape != declared:
        inferred, expected = format_shape(spec.shape), format_shape(declared)
        raise RuleError(f"op '{op.name}' gave the shape {inferred} where its shape rule says {expected}")


class _Builder:
    def __init__(self) -> None:
        self.specs: list[TensorSpec | None] = []
        self.constants: dict[int, Any] = {}
        self.instructions: list[Instruction] = []
        self.known: dict[Any, int] = {}
        self.results: dict[Any, TensorSpec] = {}
        """What a primitive op makes of arrays of these specs, numbers of these types and these attributes."""

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

    def walk(
        self,
        graph: Graph,
        order: Sequence[str],
        known: Mapping[str, int],
        apply: Callable[[str, Op, Node, Sequence[int]], int],
    ) -> dict[str, int]:
        """The slot of each node of a schedule."""

        def leaf(name: str, node: Node) -> int:
            return self.constant(constant_of(name, node))

        return walk(graph, order, known, apply, leaf, self.constant)

    def emit(self, op: Op, inputs: Sequence[int], attributes: Mapping[str, Any], node: str) -> int:
        """The slot with the op's result; nothing is added if the plan has it already."""
        inputs = tuple(inputs)
        key = key_of(op, inputs, attributes)
        if (slot := self.known.get(key)) is None:
            specs = [self.specs[slot] for slot in inputs]
            if op.is_primitive:
                output = self.slot(self._result(op, inputs, specs, attributes, key[2:]))
                self.instructions.append(Instruction(op, inputs, output, attributes, node))
            else:
                output = self._expand(op, inputs, specs, attributes, node)
            slot = self.known[key] = output
        return slot

    def _result(
        self,
        op: Op,
        inputs: Sequence[int],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
        written: tuple[str, ...],
    ) -> TensorSpec:
        kinds = [spec or type(self.constants.get(slot)) for slot, spec in zip(inputs, specs, strict=True)]
        known = self.results.get(kind := (op, written, *kinds))
        if known is None:
            literals = self._literals(inputs) if None in specs else {}
            known = infer(op, with_literals(specs, literals), attributes, literals)
            if not literals or (known.is_float and all(type(x) is float for x in literals.values())):
                self.results[kind] = known  # whether a whole number fits into a dtype depends on the number
        return known

    def _literals(self, inputs: Sequence[int]) -> dict[int, Literal]:
        return literals_of([self.constants.get(slot) for slot in inputs])

    def _expand(
        self,
        op: Op,
        inputs: Sequence[int],
        specs: Sequence[TensorSpec | None],
        attributes: Mapping[str, Any],
        node: str,
    ) -> int:
        literals = self._literals(inputs) if None in specs else {}
        trace = trace_op(op, with_literals(specs, literals), attributes, literals)

        def apply(_: str, inner: Op, body: Node, arguments: Sequence[int]) -> int:
            return self.emit(inner, arguments, body.attributes, node)

        return self.walk(trace.graph, trace.order, trace.by_input(inputs), apply)[trace.output]
