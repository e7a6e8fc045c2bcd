"""Resizing: images, signals and volumes on a finer or a coarser grid."""

from __future__ import annotations

import math

from dataflow import OpError, ShapeError, normalize_axes, normalize_axis, op, sample
from dataflow.errors import counted
from dataflow.shapes import Size
from dataflow_nn.resampling import Coordinates, Mode, Rounding, resample


@op
def resize(
    x,
    *,
    scales: float | tuple[float, ...] | None = None,
    sizes: tuple[int, ...] | None = None,
    axes: tuple[int, ...] | None = None,
    mode: Mode = "nearest",
    coordinates: Coordinates = "half_pixel",
    rounding: Rounding = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    region: tuple[float, ...] | None = None,
    outside: float = 0.0,
):
    """x resized along the given axes, or along the spatial ones of (N, C, spatial...): by scales, to ⌊size · scale⌋
    entries, or to sizes. Axis by axis, an entry is the nearest of x, or between two of them (mode="linear") or four
    ("cubic", with the coefficient ``cubic``: Keys, 1981, "Cubic convolution interpolation for digital image
    processing").

    coordinates says where entry i lies in x: "half_pixel" at (i + ½) / scale − ½; "pytorch_half_pixel" the same, and at
    0 where there is one entry; "half_pixel_symmetric" centred where ⌊size · scale⌋ was rounded; "align_corners" at
    i · (size − 1) / (entries − 1); "asymmetric" at i / scale; "crop_and_resize" within the region (starts, then ends,
    as shares of the axes), and what lies outside of x is ``outside``. rounding is for nearest. With exclude_outside,
    entries beyond the edge do not count, else the edge stands for them. antialias widens the window where entries get
    fewer. These are the conventions of ONNX's Resize."""
    along = tuple(range(2, x.ndim)) if axes is None else tuple(normalize_axis(axis, x.ndim) for axis in axes)
    normalize_axes(along, x.ndim)
    if (scales is None) == (sizes is None):
        raise OpError("resize takes scales or sizes, one of the two")
    if region is not None and len(region) != 2 * len(along):
        raise OpError(f"region has a start for each of the {counted(len(along), 'axis')}, then an end for each")
    if coordinates == "crop_and_resize" and region is None:
        raise OpError('coordinates="crop_and_resize" needs a region')
    wanted = _wanted(x, along, scales, sizes)
    for number, (axis, (size, scale)) in enumerate(zip(along, wanted, strict=True)):
        part = (0.0, 1.0) if region is None else (region[number], region[number + len(along)])
        if size == x.shape[axis] and scale == 1 and part == (0.0, 1.0):
            continue
        x = resample(
            x,
            axis=axis,
            size=(size,),
            scale=scale,
            mode=mode,
            coordinates=coordinates,
            rounding=rounding,
            cubic=cubic,
            exclude_outside=exclude_outside,
            antialias=antialias,
            region=part,
            outside=outside,
        )
    return x


def _wanted(x, along, scales, sizes):
    """The size and the scale of each axis."""
    given = sizes if sizes is not None else (scales,) * len(along) if isinstance(scales, float) else scales
    if len(given) != len(along):
        raise OpError(f"resize has {len(given)} scales or sizes for {counted(len(along), 'axis')}")
    wanted = []
    for number, axis in zip(given, along, strict=True):
        size = x.shape[axis]
        if (sizes is not None and number < 0) or (sizes is None and not 0 < number < math.inf):
            raise OpError(f"resize takes sizes of at least 0 and scales above 0, not {number}")
        if sizes is not None:
            if isinstance(size, Size):
                raise ShapeError(
                    f"by how much axis {axis} is resized to {number} depends on its size {size}; give a scale"
                )
            wanted.append((number, number / size if size else 1.0))
        elif isinstance(size, Size):
            if not number.is_integer():
                raise ShapeError(f"axis {axis} of size {size} is resized by a whole number, or has to be a number")
            wanted.append((size * int(number), number))
        else:
            wanted.append((math.floor(size * number), number))
    return wanted


@resize.samples
def _(rng):
    yield sample(rng.normal(size=(1, 2, 3)), scales=2.0)
    yield sample(rng.normal(size=(1, 1, 2, 3)), sizes=(3, 2), mode="linear")
    yield sample(rng.normal(size=(2, 4)), scales=0.6, axes=(1,), mode="cubic", coordinates="align_corners")
