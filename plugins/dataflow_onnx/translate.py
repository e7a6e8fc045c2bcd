"""The walk over an ONNX graph: each node is translated, folded if all it takes is known, or taken apart."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dataflow import limits
from dataflow.errors import DataflowError, FileFormatError, counted
from dataflow.execution.forward import forward
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow_onnx.call import TABLE, Call, DeclinedError, Operand
from dataflow_onnx.control import CONTROL, Control
from dataflow_onnx.names import Names
from dataflow_onnx.narrow import NARROW
from dataflow_onnx.sequences import sequence_call
from dataflow_onnx.size_arithmetic import SIZES
from dataflow_onnx.supported import DEEPEST, opsets_of, plain_domain, schema_of
from dataflow_onnx.tensors import TYPES, array_of
from dataflow_onnx.texts import Texts
from dataflow_onnx.weights import take_weights

Scope = dict[str, Operand | None]
"""What each name stands for; nothing for an optional value that is empty."""


class Translator:
    """Adds the nodes of an ONNX graph, and of the functions it calls, to a graph."""

    depth = 0
    """How deep in graphs of attributes it is."""

    def __init__(
        self, graph: Graph, names: Names, opset: int, proto: onnx.ModelProto, folder: Path | None, texts: Texts
    ) -> None:
        self._texts = texts
        self._graph, self._names, self._opsets, self._folder = graph, names, opsets_of(proto) | {"": opset}, folder
        self._functions = {(function.domain, function.name): function for function in proto.functions}
        self._inside: list[tuple[str, str]] = []
        self._count = 0
        self._calls: Counter[str] = Counter()

    @property
    def graph(self) -> Graph:
        """The graph to which nodes are added."""
        return self._graph

    @property
    def names(self) -> Names:
        """The names of its nodes."""
        return self._names

    @property
    def folder(self) -> Path | None:
        """Where tensors lie that have files of their own."""
        return self._folder

    def inside(self, graph: Graph, names: Names) -> Translator:
        """A translator for a graph that an attribute of a node holds."""
        inner = copy.copy(self)
        inner._graph, inner._names, inner.depth = graph, names, self.depth + 1
        return inner

    def run(self, nodes: Iterable[onnx.NodeProto], scope: Scope, given: dict[str, Any] | None = None) -> None:
        """Translate nodes in their order. ``given`` are the attributes of the function that they are the body of."""
        for node in nodes:
            self._count += 1
            limits.spend(20, node.name)
            if self._count > limits.current().nodes:
                raise FileFormatError(
                    f"with its functions the model has more than {limits.current().nodes:,} nodes"
                    + limits.advice("nodes", 2 * self._count)
                )
            label = node.name or next(iter(node.output), "") or node.op_type
            try:
                self._add(node, scope, given)
            except DataflowError as error:
                if error.node is not None and error.node != label and f"'{error.node}'" not in error.message:
                    error.node = None
                raise error.at(node=label) from None
            except (
                ValueError,
                TypeError,
                IndexError,
                KeyError,
                OverflowError,
                AttributeError,
                ZeroDivisionError,
            ) as error:
                raise FileFormatError(f"{node.op_type} cannot be translated: {error}", node=label) from None

    def _add(self, node: onnx.NodeProto, scope: Scope, given: dict[str, Any] | None) -> None:
        for name in node.input:
            if name and name not in scope:
                raise FileFormatError(f"the input '{name}' is no output of a node before it")
        operands = [scope[name] if name else None for name in node.input]
        while operands and operands[-1] is None:
            operands.pop()
        attributes = self._attributes(node, given)
        function = self._functions.get((node.domain, node.op_type))
        if function is not None:
            self._call(function, node, operands, attributes, scope)
            return
        schema = schema_of(node.op_type, self._opsets, node.domain)
        refused = f"{node.op_type} of opset {self._opsets.get(plain_domain(node.domain), 1)} is not supported"
        if schema is None:
            raise FileFormatError(refused)
        _check_signature(schema, node)
        moved = sequence_call(self, node, operands, attributes, scope)
        if moved is not None:
            self._take(node, moved, scope)
            return
        if node.op_type == "Cast" and node.input[0] in self._texts.names:  # to texts, as it has been checked
            self._take(node, operands, scope)
            return
        if node.op_type in CONTROL:
            if node.op_type == "If" and operands and operands[0] is not None and operands[0].folds:
                self._branch(node, operands, attributes, scope)
            else:
                self._bind(
                    node, list(Control(self, node, operands, attributes, scope, schema.since_version).results()), scope
                )
            return
        since, until, translation = TABLE.get(node.op_type, (1, 0, None))
        outputs = tuple(bool(name) for name in node.output)
        declined: DeclinedError | None = None
        if translation is not None and since <= schema.since_version <= until:
            try:
                call = Call(
                    node.op_type,
                    schema.since_version,
                    self._graph,
                    operands,
                    attributes,
                    outputs,
                    self._names.identifier,
                    self._texts.places,
                    node.name or next(iter(node.output), node.op_type),
                )
                self._bind(node, self._results(call, translation, operands), scope)
                _keep_narrow(schema, node, operands, attributes, scope)
                return
            except DeclinedError as error:
                declined = error
        function = _definition(schema, node, operands, attributes)
        if function is None:
            raise declined or FileFormatError(refused)
        defaults = {
            name: _plain(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if attribute.default_value.type
        }
        self._call(function, node, operands, defaults | attributes, scope)

    def _results(self, call: Call, translation: Any, operands: list[Operand | None]) -> list[Value | np.ndarray]:
        present = [operand for operand in operands if operand is not None]
        if all(operand.folds for operand in present):
            if not any(operand.has_sizes for operand in present):
                return self._folded(call, translation)
            if call.op in SIZES:
                return [SIZES[call.op](call)]
        return _listed(translation(call))

    def _folded(self, call: Call, translation: Any) -> list[Value | np.ndarray]:
        """What is computed from arrays that are known, computed now; how much it takes is known before."""
        scratch = Graph("folded", self._graph.dtype)
        count = iter(range(10**9))
        call.folds, call.graph, call.identify = True, scratch, lambda _: f"known_{next(count)}"
        call.operands = [
            None if operand is None else Operand(operand.name, array=operand.array, narrow=operand.narrow)
            for operand in call.operands
        ]
        results = _listed(translation(call))
        needed = sum(math.prod(node.shape) * node.dtype.itemsize for _, node in scratch.node_items())
        if needed > limits.current().memory:
            raise FileFormatError(
                f"{call.op} of constants takes {needed // 2**20:,} MiB{limits.advice('memory', needed)}"
            )
        wanted = [result.name for result in results if isinstance(result, Value)]
        values = forward(scratch, scratch.schedule(wanted), {}, {})
        return [np.array(values[result.name]) if isinstance(result, Value) else result for result in results]

    def _bind(self, node: onnx.NodeProto, results: list[Value | np.ndarray], scope: Scope) -> None:
        if len(results) < sum(1 for name in node.output if name):
            raise DeclinedError(f"{node.op_type} with {counted(len(node.output), 'output')} is not supported")
        for name, result in zip(node.output, results, strict=False):
            if not name:
                continue
            _check_new(name, scope)
            if isinstance(result, np.ndarray):
                scope[name] = Operand(name, array=result)
            elif result.name in self._graph.unnamed:
                scope[name] = Operand(name, value=self._graph.node(self._names.identifier(name), result))
            else:
                scope[name] = Operand(name, value=result)

    def _take(self, node: onnx.NodeProto, operands: list[Operand | None], scope: Scope) -> None:
        """Give the outputs of a node their names: operands that there are, in which names are no matter."""
        for name, operand in zip(node.output, operands, strict=False):
            if name:
                _check_new(name, scope)
                scope[name] = operand

    def call_function(self, function: onnx.FunctionProto, node: onnx.NodeProto, scope: Scope) -> None:
        """Put the body of a function in the place of a node that calls it."""
        self._call(function, node, [scope[name] if name else None for name in node.input], {}, scope)

    def _call(
        self,
        function: Any,
        node: onnx.NodeProto,
        operands: list[Operand | None],
        attributes: dict[str, Any],
        scope: Scope,
    ) -> None:
        """Put the body of a function in the place of a call of it."""
        key = (function.domain, function.name)
        if key in self._inside:
            raise FileFormatError(f"the function '{function.name}' calls itself")
        if len(self._inside) >= DEEPEST:
            raise FileFormatError(f"functions are nested more than {DEEPEST} deep")
        if len(operands) > len(function.input):
            raise FileFormatError(
                f"'{function.name}' takes {counted(len(function.input), 'input')}, not {len(operands)}"
            )
        inner: Scope = {}
        for name, operand in zip(function.input, operands, strict=False):
            if operand is not None:
                inner[name] = operand
        outside = {name: outer for name, outer in zip(function.output, node.output, strict=False) if outer}
        prefix = node.name or next(iter(outside.values()), node.op_type)
        self._calls[prefix] += 1  # names of nodes are not unique
        if self._calls[prefix] > 1:
            prefix = f"{prefix}/{self._calls[prefix]}"
        for attribute in getattr(function, "attribute_proto", ()):
            attributes.setdefault(attribute.name, _plain(attribute))
        left_out = {name for name in function.input if name not in inner}
        body = []
        for step in function.node:
            renamed = onnx.NodeProto()
            renamed.CopyFrom(step)
            renamed.name = f"{prefix}/{step.name or next(iter(step.output), step.op_type)}"
            renamed.input[:] = ["" if name in left_out else name for name in step.input]
            body.append(renamed)
        self._inside.append(key)
        names, opsets = self._names, self._opsets
        self._names = _Inner(names, prefix, outside)  # type: ignore[assignment]
        self._opsets = opsets | opsets_of(function)
        try:
            self.run(body, inner, attributes)
        finally:
            self._names, self._opsets = names, opsets
            self._inside.pop()
        for name, outer in outside.items():
            if name not in inner:
                raise FileFormatError(f"the output '{name}' of '{function.name}' is computed by no node")
            scope[outer] = inner[name]

    def _branch(
        self, node: onnx.NodeProto, operands: list[Operand | None], attributes: dict[str, Any], scope: Scope
    ) -> None:
        """The branch that a condition chooses, where that is known."""
        condition = Call("If", 0, self._graph, operands, attributes, (), self._names.identifier).number(
            0, "the condition"
        )
        branch = attributes["then_branch" if condition else "else_branch"]
        inner = dict(scope)
        for tensor in branch.initializer:
            inner[tensor.name] = Operand(tensor.name, array=array_of(tensor, self._folder))
        self.run(branch.node if self.depth else take_weights(branch.node, self._folder, inner), inner)
        for entry, name in zip(branch.output, node.output, strict=False):
            if entry.name not in inner:
                raise FileFormatError(f"the output '{entry.name}' of a branch is computed by no node")
            scope[name] = inner[entry.name]

    def _attributes(self, node: onnx.NodeProto, given: dict[str, Any] | None) -> dict[str, Any]:
        attributes = {}
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                if given is None:
                    raise FileFormatError(
                        f"the attribute '{attribute.name}' refers to one of a function, outside of one"
                    )
                if attribute.ref_attr_name in given:
                    attributes[attribute.name] = given[attribute.ref_attr_name]
            elif attribute.type == onnx.AttributeProto.TENSOR:
                texts = attribute.t.data_type == onnx.TensorProto.STRING
                tensor = attribute.t
                attributes[attribute.name] = self._texts.array(tensor) if texts else array_of(tensor, self._folder)
            else:
                attributes[attribute.name] = _plain(attribute)
        return attributes


class _Inner:
    """Names inside a function: those of its outputs are the call's, all others stand behind the call's name."""

    def __init__(self, names: Any, prefix: str, outside: dict[str, str]) -> None:
        self._names, self._prefix, self._outside = names, prefix, outside
        self._root: Names = names._root if isinstance(names, _Inner) else names

    def identifier(self, name: str) -> str:
        """The identifier in the whole graph."""
        if name in self._outside:
            chosen: str = self._names.identifier(self._outside[name])
            return chosen
        return self._root.identifier(f"{self._prefix}/{name}")


def _definition(schema: Any, node: onnx.NodeProto, operands: list[Operand | None], attributes: dict[str, Any]) -> Any:
    """An op as ONNX defines it by other ops; nothing where it does not."""
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    known = [onnx.TypeProto() if operand is None else _type_of(operand) for operand in operands]
    types = [kind.SerializeToString() for kind in known]
    settled = onnx.NodeProto()  # with the attributes that inside a function come from its call
    settled.CopyFrom(node)
    del settled.attribute[:]
    for name, value in attributes.items():
        stored = onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        attribute_type = onnx.AttributeProto.INTS if isinstance(value, tuple) and not value else None
        settled.attribute.append(onnx.helper.make_attribute(name, stored, attr_type=attribute_type))
    text = schema.get_context_dependent_function(settled.SerializeToString(), types)
    return onnx.FunctionProto.FromString(text) if text else None


def _type_of(operand: Operand) -> onnx.TypeProto:
    """The type that an operand has in ONNX; an empty one where nothing tells it."""
    if operand.items:
        return onnx.helper.make_sequence_type_proto(_type_of(operand.items[0]))
    spec = operand.array if operand.value is None else operand.value
    if spec is None:
        return onnx.TypeProto()
    sizes = [size if isinstance(size, int) else None for size in spec.shape]
    return onnx.helper.make_tensor_type_proto(operand.narrow or TYPES[np.dtype(spec.dtype).name], sizes)


def _keep_narrow(
    schema: Any, node: onnx.NodeProto, operands: list[Operand | None], attributes: dict[str, Any], scope: Scope
) -> None:
    """Note which outputs have a narrow type in ONNX: one that an attribute names, or that of an input with which they
    share theirs. What no attribute names is that of a constant."""
    told = next((attributes[name] for name in ("to", "dtype", "output_dtype") if attributes.get(name)), 0)
    stored = next((entry.t.data_type for entry in node.attribute if entry.name == "value"), 0)
    by_type = {}
    for i, operand in enumerate(operands):
        if operand is not None and operand.narrow:
            by_type[schema.inputs[min(i, len(schema.inputs) - 1)].type_str] = operand.narrow
    for i, name in enumerate(node.output):
        operand = scope[name] if name else None
        if operand is not None:
            type_ = schema.outputs[min(i, len(schema.outputs) - 1)].type_str
            number = told or stored or by_type.get(type_, 0)
            operand.narrow = number if number in NARROW else 0


def _check_signature(schema: Any, node: onnx.NodeProto) -> None:
    """What the op of this opset does not have would be left out without a word."""
    unknown = next((attribute.name for attribute in node.attribute if attribute.name not in schema.attributes), None)
    if unknown is not None:
        raise FileFormatError(f"{node.op_type} of opset {schema.since_version} has no attribute '{unknown}'")
    if len(node.input) > schema.max_input:
        raise FileFormatError(f"{node.op_type} takes {schema.max_input} input(s), not {len(node.input)}")


def _check_new(name: str, scope: Scope) -> None:
    if name in scope:
        raise FileFormatError(f"the name '{name}' is used twice")


def _plain(attribute: onnx.AttributeProto) -> Any:
    """The value of an attribute."""
    kinds = onnx.AttributeProto
    if attribute.type == kinds.FLOAT:
        return float(attribute.f)
    if attribute.type == kinds.INT:
        return int(attribute.i)
    if attribute.type == kinds.STRING:
        return attribute.s.decode("utf-8", "replace")
    if attribute.type == kinds.FLOATS:
        return tuple(map(float, attribute.floats))
    if attribute.type == kinds.INTS:
        return tuple(map(int, attribute.ints))
    if attribute.type == kinds.STRINGS:
        return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
    if attribute.type == kinds.GRAPH:
        return attribute.g
    if attribute.type == kinds.TENSOR:
        return array_of(attribute.t, None)
    raise FileFormatError(f"the attribute '{attribute.name}' has a type that is not supported")


def _listed(results: Any) -> list[Value | np.ndarray]:
    return list(results) if isinstance(results, list | tuple) else [results]
