"""Ops that give an array another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.shapes import Size, normalize_axis
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_onnx.saving.emitter import is_whole, linear_along


@writes("reshape", "flatten")
def _reshape(call: SavedCall) -> str:
    """Sizes that stay are 0 in ONNX, and one may be -1, which is computed; the others are numbers, or computed here."""
    shape, own = call.result.shape, call.spec().shape
    if all(isinstance(size, int) for size in shape):
        return call.out.add("Reshape", call.x(), call.out.shape(shape), allowzero=1 if 0 in shape else None)
    kept = [0 if i < len(own) and own[i] == size and size != 0 else size for i, size in enumerate(shape)]
    unknown = [i for i, size in enumerate(kept) if isinstance(size, Size)]
    if len(unknown) <= 1 and 0 not in shape:
        kept = [-1 if i in unknown else size for i, size in enumerate(kept)]
        return call.out.add("Reshape", call.x(), call.out.shape(tuple(kept)))
    return call.out.add("Reshape", call.x(), call.out.shape(shape), allowzero=1)


@writes("transpose")
def _transpose(call: SavedCall) -> str:
    axes = call["axes"]
    count = len(call.spec().shape)
    order = range(count)[::-1] if axes is None else [normalize_axis(axis, count) for axis in axes]
    return call.out.add("Transpose", call.x(), perm=list(order)) if count else call.out.add("Identity", call.x())


@writes("expand_dims")
def _expand_dims(call: SavedCall) -> str:
    return call.out.add("Unsqueeze", call.x(), call.out.numbers(call.axes or ()))


@writes("squeeze")
def _squeeze(call: SavedCall) -> str:
    return call.out.add("Squeeze", call.x(), call.out.numbers(call.axes or ()))


@writes("broadcast_to", "expand")
def _broadcast_to(call: SavedCall) -> str:
    return call.out.add("Expand", call.x(0, call.result.dtype), call.out.shape(call.result.shape))


@writes("concatenate")
def _concatenate(call: SavedCall) -> str:
    return call.out.add("Concat", *call.all(), axis=call["axis"])


@writes("stack")
def _stack(call: SavedCall) -> str:
    axis = normalize_axis(call["axis"], len(call.result.shape))
    common = (*call.result.shape[:axis], *call.result.shape[axis + 1 :])
    parts = []
    for i, value in enumerate(call.all()):
        whole = value if call.spec(i).shape == common else call.out.add("Expand", value, call.out.shape(common))
        parts.append(call.out.add("Unsqueeze", whole, call.out.numbers([axis])))
    return call.out.add("Concat", *parts, axis=axis)


@writes("part")
def _part(call: SavedCall) -> str:
    """The piece of the first argument that lies where one of the others lies when they are joined."""
    out = call.out
    axis = normalize_axis(call["axis"], len(call.spec().shape))
    sizes = [call.spec(i).shape[axis] for i in range(1, len(call.arguments))]
    start = sum(sizes[: call["which"]])
    ends = out.size(start), out.size(start + sizes[call["which"]])
    return out.add("Slice", call.x(0, call.result.dtype), *ends, out.numbers([axis]))


@writes("tile")
def _tile(call: SavedCall) -> str:
    if len(call["repeats"]) != len(call.spec().shape):
        raise UnwritableError("along other axes than there are")
    return call.out.add("Tile", call.x(), call.out.numbers(call["repeats"]))


@writes("positions")
def _positions(call: SavedCall) -> str:
    shape = call.spec().shape
    axis = normalize_axis(call["axis"], len(shape))
    size = call.out.scalar(shape[axis])
    line = call.out.add("Range", call.out.constant(0, np.int64), size, call.out.constant(1, np.int64))
    return call.out.add("Unsqueeze", line, call.out.numbers([i for i in range(len(shape)) if i != axis]))


def _triangle(name: str, upper: int) -> None:
    def write(call: SavedCall) -> str:
        dtype = call.result.dtype if call.result.dtype.kind == "f" else np.dtype(np.int64)
        diagonal = call.out.constant(call["k"], np.int64)
        return call.to_result(call.out.add("Trilu", call.x(0, dtype), diagonal, upper=upper), dtype)

    writes(name)(write)


for _name, _upper in (("triu", 1), ("tril", 0)):
    _triangle(_name, _upper)


def _refuse_whole(call: SavedCall) -> None:
    if call.result.dtype.kind != "f":
        raise UnwritableError("of whole numbers")


@writes("depth_to_space")
def _depth_to_space(call: SavedCall) -> str:
    _refuse_whole(call)
    return call.out.add("DepthToSpace", call.x(), blocksize=call["size"], mode=call["mode"])


@writes("space_to_depth")
def _space_to_depth(call: SavedCall) -> str:
    _refuse_whole(call)
    return call.out.add("SpaceToDepth", call.x(), blocksize=call["size"])


@writes("pad")
def _pad(call: SavedCall) -> str:
    out, shape, dtype = call.out, call.spec().shape, call.result.dtype
    value = call.x(0, dtype)
    axes, padding = _padded_axes(call, len(shape))
    pairs = [(pair, pair) if isinstance(pair, int) else pair for pair in padding]
    mode = call["mode"]
    far = [
        mode != "constant" and not all(n >= 0 and (not isinstance(size, int) or n < size) for n in pair)
        for size, pair in zip((shape[axis] for axis in axes), pairs, strict=True)
    ]
    for axis, pair in ((axis, pair) for axis, pair, beyond in zip(axes, pairs, far, strict=True) if beyond):
        # more than ONNX lays down: each entry is taken from where it comes from
        size = shape[axis]
        if not isinstance(size, int):
            raise UnwritableError(f"{mode} and fewer entries along an axis whose size only data tell")
        sources = call.op.compute([np.arange(size)], {**call.attributes, "axes": None, "padding": (pair,)})
        value = out.add("Gather", value, out.numbers(sources.tolist()), axis=axis)
    near = [i for i, beyond in enumerate(far) if not beyond]
    if not near:
        return value
    numbers = [pairs[i][0] for i in near] + [pairs[i][1] for i in near]
    filled = out.constant(call["value"], dtype) if mode == "constant" else ""
    return out.add("Pad", value, out.numbers(numbers), filled, out.numbers([axes[i] for i in near]), mode=mode)


def _padded_axes(call: SavedCall, ndim: int) -> tuple[Sequence[int], Sequence[Any]]:
    """The axes that are padded, and how much each."""
    axes = range(ndim) if call["axes"] is None else [normalize_axis(axis, ndim) for axis in call["axes"]]
    return axes, (call["padding"],) * len(axes) if isinstance(call["padding"], int) else call["padding"]


@writes("pad_transpose")
def _pad_transpose(call: SavedCall) -> str:
    """Along each axis a product with what becomes of each entry alone."""
    shape, value = list(call.spec().shape), call.x()
    axes, padding = _padded_axes(call, len(shape))
    for axis, pair in zip(axes, padding, strict=True):
        size = shape[axis]
        if not isinstance(size, int) or not isinstance(call["size"][axis], int):
            raise UnwritableError("along an axis whose size only data tell")
        along = {**call.attributes, "axes": (1,), "padding": (pair,), "size": (size, call["size"][axis])}
        weights = call.op.compute([np.eye(size)], along)
        value = linear_along(call.out, value, len(shape), axis, weights, call.result.dtype)
    return value


@writes("place")
def _place(call: SavedCall) -> str:
    """Zeros, into which the entries are put at places that are known."""
    shape = call.result.shape
    if not is_whole(shape):
        raise UnwritableError("of sizes that only data tell")
    out = call.out
    size = int(np.prod(shape, dtype=np.int64))
    from dataflow import ops

    places = ops.index(np.arange(size).reshape(shape), key=call["key"]).reshape(-1)
    flat = out.add("Reshape", call.x(), out.numbers([places.size]))
    zeros = out.constant(np.zeros(size, call.result.dtype))
    return out.add("Reshape", out.add("ScatterElements", zeros, out.constant(places), flat), out.shape(shape))
