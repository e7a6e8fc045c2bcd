"""Ops that take entries, or put them."""

from __future__ import annotations

from typing import Any

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, translates

_COMBINE = {"none": "replace", "add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}


@translates("Slice", until=13)
def _slice(call: Call) -> Any:
    x = call.value(0)
    if call.version >= 10 and any(call.is_computed(i) for i in (1, 2)):
        return _computed_slice(call, x)
    starts, ends, axes, steps = call.slices()
    keys = [":"] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not all(isinstance(number, int) for number in (start, end, step)):
            raise FileFormatError("Slice takes bounds that are numbers, not sizes that only data tell")
        keys[axis] = f"{_bound(start)}:{_end(end, step)}:{_step(step)}"
    return ops.index(x, key=", ".join(keys)) if keys else x


def _computed_slice(call: Call, x: Any) -> Any:
    """A slice whose bounds are computed: entries by their numbers, of which there are as many as values tell."""
    starts, ends = (ops.cast(call.value(i), dtype="int64") for i in (1, 2))
    count = starts.shape[0]
    if not isinstance(count, int):
        raise FileFormatError("Slice takes as many bounds as the file says")
    axes = call.numbers(3, "its axes") if call.has(3) else tuple(range(count))
    steps = call.numbers(4, "the steps") if call.has(4) else (1,) * count
    for i, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        size = ops.cast(ops.size(ops.cast(x, dtype="float64"), axis=axis), dtype="int64")
        bounds = [ops.index(bound, key=str(i)) for bound in (starts, ends)]
        bounds = [ops.where(bound < 0, bound + size, bound) for bound in bounds]
        lows, highs = ((0, 0), (size, size)) if step > 0 else ((0, -1), (size - 1, size - 1))
        start, end = (
            ops.minimum(ops.maximum(bound, low), high) for bound, low, high in zip(bounds, lows, highs, strict=True)
        )
        x = ops.gather(x, ops.arange(start, end, step), axis=axis)
    return x


_FAR = 2**31 - 1
_END = 10**9


def _bound(number: int) -> str:
    """A bound that lies beyond every axis is as good as a nearer one."""
    return str(max(-_FAR - 1, min(_FAR, number)))


def _end(number: int, step: int) -> str:
    """Nothing for the numbers by which exporters say "to the end", where a size may not be known."""
    return "" if (number >= _END if step > 0 else number <= -_END) else _bound(number)


def _step(number: int) -> int:
    return max(-_FAR, min(_FAR, number))


@translates("Gather", until=13)
def _gather(call: Call) -> Any:
    return ops.gather(call.value(0), call.value(1), axis=call.attribute("axis", 0))


@translates("GatherElements", until=13)
def _gather_elements(call: Call) -> Any:
    return ops.gather_elements(call.value(0), call.value(1), axis=call.attribute("axis", 0))


@translates("GatherND", until=13)
def _gather_nd(call: Call) -> Any:
    return ops.gather_nd(call.value(0), call.value(1), batch_dims=call.attribute("batch_dims", 0))


@translates("ScatterElements", "Scatter", until=18)
def _scatter_elements(call: Call) -> Any:
    combine = _COMBINE[call.attribute("reduction", "none")]
    x, indices, updates = call.values()
    return ops.scatter_elements(x, indices, updates, axis=call.attribute("axis", 0), combine=combine)


@translates("ScatterND", until=18)
def _scatter_nd(call: Call) -> Any:
    combine = _COMBINE[call.attribute("reduction", "none")]
    x, indices, updates = call.values()
    return ops.scatter_nd(x, indices, updates, combine=combine)


@translates("TopK", since=10, until=24)
def _topk(call: Call) -> Any:
    k = int(call.number(1, "k"))
    largest = bool(call.attribute("largest", 1))
    values, indices = ops.topk(call.value(0), k=k, axis=call.attribute("axis", -1), largest=largest)
    return values, indices


@translates("ArgMax", "ArgMin", until=13)
def _argmax(call: Call) -> Any:
    op = ops.argmax if call.op == "ArgMax" else ops.argmin
    x, axis = call.value(0), call.attribute("axis", 0)
    keep = bool(call.attribute("keepdims", 1))
    if not call.attribute("select_last_index", 0):
        return op(x, axis=axis, keepdims=keep)
    along = axis + x.ndim if axis < 0 else axis
    if not isinstance(size := x.shape[along], int):
        raise FileFormatError(f"{call.op} of the last index needs a size that is a number")
    backwards = ops.index(x, key=", ".join([":"] * along + ["::-1"]))
    return size - 1 - op(backwards, axis=axis, keepdims=keep)


@translates("ReverseSequence", until=28)
def _reverse_sequence(call: Call) -> Any:
    axes = {"batch_axis": call.attribute("batch_axis", 1), "time_axis": call.attribute("time_axis", 0)}
    return ops.reverse_sequence(call.value(0), call.value(1), **axes)


@translates("OneHot", until=28)
def _one_hot(call: Call) -> Any:
    depth = int(call.number(1, "the depth"))
    labels, values = ops.cast(call.value(0), dtype="int64"), call.value(2)
    labels = ops.where(labels < 0, labels + depth, labels)
    hot = ops.one_hot(labels, classes=depth, axis=call.attribute("axis", -1), dtype="bool")
    return ops.where(hot, ops.index(values, key="1"), ops.index(values, key="0"))
