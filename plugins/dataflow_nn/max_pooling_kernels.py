"""How pooling by the largest entry, and its derivative, are computed into given memory: one numpy call for each entry
of the windows along an axis, or for each entry of the windows, for all windows at once."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dataflow_nn.pooling_windows import check_covered

ALL = slice(None)


def largest_into(out, x, windows):
    """Steps that write the largest entry of each window into ``out``: along one axis after the other, so that there are
    as many calls as the sum of the kernel's sizes, and the first of them read rows as they lie in memory."""
    check_covered(windows)
    if not out.size:
        return []
    steps = []
    for axis, count in enumerate(windows.counts):
        last = axis + 1 == len(windows.counts)
        target = out if last else np.empty((*x.shape[: 2 + axis], count, *x.shape[3 + axis :]), x.dtype)
        before = (ALL,) * (2 + axis)
        parts = [(target[(*before, inside)], x[(*before, at)], inside) for inside, at in _longest_first(windows, axis)]
        first, entries, inside = parts.pop(0)
        if inside == slice(0, count) and parts and parts[0][2] == inside:
            steps.append(partial(np.maximum, entries, parts.pop(0)[1], out=target))
        else:
            steps += [partial(np.ndarray.fill, target, _lowest(x.dtype)), partial(np.copyto, first, entries)]
        steps += [partial(np.maximum, part, entries, out=part) for part, entries, _ in parts]
        x = target
    return steps


def _longest_first(windows, axis):
    """The parts along an axis; where there is one for all windows, it comes first."""
    parts = [(inside, entries) for _, inside, entries in windows.along(axis)]
    return sorted(parts, key=lambda part: part[0].start - part[0].stop)


def largest_comparisons(outer, windows):
    """How many comparisons ``largest_into`` makes for that many arrays of windows."""
    total = 0
    for axis, count in enumerate(windows.counts):
        lengths = [inside.stop - inside.start for inside, _ in _longest_first(windows, axis)]
        total += outer * math.prod(windows.sizes[axis + 1 :]) * (sum(lengths) - max(lengths, default=0))
        outer *= count
    return total


def spread_into(out, g, x, windows):
    """Steps that write into ``out`` the cotangent of x for the cotangent g of the windows' largest entries, in equal
    shares where several are largest; NaN for all of a window that has one."""
    top = np.empty(g.shape, x.dtype)
    shares = np.empty(g.shape, out.dtype)
    ties = np.empty(g.shape, np.min_scalar_type(len(windows.places)))
    steps = [*largest_into(top, x, windows), partial(np.ndarray.fill, ties, 0)]
    chosen = []
    for _, inside, at in windows.places:
        inside, at = (ALL, ALL, *inside), (ALL, ALL, *at)
        mask = np.empty(top[inside].shape, bool)
        steps += [  # not ≥, which NaN is not
            partial(np.less, x[at], top[inside], mask),
            partial(np.logical_not, mask, mask),
            partial(np.add, ties[inside], mask, ties[inside]),
        ]
        chosen.append((mask, inside, at))
    steps += [partial(np.divide, g, ties, shares), partial(_mark_nan, shares, top, np.empty(g.shape, bool))]
    added = windows.overlap or out.dtype.kind != "f"
    if added or not windows.reach_all:
        steps.append(partial(np.ndarray.fill, out, 0))
    for mask, inside, at in chosen:
        if out.dtype.kind != "f":
            steps.append(partial(_add, out[at], mask, shares[inside]))
        elif added:
            part = np.empty(mask.shape, out.dtype)
            steps += [_kept(part, mask, shares[inside]), partial(np.add, out[at], part, out[at])]
        else:
            steps.append(_kept(out[at], mask, shares[inside]))
    return steps


def _kept(target, mask, shares):
    """A step that writes the shares where the mask holds, else 0: as a product of their bits, which takes NaN and
    infinity as they are, and no longer where the mask is irregular."""
    bits = np.dtype(f"i{target.dtype.itemsize}")
    return partial(np.multiply, shares.view(bits), mask, target.view(bits))


def _add(target, mask, shares):
    target[...] = np.where(mask, target + shares, target)


def _mark_nan(shares, top, mask):
    if np.not_equal(top, top, mask).any():
        np.copyto(shares, top, casting="unsafe", where=mask)


def _lowest(dtype):
    """What no number is smaller than."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else False if dtype.kind == "b" else -np.inf
