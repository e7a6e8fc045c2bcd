"""What pooling ops share: their attributes as windows, and what is checked of their inputs."""

from __future__ import annotations

from dataflow import DTYPES, DtypeError, ShapeError, element_count
from dataflow.shapes import is_static
from dataflow_nn.windows import Windows, check_channels, for_each_axis, window_counts


def _along_axes(ndim, kernel, strides, dilation):
    size = for_each_axis("kernel", kernel, ndim)
    steps = size if strides is None else for_each_axis("strides", strides, ndim)
    return size, steps, for_each_axis("dilation", dilation, ndim)


def pooling_windows(sizes, kernel, strides, padding, dilation, ceil_mode):
    """The windows of a pooling op over spatial axes of these sizes; attributes as in average_pool."""
    size, steps, apart = _along_axes(len(sizes), kernel, strides, dilation)
    counts = window_counts(tuple(sizes), size, steps, padding, apart, ceil_mode)
    return Windows(sizes, size, steps, padding, apart, counts)


def pooled_shape(name, x, attributes, empty=False):
    """The shape of a pooling op's result; unless windows may lie in the padding alone, they must not."""
    check_channels(name, x.shape)
    size, steps, apart = _along_axes(x.ndim - 2, attributes["kernel"], attributes["strides"], attributes["dilation"])
    counts = window_counts(x.shape[2:], size, steps, attributes["padding"], apart, attributes["ceil_mode"])
    if not empty and is_static(x.shape[2:]):
        check_covered(Windows(x.shape[2:], size, steps, attributes["padding"], apart, counts))
    return (*x.shape[:2], *counts)


def check_covered(windows):
    """A ``ShapeError`` where a window lies in the padding alone."""
    for axis, size in enumerate(windows.sizes):
        if not windows.is_covered(axis):
            raise ShapeError(
                f"a window over the spatial axis {axis}, of size {size}, lies in the padding alone; use less padding, "
                f"{windows.pairs[axis]} is there, or a larger kernel"
            )


def count_visits(x, attributes):
    """How many pairs there are of a window and an entry of x that it covers."""
    return element_count(x.shape[:2]) * pooling_windows(x.shape[2:], **attributes).visits


def check_numbers(name, x):
    """A ``DtypeError`` for booleans."""
    if x.dtype == bool:
        raise DtypeError(f"{name} takes numbers, not booleans; cast them, as in cast(x, dtype='float64')")


def float_dtype(x):
    """The dtype of x if it is a float, else float64."""
    return x.dtype if x.dtype.kind == "f" else DTYPES["float64"]
