"""Pieces of an array along an axis: at given places, equal parts, the largest entries."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from dataflow import OpError, ShapeError, format_shape, normalize_axis, op, sample
from dataflow.operations.engine_ops import broadcast_to, expand_dims, index, reshape, transpose, where
from dataflow.shapes import broadcast_shapes
from dataflow_ops.cumulative import positions
from dataflow_ops.gathering import gather_elements, gather_nd
from dataflow_ops.shaping import check_whole
from dataflow_ops.sorting import argsort


@op
def gather(x, indices, *, axis: int = 0):
    """The pieces of x at the indices along an axis, as x[indices] for the first: the axes of the indices stand in the
    place of that axis. The indices are whole numbers."""
    check_whole("gather", "indices", indices)
    along = normalize_axis(axis, x.ndim)
    first = transpose(x, axes=(along, *(i for i in range(x.ndim) if i != along))) if along else x
    pieces = gather_nd(first, expand_dims(indices, axis=-1))
    order = range(indices.ndim, indices.ndim + along), range(indices.ndim), range(indices.ndim + along, pieces.ndim)
    return transpose(pieces, axes=tuple(i for part in order for i in part)) if along else pieces


@gather.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), rng.integers(-3, 3, size=(2, 2)))
    yield sample(rng.normal(size=(2, 3)), rng.integers(3, size=4), axis=1)


@op
def take_along_axis(x, indices, *, axis: int = -1):
    """Of x the entries at the indices along an axis, as gather_elements; along the other axes x and the indices
    broadcast."""
    along = normalize_axis(axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis takes indices with as many axes as x, not {format_shape(indices.shape)} for "
            f"{format_shape(x.shape)}"
        )
    left = tuple(1 if i == along else size for i, size in enumerate(x.shape))
    right = tuple(1 if i == along else size for i, size in enumerate(indices.shape))
    common = broadcast_shapes(left, right)
    shapes = ((*common[:along], array.shape[along], *common[along + 1 :]) for array in (x, indices))
    wide = [
        array if array.shape == shape else broadcast_to(array, shape=shape)
        for array, shape in zip((x, indices), shapes, strict=True)
    ]
    return gather_elements(*wide, axis=along)


@take_along_axis.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.integers(3, size=(1, 2)))
    yield sample(rng.normal(size=(1, 3)), rng.integers(3, size=(2, 2)), axis=1)


@op
def reverse_sequence(x, lengths, *, batch_axis: int = 0, time_axis: int = 1):
    """x with the first steps of each sequence in reverse order, as many as its length says, and the others as they
    are."""
    check_whole("reverse_sequence", "lengths", lengths)
    batch, time = normalize_axis(batch_axis, x.ndim), normalize_axis(time_axis, x.ndim)
    if lengths.shape != (x.shape[batch],) or batch == time:
        raise ShapeError(
            f"reverse_sequence takes a length for each entry of axis {batch} of {format_shape(x.shape)}, not "
            f"{format_shape(lengths.shape)}, and another axis of steps"
        )
    ends = reshape(lengths, shape=tuple(x.shape[batch] if i == batch else 1 for i in range(x.ndim)))
    step = positions(x, axis=time)
    return take_along_axis(x, where(step < ends, ends - 1 - step, step), axis=time)


@reverse_sequence.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), np.array([2, 3]))
    yield sample(rng.normal(size=(3, 2, 1)), np.array([1, 3]), batch_axis=1, time_axis=0)


MOST_PARTS = 10_000


def _parts(*, parts):
    count = len(parts) if isinstance(parts, tuple) else parts
    if not 1 <= count <= MOST_PARTS:
        raise OpError(f"split: parts is a number from 1 to {MOST_PARTS}, or the size of each part, not {parts}")
    return tuple(map(str, range(count)))


@op(outputs=_parts)
def split(x, *, parts: int | tuple[int, ...] = 2, axis: int = 0):
    """The parts of x one after the other along an axis. Its outputs are called "0", "1", ...

    ``parts`` is how many there are, all of one size but for the last, which may be smaller; or the size of each.
    """
    along = normalize_axis(axis, x.ndim)
    size = x.shape[along]
    if not isinstance(size, int):
        raise ShapeError(f"axis {along} of {format_shape(x.shape)} has a size that only data tell; it is not split")
    step = -(-size // parts) if isinstance(parts, int) else 0
    sizes = [max(0, min(step, size - i * step)) for i in range(parts)] if isinstance(parts, int) else list(parts)
    if sum(sizes) != size or min(sizes) < 0:
        raise ShapeError(f"parts of the sizes {tuple(sizes)} are not the {size} of axis {along}")
    starts = accumulate(sizes[:-1], initial=0)
    before = ":, " * along
    return tuple(index(x, key=f"{before}{i}:{i + n}") for i, n in zip(starts, sizes, strict=True))


@split.samples
def _(rng):
    yield sample(rng.normal(size=(5, 2)))
    yield sample(rng.normal(size=(2, 4)), parts=(1, 3), axis=-1)


@op(outputs=("values", "indices"), hides_nan=True)
def topk(x, *, k: int, axis: int = -1, largest: bool = True):
    """The k largest entries along an axis, larger ones first, and where they are; or the smallest, smaller ones first.
    Of equal entries the first comes first. NaN counts as larger than any number."""
    along = normalize_axis(axis, x.ndim)
    size = x.shape[along]
    if k < 0 or (isinstance(size, int) and k > size):
        raise ShapeError(f"k is a number from 0 to the {size} entries of axis {along}, not {k}")
    indices = index(argsort(x, axis=along, descending=largest), key=f"{':, ' * along}:{k}")
    return gather_elements(x, indices, axis=along), indices


@topk.kink("of equal entries the first comes first, and has the derivative")
def _(x, *, k, axis, largest):
    values, indices = topk(x, k=k, axis=axis, largest=largest)
    along = normalize_axis(axis, x.ndim)
    equal = np.expand_dims(values, along + 1) == np.expand_dims(x, along)
    return equal.sum(axis=along + 1) > 1, np.zeros(indices.shape, bool)


@topk.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), k=2)
    yield sample(rng.normal(size=(4, 2)), k=3, axis=0, largest=False)
