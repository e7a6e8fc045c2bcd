"""Reshaping, broadcasting, indexing, stacking."""

from __future__ import annotations

from functools import partial

import numpy as np

from dataflow.errors import ShapeError
from dataflow.operations.declare_ops import primitive
from dataflow.operations.engine_ops.into_kernels import total_into
from dataflow.operations.indexing import indexed_shape, parse_key
from dataflow.operations.op_rules import sample
from dataflow.shapes import Shape, Size, broadcast_shapes, element_count, format_shape, normalize_axis


@primitive(structure="selection", view="contiguous")
def reshape(x, *, shape: Shape):
    """x in another shape, read in row-major order; one size may be −1, which means what is left."""
    return np.reshape(x, shape)


@reshape.shape
def _(x, *, shape):
    count = element_count(x.shape)
    if shape.count(-1) > 1:
        raise ShapeError(f"the shape {format_shape(shape)} has more than one -1")
    if -1 in shape:
        rest = element_count([size for size in shape if size != -1])
        left = _quotient(count, rest)
        if left is None:
            raise ShapeError(f"{format_shape(x.shape)} has {count} elements, which {rest} does not divide")
        return tuple(left if size == -1 else size for size in shape)
    if element_count(shape) != count:
        raise ShapeError(
            f"{format_shape(x.shape)} has {count} elements, {format_shape(shape)} has {element_count(shape)}"
        )
    return shape


@reshape.into
def _(out, x, *, shape):
    return partial(np.copyto, out.reshape(x.shape), x)


@reshape.vjp
def _(g, y, x):
    return reshape(g, shape=x.shape)


@reshape.batch
def _(batched, x, *, shape):
    return reshape(x, shape=(x.shape[0], *shape))


@reshape.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), shape=(2, 6))
    yield sample(rng.normal(size=(3, 4)), shape=(2, -1, 3))
    yield sample(rng.normal(size=1), shape=())


def _quotient(count, divisor):
    if isinstance(count, Size):
        return None if divisor == 0 else count.exact_quotient(divisor)
    if isinstance(divisor, Size) or divisor == 0 or count % divisor:
        return None
    return count // divisor


@primitive(structure="selection", view="always")
def expand_dims(x, *, axis: int | tuple[int, ...]):
    """x with a new axis of size 1 at each of the given places of the result."""
    return np.expand_dims(x, axis)


@expand_dims.shape
def _(x, *, axis):
    axes = (axis,) if isinstance(axis, int) else axis
    ndim = x.ndim + len(axes)
    new = {normalize_axis(position, ndim) for position in axes}
    if len(new) != len(axes):
        raise ShapeError(f"an axis is named twice in {list(axes)}")
    old = iter(x.shape)
    return tuple(1 if i in new else next(old) for i in range(ndim))


@expand_dims.vjp
def _(g, y, x):
    return reshape(g, shape=x.shape)


@expand_dims.batch
def _(batched, x, *, axis):
    axes = (axis,) if isinstance(axis, int) else axis
    ndim = x.ndim - 1 + len(axes)
    return expand_dims(x, axis=tuple(normalize_axis(position, ndim) + 1 for position in axes))


@expand_dims.samples
def _(rng):
    yield sample(rng.normal(size=(3, 4)), axis=0)
    yield sample(rng.normal(size=(3, 4)), axis=(1, -1))


@primitive(structure="selection", view="always")
def broadcast_to(x, *, shape: Shape):
    """x repeated along new axes and along those of size 1, to the given shape."""
    return np.broadcast_to(x, shape)


@broadcast_to.shape
def _(x, *, shape):
    if -1 in shape or broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(f"{format_shape(x.shape)} does not broadcast to {format_shape(shape)}")
    return shape


@broadcast_to.vjp
def _(g, y, x):
    return sum_to(g, shape=x.shape)


@broadcast_to.batch
def _(batched, x, *, shape):
    return broadcast_to(_with_axes(x, len(shape)), shape=(x.shape[0], *shape))


@broadcast_to.samples
def _(rng):
    yield sample(rng.normal(size=(3, 1)), shape=(2, 3, 4))
    yield sample(rng.normal(size=()), shape=(2, 3))


@primitive(structure="sum", reduces=np.add)
def sum_to(x, *, shape: Shape):
    """x summed over the axes along which the given shape would be broadcast to x's: the transpose of broadcast_to."""
    x = np.asarray(x)
    lead, axes = x.ndim - len(shape), summed_axes(x.shape, shape)
    result = np.sum(x, axis=axes, keepdims=True, dtype=x.dtype) if axes else x
    if lead < 0 or result.shape[lead:] != shape:
        raise ValueError("the shapes do not fit")
    return result.reshape(shape)


