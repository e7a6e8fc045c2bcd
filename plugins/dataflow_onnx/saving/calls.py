"""A node as the functions that write it see it, their table, and the walk that calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.errors import FileFormatError
from dataflow.graph.graph import Graph, trace_op
from dataflow.graph.node import CONSTANT, OP
from dataflow.operations.op import Op
from dataflow.operations.operands import with_literals
from dataflow.shapes import TensorSpec
from dataflow_onnx.saving.emitter import Emitter
from dataflow_onnx.tensors import TYPES


class UnwritableError(FileFormatError):
    """What a writer does not cover. A composite op is then written as what its body does."""


@dataclass
class Argument:
    """An argument of a node: a value, or a plain number."""

    value: str
    spec: TensorSpec
    number: Any = None


@dataclass
class SavedCall:
    """A node of a graph that is written as nodes of ONNX."""

    out: Emitter
    op: Op
    arguments: Sequence[Argument | None]
    attributes: Mapping[str, Any]
    result: TensorSpec
    narrow: bool = False
    """Whether floats are handed over in float32."""

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]

    def has(self, i: int) -> bool:
        """Whether an argument is given."""
        return i < len(self.arguments) and self.arguments[i] is not None

    def spec(self, i: int = 0) -> TensorSpec:
        """Shape and dtype of an argument; a plain number has the dtype that it is taken in."""
        argument = self.arguments[i]
        assert argument is not None
        return argument.spec

    def x(self, i: int = 0, dtype: Any = None) -> str:
        """An argument, in another dtype if one is given."""
        argument = self.arguments[i]
        assert argument is not None
        wanted = argument.spec.dtype if dtype is None else np.dtype(dtype)
        if self.narrow and wanted.name == "float64":
            wanted = np.dtype("float32")
        if argument.number is not None:
            with np.errstate(all="ignore"):
                return self.out.constant(np.asarray(argument.number).astype(wanted))
        return argument.value if argument.spec.dtype == wanted else self.out.cast(argument.value, wanted)

    def optional(self, i: int, dtype: Any = None) -> str:
        """An argument, or the empty text by which ONNX leaves one out."""
        return self.x(i, dtype) if self.has(i) else ""

    def all(self, dtype: Any = None) -> list[str]:
        """All arguments in one dtype: that of the result unless another is given."""
        chosen = self.result.dtype if dtype is None else dtype
        return [self.x(i, chosen) for i in range(len(self.arguments))]

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The attribute ``axis`` as a tuple."""
        axis = self.attributes["axis"]
        return (axis,) if isinstance(axis, int) else axis

    def to_result(self, value: str, dtype: Any) -> str:
        """A value of the given dtype in that of the result."""
        return value if np.dtype(dtype) == self.result.dtype else self.out.cast(value, self.result.dtype)


Writer = Callable[[SavedCall], str]
WRITERS: dict[str, tuple[Writer, bool]] = {}
"""For each op what writes it, and whether onnxruntime has its kernel in float32 only."""


def writes(*names: str, single: bool = False) -> Callable[[Writer], Writer]:
    """Put a function into the table. ``single``: onnxruntime has no kernel of its op in float64. A composite op is then
    written as what its body does, and a primitive one is computed in float32."""

    def put(writer: Writer) -> Writer:
        for name in names:
            WRITERS[name] = (writer, single)
        return writer

    return put


IN_FULL: dict[str, Writer] = {}
"""What writes an op in float64 by other ops, where onnxruntime has its kernel in float32 only."""


def writes_in_full(name: str) -> Callable[[Writer], Writer]:
    """Put a function into the table ``IN_FULL``."""

    def put(writer: Writer) -> Writer:
        IN_FULL[name] = writer
        return writer

    return put


def write_nodes(out: Emitter, graph: Graph, order: Sequence[str], known: dict[str, str], named: bool) -> None:
    """Write the nodes of ``order``; ``known`` has the values of those that are written, and gets the others. ``named``:
    values are called as the nodes are."""
    for name in order:
        if name in known:
            continue
        node = graph.node_of(name)
        if named:
            out.caller = name
        if node.kind == CONSTANT:
            known[name] = out.constant(node.value)
        elif node.kind == OP:
            op = graph.op_of(name)
            sources = op.complete(graph.arguments(name))
            specs = [graph.spec(source) if isinstance(source, str) else None for source in sources]
            full = with_literals(specs, node.literals)
            arguments = [
                None
                if spec is None
                else Argument(known[source], spec)
                if isinstance(source, str)
                else Argument("", spec, source)
                for source, spec in zip(sources, full, strict=True)
            ]
            known[name] = write_call(out, op, arguments, node.attributes, TensorSpec(node.shape, node.dtype))
        else:
            raise FileFormatError(f"{node.kind} '{name}' is needed", node=name)
        if named:
            out.label(known[name], name)


def write_call(
    out: Emitter, op: Op, arguments: Sequence[Argument | None], attributes: Mapping[str, Any], result: TensorSpec
) -> str:
    """Write one node: by its op's writer, else as what its body does. What cannot be written is noted."""
    writer, single = WRITERS.get(op.name) or WRITERS.get(op.family_name, (_write_nothing, False))
    specs = [argument.spec for argument in arguments if argument is not None]
    reason = ""
    wide = single and any(spec.dtype.name == "float64" for spec in (result, *specs))
    try:
        strange = next((spec.dtype for spec in (result, *specs) if spec.dtype.name not in TYPES), None)
        if strange is not None:
            raise UnwritableError(f"ONNX has no {strange}")
        call = SavedCall(out, op, arguments, attributes, result, narrow=wide)
        if wide and not op.is_primitive:
            before = out.missing.copy()
            value = _write_body(out, op, arguments, attributes)
            if out.missing == before:
                return value
            out.missing = before
        if wide and op.name in IN_FULL:
            with suppress(UnwritableError):
                return IN_FULL[op.name](replace(call, narrow=False))
        value = writer(call)
        if wide:
            out.narrowed[op.name] += 1
            return out.cast(value, result.dtype) if result.dtype.name == "float64" else value
        return value
    except UnwritableError as error:
        reason = error.message
    if op.is_primitive:
        out.missing[f"{op.name} ({reason})"] += 1
        return out.constant(np.zeros((), result.dtype))
    return _write_body(out, op, arguments, attributes)


def _write_nothing(call: SavedCall) -> str:
    raise UnwritableError("ONNX has no such op")


def _write_body(out: Emitter, op: Op, arguments: Sequence[Argument | None], attributes: Mapping[str, Any]) -> str:
    """Write a composite op as what its body does."""
    literals = {i: x.number for i, x in enumerate(arguments) if x is not None and x.number is not None}
    traced = trace_op(op, [None if x is None else x.spec for x in arguments], attributes, literals)
    known = {
        name: argument.value
        for name, argument in zip(traced.inputs, arguments, strict=True)
        if name is not None and argument is not None
    }
    write_nodes(out, traced.graph, traced.graph.schedule([traced.output]), known, named=False)
    return known[traced.output]
