"""The table: each registered primitive op that is no ufunc, and whose shape does not depend on values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dataflow.operations.engine_ops.shaping import summed_axes
from dataflow.operations.indexing import parse_key
from dataflow_jax.table import gathering, windows
from dataflow_jax.table.axis_maps import pad, pad_transpose, resample, resample_transpose
from dataflow_jax.table.entries import Call, Entry, alone, joined
from dataflow_jax.table.random_numbers import random_uniform

# ---------------------------------------------------------------------------------------------------- elementwise


def _truth(x: Any) -> Any:
    """Which entries are not 0. XLA makes whole numbers of 64 bits of truth values that are compared with one."""
    x = jnp.asarray(x)
    return x if x.dtype == bool else x != 0


def _where(call: Call, condition: Any, a: Any, b: Any) -> Any:
    return jnp.where(_truth(condition), call.array(a), call.array(b))


def _masked(call: Call, x: Any, keep: Any, source: Any) -> Any:
    source = jnp.asarray(source)
    kept = jnp.where(_truth(keep), call.array(x), call.array(0))
    return jnp.where(source != source, call.array(source), kept)


def _cast(call: Call, x: Any, dtype: Any) -> Any:
    return _truth(x) if call.dtype.kind == "b" else jnp.asarray(x).astype(call.dtype)


# ---------------------------------------------------------------------------------------------------- shapes


def _index(call: Call, x: Any, key: str) -> Any:
    return jnp.asarray(x)[parse_key(key)]


def _place(call: Call, x: Any, key: str, shape: Any) -> Any:
    """Zeros around and between the entries, which is faster than to write to them."""
    axes = _axes_of(key, shape)
    sizes = zip(axes, shape, strict=True)
    config = [(axis.start, size - 1 - axis[-1], axis.step - 1) if axis else (0, size, 0) for axis, size in sizes]
    return jax.lax.pad(_lying(call, x, key, shape), call.array(0), config)


def _place_all(call: Call, *xs: Any, keys: tuple[str, ...], shape: Any) -> Any:
    """Parts that do not meet: joined where they fill an axis, else written one after the other, so that each takes as
    long as it is."""
    filled = _filled_axis([_axes_of(key, shape) for key in keys], shape)
    if filled is not None:
        axis, order = filled
        if len({_manner(key, shape) for key in keys}) == 1:
            return joined([xs[i] for i in order], axis, lambda x: _lying(call, x, keys[0], shape) + call.array(0))
        return jnp.concatenate([_lying(call, alone(xs[i]), keys[i], shape) + call.array(0) for i in order], axis)
    result = jnp.zeros(shape, call.dtype)
    for key, kept in zip(keys, xs, strict=True):
        x = alone(kept)
        axes = _axes_of(key, shape)
        if all(axis.step == 1 for axis in axes):
            starts = [axis.start for axis in axes]
            result = jax.lax.dynamic_update_slice(result, _lying(call, x, key, shape) + call.array(0), starts)
        else:
            result = result + _place(call, x, key, shape)
    return result


def _filled_axis(spans: list[list[range]], shape: tuple[int, ...]) -> tuple[int, list[int]] | None:
    """The axis along which the parts lie one after the other without a gap, whole in all others, and their order."""
    for axis, size in enumerate(shape):
        order = sorted(range(len(spans)), key=lambda i, axis=axis: spans[i][axis].start)
        whole = all(len(span[other]) == shape[other] for span in spans for other in range(len(shape)) if other != axis)
        if whole and [place for i in order for place in spans[i][axis]] == list(range(size)):
            return axis, order
    return None


def _axes_of(key: str, shape: tuple[int, ...]) -> list[range]:
    """Which entries of each axis are meant, in ascending order."""
    axes = [range(*item.indices(size)) for item, size in zip(_items(key, shape), shape, strict=True)]
    return [axis if axis.step > 0 else axis[::-1] for axis in axes]


def _manner(key: str, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """What ``_lying`` does goes by this alone."""
    items = _full(key)
    kinds = tuple("number" if isinstance(item, int) else "new" if item is None else item is Ellipsis for item in items)
    flipped = tuple((item.step or 1) < 0 for item in _items(key, shape))
    return kinds, flipped, tuple(len(axis) for axis in _axes_of(key, shape))


def _lying(call: Call, x: Any, key: str, shape: tuple[int, ...]) -> Any:
    """x with all axes of the shape, as it lies in them."""
    items = _items(key, shape)
    flipped = [axis for axis, item in enumerate(items) if (item.step or 1) < 0]
    full = jnp.broadcast_to(call.array(x), np.broadcast_to(0, shape)[_full(key)].shape)
    return jnp.flip(full.reshape([len(axis) for axis in _axes_of(key, shape)]), flipped)


def _items(key: str, shape: tuple[int, ...]) -> list[slice]:
    """A slice for each axis: of size 1 for a number."""
    items = _full(key)
    where = items.index(Ellipsis)
    missing = len(shape) - sum(item is not None for item in items) + 1
    whole = [item for item in (*items[:where], *(slice(None),) * missing, *items[where + 1 :]) if item is not None]
    return [
        slice(item % size, item % size + 1) if isinstance(item, int) else item  # type: ignore[misc]
        for item, size in zip(whole, shape, strict=True)
    ]


def _full(key: str) -> Any:
    items = parse_key(key)
    return items if Ellipsis in items else (*items, Ellipsis)


def _expand_dims(call: Call, x: Any, axis: Any) -> Any:
    return jnp.expand_dims(x, axis)


def _part(call: Call, *xs: Any, which: int, axis: int) -> Any:
    whole, *pieces = xs
    along = axis % whole.ndim
    start = sum(piece.shape[along] for piece in pieces[:which])
    return jax.lax.slice_in_dim(jnp.asarray(whole), start, start + pieces[which].shape[along], axis=along)


def _stack(call: Call, *xs: Any, axis: int) -> Any:
    along = axis % len(call.shape)
    one = (*call.shape[:along], *call.shape[along + 1 :])
    return joined(xs, along, lambda x: jnp.expand_dims(jnp.broadcast_to(call.array(x), one), along))


def _concatenate(call: Call, *xs: Any, axis: int) -> Any:
    return joined(xs, axis % len(call.shape), call.array)


# ---------------------------------------------------------------------------------------------------- sums and the like


def _sum_to(call: Call, x: Any, shape: Any) -> Any:
    axes = summed_axes(x.shape, shape)
    return jnp.sum(call.array(x), axis=axes).reshape(shape) if axes else x.reshape(shape)


def _argument(name: str) -> Entry:
    return lambda call, x, axis, keepdims: getattr(jnp, name)(x, axis=axis, keepdims=keepdims)


def _argsort(call: Call, x: Any, axis: int, descending: bool) -> Any:
    if not descending:
        return jnp.argsort(x, axis=axis, stable=True)
    order = jnp.flip(jnp.argsort(jnp.flip(x, axis), axis=axis, stable=True), axis)
    return x.shape[axis] - 1 - order


def _cumulative(name: str, identity: int) -> Entry:
    def accumulated(call: Call, x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
        x = call.array(jnp.flip(x, axis) if reverse else x)
        if exclusive:
            first = jnp.full_like(jax.lax.slice_in_dim(x, 0, min(1, x.shape[axis]), axis=axis), identity)
            before = jax.lax.slice_in_dim(x, 0, max(0, x.shape[axis] - 1), axis=axis)
            x = jnp.concatenate([first, before], axis)
        result = getattr(jnp, name)(x, axis=axis)
        return jnp.flip(result, axis) if reverse else result

    return accumulated


TABLE: dict[str, Entry] = {
    "where": _where,
    "masked": _masked,
    "cast": _cast,
    "identity": lambda call, x: x,
    "erf": lambda call, x: jax.scipy.special.erf(call.array(x)),
    "erfc": lambda call, x: jax.scipy.special.erfc(call.array(x)),
    "broadcast_to": lambda call, x, shape: jnp.broadcast_to(x, shape),
    "expand_dims": _expand_dims,
    "index": _index,
    "place": _place,
    "place_all": _place_all,
    "reshape": lambda call, x, shape: jnp.reshape(x, shape),
    "transpose": lambda call, x, axes: jnp.transpose(x, axes),
    "shaped_like": lambda call, x, like: x,
    "part": _part,
    "stack": _stack,
    "concatenate": _concatenate,
    "matmul": lambda call, a, b: jnp.matmul(call.array(a), call.array(b)),
    "sum": lambda call, x, axis, keepdims: jnp.sum(call.array(x), axis=axis, keepdims=keepdims),
    "sum_to": _sum_to,
    "prod": lambda call, x, axis, keepdims: jnp.prod(call.array(x), axis=axis, keepdims=keepdims),
    "max": lambda call, x, axis, keepdims: jnp.max(x, axis=axis, keepdims=keepdims),
    "min": lambda call, x, axis, keepdims: jnp.min(x, axis=axis, keepdims=keepdims),
    "argmax": _argument("argmax"),
    "argmin": _argument("argmin"),
    "argsort": _argsort,
    "cumsum": _cumulative("cumsum", 0),
    "cumprod": _cumulative("cumprod", 1),
    "gather_elements": gathering.gather_elements,
    "gather_nd": gathering.gather_nd,
    "scatter_elements": gathering.scatter_elements,
    "scatter_nd": gathering.scatter_nd,
    "correlate": windows.correlate,
    "correlate_kernel": windows.correlate_kernel,
    "correlate_transpose": windows.correlate_transpose,
    "max_pool": windows.max_pool,
    "max_pool_gather": windows.max_pool_gather,
    "max_pool_spread": windows.max_pool_spread,
    "window_sum": windows.window_sum,
    "window_spread": windows.window_spread,
    "pad": pad,
    "pad_transpose": pad_transpose,
    "resample": resample,
    "resample_transpose": resample_transpose,
    "random_uniform": random_uniform,
}

JOINING = ("concatenate", "stack", "place_all")
"""These are handed what steps of a loop kept as such."""
