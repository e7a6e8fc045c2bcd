"""Choices and loops, whose attributes are graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.shapes import TensorSpec
from dataflow_onnx.saving.bodies import body
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_ops.control_parts import INDEX, step_specs

_GOING = ("going", TensorSpec((), np.dtype(bool)))


@writes("if")
def _if(call: SavedCall) -> str:
    specs = _specs(call)[1:]
    then, orelse = (body(call, call[branch], specs, 0, 1) for branch in ("then", "orelse"))
    return _output(call, call["then"].outputs, "If", call.x(0), then_branch=then, else_branch=orelse)


@writes("loop")
def _loop(call: SavedCall) -> str:
    """ONNX hands a loop's body whether it goes on, which ours does not ask."""
    states, subgraph, specs = call["states"], call["body"], [INDEX, *_specs(call)[2:]]
    if subgraph.on(specs).specs[1 : 1 + states] != specs[1 : 1 + states]:
        raise UnwritableError("with states that change their shapes")
    written = body(call, subgraph, specs, 1 + states, 2 + states)
    written.inputs = [written.inputs[0], _GOING, *written.inputs[1:]]
    begin = [call.x(i, dtype) for i, dtype in enumerate(("int64", "bool"))]
    firsts = [call.x(2 + i) for i in range(states)]
    return _output(call, subgraph.outputs[1:], "Loop", *begin, *firsts, body=written)


@writes("scan")
def _scan(call: SavedCall) -> str:
    states, sequences, subgraph = call["states"], call["sequences"], call["body"]
    own = states + sequences
    specs = step_specs(_specs(call), states, sequences)
    written = body(call, subgraph, specs, own, own)
    directions = {
        f"scan_{end}_directions": [1] * count
        for end, count in (("input", sequences), ("output", len(subgraph.outputs) - states))
        if call["reverse"] and count
    }
    inputs = [call.x(i) for i in range(own)]
    return _output(call, subgraph.outputs, "Scan", *inputs, body=written, num_scan_inputs=sequences, **directions)


def _specs(call: SavedCall) -> list[TensorSpec]:
    return [call.spec(i) for i in range(len(call.arguments))]


def _output(call: SavedCall, names: tuple[str, ...], op: str, *inputs: str, **attributes: Any) -> str:
    """The output that the call asks for, of a node that is written once for all of them."""
    return call.out.add_all(op, len(names), *inputs, **attributes)[names.index(call.op.name.partition(":")[2])]
