"""The three products of two factors that convolutions are made of: ``correlate`` of input and kernel, and what it takes
for its derivatives, ``correlate_transpose`` of result and kernel, and ``correlate_kernel`` of input and result.

Each one's derivatives are the other two, so that second derivatives need nothing new (Dumoulin and Visin, 2016, "A
guide to convolution arithmetic for deep learning"). Padding is with zeros, which count: an infinite weight there gives
NaN.
"""

from __future__ import annotations

import numpy as np

from dataflow import Cost, ShapeError, element_count, format_shape, primitive, sample
from dataflow.autodiff.batching import NoBatchRuleError
from dataflow.shapes import Shape
from dataflow_nn.channels import channels_per_group, join_sets, part_sets
from dataflow_nn.correlation_kernels import correlate_into, correlate_kernel_into, correlate_transpose_into
from dataflow_nn.windows import Padding, PerAxis, Windows, check_channels, for_each_axis, window_counts


@primitive
def correlate(x, W, *, strides: PerAxis = 1, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1):
    """Cross-correlation, the product in conv: of x, (N, in, spatial...), and W, (out, in/groups, kernel...)."""
    return _computed(correlate, (x, W), strides=strides, padding=padding, dilation=dilation, groups=groups)


@primitive
def correlate_transpose(
    y, W, *, size: Shape, strides: PerAxis = 1, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1
):
    """The cotangent of correlate's x for the cotangent y of its result: (N, in, *size) from (N, out, spatial...) and W,
    (out, in/groups, kernel...)."""
    return _computed(
        correlate_transpose, (y, W), size=size, strides=strides, padding=padding, dilation=dilation, groups=groups
    )


@primitive
def correlate_kernel(
    x,
    y,
    *,
    kernel: tuple[int, ...],
    strides: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
):
    """The cotangent of correlate's W for the cotangent y of its result: (out, in/groups, *kernel) from x,
    (N, in, spatial...), and y, (N, out, spatial...)."""
    return _computed(
        correlate_kernel, (x, y), kernel=kernel, strides=strides, padding=padding, dilation=dilation, groups=groups
    )


def _computed(op, arguments, **attributes):
    arrays = [np.asarray(argument) for argument in arguments]
    out = np.empty(op.shape_rule(*arrays, **attributes), np.result_type(*arrays))
    for step in op.into_rule(out, *arrays, **attributes):
        step()
    return out


@correlate.shape
def _(x, W, *, strides, padding, dilation, groups):
    _check_operands("correlate", x, W, groups)
    if W.shape[1] * groups != x.shape[1]:
        raise ShapeError(
            f"W of {format_shape(W.shape)} takes {W.shape[1]} · {groups} = {W.shape[1] * groups} input channels "
            f"(with groups={groups}), and x of {format_shape(x.shape)} has {x.shape[1]}"
        )
    return (x.shape[0], W.shape[0], *_counts(x.shape[2:], W.shape[2:], strides, padding, dilation))


@correlate_transpose.shape
def _(y, W, *, size, strides, padding, dilation, groups):
    _check_operands("correlate_transpose", y, W, groups)
    if W.shape[0] != y.shape[1]:
        raise ShapeError(
            f"W of {format_shape(W.shape)} has {W.shape[0]} output channels, and y of {format_shape(y.shape)} has "
            f"{y.shape[1]}"
        )
    _check_counts(y, size, W.shape[2:], strides, padding, dilation)
    return (y.shape[0], W.shape[1] * groups, *size)


@correlate_kernel.shape
def _(x, y, *, kernel, strides, padding, dilation, groups):
    check_channels("correlate_kernel", x.shape)
    if y.ndim != x.ndim or y.shape[0] != x.shape[0]:
        raise ShapeError(
            f"correlate_kernel takes x and y of as many examples and axes, not {format_shape(x.shape)} and "
            f"{format_shape(y.shape)}"
        )
    channels_per_group(y.shape[1], groups)
    _check_counts(y, x.shape[2:], kernel, strides, padding, dilation)
    return (y.shape[1], channels_per_group(x.shape[1], groups), *kernel)


def _check_operands(name, x, W, groups):
    check_channels(name, x.shape)
    if W.ndim != x.ndim or not all(isinstance(size, int) and size > 0 for size in W.shape[2:]):
        raise ShapeError(
            f"{name} takes a kernel of (out, in/groups, kernel...) with as many kernel axes as x has spatial ones, and "
            f"one entry along each at least, not {format_shape(W.shape)} for x of {format_shape(x.shape)}"
        )
    channels_per_group(W.shape[0], groups)


def _counts(sizes, kernel, strides, padding, dilation):
    return window_counts(sizes, kernel, *_along_axes(len(sizes), strides, padding, dilation))


def _check_counts(y, sizes, kernel, strides, padding, dilation):
    if len(sizes) != y.ndim - 2 or len(kernel) != y.ndim - 2 or -1 in sizes:
        raise ShapeError(
            f"y of {format_shape(y.shape)} fits no input of {format_shape(sizes)} with a kernel of {list(kernel)}"
        )
    counts = _counts(sizes, kernel, strides, padding, dilation)
    if counts != y.shape[2:]:
        raise ShapeError(
            f"an input of {format_shape(sizes)} has {format_shape(counts)} windows, y has {format_shape(y.shape[2:])}"
        )


def _windows(sizes, kernel, counts, strides, padding, dilation):
    return Windows(sizes, kernel, *_along_axes(len(sizes), strides, padding, dilation), counts)


