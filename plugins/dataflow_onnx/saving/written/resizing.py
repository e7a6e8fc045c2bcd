"""Resizing, and recurrent layers."""

from __future__ import annotations

import numpy as np

from dataflow.shapes import normalize_axis
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_onnx.saving.emitter import linear_along


@writes("resize", single=True)
def _resize(call: SavedCall) -> str:
    if call["mode"] == "cubic" or call["antialias"] or call["region"] is not None or call["sizes"] is not None:
        raise UnwritableError("in this way")
    if not isinstance(call["scales"], float) or len(call.spec().shape) != 4 or call["axes"] is not None:
        raise UnwritableError("in this way")
    scales = call.out.constant([1, 1, call["scales"], call["scales"]], np.float32)
    how = {"coordinate_transformation_mode": call["coordinates"], "nearest_mode": call["rounding"]}
    return call.out.add("Resize", call.x(), "", scales, mode=call["mode"], **how)


@writes("resample")
def _resample(call: SavedCall) -> str:
    """A product with the weights, which follow from the sizes alone."""
    shape, out, dtype = call.spec().shape, call.out, call.result.dtype
    axis = normalize_axis(call["axis"], len(shape))
    size = shape[axis]
    if not isinstance(size, int) or not isinstance(call["size"][0], int):
        raise UnwritableError("along an axis whose size only data tell")
    given = {**call.attributes, "axis": 1}
    weights = call.op.compute([np.eye(size)], {**given, "outside": 0.0})
    outside = call.op.compute([np.zeros((1, size))], given)[0]
    value = linear_along(out, call.x(), len(shape), axis, weights, dtype)
    if not outside.any():
        return value
    tail = [1] * (len(shape) - axis - 1)
    return out.add("Add", value, out.constant(outside.reshape(-1, *tail), dtype))


@writes("resample_transpose")
def _resample_transpose(call: SavedCall) -> str:
    shape, out, dtype = call.spec().shape, call.out, call.result.dtype
    axis = normalize_axis(call["axis"], len(shape))
    if not isinstance(shape[axis], int) or not isinstance(call["size"][0], int):
        raise UnwritableError("along an axis whose size only data tell")
    weights = call.op.compute([np.eye(int(str(shape[axis])))], {**call.attributes, "axis": 1})
    return linear_along(out, call.x(), len(shape), axis, weights, dtype)


def _recurrent(name: str, op: str, outputs: tuple[str, ...]) -> None:
    def write(call: SavedCall) -> str:
        which = outputs.index(call.op.output_name or "")
        how = {"linear_before_reset": int(call["linear_before_reset"])} if op == "GRU" else {}
        dtype = call.result.dtype
        values = [call.optional(i, dtype) for i in range(7 if op == "LSTM" else 5)]
        inputs = [*values[:4], "", *values[4:]]
        width = int(str(call.spec(2).shape[-1]))
        given = {"hidden_size": width, "direction": call["direction"], **how}
        return call.out.add_all(op, len(outputs), *inputs, **given)[which]

    writes(*(f"{name}:{output}" for output in outputs), single=True)(write)


for _name, _op, _outputs in (("rnn", "RNN", ("y", "h")), ("gru", "GRU", ("y", "h")), ("lstm", "LSTM", ("y", "h", "c"))):
    _recurrent(_name, _op, _outputs)
