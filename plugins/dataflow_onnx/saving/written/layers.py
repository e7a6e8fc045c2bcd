"""Convolution, pooling and normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataflow.shapes import Dim, normalize_axis
from dataflow_nn.windows import extent_of, padding_pairs
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes, writes_in_full
from dataflow_onnx.saving.emitter import is_whole
from dataflow_onnx.saving.written.convolution_in_full import correlate_in_full


def _each(value: Any, count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else list(value)


def _pairs(call: SavedCall, count: int) -> list[tuple[int, int]]:
    padding = call["padding"]
    if isinstance(padding, str):
        kernel = call["kernel"] if "kernel" in call.attributes else call.spec(1).shape[2:]
        sizes = call.result.shape[2:] if "size" in call.attributes else _spatial(call)
        if not all(isinstance(size, int) for size in sizes):
            raise UnwritableError("with padding that follows from sizes that only data tell")
        strides = call["strides"] if call["strides"] is not None else kernel
        extents = extent_of(_each(kernel, count), _each(call["dilation"], count))
        return list(padding_pairs(padding, sizes, extents, _each(strides, count)))
    each = [padding] * count if isinstance(padding, int) else list(padding)
    return [(pair, pair) if isinstance(pair, int) else tuple(pair) for pair in each]


def _windows(call: SavedCall, count: int, kernel: Any = None) -> dict[str, Any]:
    """Strides, padding and dilation as ONNX has them."""
    strides = call["strides"]
    given: dict[str, Any] = {
        "strides": _each(strides if strides is not None else kernel, count),
        "dilations": _each(call["dilation"], count),
    }
    if kernel is not None:
        given["kernel_shape"] = _each(kernel, count)
    if isinstance(call["padding"], str):
        return given | {"auto_pad": call["padding"].upper()}
    pairs = _pairs(call, count)
    if any(number < 0 for pair in pairs for number in pair):
        raise UnwritableError("with less than no padding")
    return given | {"pads": [pair[0] for pair in pairs] + [pair[1] for pair in pairs]}


def _spatial(call: SavedCall) -> tuple[Dim, ...]:
    return call.spec().shape[2:]


@writes("conv", single=True)
def _conv(call: SavedCall) -> str:
    dtype = call.result.dtype
    how = {"group": call["groups"], **_windows(call, len(_spatial(call)))}
    return call.out.add("Conv", call.x(0, dtype), call.x(1, dtype), call.optional(2, dtype), **how)


@writes("correlate", single=True)
def _correlate(call: SavedCall) -> str:
    dtype = call.result.dtype
    how = {"group": call["groups"], **_windows(call, len(_spatial(call)))}
    return call.out.add("Conv", call.x(0, dtype), call.x(1, dtype), **how)


@writes_in_full("correlate")
def _correlate_in_full(call: SavedCall) -> str:
    kernel = call.spec(1).shape[2:]
    count, dtype = len(kernel), call.result.dtype
    steps = _each(call["strides"], count), _each(call["dilation"], count)
    return correlate_in_full(call, call.x(1, dtype), kernel, _pairs(call, count), *steps, call["groups"])


@writes("conv_transpose", single=True)
def _conv_transpose(call: SavedCall) -> str:
    count, dtype = len(_spatial(call)), call.result.dtype
    if isinstance(call["padding"], str) or call["output_shape"] is not None:
        raise UnwritableError("with padding that follows from the result")
    how = _windows(call, count) | {"output_padding": _each(call["output_padding"], count)}
    return call.out.add(
        "ConvTranspose", call.x(0, dtype), call.x(1, dtype), call.optional(2, dtype), group=call["groups"], **how
    )


@writes("correlate_transpose", single=True)
def _correlate_transpose(call: SavedCall) -> str:
    return _spread(call, call.x(1, call.result.dtype), call.spec(1).shape[2:], call["groups"])


@writes("window_spread", single=True)
def _window_spread(call: SavedCall) -> str:
    kernel = tuple(_each(call["kernel"], len(_spatial(call))))
    channels = call.spec().shape[1]
    return _spread(call, _ones(call, channels, kernel), kernel, channels)


def _ones(call: SavedCall, channels: Dim, kernel: tuple[int, ...]) -> str:
    if not isinstance(channels, int):
        raise UnwritableError("of channels whose number only data tell")
    return call.out.constant(np.ones((channels, 1, *kernel)), np.float32 if call.narrow else call.result.dtype)


def _spread(call: SavedCall, kernel: str, sizes: Any, groups: Any) -> str:
    """Each entry times the kernel, added up; cut or filled to the size that is asked for."""
    count = len(sizes)
    strides = _each(call["strides"] if call["strides"] is not None else call["kernel"], count)
    dilation = _each(call["dilation"], count)
    whole = call.out.add(
        "ConvTranspose", call.x(0, call.result.dtype), kernel, strides=strides, dilations=dilation, group=groups
    )
    before, behind = [], []
    each = zip(_spatial(call), strides, dilation, sizes, _pairs(call, count), call.result.shape[2:], strict=True)
    for size, stride, apart, length, (front, _), wanted in each:
        rest = wanted - ((size - 1) * stride + (length - 1) * apart + 1 - front)
        if not isinstance(rest, int):
            raise UnwritableError("of sizes that only data tell")
        before.append(-front)
        behind.append(rest)
    if not any(before + behind):
        return whole
    return call.out.add(
        "Pad", whole, call.out.numbers(before + behind), "", call.out.numbers(range(2, 2 + count)), mode="constant"
    )


@writes("correlate_kernel", single=True)
def _correlate_kernel(call: SavedCall) -> str:
    """A convolution along examples: input and result with channels in front, strides and dilation exchanged."""
    count, out, groups = len(_spatial(call)), call.out, call["groups"]
    channels = [call.spec(i).shape[1] for i in range(2)]
    if not all(isinstance(channel, int) for channel in channels):
        raise UnwritableError("of channels whose number only data tell")
    how = _windows(call, count) | {"auto_pad": None}
    pairs = _pairs(call, count)
    how["pads"] = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
    how["strides"], how["dilations"] = how["dilations"], how["strides"]
    order = [1, 0, *range(2, count + 2)]
    cut = [out.numbers(column) for column in ([0] * count, call["kernel"], range(2, 2 + count))]
    parts = []
    for group in range(groups):
        each = []
        for i, channel in enumerate(channels):
            length = int(str(channel)) // groups
            ends = out.numbers([group * length]), out.numbers([(group + 1) * length])
            x = call.x(i, call.result.dtype)
            piece = x if groups == 1 else out.add("Slice", x, *ends, out.numbers([1]))
            each.append(out.add("Transpose", piece, perm=order))
        parts.append(out.add("Transpose", out.add("Slice", out.add("Conv", *each, **how), *cut), perm=order))
    return parts[0] if groups == 1 else out.add("Concat", *parts, axis=0)


@writes("max_pool")
def _max_pool(call: SavedCall) -> str:
    """The checker counts windows that begin behind the end, which are none: where there are such, padding tells how
    many there are."""
    how = _windows(call, len(_spatial(call)), call["kernel"])
    ceil_mode = call["ceil_mode"]
    if ceil_mode and "pads" in how and is_whole(_spatial(call)):
        kernel, count = how["kernel_shape"], len(_spatial(call))
        extents = extent_of(kernel, how["dilations"])
        rooms = [size + how["pads"][i] + how["pads"][count + i] - extents[i] for i, size in enumerate(_spatial(call))]
        counted = tuple(-(-room // stride) + 1 for room, stride in zip(rooms, how["strides"], strict=True))
        if counted != call.result.shape[2:]:
            how["pads"][count:], ceil_mode = _padding_to_the_end(call, how, kernel), False
    return call.out.add("MaxPool", call.x(), ceil_mode=int(ceil_mode), **how)


@writes("average_pool", single=True)
def _average_pool(call: SavedCall) -> str:
    if call["ceil_mode"]:
        raise UnwritableError("with a last window beyond the end")
    how = _windows(call, len(_spatial(call)), call["kernel"])
    return call.out.add("AveragePool", call.x(), count_include_pad=int(call["count_include_pad"]), **how)


def _padding_to_the_end(call: SavedCall, how: dict[str, Any], kernel: Sequence[int]) -> list[int]:
    """How much padding behind each axis the last windows reach over."""
    found = []
    for i, (size, places) in enumerate(zip(_spatial(call), call.result.shape[2:], strict=True)):
        end = (places - 1) * how["strides"][i] + (kernel[i] - 1) * how["dilations"][i] + 1
        behind = end - size - how["pads"][i]
        if not isinstance(behind, int):
            raise UnwritableError("of sizes that only data tell")
        found.append(max(behind, 0))
    return found


@writes("window_sum", single=True)
def _window_sum(call: SavedCall) -> str:
    """A convolution with ones."""
    count, channels = len(_spatial(call)), call.spec().shape[1]
    kernel = tuple(_each(call["kernel"], count))
    how = _windows(call, count, call["kernel"])
    if call["ceil_mode"] and "pads" in how:
        how["pads"][count:] = _padding_to_the_end(call, how, kernel)
    return call.out.add("Conv", call.x(), _ones(call, channels, kernel), group=channels, **how)


@writes_in_full("window_sum")
def _window_sum_in_full(call: SavedCall) -> str:
    count, channels = len(_spatial(call)), call.spec().shape[1]
    kernel = tuple(_each(call["kernel"], count))
    if call["ceil_mode"]:
        raise UnwritableError("with a last window beyond the end")
    steps = _each(call["strides"] if call["strides"] is not None else kernel, count), _each(call["dilation"], count)
    ones = _ones(call, channels, kernel)
    return correlate_in_full(call, ones, kernel, _pairs(call, count), *steps, int(str(channels)))


@writes("window_size")
def _window_size(call: SavedCall) -> str:
    """It follows from shapes alone."""
    shape = (1, 1, *_spatial(call))
    if not is_whole(shape):
        raise UnwritableError("of sizes that only data tell")
    return call.out.constant(call.op.compute([np.zeros(shape, call.spec().dtype)], call.attributes), call.result.dtype)


@writes("global_average_pool", single=True)
def _global_average_pool(call: SavedCall) -> str:
    return call.out.add("GlobalAveragePool", call.x())


@writes("global_max_pool", single=True)
def _global_max_pool(call: SavedCall) -> str:
    return call.out.add("GlobalMaxPool", call.x())


@writes("lp_pool", single=True)
def _lp_pool(call: SavedCall) -> str:
    if call["ceil_mode"] or call["p"] != int(call["p"]):
        raise UnwritableError("with a last window beyond the end")
    return call.out.add("LpPool", call.x(), p=int(call["p"]), **_windows(call, len(_spatial(call)), call["kernel"]))


@writes("batch_norm", single=True)
def _batch_norm(call: SavedCall) -> str:
    if normalize_axis(call["axis"], len(call.spec().shape)) != 1:
        raise UnwritableError("along another axis than the second")
    how = {"epsilon": call["epsilon"], "momentum": call["momentum"]}
    return call.out.add("BatchNormalization", *call.all(), **how)


@writes("layer_norm", single=True)
def _layer_norm(call: SavedCall) -> str:
    if not call.has(1):
        raise UnwritableError("without a scale")
    dtype = call.result.dtype
    how = {"axis": call["axis"], "epsilon": call["epsilon"]}
    return call.out.add("LayerNormalization", call.x(0, dtype), call.x(1, dtype), call.optional(2, dtype), **how)


@writes("group_norm", single=True)
def _group_norm(call: SavedCall) -> str:
    if not (call.has(1) and call.has(2)):
        raise UnwritableError("without a scale")
    return call.out.add("GroupNormalization", *call.all(), num_groups=call["groups"], epsilon=call["epsilon"])


@writes("instance_norm", single=True)
def _instance_norm(call: SavedCall) -> str:
    if not (call.has(1) and call.has(2)):
        raise UnwritableError("without a scale")
    return call.out.add("InstanceNormalization", *call.all(), epsilon=call["epsilon"])


@writes("local_response_norm", single=True)
def _local_response_norm(call: SavedCall) -> str:
    if call["size"] % 2 == 0:
        raise UnwritableError("over an even number of channels")  # which onnxruntime does not compute
    how = {name: float(call[name]) for name in ("alpha", "beta", "bias")}
    return call.out.add("LRN", call.x(), size=call["size"], **how)
