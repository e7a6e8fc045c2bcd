"""Convolutions and their transposes, as nets call them: cross-correlations with kernels that are not flipped."""

from __future__ import annotations

from dataflow import OpError, ShapeError, format_shape, op, sample
from dataflow.errors import counted
from dataflow.shapes import Size
from dataflow_nn.channels import along_channels
from dataflow_nn.correlation import correlate, correlate_transpose
from dataflow_nn.windows import Padding, PerAxis, check_channels, extent_of, for_each_axis, padding_pairs


@op
def conv(x, W, b=None, *, strides: PerAxis = 1, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1):
    """Convolution over one to three spatial axes, or more: y[n, o, p] = Σ x[n, c, strides · p + dilation · k − padding]
    · W[o, c, k] + b[o], the sum over channels c and places k of the kernel, which is not flipped. x is
    (N, in, spatial...), W is (out, in/groups, kernel...), b is (out,) or left out.

    padding is one number, or for each axis a number or a pair, in front and behind; "valid" (none); "same_upper" or
    "same_lower": ⌈size / stride⌉ results along each axis, an odd entry of padding behind or in front. With groups, the
    channels are parted, and each part of the results sees its own part of the input."""
    product = correlate(x, W, strides=strides, padding=padding, dilation=dilation, groups=groups)
    return product if b is None else product + along_channels("conv", "b", b, product)


@conv.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 4)), rng.normal(size=(3, 2, 3)), rng.normal(size=3))
    yield sample(
        rng.normal(size=(1, 2, 4, 3)), rng.normal(size=(2, 1, 2, 2)), strides=(2, 1), padding="same_upper", groups=2
    )


@op
def conv_transpose(
    x,
    W,
    b=None,
    *,
    strides: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    output_padding: PerAxis = 0,
    output_shape: tuple[int, ...] | None = None,
):
    """Transposed convolution: what gives back the shape of a convolution's input, as its derivative does. x is
    (N, in, spatial...), W is (in, out/groups, kernel...), b is (out,) or left out. A result has strides · (size − 1) +
    output_padding + dilation · (kernel − 1) + 1 entries along an axis, less the padding; with "same_upper" or
    "same_lower" strides · size.

    output_shape gives the spatial sizes instead; the padding follows from them, an odd entry of it in front, and behind
    with "same_upper". What is missing are zeros behind."""
    check_channels("conv_transpose", x.shape)
    sizes, kernel = x.shape[2:], W.shape[2:]
    if len(kernel) != len(sizes) or not all(isinstance(size, int) for size in W.shape):
        raise ShapeError(
            f"conv_transpose takes W of (in, out/groups, kernel...), with as many kernel axes as x has spatial ones, "
            f"not {format_shape(W.shape)} for x of {format_shape(x.shape)}"
        )
    steps, apart = (for_each_axis(*pair, len(sizes)) for pair in (("strides", strides), ("dilation", dilation)))
    more = for_each_axis("output_padding", output_padding, len(sizes), 0)
    extents = extent_of(kernel, apart)
    whole = [
        (size - 1) * step + extent + extra
        for size, step, extent, extra in zip(sizes, steps, extents, more, strict=True)
    ]
    if output_shape is None and isinstance(padding, str) and padding != "valid":
        output_shape = tuple(size * step for size, step in zip(sizes, steps, strict=True))
    pairs = _cropped(whole, output_shape, padding, extents, steps)
    size = tuple(full - before - behind for full, (before, behind) in zip(whole, pairs, strict=True))
    if any(isinstance(length, int) and length < 1 for length in size):
        raise ShapeError(f"conv_transpose would have the spatial sizes {format_shape(size)}; use less padding")
    ends = tuple((before, behind - extra) for (before, behind), extra in zip(pairs, more, strict=True))
    product = correlate_transpose(x, W, size=size, strides=strides, padding=ends, dilation=dilation, groups=groups)
    return product if b is None else product + along_channels("conv_transpose", "b", b, product)


def _cropped(whole, output_shape, padding, extents, strides):
    """What is cut off in front and behind of the whole of the windows."""
    if output_shape is None:
        return padding_pairs(padding, tuple(whole), extents, strides)
    if not isinstance(padding, str) and padding != 0:
        raise OpError("give padding or output_shape; the padding follows from output_shape")
    if len(output_shape) != len(whole):
        raise OpError(f"output_shape has {counted(len(output_shape), 'size')} for {len(whole)} spatial axes")
    pairs = []
    for full, wanted in zip(whole, output_shape, strict=True):
        total = full - wanted
        if isinstance(total, Size):
            raise ShapeError(f"output_shape needs spatial sizes that are numbers, not {full}")
        less, more = (total // 2, total - total // 2) if total > 0 else (0, total)
        pairs.append((less, more) if padding == "same_upper" or total < 0 else (more, less))
    return tuple(pairs)


@conv_transpose.samples
def _(rng):
    yield sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3, 2)), rng.normal(size=3), strides=2, padding=1)
    yield sample(rng.normal(size=(1, 2, 2, 2)), rng.normal(size=(2, 1, 2, 2)), strides=2, output_padding=1, groups=2)
