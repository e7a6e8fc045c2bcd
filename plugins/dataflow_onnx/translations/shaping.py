"""Ops that give an array another shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import element_count, ops
from dataflow.errors import FileFormatError, counted
from dataflow_onnx.call import Call, DeclinedError, dims, translates
from dataflow_onnx.tensors import dtype_of


@translates("Shape", until=25)
def _shape(call: Call) -> np.ndarray:
    return dims(call.value(0).shape[call.attribute("start", 0) : call.attribute("end")])


@translates("Size", until=25)
def _size(call: Call) -> np.ndarray:
    total = dims([element_count(call.value(0).shape)])
    return total.reshape(())


@translates("Reshape", since=5, until=25)
def _reshape(call: Call) -> Any:
    x = call.value(0)
    wanted = list(call.numbers(1, "the shape"))
    if not call.attribute("allowzero", 0):
        wanted = [x.shape[i] if isinstance(size, int) and size == 0 else size for i, size in enumerate(wanted)]
    return ops.reshape(x, shape=tuple(wanted))


@translates("Flatten", until=25)
def _flatten(call: Call) -> Any:
    return ops.flatten(call.value(0), axis=call.attribute("axis", 1))


@translates("Transpose", until=25)
def _transpose(call: Call) -> Any:
    return ops.transpose(call.value(0), axes=call.attribute("perm"))


@translates("Squeeze", until=25)
def _squeeze(call: Call) -> Any:
    x, axes = call.value(0), call.axes(1)
    if axes is None:
        if not all(isinstance(size, int) for size in x.shape):
            raise FileFormatError("Squeeze without axes needs sizes that are numbers")
        axes = tuple(i for i, size in enumerate(x.shape) if size == 1)
    return ops.squeeze(x, axis=axes) if axes else x


@translates("Unsqueeze", until=25)
def _unsqueeze(call: Call) -> Any:
    axes = call.axes(1)
    return ops.expand_dims(call.value(0), axis=axes) if axes else call.value(0)


@translates("Concat", since=4, until=13)
def _concat(call: Call) -> Any:
    return ops.concatenate(*call.values(), axis=call.attribute("axis"))


@translates("Split", since=2, until=18)
def _split(call: Call) -> Any:
    parts: Any = call.attribute("split")
    if call.has(1):
        parts = call.numbers(1, "the sizes of the parts")
    if parts is None:
        parts = call.attribute("num_outputs", len(call.outputs))
    outputs = ops.split(call.value(0), parts=parts, axis=call.attribute("axis", 0))
    return [outputs[name] for name in outputs.names]


@translates("Expand", until=13)
def _expand(call: Call) -> Any:
    return ops.expand(call.value(0), shape=call.numbers(1, "the shape"))


@translates("Tile", since=6, until=13)
def _tile(call: Call) -> Any:
    return ops.tile(call.value(0), repeats=call.numbers(1, "the repeats"))


@translates("ConstantOfShape", until=25)
def _constant_of_shape(call: Call) -> Any:
    value = call.attribute("value", np.zeros(1, np.float32))
    if value.size != 1:
        raise FileFormatError(f"ConstantOfShape takes a value of one number, not {value.size}")
    return ops.broadcast_to(call.constant(value.reshape(()), value.dtype), shape=call.numbers(0, "the shape"))


@translates("DepthToSpace", until=28)
def _depth_to_space(call: Call) -> Any:
    return ops.depth_to_space(call.value(0), size=call.attribute("blocksize"), mode=call.attribute("mode", "DCR"))


@translates("SpaceToDepth", until=28)
def _space_to_depth(call: Call) -> Any:
    if call.attribute("mode", "DCR") != "DCR":
        raise DeclinedError("SpaceToDepth in another order than DCR is not supported")
    return ops.space_to_depth(call.value(0), size=call.attribute("blocksize"))


@translates("EyeLike", until=28)
def _eye_like(call: Call) -> Any:
    x = call.value(0)
    wanted = call.attribute("dtype")
    dtype = x.dtype if wanted is None else dtype_of(wanted)
    eye = ops.eye_like(ops.cast(x, dtype="float32"), k=call.attribute("k", 0))
    return ops.cast(eye, dtype=dtype.name)


@translates("Trilu", until=14)
def _trilu(call: Call) -> Any:
    k = int(call.number(1, "the diagonal")) if call.has(1) else 0
    return (ops.triu if call.attribute("upper", 1) else ops.tril)(call.value(0), k=k)


@translates("Pad", since=2, until=25)
def _pad(call: Call) -> Any:
    x = call.value(0)
    if call.version < 11:
        numbers, value = call.attribute("pads"), call.attribute("value", 0.0)
    else:
        numbers = call.numbers(1, "the padding")
        value = call.number(2, "the value") if call.has(2) else 0
    axes = call.numbers(3, "its axes") if call.has(3) else tuple(range(x.ndim))
    if len(numbers) != 2 * len(axes):
        raise FileFormatError(f"Pad has {counted(len(numbers), 'number')} for {counted(len(axes), 'axis')}")
    pairs = tuple(zip(numbers[: len(axes)], numbers[len(axes) :], strict=True))
    mode = call.attribute("mode", "constant")
    if not axes:
        return x
    if x.dtype.kind in "iu" and mode == "constant":
        value = int(value)
    return ops.pad(x, padding=pairs, axes=axes, mode=mode, value=value)


@translates("Range", until=28)
def _range(call: Call) -> Any:
    if any(operand is not None and operand.array is None for operand in call.operands):
        return ops.arange(*call.values())
    ends = [call.array(i, "an end of the range") for i in range(3)]
    start, stop, step = (end.ravel()[0] for end in ends)
    if step == 0 or not np.isfinite([float(start), float(stop), float(step)]).all():
        raise FileFormatError("Range takes finite numbers and a step that is not 0")
    count = max(0, int(np.ceil((float(stop) - float(start)) / float(step))))
    if count > 2**24:
        raise FileFormatError(f"Range would give {count:,} numbers")
    return (start + np.arange(count, dtype=ends[0].dtype) * step).astype(ends[0].dtype)
