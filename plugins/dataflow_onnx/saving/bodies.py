"""Graphs that attributes hold, as ONNX graphs: what they take from around them, they take by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from dataflow.graph.subgraph import Subgraph
from dataflow.shapes import TensorSpec
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, write_nodes
from dataflow_onnx.saving.emitter import Emitter
from dataflow_onnx.tensors import TYPES


@dataclass
class Body:
    """A graph while it is written: its own inputs and its outputs with what they are, and the values around it that
    some of the subgraph's inputs stand for."""

    emitter: Emitter
    name: str
    inputs: Sequence[tuple[str, TensorSpec]]
    captured: Mapping[str, str]
    outputs: Sequence[tuple[str, TensorSpec]]
    digest: str

    def __repr__(self) -> str:
        """What it computes, so that a node with it is written once."""
        return f"{self.digest} {[spec for _, spec in self.inputs]} {sorted(self.captured.items())}"

    def proto(self, names: Mapping[str, str], free: Callable[[str], str]) -> onnx.GraphProto:
        """The graph, given the names of the values around it, and ``free``, which makes one that no other value has."""
        out = self.emitter
        inputs = [(free(f"{out.caller}/{label}"), spec) for label, spec in self.inputs]
        for (label, _), (name, _) in zip(self.inputs, inputs, strict=True):
            out.rename(label, name)
        for label, value in self.captured.items():
            out.rename(label, names.get(value, value))
        outputs = [(free(f"{out.caller}/output_{i}"), spec) for i, (_, spec) in enumerate(self.outputs)]
        for (value, _), (name, _) in zip(self.outputs, outputs, strict=True):
            out.output(value, name)
        ends = ([_declared(name, spec) for name, spec in pairs] for pairs in (inputs, outputs))
        return helper.make_graph(out.nodes(free), self.name, *ends)


def body(call: SavedCall, subgraph: Subgraph, specs: Sequence[TensorSpec], own: int, first: int) -> Body:
    """A graph on inputs of these specs: so many of its ``own``, its first ones, in ONNX's order, and the others, which
    are the arguments of the call from ``first`` on."""
    placed = subgraph.on(specs)  # one graph for all that are the same but for names, which may be others' here
    out = Emitter(dict(zip(placed.inputs, (spec.shape for spec in specs), strict=True)), [])
    out.missing, out.narrowed, out.since = call.out.missing, call.out.narrowed, call.out.since
    out.caller = f"{call.out.caller}/{subgraph.name}"
    known = {name: name for name in placed.inputs}
    write_nodes(out, placed.graph, placed.order, known, named=False)
    rest = placed.inputs[len(placed.inputs) - (len(call.arguments) - first) :]
    captured = {name: call.x(first + i) for i, name in enumerate(rest)}
    outputs = [(known[name], placed.graph.spec(name)) for name in placed.outputs]
    for _, spec in outputs:
        if spec.dtype.name not in TYPES:
            raise UnwritableError(f"ONNX has no {spec.dtype}")
    inputs = list(zip(placed.inputs, specs, strict=True))[:own]
    return Body(out, subgraph.name, inputs, captured, outputs, subgraph.digest)


def _declared(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    sizes = [size if isinstance(size, int) else None for size in spec.shape]
    return helper.make_tensor_value_info(name, TYPES[spec.dtype.name], sizes)
