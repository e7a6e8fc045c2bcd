"""Ops that take entries, or put them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.operations.indexing import parse_key
from dataflow.shapes import normalize_axis
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_onnx.saving.written.elementwise import computed_in

_REDUCTIONS = {"replace": "none", "add": "add", "multiply": "mul", "maximum": "max", "minimum": "min"}
_FAR = 2**62


@writes("index")
def _index(call: SavedCall) -> str:
    """Slices, then the axes that a number takes away, then new ones."""
    out, value = call.out, call.x()
    key = parse_key(call["key"])
    counted = sum(item is not None and item is not Ellipsis for item in key)
    slices, dropped, added = [], [], []
    axis = place = 0
    for item in key if Ellipsis in key else (*key, Ellipsis):
        if item is None:
            added.append(place)
            place += 1
        elif item is Ellipsis:
            axis += len(call.spec().shape) - counted
            place += len(call.spec().shape) - counted
        elif isinstance(item, slice):
            step = 1 if item.step is None else item.step
            start = (0 if step > 0 else _FAR) if item.start is None else item.start
            stop = (_FAR if step > 0 else -_FAR) if item.stop is None else item.stop
            if (item.start, item.stop, step) != (None, None, 1):
                slices.append((start, stop, axis, step))
            axis += 1
            place += 1
        else:
            slices.append((item, item + 1 if item != -1 else _FAR, axis, 1))
            dropped.append(axis)
            axis += 1
    if slices:
        value = out.add("Slice", value, *(out.numbers(column) for column in zip(*slices, strict=True)))
    value = out.add("Squeeze", value, out.numbers(dropped)) if dropped else value
    value = out.add("Unsqueeze", value, out.numbers(added)) if added else value
    return value if slices or added else out.add("Identity", value)


@writes("nonzero")
def _nonzero(call: SavedCall) -> str:
    return call.out.add("NonZero", call.x())


@writes("arange")
def _arange(call: SavedCall) -> str:
    """Floats in float64, as elsewhere each is the one before it and a step more."""
    out = call.out
    dtype = np.dtype("float64" if call.result.dtype.kind == "f" else "int64")
    numbers = (out.add("Reshape", call.x(i, dtype), out.numbers([])) for i in range(3))
    return call.to_result(out.add("Range", *numbers), dtype)


@writes("unique_indices")
def _unique_indices(call: SavedCall) -> str:
    outputs = call.out.add_all("Unique", 4, call.x(), axis=call["axis"], sorted=int(call["sorted"]))
    return outputs[1 + ("indices", "inverse", "counts").index(call.op.name.partition(":")[2])]


@writes("non_max_suppression")
def _non_max_suppression(call: SavedCall) -> str:
    out = call.out
    numbers = [out.add("Reshape", call.x(2, "int64"), out.numbers([1])), out.constant([call["overlap"]], np.float32)]
    numbers += [] if call["least"] is None else [out.constant([call["least"]], np.float32)]
    boxes, scores = call.x(0, "float32"), call.x(1, "float32")
    return out.add("NonMaxSuppression", boxes, scores, *numbers, center_point_box=int(call["centred"]))


def _whole(call: SavedCall, i: int) -> str:
    return call.x(i, "int64" if call.spec(i).dtype.name not in ("int32", "int64") else None)


@writes("gather")
def _gather(call: SavedCall) -> str:
    return call.out.add("Gather", call.x(), _whole(call, 1), axis=call["axis"])


@writes("embedding")
def _embedding(call: SavedCall) -> str:
    return call.out.add("Gather", call.x(), _whole(call, 1), axis=0)


@writes("gather_elements")
def _gather_elements(call: SavedCall) -> str:
    axis = normalize_axis(call["axis"], len(call.spec().shape))
    return call.out.add("GatherElements", call.x(), _whole(call, 1), axis=axis)


@writes("gather_nd")
def _gather_nd(call: SavedCall) -> str:
    return call.out.add("GatherND", call.x(), call.x(1, "int64"), batch_dims=call["batch_dims"])


def _combined_in(call: SavedCall) -> np.dtype[Any]:
    """onnxruntime puts float16, and combines it not."""
    is_half = call["combine"] != "replace" and call.result.dtype.name == "float16"
    return np.dtype("float32") if is_half else call.result.dtype


@writes("scatter_elements")
def _scatter_elements(call: SavedCall) -> str:
    axis = normalize_axis(call["axis"], len(call.spec().shape))
    how = {"axis": axis, "reduction": _REDUCTIONS[call["combine"]]}
    dtype = _combined_in(call)
    scattered = call.out.add("ScatterElements", call.x(0, dtype), _whole(call, 1), call.x(2, dtype), **how)
    return call.to_result(scattered, dtype)


@writes("scatter_nd")
def _scatter_nd(call: SavedCall) -> str:
    if call["batch_dims"]:
        raise UnwritableError("along axes that x and the indices share")
    how, dtype = _REDUCTIONS[call["combine"]], _combined_in(call)
    scattered = call.out.add("ScatterND", call.x(0, dtype), call.x(1, "int64"), call.x(2, dtype), reduction=how)
    return call.to_result(scattered, dtype)


def _ordered(call: SavedCall, count: str, largest: bool, which: int) -> str:
    """The largest or smallest entries, in order, and where they are; of equal ones the first comes first."""
    dtype = computed_in(call.spec().dtype)
    value = call.out.add_all("TopK", 2, call.x(0, dtype), count, axis=call["axis"], largest=int(largest), sorted=1)
    return value[1] if which else call.to_result(value[0], dtype)


def _top(name: str, which: int) -> None:
    writes(name)(lambda call: _ordered(call, call.out.numbers([call["k"]]), call["largest"], which))


def _sorted(name: str, which: int) -> None:
    def write(call: SavedCall) -> str:
        if not call.spec().shape:
            raise UnwritableError("of one number")
        return _ordered(call, call.out.size(call.spec().shape[call["axis"]]), call["descending"], which)

    writes(name)(write)


for _number, _name in enumerate(("topk:values", "topk:indices")):
    _top(_name, _number)
for _number, _name in enumerate(("sort", "argsort")):
    _sorted(_name, _number)


@writes("one_hot")
def _one_hot(call: SavedCall) -> str:
    """A label below 0 names no place; in ONNX it counts from the end."""
    out, dtype = call.out, call.result.dtype
    classes = out.constant(call["classes"], np.int64)
    labels = call.x(0, "int64")
    labels = out.add("Where", out.add("Less", labels, out.constant(0, np.int64)), classes, labels)
    is_number = not call.spec().shape  # OneHot takes no single label
    labels = out.add("Reshape", labels, out.numbers([1])) if is_number else labels
    hot = out.add("OneHot", labels, classes, out.constant([0, 1], np.float32), axis=call["axis"])
    hot = out.add("Reshape", hot, out.numbers([-1])) if is_number else hot
    return call.to_result(hot, "float32") if dtype.name != "float32" else hot


@writes("reverse_sequence")
def _reverse_sequence(call: SavedCall) -> str:
    axes = {"batch_axis": call["batch_axis"], "time_axis": call["time_axis"]}
    if sorted(axes.values()) != [0, 1]:
        raise UnwritableError("along other axes than the first two")
    return call.out.add("ReverseSequence", call.x(), call.x(1, "int64"), **axes)
