"""If, Loop and Scan of ONNX: their graphs become graphs that attributes of ops hold.

What a graph takes from around it becomes an input of it, unless it is an array that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from dataflow import ops
from dataflow.errors import FileFormatError, counted
from dataflow.graph.graph import Graph
from dataflow.graph.subgraph import MAX_DEPTH, Subgraph
from dataflow.graph.value import Value
from dataflow.shapes import TensorSpec
from dataflow_onnx.call import Operand, UnknownValueError
from dataflow_onnx.names import Names
from dataflow_onnx.tensors import array_of
from dataflow_ops.control import if_

if TYPE_CHECKING:
    from dataflow_onnx.translate import Translator

CONTROL = ("If", "Loop", "Scan")
"""What has no place in the table, as its attributes are graphs."""
_ENDLESS = 2**62
_TRUE = np.array(True)


class Control:
    """One such node. ``version`` is the opset in which the op came to be what it is."""

    def __init__(
        self,
        translator: Translator,
        node: onnx.NodeProto,
        operands: Sequence[Operand | None],
        attributes: Mapping[str, Any],
        scope: Mapping[str, Operand | None],
        version: int,
    ) -> None:
        self._translator, self._node, self._operands, self._scope = translator, node, operands, scope
        self._attributes, self._version = attributes, version

    def results(self) -> Sequence[Value]:
        """The values of its outputs."""
        results: list[Value] = {"If": self._if, "Loop": self._loop, "Scan": self._scan}[self._node.op_type]()
        return results

    def _if(self) -> list[Value]:
        condition = self._operands[0] if self._operands else None
        if condition is not None and gives_sequences(self._attributes):
            raise UnknownValueError.of(condition.name, "the condition that chooses a sequence")
        branches = [self._attributes[f"{word}_branch"] for word in ("then", "else")]
        captured = self._captured(*branches)
        then, orelse = (self._body(branch, [], captured) for branch in branches)
        return [*if_(self._value(0), *captured.values(), then=then, orelse=orelse)]

    def _loop(self) -> list[Value]:
        body = self._attributes["body"]
        captured = self._captured(body)
        states = [self._value(i) for i in range(2, len(self._operands))]
        step, going = (entry.name for entry in list(body.input)[:2])
        limit, begin = (self._operands[i] if i < len(self._operands) else None for i in (0, 1))
        always = begin is None or (_is_true(begin) and _passes(body, going))
        names = [step, *(entry.name for entry in list(body.input)[2:])]
        if always and limit is not None and limit.array is not None and limit.array.dtype != object:
            steps = self._constant(np.arange(int(limit.array.reshape(()))))
            inner = self._body(body, [*names[1:], step], captured, going, leave_out=1)
            return [*ops.scan(*states, steps, *captured.values(), body=inner, states=len(states))]
        most = self._constant(np.array(_ENDLESS)) if limit is None else self._value(0)
        first = self._constant(_TRUE) if begin is None else self._value(1)
        inner = self._body(body, names, captured, going, always=always)
        return [*ops.loop(most, first, *states, *captured.values(), body=inner, states=len(states))]

    def _scan(self) -> list[Value]:
        first = 1 if self._version == 8 else 0  # behind how many entries each example has
        if not first:
            return self._scanned([self._value(i) for i in range(len(self._operands))])
        if self._operands[0] is not None:
            raise FileFormatError(
                "Scan of opset 8 is not supported where examples have numbers of entries of their own"
            )
        values = [self._value(i) for i in range(first, len(self._operands))]
        batch = values[0].shape[0] if values else 0
        if not isinstance(batch, int) or not batch:
            raise FileFormatError("Scan of opset 8 needs a number of examples that is known, and not 0")
        examples = [self._scanned([ops.index(value, key=str(i)) for value in values]) for i in range(batch)]
        return [ops.stack(*results, axis=0) for results in zip(*examples, strict=True)]

    def _scanned(self, values: list[Value]) -> list[Value]:
        body, count = self._attributes["body"], self._attributes["num_scan_inputs"]
        states = len(values) - count
        if states < 0 or count < 1:
            raise FileFormatError(f"Scan takes {counted(count, 'input')} to go through, and has {len(values)}")
        captured = self._captured(body)
        axes, backward = (self._attributes.get(f"scan_input_{key}", (0,) * count) for key in ("axes", "directions"))
        backward = self._attributes.get("directions", backward)  # as it is called in opset 8
        rows = [_moved(values[states + i], axes[i], 0, bool(backward[i])) for i in range(count)]
        inner = self._body(body, [entry.name for entry in body.input], captured)
        results = [*ops.scan(*values[:states], *rows, *captured.values(), body=inner, states=states, sequences=count)]
        kept = len(results) - states
        axes, backward = (self._attributes.get(f"scan_output_{key}", (0,) * kept) for key in ("axes", "directions"))
        return [*results[:states], *(_moved(results[states + i], 0, axes[i], bool(backward[i])) for i in range(kept))]

    # -------------------------------------------------------------------------------------------- internals

    def _value(self, i: int) -> Value:
        operand = self._operands[i]
        if operand is None:
            raise FileFormatError(f"{self._node.op_type} needs an input {i + 1}, which is left out")
        return self._within(operand)

    def _within(self, operand: Operand) -> Value:
        return operand.within(self._translator.graph, self._translator.names.identifier(operand.name))

    def _constant(self, array: np.ndarray) -> Value:
        return self._translator.graph.constant(None, array, array.dtype)

    def _captured(self, *bodies: onnx.GraphProto) -> dict[str, Value]:
        """The values that graphs take from around them, by name."""
        names = dict.fromkeys(name for body in bodies for name in free_names(body))
        operands = {name: self._scope[name] for name in names if name in self._scope}
        return {name: self._within(operand) for name, operand in operands.items() if operand and not operand.folds}

    def _body(
        self,
        body: onnx.GraphProto,
        inputs: Sequence[str],
        captured: Mapping[str, Value],
        going: str | None = None,
        *,
        leave_out: int = 0,
        always: bool = False,
    ) -> Subgraph:
        """A graph whose inputs are those of ONNX, and then what it takes from around it. ``going`` is one that is true
        whenever the graph runs; so many first outputs are left out, or the first is true ``always``."""
        outer, names = self._translator, Names()
        if outer.depth >= MAX_DEPTH:
            raise FileFormatError(f"graphs are nested more than {MAX_DEPTH} deep")
        own = {output for step in body.node for output in step.output}
        known = {
            name: operand for name, operand in self._scope.items() if operand and operand.folds and name not in own
        }
        originals = (*inputs, *captured)
        called = [names.identifier(name) for name in originals]
        results = [entry.name for entry in list(body.output)[leave_out:]]

        def build(specs: Sequence[TensorSpec]) -> Subgraph:
            graph = Graph(names.identifier(body.name or "body"), outer.graph.dtype)
            scope: dict[str, Operand | None] = {
                name: Operand(name, array=operand.array) for name, operand in known.items()
            }
            for original, name, spec in zip(originals, called, specs, strict=True):
                scope[original] = Operand(original, value=graph.input(name, spec.shape, spec.dtype))
            if going is not None:
                scope[going] = Operand(going, array=_TRUE)
            for tensor in body.initializer:
                scope[tensor.name] = Operand(tensor.name, array=array_of(tensor, outer.folder))
            outer.inside(graph, names).run(body.node, scope)
            for name in results:
                if name not in scope:
                    raise FileFormatError(f"the output '{name}' of a graph is computed by no node")
            operands = [(name, scope[name]) for name in results]
            values = [operand.within(graph, names.identifier(name)) for name, operand in operands if operand]
            if always:
                values[0] = graph.constant(None, _TRUE)
            return Subgraph(graph, called, {f"output_{i}": value.name for i, value in enumerate(values)})

        outputs = [f"output_{i}" for i in range(len(results))]
        return Subgraph(None, called, outputs, name=Names().identifier(body.name or "body"), build=build)


def free_names(body: onnx.GraphProto) -> list[str]:
    """What a graph takes from around it, graphs in it included."""
    own = {entry.name for entry in body.input} | {tensor.name for tensor in body.initializer}
    found: dict[str, None] = {}
    for node in body.node:
        used = [*node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                used += free_names(attribute.g)
        found.update(dict.fromkeys(name for name in used if name and name not in own))
        own.update(node.output)
    found.update(dict.fromkeys(entry.name for entry in body.output if entry.name not in own))
    return list(found)


def gives_sequences(attributes: Mapping[str, Any]) -> bool:
    """Whether a graph among attributes has outputs that are no arrays."""
    graphs = [value for value in attributes.values() if isinstance(value, onnx.GraphProto)]
    return any(
        entry.type.WhichOneof("value") in ("sequence_type", "optional_type") for g in graphs for entry in g.output
    )


def _is_true(operand: Operand) -> bool:
    return operand.folds and operand.array is not None and operand.array.size == 1 and bool(operand.array.reshape(()))


def _passes(body: onnx.GraphProto, going: str) -> bool:
    """Whether a loop's graph says always that it goes on: it gives back what it was given, or a constant."""
    makers = {output: node for node in body.node for output in node.output}
    name = body.output[0].name
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    if name in makers and makers[name].op_type == "Constant":
        value = next((entry.t for entry in makers[name].attribute if entry.name == "value"), None)
        return value is not None and bool(array_of(value, None).all())
    values = [tensor for tensor in body.initializer if tensor.name == name]
    return name == going or any(bool(array_of(tensor, None).all()) for tensor in values)


def _moved(x: Value, source: int, target: int, backward: bool) -> Value:
    """x with one axis in the place of another, and, if wanted, in the other direction along it."""
    source, target = (axis + x.ndim if axis < 0 else axis for axis in (source, target))
    if backward:
        x = ops.index(x, key=", ".join([":"] * source + ["::-1"]))
    order = [axis for axis in range(x.ndim) if axis != source]
    order.insert(target, source)
    return x if order == sorted(order) else ops.transpose(x, axes=tuple(order))
