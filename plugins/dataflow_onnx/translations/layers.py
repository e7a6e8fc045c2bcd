"""Convolution, pooling and normalization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.shapes import is_static
from dataflow_nn.pooling_windows import pooling_windows
from dataflow_onnx.call import Call, DeclinedError, translates


def windows(call: Call, count: int) -> dict[str, Any]:
    """Strides, padding and dilation."""
    given: dict[str, Any] = {
        "strides": call.attribute("strides", (1,) * count),
        "dilation": call.attribute("dilations", (1,) * count),
    }
    auto = call.attribute("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = call.attribute("pads", (0,) * (2 * count))
        if len(pads) != 2 * count:
            raise FileFormatError(f"{call.op} has {len(pads)} pads for {count} spatial axes")
        given["padding"] = tuple(zip(pads[:count], pads[count:], strict=True))
    elif auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        given["padding"] = auto.lower()
    else:
        raise FileFormatError(f"{call.op} has the unknown auto_pad {auto!r}")
    return given


def _check_kernel(call: Call, W: Any) -> None:
    shape = call.attribute("kernel_shape")
    if shape is not None and tuple(shape) != tuple(W.shape[2:]):
        raise FileFormatError(f"{call.op} has the kernel_shape {list(shape)}, its weights have {list(W.shape[2:])}")


@translates("Conv", until=22)
def _conv(call: Call) -> Any:
    x, W = call.value(0), call.value(1)
    _check_kernel(call, W)
    return ops.conv(x, W, call.optional(2), groups=call.attribute("group", 1), **windows(call, x.ndim - 2))


@translates("ConvTranspose", until=22)
def _conv_transpose(call: Call) -> Any:
    x, W = call.value(0), call.value(1)
    _check_kernel(call, W)
    count = x.ndim - 2
    given = windows(call, count)
    if (size := call.attribute("output_shape")) is not None:
        given["output_shape"] = size
        if not isinstance(given["padding"], str):
            given["padding"] = 0
    more = call.attribute("output_padding", (0,) * count)
    return ops.conv_transpose(x, W, call.optional(2), groups=call.attribute("group", 1), output_padding=more, **given)


def _pooled(call: Call, op: Any, **more: Any) -> Any:
    call.only()
    x, kernel = call.value(0), call.attribute("kernel_shape")
    ceil = bool(call.attribute("ceil_mode", 0))
    return op(x, kernel=kernel, ceil_mode=ceil, **windows(call, x.ndim - 2), **more)


@translates("MaxPool", until=22)
def _max_pool(call: Call) -> Any:
    if not any(call.outputs[1:]):
        return _pooled(call, ops.max_pool)
    x, how = call.value(0), windows(call, call.value(0).ndim - 2)
    if not is_static(x.shape):
        raise FileFormatError("MaxPool needs sizes that are numbers to say where the largest entries are")
    how |= {"kernel": call.attribute("kernel_shape"), "ceil_mode": bool(call.attribute("ceil_mode", 0))}
    return ops.max_pool(x, **how), _places_of_largest(call, x, how)


def _places_of_largest(call: Call, x: Any, how: dict[str, Any]) -> Any:
    """Where in x the largest entry of each window is; of equal ones the first of the window."""
    spatial, count = x.shape[2:], math.prod(x.shape[:2])
    found = pooling_windows(spatial, **how)
    call.check_memory(8 * math.prod(found.counts) * math.prod(found.kernel))
    within = np.full((math.prod(found.kernel), *found.counts), -1)
    for entry, those, inside in found.places:
        within[entry][those] = np.arange(math.prod(spatial)).reshape(spatial)[inside]
    table = within.reshape(len(within), -1).T  # a row for each window
    first_inside = np.take_along_axis(table, (table >= 0).argmax(axis=1)[:, None], axis=1)
    table = np.where(table >= 0, table, first_inside)  # once more, in place of padding
    entries = ops.gather(ops.reshape(x, shape=(count, -1)), call.constant(table, "int64"), axis=1)
    chosen = ops.argmax(entries, axis=2)
    order = "F" if call.attribute("storage_order", 0) else "C"
    places = np.arange(math.prod(spatial)).reshape(spatial, order=order).ravel()[table]
    in_table = chosen + call.constant(np.arange(len(table)) * len(within), "int64")
    first = call.constant(np.arange(count)[:, None] * math.prod(spatial), "int64")
    found_places = ops.gather(call.constant(places.ravel(), "int64"), in_table) + first
    return ops.reshape(found_places, shape=(*x.shape[:2], *found.counts))


@translates("AveragePool", since=7, until=22)
def _average_pool(call: Call) -> Any:
    return _pooled(call, ops.average_pool, count_include_pad=bool(call.attribute("count_include_pad", 0)))


@translates("LpPool", since=2, until=22)
def _lp_pool(call: Call) -> Any:
    return _pooled(call, ops.lp_pool, p=float(call.attribute("p", 2)))


@translates("GlobalAveragePool", until=22)
def _global_average(call: Call) -> Any:
    return ops.global_average_pool(call.value(0))


@translates("GlobalMaxPool", until=22)
def _global_max(call: Call) -> Any:
    return ops.global_max_pool(call.value(0))


@translates("BatchNormalization", since=7, until=15)
def _batch_norm(call: Call) -> Any:
    if call.version < 14:
        call.only()
    if call.attribute("training_mode", 0):
        return _normalized_by_itself(call)
    call.only()
    if call.version < 9 and not call.attribute("spatial", 1):
        raise DeclinedError("BatchNormalization of each place by itself is not supported")
    how = {"epsilon": call.attribute("epsilon", 1e-5), "momentum": call.attribute("momentum", 0.9)}
    return ops.batch_norm(*call.values(), **how)


def _normalized_by_itself(call: Call) -> Any:
    """By the statistics of the batch; the running ones are outputs."""
    x, scale, bias, mean, variance = call.values()
    axes = tuple(i for i in range(x.ndim) if i != 1)
    epsilon, momentum = call.attribute("epsilon", 1e-5), call.attribute("momentum", 0.9)
    own = ops.mean(x, axis=axes), ops.var(x, axis=axes)
    y = ops.batch_norm(x, scale, bias, *own, epsilon=epsilon)
    return y, *(old * momentum + new * (1 - momentum) for old, new in zip((mean, variance), own, strict=True))


@translates("InstanceNormalization", since=6, until=22)
def _instance_norm(call: Call) -> Any:
    return ops.instance_norm(*call.values(), epsilon=call.attribute("epsilon", 1e-5))


@translates("LayerNormalization", until=17)
def _layer_norm(call: Call) -> Any:
    call.only()
    x = _in_full(call)
    how = {"axis": call.attribute("axis", -1), "epsilon": call.attribute("epsilon", 1e-5)}
    return ops.layer_norm(x, call.value(1), call.optional(2), **how)


@translates("RMSNormalization", until=23)
def _rms_norm(call: Call) -> Any:
    how = {"axis": call.attribute("axis", -1), "epsilon": call.attribute("epsilon", 1e-5)}
    return ops.rms_norm(_in_full(call), call.value(1), **how)


@translates("GroupNormalization", since=21, until=21)
def _group_norm(call: Call) -> Any:
    how = {"groups": call.attribute("num_groups"), "epsilon": call.attribute("epsilon", 1e-5)}
    return ops.group_norm(_in_full(call), call.value(1), call.value(2), **how)


def _in_full(call: Call) -> Any:
    """The input, which is not float16: ONNX computes these in float32 then."""
    x = call.value(0)
    if x.dtype.name == "float16":
        raise DeclinedError(f"{call.op} of float16 is not supported")
    return x


@translates("LRN", until=13)
def _local_response_norm(call: Call) -> Any:
    how = {
        "alpha": call.attribute("alpha", 1e-4),
        "beta": call.attribute("beta", 0.75),
        "bias": call.attribute("bias", 1.0),
    }
    return ops.local_response_norm(call.value(0), size=call.attribute("size"), **how)


_COORDINATES = {"tf_crop_and_resize": "crop_and_resize"}


def _in_proportion(policy: str, wanted: Any, sizes: Any) -> tuple[int, ...]:
    """Sizes in the proportion of what is there, none larger, or none smaller, than what is wanted."""
    if not is_static(sizes):
        raise FileFormatError("Resize that keeps proportions needs sizes that are numbers")
    pick = min if policy == "not_larger" else max
    scale = pick(new / old for new, old in zip(wanted, sizes, strict=True))
    return tuple(math.floor(old * scale + 0.5) for old in sizes)


@translates("Upsample", since=9, until=9)
def _upsample(call: Call) -> Any:
    scales = tuple(map(float, call.array(1, "the scales").ravel()))
    how = {"mode": call.attribute("mode", "nearest"), "coordinates": "asymmetric", "rounding": "floor"}
    return ops.resize(call.value(0), scales=scales, axes=tuple(range(call.value(0).ndim)), **how)


@translates("Resize", since=10, until=19)
def _resize(call: Call) -> Any:
    x = call.value(0)
    mode = call.attribute("mode", "nearest")
    axes = tuple(call.attribute("axes", range(x.ndim)))
    if call.version < 11:
        scales = tuple(map(float, call.array(1, "the scales").ravel()))
        return ops.resize(x, scales=scales, axes=axes, mode=mode, coordinates="asymmetric", rounding="floor")
    size: dict[str, Any] = {}
    if call.has(2) and call.array(2, "the scales").size:
        size["scales"] = tuple(map(float, call.array(2, "the scales").ravel()))
    else:
        size["sizes"] = call.numbers(3, "the sizes")
        if (policy := call.attribute("keep_aspect_ratio_policy", "stretch")) != "stretch":
            size["sizes"] = _in_proportion(policy, size["sizes"], [x.shape[axis] for axis in axes])
    coordinates = call.attribute("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        size["region"] = tuple(map(float, call.array(1, "the region").ravel()))
        size["outside"] = call.attribute("extrapolation_value", 0.0)
    return ops.resize(
        x,
        axes=axes,
        mode=mode,
        coordinates=_COORDINATES.get(coordinates, coordinates),
        rounding=call.attribute("nearest_mode", "round_prefer_floor"),
        cubic=call.attribute("cubic_coeff_a", -0.75),
        exclude_outside=bool(call.attribute("exclude_outside", 0)),
        antialias=bool(call.attribute("antialias", 0)),
        **size,
    )
