"""Kernels that compute into given memory, faster than the obvious call would: sums as products, choices by bits."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

FEW = 1024
"""Up to so many summands are added by a product with ones, which starts sooner than numpy's sum and is as exact."""


def total_into(out, x, axes):
    """A function that sums ``x`` over ``axes`` into ``out``, which may have kept them with size 1."""
    kept = tuple(size for i, size in enumerate(x.shape) if i not in axes)
    out = out.reshape(kept)
    if x.dtype == out.dtype and x.dtype.kind == "f" and x.flags.c_contiguous and x.size and axes:
        count = math.prod(x.shape[i] for i in axes)
        if axes == tuple(range(len(axes))) and (kept or count <= FEW):
            return partial(np.dot, np.ones(count, x.dtype), x.reshape(count, -1), out.reshape(-1))
        if axes == tuple(range(x.ndim - len(axes), x.ndim)) and count <= FEW:
            return partial(np.dot, x.reshape(-1, count), np.ones(count, x.dtype), out.reshape(-1))
    return partial(np.add.reduce, x, axes[0] if len(axes) == 1 else axes, out.dtype, out)


def chosen_into(out, condition, a, b):
    """A function that writes ``a`` where the condition holds, else ``b``, into ``out``, which may be either's memory.

    A multiplication of the bits by the mask, as integers, keeps or clears every entry exactly, NaN and infinity too;
    a choice entry by entry takes ten times as long where the mask is irregular.
    """
    left, right = (value if isinstance(value, np.ndarray) else np.array(value, out.dtype) for value in (a, b))
    mask = isinstance(condition, np.ndarray) and condition.dtype == bool
    if not mask or out.dtype.kind != "f" or not left.dtype == right.dtype == out.dtype:
        return lambda: np.copyto(out, np.where(condition, a, b))
    bits = np.dtype(f"i{out.dtype.itemsize}")
    x, y, result = left.view(bits), right.view(bits), out.view(bits)
    if not right.ndim and not y.item():
        return partial(np.multiply, x, condition, result)
    otherwise = np.empty_like(condition)
    negated = partial(np.logical_not, condition, otherwise)
    if not left.ndim and not x.item():
        return in_turn(negated, partial(np.multiply, y, otherwise, result))
    if np.may_share_memory(out, right):
        negation, first, second, mask = [negated], y, x, otherwise
    else:
        negation, first, second, mask = [], x, y, condition
    # first ^ second, kept where first is to be chosen, ^ second
    return in_turn(
        *negation,
        partial(np.bitwise_xor, first, second, result),
        partial(np.multiply, result, mask, result),
        partial(np.bitwise_xor, result, second, result),
    )


def in_turn(*steps):
    """One function of several."""

    def run():
        for step in steps:
            step()

    return run
