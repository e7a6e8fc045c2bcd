"""Other shapes, repeats, triangles and one-hot rows: composites that move entries, or choose them by their place."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataflow import (
    DTYPES,
    DtypeError,
    Shape,
    ShapeError,
    element_count,
    format_shape,
    normalize_axes,
    normalize_axis,
    op,
    sample,
)
from dataflow.errors import counted
from dataflow.operations.engine_ops import broadcast_to, cast, expand_dims, reshape, transpose, where
from dataflow.shapes import broadcast_shapes
from dataflow_ops.cumulative import positions


@op
def squeeze(x, *, axis: int | tuple[int, ...]):
    """x without the given axes, which are of size 1."""
    axes = normalize_axes(axis, x.ndim)
    for i in axes:
        if x.shape[i] != 1:
            raise ShapeError(f"axis {i} of {format_shape(x.shape)} is not of size 1; squeeze drops none but those")
    return reshape(x, shape=tuple(size for i, size in enumerate(x.shape) if i not in axes))


@squeeze.samples
def _(rng):
    yield sample(rng.normal(size=(2, 1, 3, 1)), axis=-1)
    yield sample(rng.normal(size=(3, 1, 1)), axis=(1, 2))


@op
def flatten(x, *, axis: int = 1):
    """x as a matrix: the axes before ``axis`` become its rows, the others its columns."""
    if not -x.ndim <= axis <= x.ndim:
        raise ShapeError(f"axis {axis} is out of range for {counted(x.ndim, 'axis')}")
    split = axis if axis >= 0 else axis + x.ndim
    return reshape(x, shape=(element_count(x.shape[:split]), element_count(x.shape[split:])))


@flatten.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3, 2)))
    yield sample(rng.normal(size=(2, 3, 2)), axis=-1)


@op
def expand(x, *, shape: Shape):
    """x repeated along axes of size 1, its own or the given shape's: both broadcast to the result. −1 keeps a size."""
    padded = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    wanted = tuple(padded[len(padded) - len(shape) + i] if size == -1 else size for i, size in enumerate(shape))
    return broadcast_to(x, shape=broadcast_shapes(tuple(x.shape), wanted))


@expand.samples
def _(rng):
    yield sample(rng.normal(size=(3, 1)), shape=(2, 1, 4))
    yield sample(rng.normal(size=(3, 1)), shape=(-1, 2))


@op
def tile(x, *, repeats: tuple[int, ...]):
    """x laid side by side so many times along each axis; as many numbers as x has axes."""
    if len(repeats) != x.ndim or min(repeats, default=1) < 0:
        raise ShapeError(
            f"tile takes a number of repeats, 0 or more, for each axis of {format_shape(x.shape)}, not {list(repeats)}"
        )
    spread = expand_dims(x, axis=tuple(range(0, 2 * x.ndim, 2))) if x.ndim else x
    pairs = [size for pair in zip(repeats, x.shape, strict=True) for size in pair]
    whole = tuple(count * size for count, size in zip(repeats, x.shape, strict=True))
    return reshape(broadcast_to(spread, shape=tuple(pairs)), shape=whole)


@tile.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), repeats=(2, 3))
    yield sample(rng.normal(size=3), repeats=(1,))


Mode = Literal["DCR", "CRD"]


def _blocks(name, x, size, divided):
    if x.ndim != 4 or size < 1:
        raise ShapeError(
            f"{name} takes (examples, channels, height, width) and a block size above 0, not {format_shape(x.shape)} "
            f"and {size}"
        )
    for count, what in divided:
        if isinstance(count, int) and count % what:
            raise ShapeError(f"{name}: {what} does not divide the size {count} in {format_shape(x.shape)}")


@op
def depth_to_space(x, *, size: int, mode: Mode = "DCR"):
    """Channels moved into blocks of ``size`` by ``size`` pixels: (n, c, h, w) becomes (n, c/size², h·size, w·size). The
    channels are read as (row, column, channel), "DCR", or as (channel, row, column), "CRD", which is also called pixel
    shuffle."""
    _blocks("depth_to_space", x, size, [(x.shape[1], size * size)])
    n, c, h, w = x.shape
    depth = c // (size * size)
    if mode == "DCR":
        split = transpose(reshape(x, shape=(n, size, size, depth, h, w)), axes=(0, 3, 4, 1, 5, 2))
    else:
        split = transpose(reshape(x, shape=(n, depth, size, size, h, w)), axes=(0, 1, 4, 2, 5, 3))
    return reshape(split, shape=(n, depth, h * size, w * size))


