"""Kernels that compute into given memory, faster than the obvious call would: sums as products, choices by bits."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

FEW = 1024
"""Up to this many summands are added by a product with ones, which starts sooner than numpy's sum and is as exact."""

UNSHARED = 8192
"""Up to this many entries, a product of vectors stays on one thread with every BLAS."""


def total_into(out, x, axes):
    """What sums ``x`` over ``axes`` into ``out``, which may have kept them with size 1."""
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
    """What writes ``a`` where the condition holds, else ``b``, into ``out``, which may be either's memory.

    A multiplication of the bits by the mask, as integers, keeps or clears every entry exactly, NaN and infinity too;
    a choice entry by entry takes ten times as long where the mask is irregular.
    """
    left, right = (np.array(value, out.dtype) if isinstance(value, (int, float)) else value for value in (a, b))
    masked = not isinstance(condition, (int, float)) and condition.dtype == bool
    if not masked or out.dtype.kind != "f" or not left.dtype == right.dtype == out.dtype:
        return partial(_write, np.where, out, condition, a, b)
    bits = np.dtype(f"i{out.dtype.itemsize}")
    x, y, result = left.view(bits), right.view(bits), out.view(bits)
    if _is_zero(y):
        return partial(np.multiply, x, condition, result)
    otherwise = np.empty_like(condition)
    negated = partial(np.logical_not, condition, otherwise)
    if _is_zero(x):
        return negated, partial(np.multiply, y, otherwise, result)
    if np.may_share_memory(out, right):
        negation, first, second, mask = [negated], y, x, otherwise
    else:
        negation, first, second, mask = [], x, y, condition
    # first ^ second, kept where first is to be chosen, ^ second
    return (
        *negation,
        partial(np.bitwise_xor, first, second, result),
        partial(np.multiply, result, mask, result),
        partial(np.bitwise_xor, result, second, result),
    )


def masked_into(kernel, out, x, keep, source):
    """What writes ``x`` where ``keep`` holds, else 0, and NaN where ``source`` is NaN, into ``out``, which may be the
    memory of ``x`` or ``source``. ``kernel`` does the same without ``out``."""
    plain = partial(_write, kernel, out, x, keep, source)
    left = np.array(x, out.dtype) if isinstance(x, (int, float)) else x
    masked = not isinstance(keep, (int, float)) and keep.dtype == bool
    if not masked or out.dtype.kind != "f" or left.dtype != out.dtype:
        return plain
    bits = np.dtype(f"i{out.dtype.itemsize}")
    product = left.view(bits), keep, out.view(bits)
    if isinstance(source, (int, float)) or source.dtype.kind != "f":
        return plain if isinstance(source, float) else partial(np.multiply, *product)
    entries = source.reshape(-1) if source.flags.c_contiguous and source.size <= UNSHARED else None
    return partial(_write_masked, kernel, out, x, keep, source, entries, *product)


def _write_masked(kernel, out, x, keep, source, entries, bits, mask, result, multiply=np.multiply, isnan=math.isnan):
    # The product of the entries with themselves, or the largest, is NaN where one is, at less cost than a mask of NaNs.
    if not isnan(np.maximum.reduce(source, None) if entries is None else entries.dot(entries)):
        multiply(bits, mask, result)
    else:
        _write(kernel, out, x, keep, source)


def _write(kernel, out, *inputs):
    np.copyto(out, kernel(*inputs))


def _is_zero(bits):
    """Whether these are the bits of a single known number, a plain one or a constant, that is 0."""
    return isinstance(bits, np.ndarray) and not bits.ndim and not bits.item()
