"""Fourier transforms: products with matrices of sines and cosines."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.shapes import is_static
from dataflow_onnx.call import Call, DeclinedError, translates
from dataflow_onnx.tensors import dtype_of


def _transformed(call: Call, x: Any, length: int, *, inverse: bool = False, onesided: bool = False) -> Any:
    """The transform of numbers whose real part, and imaginary part if there is one, stand along the last axis; it runs
    along the one before that, which has ``length`` entries."""
    count = length // 2 + 1 if onesided else length
    angles = 2 * np.pi * (np.outer(np.arange(length), np.arange(count)) % length) / length
    sign, factor = (1, 1 / length) if inverse else (-1, 1)
    cos, sin = (call.constant(f(angles) * factor, "float64") for f in (np.cos, np.sin))
    exact = ops.cast(x, dtype="float64")
    real = ops.index(exact, key="..., 0")
    parts = [real @ cos, (real @ sin) * sign]
    if x.shape[-1] == 2:
        imaginary = ops.index(exact, key="..., 1")
        parts = [parts[0] - (imaginary @ sin) * sign, parts[1] + imaginary @ cos]
    return ops.cast(ops.stack(*parts, axis=-1), dtype=x.dtype.name)


def _from_half(call: Call, x: Any, length: int) -> Any:
    """The real numbers of which the transform begins with x; the half that is left out mirrors the other."""
    half = length // 2 + 1
    angles = 2 * np.pi * (np.outer(np.arange(half), np.arange(length)) % length) / length
    twice = np.full((half, 1), 2 / length)
    twice[[0, *([half - 1] if length % 2 == 0 else [])]] = 1 / length
    cos, sin = (call.constant(f(angles) * twice, "float64") for f in (np.cos, np.sin))
    real, imaginary = (ops.index(ops.cast(x, dtype="float64"), key=f"..., {i}") for i in range(2))
    return ops.cast(ops.expand_dims(real @ cos - imaginary @ sin, axis=-1), dtype=x.dtype.name)


@translates("DFT", until=28)
def _dft(call: Call) -> Any:
    x = call.value(0)
    axis = int(call.number(2, "the axis")) if call.has(2) else call.attribute("axis", 1 if call.version < 20 else -2)
    axis = axis + x.ndim if axis < 0 else axis
    inverse, onesided = bool(call.attribute("inverse", 0)), bool(call.attribute("onesided", 0))
    if not isinstance(x.shape[axis], int):
        raise FileFormatError("DFT needs a size that is a number")
    halved = inverse and onesided
    length = int(call.number(1, "the length")) if call.has(1) else 2 * x.shape[axis] - 2 if halved else x.shape[axis]
    if not 1 <= length <= 2**13:
        raise DeclinedError(f"DFT of {length} entries is not supported; 1 to 8192 are")
    order = [*(i for i in range(x.ndim - 1) if i != axis), axis, x.ndim - 1]
    moved = ops.transpose(x, axes=tuple(order))
    needed = length // 2 + 1 if halved else length
    if needed != x.shape[axis]:
        moved = ops.pad(moved, padding=((0, needed - x.shape[axis]),), axes=(x.ndim - 2,))
    if halved:
        result = _from_half(call, moved, length)
    else:
        result = _transformed(call, moved, length, inverse=inverse, onesided=onesided)
    return ops.transpose(result, axes=tuple(order.index(i) for i in range(x.ndim)))


@translates("STFT", until=28)
def _stft(call: Call) -> Any:
    """The transform of pieces, each multiplied with the window."""
    x, step = call.value(0), int(call.number(1, "the step"))
    window = call.optional(2)
    if not is_static(x.shape[1:]):
        raise FileFormatError("STFT needs a size that is a number")
    whole = int(call.number(3, "the length")) if call.has(3) else int(window.shape[0]) if window is not None else 0
    if not 1 <= whole <= min(2**13, x.shape[1]) or step < 1:
        raise DeclinedError(f"STFT of pieces of {whole} entries is not supported")
    starts = np.arange((x.shape[1] - whole) // step + 1) * step
    pieces = ops.gather(x, call.constant(starts[:, None] + np.arange(whole), np.int64), axis=1)
    if window is not None:
        pieces = pieces * ops.expand_dims(window, axis=-1)
    return _transformed(call, pieces, whole, onesided=bool(call.attribute("onesided", 1)))


@translates("MelWeightMatrix", until=28)
def _mel_weights(call: Call) -> np.ndarray:
    """Triangles over the frequencies, as wide as the ear hears them apart (O'Shaughnessy, 1987)."""
    bands, length, rate = (int(call.number(i, "a number")) for i in range(3))
    if not (1 <= bands <= 2**12 and 1 <= length <= 2**16 and rate >= 1):
        raise FileFormatError(f"MelWeightMatrix has {bands} bands over {length} entries at a rate of {rate}")
    low, high = (2595 * np.log10(1 + call.number(i, "a frequency") / 700) for i in (3, 4))
    mels = np.arange(bands + 2) * ((high - low) / (bands + 2)) + low
    bins = ((length + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(np.int64)
    place = np.arange(length // 2 + 1)[:, None]
    lower, center, upper = bins[:-2], bins[1:-1], bins[2:]
    rising = (place - lower) / np.maximum(center - lower, 1)
    falling = (upper - place) / np.maximum(upper - center, 1)
    weights = np.where((place >= lower) & (place <= center), np.where(center == lower, 1.0, rising), 0.0)
    weights = np.where((place >= center) & (place < upper), falling, weights)
    return weights.astype(dtype_of(call.attribute("output_datatype", 1)))
