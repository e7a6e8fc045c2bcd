"""Ops with indices that are computed. An index out of its range is left to numpy, which names it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from dataflow_jax.table.entries import Call


def gather_elements(call: Call, x: Any, indices: Any, axis: int, wrap: bool) -> Any:
    """Entries along an axis."""
    if not wrap:
        call.require(jnp.asarray(indices) >= 0)
    return jnp.asarray(x).at[_along_axis(call, indices, axis, np.shape(x))].get(mode="clip")


def gather_nd(call: Call, x: Any, indices: Any, batch_dims: int) -> Any:
    """Pieces at places."""
    return jnp.asarray(x).at[_at_places(call, indices, batch_dims, np.shape(x))].get(mode="clip")


def scatter_elements(call: Call, x: Any, indices: Any, updates: Any, axis: int, combine: str) -> Any:
    """Updates put along an axis."""
    return _combined(call, x, _along_axis(call, indices, axis, np.shape(x)), updates, combine)


def scatter_nd(call: Call, x: Any, indices: Any, updates: Any, batch_dims: int, combine: str) -> Any:
    """Updates put to places."""
    return _combined(call, x, _at_places(call, indices, batch_dims, np.shape(x)), updates, combine)


def _combined(call: Call, x: Any, key: tuple[Any, ...], updates: Any, combine: str) -> Any:
    places = call.array(x).at[key]
    methods = {"replace": "set", "add": "add", "multiply": "multiply", "maximum": "max", "minimum": "min"}
    return getattr(places, methods[combine])(call.array(updates), mode="drop")


def _along_axis(call: Call, indices: Any, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    indices = jnp.asarray(indices)
    along = axis % indices.ndim
    key: list[Any] = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    key[along] = _in_range(call, indices, shape[along])
    return tuple(key)


def _at_places(call: Call, indices: Any, batch_dims: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    indices = jnp.asarray(indices)
    lead = indices.shape[:-1]
    key: list[Any] = [
        np.arange(size).reshape((-1,) + (1,) * (len(lead) - 1 - axis)) for axis, size in enumerate(lead[:batch_dims])
    ]
    columns = range(indices.shape[-1])
    return (*key, *(_in_range(call, indices[..., column], shape[batch_dims + column]) for column in columns))


def _in_range(call: Call, indices: Any, size: int) -> Any:
    """Indices from 0, of those that may count from the end."""
    call.require((indices >= -size) & (indices < size))
    return jnp.where(indices < 0, indices + size, indices)
