"""Sequences and optional values. No array is one, so they are there only while a model is loaded: a sequence is a list
of operands, an optional value that is empty is none at all. Ops on them move operands, or become ops on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import FunctionProto, GraphProto, NodeProto, helper

from dataflow import limits
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, Operand, UnknownValueError
from dataflow_onnx.control import free_names

if TYPE_CHECKING:
    from dataflow_onnx.translate import Scope, Translator


@dataclass
class SequenceCall:
    """A node whose inputs or outputs are sequences or optional values."""

    translator: Translator
    node: NodeProto
    operands: Sequence[Operand | None]
    attributes: Mapping[str, Any]
    scope: Scope

    def items(self, i: int = 0) -> tuple[Operand, ...]:
        """The entries of an input that is a sequence."""
        operand = self.operands[i] if i < len(self.operands) else None
        if operand is None or operand.items is None:
            raise FileFormatError(f"{self.node.op_type} takes a sequence as input {i + 1}")
        return operand.items

    def known(self) -> Call:
        """The node as a call, which gives inputs whose numbers must be known."""
        graph, identify = self.translator.graph, self.translator.names.identifier
        return Call(self.node.op_type, 0, graph, self.operands, dict(self.attributes), (), identify)

    def place(self, i: int, count: int) -> int:
        """An input that is a place among so many; without it the last one."""
        if i >= len(self.operands):
            return count - 1
        place = int(self.known().number(i, "the position"))
        if not -count <= place < count:
            raise FileFormatError(f"{self.node.op_type}: the position {place} is not one of {count}")
        return place % count

    def array_op(self, op: str, inputs: Sequence[Operand], outputs: Sequence[str], **attributes: Any) -> list[Operand]:
        """The results of an op on arrays, as nodes of the graph."""
        scope: Scope = {f"in {i}": operand for i, operand in enumerate(inputs)}
        step = helper.make_node(op, list(scope), outputs, name=self.node.name, **attributes)
        self.translator.run([step], scope)
        results = [scope[name] for name in step.output]
        return [operand for operand in results if operand is not None]


def sequence_call(
    translator: Translator, node: NodeProto, operands: Sequence[Operand | None], attributes: Any, scope: Scope
) -> list[Operand | None] | None:
    """The outputs of a node that is about sequences or optional values; nothing for any other node."""
    function = SEQUENCES.get(node.op_type)
    if node.op_type in ("Identity", "Loop"):
        has_one = any(
            operand is None or operand.items is not None for operand in operands[2 * (node.op_type == "Loop") :]
        )
        empty = node.op_type == "Identity" and not operands and bool(node.input)
        function = SEQUENCES.get(f"{node.op_type} of sequences") if has_one or empty else None
    if function is None:
        return None
    return function(SequenceCall(translator, node, operands, attributes, scope))


def _construct(call: SequenceCall) -> list[Operand | None]:
    items = tuple(operand for operand in call.operands if operand is not None)
    return [Operand(call.node.output[0], items=items)]


def _empty(call: SequenceCall) -> list[Operand | None]:
    return [Operand(call.node.output[0], items=())]


def _at(call: SequenceCall) -> list[Operand | None]:
    items = call.items()
    return [items[call.place(1, len(items))]]


def _insert(call: SequenceCall) -> list[Operand | None]:
    items, entry = call.items(), call.operands[1]
    place = call.place(2, len(items) + 1)
    if entry is None:
        raise FileFormatError("SequenceInsert needs an input 2, which is left out")
    return [Operand(call.node.output[0], items=(*items[:place], entry, *items[place:]))]


def _erase(call: SequenceCall) -> list[Operand | None]:
    items = call.items()
    place = call.place(1, len(items))
    return [Operand(call.node.output[0], items=(*items[:place], *items[place + 1 :]))]


def _length(call: SequenceCall) -> list[Operand | None]:
    return [Operand(call.node.output[0], array=np.array(len(call.items()), np.int64))]


def _split(call: SequenceCall) -> list[Operand | None]:
    operand, axis = call.operands[0], call.attributes.get("axis", 0)
    assert operand is not None
    spec = operand.array if operand.value is None else operand.value
    if spec is None:
        raise FileFormatError("SplitToSequence takes an array")
    size = spec.shape[axis]
    if not isinstance(size, int):
        raise FileFormatError(f"SplitToSequence of a size that only data tell, {size}, has no known number of parts")
    sizes: Sequence[int] = (1,) * size
    if len(call.operands) > 1:
        sizes = call.known().numbers(1, "the sizes of the parts")
        if call.known().array(1, "the size of the parts").ndim == 0:
            part = max(sizes[0], 1)
            sizes = [min(part, size - first) for first in range(0, size, part)]
    if len(sizes) > limits.current().nodes:
        raise FileFormatError(f"SplitToSequence makes {len(sizes):,} parts")
    name = call.node.output[0]
    keeps = len(call.operands) > 1 or call.attributes.get("keepdims", 1)
    names = [f"{name}/{i}" if keeps else f"{name}/{i}/kept" for i in range(len(sizes))]
    parts = call.array_op("Split", [operand, Operand("", array=np.array(sizes, np.int64))], names, axis=axis)
    if not keeps:
        axes = Operand("", array=np.array([axis]))
        parts = [call.array_op("Squeeze", [part, axes], [f"{name}/{i}"])[0] for i, part in enumerate(parts)]
    return [Operand(name, items=tuple(parts))]


def _concatenate(call: SequenceCall) -> list[Operand | None]:
    items, axis, name = call.items(), call.attributes["axis"], call.node.output[0]
    if call.attributes.get("new_axis", 0):
        axes = Operand("", array=np.array([axis]))
        items = tuple(call.array_op("Unsqueeze", [x, axes], [f"{name}/{i}/row"])[0] for i, x in enumerate(items))
    return [*call.array_op("Concat", items, [name], axis=axis)]


def _pass(call: SequenceCall) -> list[Operand | None]:
    return [call.operands[0] if call.operands else None]


def _has_element(call: SequenceCall) -> list[Operand | None]:
    return [Operand(call.node.output[0], array=np.array(bool(call.operands)))]


def _element(call: SequenceCall) -> list[Operand | None]:
    if not call.operands:
        raise FileFormatError("the optional value is empty and has no element")
    return _pass(call)


def _loop(call: SequenceCall) -> list[Operand | None]:
    """A loop that carries sequences, step by step: how often it runs must be known."""
    body: GraphProto = call.attributes["body"]
    label = call.node.name or next(iter(call.node.output), "Loop")
    limit, going, *states = (*call.operands, *(None for _ in range(len(call.node.input) - len(call.operands))))
    most = limits.current().nodes
    steps = most + 1 if limit is None else int(call.known().number(0, "how often the loop runs"))
    around = [name for name in free_names(body) if name in call.scope]
    inputs, outputs = [entry.name for entry in body.input], [entry.name for entry in body.output]
    constants = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in body.initializer]
    collected: list[list[Operand]] = [[] for _ in outputs[1 + len(states) :]]
    count = 0
    while count < steps and (going is None or _is_true(going)):
        limits.spend(20, label)
        if count >= most:
            raise FileFormatError(f"the loop runs more than {most:,} times{limits.advice('nodes', 2 * most)}")
        step = Operand(inputs[0], array=np.array(count, np.int64))
        scope = {f"in {i}": operand for i, operand in enumerate((step, going, *states))}
        scope |= {f"in {name}": call.scope[name] for name in around}
        if going is None:
            scope["in 1"] = Operand(inputs[1], array=np.array(True))
        results = [f"{label}/{count}/{name}" for name in outputs]
        function = FunctionProto(name=f"{label}/{count}", input=[*inputs, *around], output=outputs)
        function.node.extend([*constants, *body.node])
        names = [name if scope[name] is not None else "" for name in scope]
        call.translator.call_function(function, NodeProto(name=function.name, input=names, output=results), scope)
        going, *rest = (scope[name] for name in results)
        states = rest[: len(states)]
        for own, operand in zip(collected, rest[len(states) :], strict=True):
            if operand is None:
                raise FileFormatError("a loop cannot collect optional values")
            own.append(operand)
        count += 1
    kept = []
    for own, name in zip(collected, call.node.output[len(states) :], strict=False):
        gathered = Operand(name, items=tuple(own))
        join = NodeProto(name=label, op_type="ConcatFromSequence", output=[name])
        kept += _concatenate(SequenceCall(call.translator, join, [gathered], {"axis": 0, "new_axis": 1}, call.scope))
    return [*states, *kept]


def _is_true(going: Operand) -> bool:
    if not going.folds:
        raise UnknownValueError.of(going.name, "whether the loop goes on")
    assert going.array is not None
    return bool(going.array.reshape(()))


SEQUENCES: dict[str, Callable[[SequenceCall], list[Operand | None]]] = {
    "ConcatFromSequence": _concatenate,
    "Identity of sequences": _pass,
    "Loop of sequences": _loop,
    "Optional": _pass,
    "OptionalGetElement": _element,
    "OptionalHasElement": _has_element,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}
