"""Channels: what stands along them, how groups part them, and how arrays of many sets become one array with more of
them, and back."""

from __future__ import annotations

from dataflow import ShapeError, format_shape
from dataflow.operations.engine_ops import reshape, transpose
from dataflow.shapes import Size


def channels_per_group(channels, groups):
    """How many channels each group has."""
    share = channels.exact_quotient(groups) if isinstance(channels, Size) else None
    if groups > 0 and isinstance(channels, int) and channels % groups == 0:
        share = channels // groups
    if share is None:
        raise ShapeError(f"{channels} channels are not parted into {groups} groups")
    return share


def join_first(x):
    """The first two axes as one."""
    return reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def part_first(x, count):
    """The first axis as two, the first of which has that size."""
    return reshape(x, shape=(count, quotient(x.shape[0], count), *x.shape[1:]))


def quotient(size, count):
    """size / count, which divides it."""
    return size.exact_quotient(count) if isinstance(size, Size) else size // count if size else 0


def join_sets(x, axis, groups=1):
    """(sets, ...) as one array that has the sets along an axis: within each of its groups, in front of what the group
    has."""
    if axis == 0 and groups == 1:
        return join_first(x)
    share = channels_per_group(x.shape[1 + axis], groups)
    parted = x
    if groups > 1:
        parted = reshape(x, shape=(*x.shape[: 1 + axis], groups, share, *x.shape[2 + axis :]))
    place = axis + (groups > 1)  # the sets come to stand behind the groups
    moved = transpose(parted, axes=(*range(1, 1 + place), 0, *range(1 + place, parted.ndim)))
    length = groups * x.shape[0] * share
    return reshape(moved, shape=(*x.shape[1 : 1 + axis], length, *x.shape[2 + axis :]))


def part_sets(x, count, axis, groups=1):
    """What join_sets joined, as that many sets."""
    if axis == 0 and groups == 1:
        return part_first(x, count)
    share = quotient(quotient(x.shape[axis], count), groups)
    parts = (groups, count, share) if groups > 1 else (count, share)
    parted = reshape(x, shape=(*x.shape[:axis], *parts, *x.shape[axis + 1 :]))
    place = axis + (groups > 1)
    moved = transpose(parted, axes=(place, *(i for i in range(parted.ndim) if i != place)))
    return reshape(moved, shape=(count, *x.shape[:axis], groups * share, *x.shape[axis + 1 :]))


def along_channels(name, what, vector, x, axis=1):
    """A vector with an entry for each channel of x, with axes of size 1 behind, so that it stands along ``axis``."""
    if vector.shape != (x.shape[axis],):
        raise ShapeError(
            f"{name}'s {what} has one entry for each of the {x.shape[axis]} channels, not {format_shape(vector.shape)}"
        )
    return reshape(vector, shape=(x.shape[axis], *(1,) * (x.ndim - 1 - axis)))