@sum_to.shape
def _(x, *, shape):
    if -1 in shape or broadcast_shapes(x.shape, shape) != x.shape:
        raise ShapeError(
            f"{format_shape(shape)} does not broadcast to {format_shape(x.shape)}, so there is no sum to it"
        )
    return shape


@sum_to.into
def _(out, x, *, shape):
    return total_into(out, x, summed_axes(x.shape, shape))


@sum_to.vjp
def _(g, y, x):
    return broadcast_to(g, shape=x.shape)


@sum_to.batch
def _(batched, x, *, shape):
    inner = (1,) * (x.ndim - 1 - len(shape)) + shape
    total = sum_to(x, shape=(x.shape[0], *inner))
    return total if inner == shape else reshape(total, shape=(x.shape[0], *shape))


@sum_to.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3, 4)), shape=(3, 1))
    yield sample(rng.normal(size=(3, 4)), shape=())


def summed_axes(shape, target):
    """The axes of ``shape`` over which ``sum_to`` sums."""
    lead = len(shape) - len(target)
    return tuple(i for i, size in enumerate(shape) if i < lead or (target[i - lead] == 1 and size != 1))


@primitive(structure="selection", view="always")
def index(x, *, key: str):
    """Indexing and slicing with constants, as numpy's basic indexing: x[0, 1:3, ..., newaxis]."""
    items = parse_key(key)
    return np.asarray(x)[items if Ellipsis in items else (*items, Ellipsis)]  # a view, of no axes too


@index.shape
def _(x, *, key):
    return indexed_shape(x.shape, parse_key(key))


@index.vjp
def _(g, y, x, *, key):
    return place(g, key=key, shape=x.shape)


@index.batch
def _(batched, x, *, key):
    return index(x, key=f":, {key}")


@index.samples
def _(rng):
    for key in ("0", "-1, 1:3", "..., ::2", "newaxis, :, -2", "::-1, 3:0:-2"):
        yield sample(rng.normal(size=(3, 4)), key=key)


@primitive(structure="selection")
def place(x, *, key: str, shape: Shape):
    """Zeros of the given shape with x at the index: the transpose of index."""
    result = np.zeros(shape, np.asarray(x).dtype)
    result[parse_key(key)] = x
    return result


@place.shape
def _(x, *, key, shape):
    if -1 in shape or indexed_shape(shape, parse_key(key)) != x.shape:
        raise ShapeError(f"{format_shape(shape)}[{key}] does not have the shape {format_shape(x.shape)}")
    return shape


@place.into
def _(out, x, *, key, shape):
    items = parse_key(key)
    window = out[items if Ellipsis in items else (*items, Ellipsis)]
    return partial(np.ndarray.fill, out, 0), partial(np.copyto, window, x)


@place.vjp
def _(g, y, x, *, key):
    return index(g, key=key)


@place.batch
def _(batched, x, *, key, shape):
    return place(x, key=f":, {key}", shape=(x.shape[0], *shape))


@place.samples
def _(rng):
    yield sample(rng.normal(size=(2,)), key="1, 1:3", shape=(3, 4))


@primitive(structure="selection")
def stack(*xs, axis: int = 0):
    """The inputs side by side along a new axis; they broadcast to one shape."""
    dtype = np.result_type(*xs)  # of the numbers themselves: as arrays they would be float64
    return np.stack(np.broadcast_arrays(*xs), axis=axis, dtype=dtype)


@stack.shape
def _(*xs, axis):
    shape = broadcast_shapes(*(x.shape for x in xs))
    along = normalize_axis(axis, len(shape) + 1)
    return (*shape[:along], len(xs), *shape[along:])


@stack.into
def _(out, *xs, axis):
    places = np.moveaxis(out, axis, 0)
    return [partial(np.copyto, places[i, ...], x) for i, x in enumerate(xs)]


@stack.vjp
def _(g, y, *xs, axis):
    before = ":, " * normalize_axis(axis, g.ndim)
    pieces = [index(g, key=f"{before}{i}") for i in range(len(xs))]
    return tuple(_summed_to(piece, x) for piece, x in zip(pieces, xs, strict=True))


@stack.batch
def _(batched, *xs, axis):
    ndim = max(x.ndim - flag for x, flag in zip(xs, batched, strict=True) if not isinstance(x, (int, float)))
    aligned = [_with_axes(x, ndim) if flag else x for x, flag in zip(xs, batched, strict=True)]
    return stack(*aligned, axis=normalize_axis(axis, ndim + 1) + 1)


@stack.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=3), 0.5, axis=-1)


def _summed_to(piece, x):
    shape = () if isinstance(x, (int, float)) else x.shape
    return piece if piece.shape == shape else sum_to(piece, shape=shape)


def _with_axes(x, ndim):
    """A batched x with axes of size 1 behind the first, so that it has ``ndim`` axes besides the first."""
    missing = ndim - (x.ndim - 1)
    return expand_dims(x, axis=tuple(range(1, 1 + missing))) if missing else x
