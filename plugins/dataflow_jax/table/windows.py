"""Ops on windows: the products of convolutions, and pooling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow_jax.table.entries import Call
from dataflow_nn.pooling_windows import pooling_windows
from dataflow_nn.windows import Windows

ALL = slice(None)

# ---------------------------------------------------------------------------------------------------- convolutions


def correlate(call: Call, x: Any, W: Any, **attributes: Any) -> Any:
    """The product of a convolution."""
    x, W = _factors(call, x, W)
    return _rounded(call, _correlated(x, W, **attributes))


def correlate_kernel(call: Call, x: Any, y: Any, kernel: Any, **attributes: Any) -> Any:
    """JAX's transpose of the product with respect to the kernel."""
    x, y = _factors(call, x, y)
    shape = jax.ShapeDtypeStruct(call.shape, y.dtype)
    (W,) = jax.linear_transpose(lambda W: _correlated(x, W, **attributes), shape)(y)
    return _rounded(call, W)


def correlate_transpose(call: Call, y: Any, W: Any, size: Any, **attributes: Any) -> Any:
    """JAX's transpose of the product with respect to x."""
    y, W = _factors(call, y, W)
    shape = jax.ShapeDtypeStruct(call.shape, y.dtype)
    (x,) = jax.linear_transpose(lambda x: _correlated(x, W, **attributes), shape)(y)
    return _rounded(call, x)


def _factors(call: Call, *arrays: Any) -> list[Any]:
    """Whole numbers are multiplied as floats, which is exact up to 2^53: XLA has no fast product of them. It leaves out
    products with the zeros of padding, which are NaN where the other factor is not finite: those are left to numpy."""
    factors = [jnp.asarray(array, call.dtype if call.dtype.kind == "f" else np.float64) for array in arrays]
    for factor in factors:
        call.require(jnp.isfinite(factor))
    return factors


def _rounded(call: Call, product: Any) -> Any:
    return product if call.dtype.kind == "f" else jnp.rint(product)


def _correlated(x: Any, W: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    windows = pooling_windows(x.shape[2:], W.shape[2:], strides, padding, dilation, False)
    return lax.conv_general_dilated(
        x, W, windows.strides, windows.pairs, rhs_dilation=windows.dilation, feature_group_count=groups
    )


# ---------------------------------------------------------------------------------------------------- pooling


def max_pool(call: Call, x: Any, **attributes: Any) -> Any:
    """The largest entries."""
    x = jnp.asarray(x)
    return _largest(x, pooling_windows(x.shape[2:], **attributes))


def max_pool_gather(call: Call, t: Any, x: Any, **attributes: Any) -> Any:
    """One entry of the windows after the other, as the op's kernel."""
    x = jnp.asarray(x)
    windows = pooling_windows(x.shape[2:], **attributes)
    t, largest = call.array(t), _largest(x, windows)
    total = ties = jnp.zeros(call.shape, call.dtype)
    for place in windows.places:
        chosen = _is_chosen(x, largest, place)
        total += _spread_windows(jnp.where(chosen, t[(ALL, ALL, *place[2])], 0), place[1], windows.counts)
        ties += _spread_windows(chosen.astype(call.dtype), place[1], windows.counts)
    return jnp.where(largest == largest, total / ties, largest.astype(call.dtype))


def max_pool_spread(call: Call, g: Any, x: Any, **attributes: Any) -> Any:
    """One entry of the windows after the other, as the op's kernel."""
    x = jnp.asarray(x)
    windows = pooling_windows(x.shape[2:], **attributes)
    g, largest = call.array(g), _largest(x, windows)
    chosen = [_is_chosen(x, largest, place) for place in windows.places]
    ties = jnp.zeros(g.shape, call.dtype)
    for mask, (_, inside, _) in zip(chosen, windows.places, strict=True):
        ties += _spread_windows(mask.astype(call.dtype), inside, windows.counts)
    shares = jnp.where(largest == largest, g / ties, largest.astype(call.dtype))
    result = jnp.zeros(call.shape, call.dtype)
    for mask, (_, inside, at) in zip(chosen, windows.places, strict=True):
        result += _spread_windows(jnp.where(mask, shares[(ALL, ALL, *inside)], 0), at, windows.sizes)
    return result


def _is_chosen(x: Any, largest: Any, place: Any) -> Any:
    """For which windows that entry is a largest one: not by ≥, which NaN is not."""
    _, inside, at = place
    return ~(x[(ALL, ALL, *at)] < largest[(ALL, ALL, *inside)])


def _spread_windows(part: Any, at: Any, sizes: Any) -> Any:
    """Zeros with the part at those slices, of axes of those sizes."""
    config = [(0, 0, 0), (0, 0, 0)]
    for piece, size, count in zip(at, sizes, part.shape[2:], strict=True):
        step = piece.step or 1
        config.append((piece.start, size - 1 - piece.start - (count - 1) * step, step - 1))
    return lax.pad(part, jnp.zeros((), part.dtype), config)


def window_sum(call: Call, x: Any, **attributes: Any) -> Any:
    """Sums of windows."""
    x = call.array(x)
    return _reduced(x, pooling_windows(x.shape[2:], **attributes), 0, lax.add)


def window_spread(call: Call, g: Any, size: Any, **attributes: Any) -> Any:
    """Along one axis after the other."""
    result = call.array(g)
    windows = pooling_windows(size, **attributes)
    for axis, length in enumerate(windows.sizes):
        before, part = (ALL,) * (2 + axis), result
        shape = (*part.shape[: 2 + axis], length, *part.shape[3 + axis :])
        result = jnp.zeros(shape, call.dtype)
        for _, inside, at in windows.along(axis):
            whole = [slice(0, one) for one in shape[2:]]
            whole[axis] = at
            result += _spread_windows(part[(*before, inside)], whole, shape[2:])
    return result


def _largest(x: Any, windows: Windows) -> Any:
    kind = x.dtype.kind
    lowest = -np.inf if kind == "f" else False if kind == "b" else np.iinfo(x.dtype).min
    return _reduced(x, windows, lowest, lax.bitwise_or if kind == "b" else lax.max)


def _reduced(x: Any, windows: Windows, neutral: Any, function: Any) -> Any:
    """x gets so much padding, or loses so much, that the windows just fit."""
    config = [(0, 0, 0), (0, 0, 0)]
    for axis, (size, count) in enumerate(zip(windows.sizes, windows.counts, strict=True)):
        before = windows.pairs[axis][0]
        extent = (windows.kernel[axis] - 1) * windows.dilation[axis] + 1
        config.append((before, (count - 1) * windows.strides[axis] + extent - before - size, 0))
    start = np.asarray(neutral, x.dtype)
    if any(sum(map(abs, pair)) for pair in config):
        x = lax.pad(x, jnp.asarray(start), config)
    sizes, steps, apart = ((1, 1, *each) for each in (windows.kernel, windows.strides, windows.dilation))
    return lax.reduce_window(x, start, function, sizes, steps, "VALID", window_dilation=apart)
