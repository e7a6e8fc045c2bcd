"""Views of a plan, as slices of arrays of JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow.plan import View, concrete
from dataflow.shapes import TensorSpec

TINY = 64
"""The size of a matrix below which its layout does not count."""


def is_across(view: View) -> bool:
    """Whether neighbours in the last axis lie apart, as in a transposed matrix."""
    return bool(view.strides) and view.strides[-1] > 1


def lying(matrix: Any) -> Any:
    """A matrix that is to be multiplied from the left, laid row by row: XLA's products on processors take longer to
    read one across than this copy takes, unless it is tiny."""
    copied = matrix.size >= TINY and jax.default_backend() == "cpu"
    return lax.optimization_barrier(matrix) if copied else matrix


def window(base: Any, view: View, spec: TensorSpec) -> Any:
    """A view, which the plan has as an offset and strides, as a slice of its base, or of its base in another shape;
    where there is none, entry by entry."""
    shape = concrete(spec)
    base = jnp.asarray(base)
    if 0 in shape:
        return jnp.zeros(shape, base.dtype)
    offset, axes, flipped = view.offset, [], []
    for axis, (size, stride) in enumerate(zip(shape, view.strides, strict=True)):
        if size > 1 and stride < 0:
            offset += stride * (size - 1)
            flipped.append(axis)
        if size > 1 and stride:
            axes.append((abs(stride), size, axis))
    axes.sort(reverse=True)
    result = _sliced(base, offset, axes)
    if result is None:
        index = np.full((1,) * len(axes), offset)
        for place, (stride, size, _) in enumerate(axes):
            index = index + (np.arange(size) * stride).reshape((-1,) + (1,) * (len(axes) - 1 - place))
        result = base.reshape(-1)[index]
    order = [axis for _, _, axis in axes]
    result = jnp.transpose(result, sorted(range(len(order)), key=order.__getitem__))
    repeated = [axis for axis in range(len(shape)) if axis not in order]
    result = jnp.flip(jnp.expand_dims(result, repeated), flipped)
    return jnp.broadcast_to(result, shape)


def _sliced(base: Any, offset: int, axes: Sequence[tuple[int, int, int]]) -> Any:
    """The entries with these strides and sizes, strides descending; ``None`` where that is no slice."""
    contiguous, step = True, 1
    for stride, size, _ in reversed(axes):
        contiguous, step = contiguous and stride == step, step * size
    if contiguous and step == base.size:
        return base.reshape([size for _, size, _ in axes])
    found = _sliced_in(base, base.shape, offset, axes)
    if found is None:
        lengths, whole = [], base.size
        for stride, _, _ in axes:
            lengths.append(whole // stride if whole % stride == 0 else 0)
            whole = stride
        found = _sliced_in(base, (*lengths, whole), offset, axes) if all(lengths) else None
    if found is None and contiguous:
        found = base.reshape(-1)[offset : offset + step].reshape([size for _, size, _ in axes])
    return found


def _sliced_in(base: Any, shape: Sequence[int], offset: int, axes: Sequence[tuple[int, int, int]]) -> Any:
    """The same as a slice of the base in that shape, one axis of the view for one of the shape at most."""
    left, key, pitch = list(axes), [], base.size
    for length in shape:
        pitch //= max(1, length)
        start = offset // pitch % length
        own = [axis for axis in left if pitch <= axis[0] < pitch * length]
        if len(own) > 1:
            return None
        if not own:
            key.append(start)
            continue
        ((stride, size, _),) = own
        left.remove(own[0])
        step = stride // pitch
        if stride % pitch or start + step * (size - 1) >= length:
            return None
        key.append(slice(start, start + step * (size - 1) + 1, step))
    return None if left else base.reshape(shape)[tuple(key)]