def _along_axes(ndim, strides, padding, dilation):
    return for_each_axis("strides", strides, ndim), padding, for_each_axis("dilation", dilation, ndim)


# ------------------------------------------------------------------------------------------------ derivatives


@correlate.vjp(wrt="x")
def _(g, y, x, W, **attributes):
    return correlate_transpose(g, W, size=x.shape[2:], **attributes)


@correlate.vjp(wrt="W")
def _(g, y, x, W, **attributes):
    return correlate_kernel(x, g, kernel=W.shape[2:], **attributes)


@correlate_transpose.vjp(wrt="y")
def _(g, result, y, W, *, size, **attributes):
    return correlate(g, W, **attributes)


@correlate_transpose.vjp(wrt="W")
def _(g, result, y, W, *, size, **attributes):
    return correlate_kernel(g, y, kernel=W.shape[2:], **attributes)


@correlate_kernel.vjp(wrt="x")
def _(g, result, x, y, *, kernel, **attributes):
    return correlate_transpose(y, g, size=x.shape[2:], **attributes)


@correlate_kernel.vjp(wrt="y")
def _(g, result, x, y, *, kernel, **attributes):
    return correlate(x, g, **attributes)


# ------------------------------------------------------------------------------------------------ kernels


@correlate.into
def _(out, x, W, *, groups, **attributes):
    return correlate_into(out, x, W, groups, _windows(x.shape[2:], W.shape[2:], out.shape[2:], **attributes))


@correlate_transpose.into
def _(out, y, W, *, size, groups, **attributes):
    return correlate_transpose_into(out, y, W, groups, _windows(size, W.shape[2:], y.shape[2:], **attributes))


@correlate_kernel.into
def _(out, x, y, *, kernel, groups, **attributes):
    return correlate_kernel_into(out, x, y, groups, _windows(x.shape[2:], kernel, y.shape[2:], **attributes))


# ------------------------------------------------------------------------------------------------ cost


def _products(results, terms):
    return Cost(multiplications=results * terms, additions=results * max(terms - 1, 0))


@correlate.cost
def _(y, x, W):
    return _products(element_count(y.shape), element_count(W.shape[1:]))


@correlate_transpose.cost
def _(result, y, W, *, size, strides, padding, dilation, groups):
    windows = _windows(size, W.shape[2:], y.shape[2:], strides, padding, dilation)
    columns = result.shape[0] * result.shape[1] * element_count(W.shape[2:]) * element_count(y.shape[2:])
    terms = W.shape[0] // groups
    return _products(columns, terms) + Cost(additions=result.shape[0] * result.shape[1] * windows.visits)


@correlate_kernel.cost
def _(result, x, y):
    return _products(element_count(result.shape), y.shape[0] * element_count(y.shape[2:]))


# ------------------------------------------------------------------------------------------------ many sets at once


SETS = (
    {"x": (0, False), "y": (0, False)},  # as examples
    {"W": (0, True), "y": (1, True)},  # as output channels
    {"W": (1, False), "x": (1, True)},  # as input channels
    {"W": (0, False), "x": (1, False), "y": (1, False)},  # as groups
)
"""In which of the three arrays there may be many sets, the others being one for all; along which axis they are joined
then, and whether within each group."""


def _declare_batch(product, result):
    @product.batch
    def _(batched, *factors, groups, **attributes):
        many = {name for name, flag in zip(product.inputs, batched, strict=True) if flag}
        places = next(places for places in SETS if places.keys() == many | {result})
        count = next(x.shape[0] for x, flag in zip(factors, batched, strict=True) if flag)
        if all(batched) and not isinstance(count, int):
            raise NoBatchRuleError(
                "where both factors change from set to set, each set is a group, whose number is known"
            )

        def place(name):
            axis, within_groups = places[name]
            return axis, groups if within_groups else 1

        joined = [
            join_sets(x, *place(name)) if name in many else x for name, x in zip(product.inputs, factors, strict=True)
        ]
        whole = product(*joined, groups=groups * count if all(batched) else groups, **attributes)
        return part_sets(whole, count, *place(result))


_declare_batch(correlate, "y")
_declare_batch(correlate_transpose, "x")
_declare_batch(correlate_kernel, "W")


# ------------------------------------------------------------------------------------------------ samples


@correlate.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 4)), rng.normal(size=(4, 1, 2)), strides=2, groups=2)
    yield sample(rng.normal(size=(2, 2, 3, 3)), rng.normal(size=(2, 2, 2, 2)), dilation=(2, 1))
    yield sample(rng.normal(size=(1, 1, 2, 3)), rng.normal(size=(1, 1, 2, 2)), padding=((1, 0), (0, 2)), strides=(1, 2))


@correlate_transpose.samples
def _(rng):
    yield sample(rng.normal(size=(2, 4, 2)), rng.normal(size=(4, 1, 2)), size=(5,), strides=2, groups=2)
    yield sample(rng.normal(size=(1, 1, 2, 2)), rng.normal(size=(1, 2, 2, 2)), size=(2, 2), padding=((1, 0), (0, 1)))


@correlate_kernel.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 4)), rng.normal(size=(2, 4, 2)), kernel=(2,), strides=2, groups=2)
    yield sample(rng.normal(size=(1, 2, 2, 2)), rng.normal(size=(1, 1, 2, 2)), kernel=(2, 1), padding=((1, 0), 0))
