"""Convolution in float64, for which onnxruntime has no kernel: a product with the windows, laid side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from dataflow.shapes import Dim
from dataflow_onnx.saving.calls import SavedCall, UnwritableError

_MOST = 64
"""Of so many places the windows are laid side by side; a larger kernel is for a kernel of float32."""


def correlate_in_full(
    call: SavedCall,
    W: str,
    kernel: Sequence[Dim],
    pairs: Sequence[tuple[int, int]],
    strides: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> str:
    """The correlation of the first argument with W, of (out, in/groups, kernel...)."""
    out, shape = call.out, call.result.shape
    sizes = [int(str(size)) for size in kernel]
    channels, results = call.spec().shape[1], shape[2:]
    if math.prod(sizes) > _MOST or not isinstance(channels, int) or not isinstance(shape[1], int):
        raise UnwritableError("of so many places")
    axes = out.numbers(range(2, 2 + len(sizes)))
    x = call.x(0, call.result.dtype)
    if any(number for pair in pairs for number in pair):
        x = out.add("Pad", x, out.numbers([before for before, _ in pairs] + [behind for _, behind in pairs]), "", axes)
    pieces = []
    for place in itertools.product(*(range(size) for size in sizes)):
        starts = [k * apart for k, apart in zip(place, dilation, strict=True)]
        ends = tuple((n - 1) * step + start + 1 for n, step, start in zip(results, strides, starts, strict=True))
        piece = out.add("Slice", x, out.numbers(starts), out.shape(ends), axes, out.numbers(strides))
        pieces.append(out.add("Unsqueeze", piece, out.numbers([2])))
    rows = channels // groups * math.prod(sizes)
    columns = out.add("Reshape", out.add("Concat", *pieces, axis=2), out.numbers([0, groups, rows, -1]))
    weights = out.add("Reshape", W, out.numbers([groups, shape[1] // groups, rows]))
    return out.add("Reshape", out.add("MatMul", weights, columns), out.shape(shape), allowzero=1)
