"""Ops that make each entry of a few entries along an axis, whichever they are: padding and resampling.

Which they are, and their weights, the op's own kernel tells: applied to the unit matrix, it gives a matrix with few
entries in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow.registry.registry import lookup
from dataflow_jax.table.entries import Call


def pad(call: Call, x: Any, padding: Any, axes: Any, mode: str, value: Any) -> Any:
    """A constant is JAX's own padding."""
    result = call.array(x)
    for axis, pair in _pairs(padding, axes, result.ndim):
        if mode == "constant":
            result = _padded(result, axis, pair, call.array(value))
        else:
            result = _mapped(call, result, axis, "pad", padding=(pair,), axes=(0,), mode=mode)
    return result


def _padded(x: Any, axis: int, pair: tuple[int, int], value: Any) -> Any:
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (*pair, 0)
    return lax.pad(x, value, config)


def pad_transpose(call: Call, g: Any, size: Any, padding: Any, mode: str, axes: Any) -> Any:
    """A constant is cut off."""
    result = call.array(g)
    for axis, pair in _pairs(padding, axes, result.ndim):
        if mode == "constant":
            result = _padded(result, axis, (-pair[0], -pair[1]), call.array(0))
        else:
            length = (size[axis],)
            result = _mapped(call, result, axis, "pad_transpose", size=length, padding=(pair,), mode=mode, axes=(0,))
    return result


def resample(call: Call, x: Any, axis: int, outside: float, **attributes: Any) -> Any:
    """Along one axis."""
    _require_finite(call, x)
    return _mapped(call, x, axis, "resample", axis=0, outside=outside, **attributes)


def resample_transpose(call: Call, g: Any, axis: int, **attributes: Any) -> Any:
    """Along one axis."""
    _require_finite(call, g)
    return _mapped(call, g, axis, "resample_transpose", axis=0, **attributes)


def _require_finite(call: Call, x: Any) -> None:
    """Products with weights that are 0 are left out here, and are NaN in numpy where an entry is not finite."""
    call.require(jnp.isfinite(jnp.asarray(x)))


def _pairs(padding: Any, axes: Any, ndim: int) -> Iterator[tuple[int, tuple[int, int]]]:
    places = range(ndim) if axes is None else axes
    each = [padding] * len(places) if isinstance(padding, int) else padding
    for axis, pair in zip(places, each, strict=True):
        yield axis % ndim, (pair, pair) if isinstance(pair, int) else tuple(pair)


def _mapped(call: Call, x: Any, along: int, name: str, **attributes: Any) -> Any:
    x = call.array(x)
    kernel: Callable[..., Any] = lookup(name).function
    length = x.shape[along]
    with np.errstate(all="ignore"):
        added = np.asarray(kernel(np.zeros((length, 1)), **attributes))[:, 0]
        matrix = np.asarray(kernel(np.eye(length), **attributes)) - added[:, None]
    entries = jnp.moveaxis(x, along, 0)
    aside = (-1,) + (1,) * (x.ndim - 1)
    result = jnp.broadcast_to(call.array(added).reshape(aside), (len(matrix), *entries.shape[1:]))
    most = int((matrix != 0).sum(axis=1).max(initial=0))
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :most]
    for number in range(most):
        sources = order[:, number]
        weights = matrix[np.arange(len(matrix)), sources]
        terms = entries[sources] * call.array(weights).reshape(aside)
        result = result + jnp.where((weights == 0).reshape(aside), 0, terms)
    return jnp.moveaxis(result, 0, along)