@depth_to_space.samples
def _(rng):
    yield sample(rng.normal(size=(2, 4, 1, 2)), size=2)
    yield sample(rng.normal(size=(1, 8, 1, 1)), size=2, mode="CRD")


@op
def space_to_depth(x, *, size: int):
    """Blocks of ``size`` by ``size`` pixels moved into channels: (n, c, h, w) becomes (n, c·size², h/size, w/size), the
    channels read as (row, column, channel)."""
    _blocks("space_to_depth", x, size, [(x.shape[2], size), (x.shape[3], size)])
    n, c, h, w = x.shape
    split = transpose(reshape(x, shape=(n, c, h // size, size, w // size, size)), axes=(0, 3, 5, 1, 2, 4))
    return reshape(split, shape=(n, c * size * size, h // size, w // size))


@space_to_depth.samples
def _(rng):
    yield sample(rng.normal(size=(2, 1, 2, 4)), size=2)


@op
def tril(x, *, k: int = 0):
    """The entries on and below diagonal number k (0 is the main one, above it are 1, 2, ...) of each matrix, 0 for the
    others; the matrices are the last two axes."""
    return where(diagonal_number(x, "tril") <= k, x, 0)


@op
def triu(x, *, k: int = 0):
    """The entries on and above diagonal number k (0 is the main one, above it are 1, 2, ...) of each matrix, 0 for the
    others; the matrices are the last two axes."""
    return where(diagonal_number(x, "triu") >= k, x, 0)


@op
def eye_like(x, *, k: int = 0):
    """1 on diagonal number k (0 is the main one, above it are 1, 2, ...) of each matrix, 0 beside it, in the shape and
    the dtype of x, whatever its entries are; the matrices are the last two axes. It has no derivative."""
    one = cast(diagonal_number(x, "eye_like") == k, dtype=x.dtype.name)
    return broadcast_to(one, shape=x.shape)


@eye_like.vjp
def _(g, y, x):
    return None


def diagonal_number(x, name="einsum"):
    """The number of the diagonal on which each entry lies."""
    if x.ndim < 2:
        raise ShapeError(f"{name} takes matrices, not {format_shape(x.shape)}")
    return positions(x, axis=-1) - positions(x, axis=-2)


for _triangle in (tril, triu, eye_like):

    @_triangle.samples
    def _(rng):
        yield sample(rng.normal(size=(3, 3)))
        yield sample(rng.normal(size=(2, 2, 3)), k=1)


@op
def one_hot(
    labels, *, classes: int, axis: int = -1, dtype: Literal["float64", "float32", "int64", "int32", "bool"] = "float64"
):
    """1 at the place that a label names, 0 elsewhere, along a new axis of ``classes`` places. Labels are whole numbers
    from 0; one that names no place, such as −1, gives zeros. It has no derivative."""
    check_whole("one_hot", "labels", labels)
    if classes < 1:
        raise ShapeError(f"one_hot needs at least one class, not {classes}")
    along = normalize_axis(axis, labels.ndim + 1)
    numbers = np.arange(classes, dtype=np.int64).reshape([classes if i == along else 1 for i in range(labels.ndim + 1)])
    return cast(expand_dims(labels, axis=along) == numbers, dtype=dtype)


@one_hot.samples
def _(rng):
    yield sample(rng.integers(3, size=(2, 4)), classes=3)
    yield sample(rng.integers(3, size=4), classes=4, axis=0)


def check_whole(name, what, x):
    """A ``DtypeError`` unless x is of whole numbers."""
    if getattr(x, "dtype", DTYPES["int64"]).kind not in "iu":
        raise DtypeError(
            f"{name} takes whole numbers as {what}, not {x.dtype}; cast them, as in cast(x, dtype='int64')"
        )
