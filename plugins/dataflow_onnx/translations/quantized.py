"""Whole numbers that stand for others: number = (whole number − zero point) · scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, translates
from dataflow_onnx.narrow import NARROW, NarrowFloat, narrowed
from dataflow_onnx.tensors import dtype_of


def _spread(call: Call, vector: Any, x: Any) -> Any:
    """A scale or zero point as it stands along x: one for all, for each place of an axis, or for each block of it."""
    block = call.attribute("block_size", 0)
    axis = call.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if block:
        return ops.gather(vector, call.constant(np.arange(_size(x, axis)) // block, np.int64), axis=axis)
    if vector.ndim == 0 or (vector.ndim == 1 and vector.shape[0] == 1):
        return ops.reshape(vector, shape=())
    if vector.ndim != 1:
        raise DeclinedError(f"{call.op} with a scale of {vector.ndim} axes is not supported")
    return ops.reshape(vector, shape=tuple(-1 if i == axis else 1 for i in range(x.ndim)))


def _size(x: Any, axis: int) -> int:
    if not isinstance(x.shape[axis], int):
        raise FileFormatError("blocks of numbers need a size that is a number")
    return int(x.shape[axis])


def _rounded(x: Any, zero: Any, dtype: np.dtype[Any], narrow: int = 0) -> Any:
    """Numbers as whole ones: rounded, moved to the zero point, and kept within what the dtype holds, or a type that is
    narrower. Floats of 8 or 4 bits are floats."""
    kind = NARROW.get(narrow)
    if isinstance(kind, NarrowFloat):
        return narrowed(x if zero is None else x + zero, narrow)
    if dtype.kind not in "iu":
        raise DeclinedError(f"quantizing to {dtype} is not supported")
    low, high = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) if kind is None else kind.limits
    moved = ops.round(x) if zero is None else ops.round(x) + ops.cast(zero, dtype=x.dtype.name)
    return ops.cast(ops.clip(moved, low, high), dtype=dtype.name)


@translates("QuantizeLinear", until=28)
def _quantize(call: Call) -> Any:
    x, scale, zero = call.value(0), call.value(1), call.optional(2)
    named = call.attribute("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_of(named) if named else np.dtype("uint8")
    exact = "float64" if x.dtype == np.float64 else "float32"
    quotient = ops.cast(x, dtype=exact) / ops.cast(_spread(call, scale, x), dtype=exact)
    return _rounded(quotient, None if zero is None else _spread(call, zero, x), dtype, call.narrow(2) or named)


@translates("DequantizeLinear", until=28)
def _dequantize(call: Call) -> Any:
    x, scale, zero = call.value(0), call.value(1), call.optional(2)
    named = call.attribute("output_dtype", 0)
    dtype = dtype_of(named) if named else scale.dtype
    exact = "float32" if dtype == np.float16 else dtype.name
    if call.narrow(0) and x.dtype.kind == "f":
        whole = x if zero is None else x - _spread(call, zero, x)
    else:
        whole = _less(x, None if zero is None else _spread(call, zero, x))
    return ops.cast(ops.cast(whole, dtype=exact) * ops.cast(_spread(call, scale, x), dtype=exact), dtype=dtype.name)


def _less(x: Any, zero: Any) -> Any:
    """The whole numbers without their zero point."""
    if x.dtype.kind not in "iu":
        raise DeclinedError(f"quantized numbers of {x.dtype} are not supported")
    wide = "int32" if x.dtype.itemsize < 4 else "int64"
    x = ops.cast(x, dtype=wide)
    return x if zero is None else x - ops.cast(zero, dtype=wide)


@translates("DynamicQuantizeLinear", until=28)
def _quantize_by_range(call: Call) -> Any:
    x = call.value(0)
    low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
    scale = (high - low) / 255.0
    zero = ops.cast(ops.round(ops.clip(-low / scale, 0.0, 255.0)), dtype="uint8")
    return _rounded(x / scale, zero, np.dtype("uint8")), scale, zero


def _zero_of_rows(zero: Any) -> Any:
    """A zero point for each row of the first factor stands as a column."""
    return zero if zero is None or zero.ndim != 1 or zero.shape[0] == 1 else ops.expand_dims(zero, axis=-1)


@translates("MatMulInteger", until=28)
def _matmul_of_whole(call: Call) -> Any:
    a, b = _less(call.value(0), _zero_of_rows(call.optional(2))), _less(call.value(1), call.optional(3))
    return ops.cast(a @ b, dtype="int32")


def _scaled(call: Call, product: Any, first: int) -> Any:
    """A product of whole numbers in the scale of the result: inputs from ``first`` on."""
    scale, zero = call.value(first), call.value(first + 1)
    exact = ops.cast(product, dtype="float64")
    factor = ops.cast(call.value(1), dtype="float64") * ops.cast(call.value(4), dtype="float64")
    if factor.ndim == 1 and call.op == "QLinearConv" and factor.shape[0] != 1:
        factor = ops.reshape(factor, shape=(-1, *(1 for _ in range(product.ndim - 2))))
    return _rounded(exact * (factor / ops.cast(scale, dtype="float64")), zero, zero.dtype)


@translates("QLinearMatMul", until=28)
def _quantized_matmul(call: Call) -> Any:
    product = _less(call.value(0), call.value(2)) @ _less(call.value(3), call.value(5))
    return _scaled(call, product, 6)


def _convolved(call: Call, x: Any, W: Any, bias: Any = None) -> Any:
    """The convolution of whole numbers, which float64 holds exactly."""
    from dataflow_onnx.translations.layers import windows

    given = windows(call, x.ndim - 2)
    exact = [ops.cast(value, dtype="float64") for value in (x, W)]
    bias = None if bias is None else ops.cast(bias, dtype="float64")
    return ops.conv(*exact, bias, groups=call.attribute("group", 1), **given)


def _zero_of_kernels(zero: Any, W: Any) -> Any:
    return zero if zero is None or zero.ndim == 0 else ops.reshape(zero, shape=(-1, *(1 for _ in range(W.ndim - 1))))


@translates("ConvInteger", until=28)
def _convolution_of_whole(call: Call) -> Any:
    x, W = call.value(0), call.value(1)
    product = _convolved(call, _less(x, call.optional(2)), _less(W, _zero_of_kernels(call.optional(3), W)))
    return ops.cast(product, dtype="int32")


@translates("QLinearConv", until=28)
def _quantized_convolution(call: Call) -> Any:
    x, W = call.value(0), call.value(3)
    whole = _less(x, call.value(2)), _less(W, _zero_of_kernels(call.value(5), W))
    return _scaled(call, _convolved(call, *whole, call.optional(8)), 6)
