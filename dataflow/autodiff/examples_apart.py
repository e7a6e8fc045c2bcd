"""Whether an op reads the examples of a minibatch one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.operations import engine_ops
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.shapes import Shape, axes_with, normalize_axes


def mixes_examples(op: Op, attributes: Mapping[str, Any], shape: Shape, result: Shape, batch: str) -> bool:
    """Whether a primitive op makes an entry of its result of several examples of its first operand, of this shape,
    other than by a sum over them, a product of matrices or their number. What its graphs do is not looked into."""
    along, kept = axes_with(shape, batch), axes_with(result, batch)
    if op is engine_ops.index and not _takes_all(parse_key(attributes["key"]), along):
        return True
    if along and not _keeps_apart(op, attributes, shape, along, result, kept):
        return True
    if "axis" not in attributes or op.elementwise:
        return False
    if len(result) > len(shape):  # a new axis, which is counted in the result
        chosen, along = normalize_axes(attributes["axis"], len(result)), kept
    else:
        chosen = normalize_axes(attributes["axis"], len(shape))
    if not any(axis in chosen for axis in along):
        return False
    return not (op.reduces is np.add or (op.shape_only and len(kept) < len(along)))


def _keeps_apart(
    op: Op, attributes: Mapping[str, Any], shape: Shape, along: Sequence[int], result: Shape, kept: Sequence[int]
) -> bool:
    """Whether an op whose attributes name no axis reads the examples, at axes of its first operand, one by one."""
    if op is engine_ops.reshape:  # what stands before the examples stays before them
        return len(along) == len(kept) and all(
            _entries(shape[:axis]) == _entries(result[:own]) for axis, own in zip(along, kept, strict=True)
        )
    if "batch_dims" in attributes:  # entries at places that are computed
        return max(along) < int(attributes["batch_dims"])
    if "strides" in attributes:  # windows, along all axes but those of examples and channels
        return list(along) == [0]
    if "padding" in attributes and "axes" in attributes:
        padding, padded = attributes["padding"], attributes["axes"]
        chosen = normalize_axes(padded if padded is not None else tuple(range(len(shape))), len(shape))
        pairs = padding if isinstance(padding, tuple) else (padding,) * len(chosen)
        return not any(axis in chosen and np.any(pairs[list(chosen).index(axis)]) for axis in along)
    return True


def _entries(shape: Shape) -> list[Any]:
    """The sizes, but those that are whole numbers as their product."""
    whole = math.prod(size for size in shape if isinstance(size, int))
    return [whole, *(size for size in shape if not isinstance(size, int))]


def _takes_all(entries: Sequence[Any], axes: Sequence[int]) -> bool:
    """Whether an index leaves these axes as they are: a whole slice, and nothing before it that moves axes."""
    return all(
        axis >= len(entries)
        or (entries[axis] == slice(None) and all(isinstance(entry, slice) for entry in entries[:axis]))
        for axis in axes
    )
