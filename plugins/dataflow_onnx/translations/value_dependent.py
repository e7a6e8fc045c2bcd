"""Ops whose results have shapes that depend on values."""

from __future__ import annotations

from typing import Any

from dataflow import ops
from dataflow_onnx.call import Call, translates


@translates("NonZero", until=13)
def _nonzero(call: Call) -> Any:
    return ops.nonzero(call.value(0))


@translates("Compress", until=28)
def _compress(call: Call) -> Any:
    return ops.compress(call.value(0), call.value(1), axis=call.attribute("axis"))


@translates("Unique", until=28)
def _unique(call: Call) -> Any:
    axis, is_sorted = call.attribute("axis"), bool(call.attribute("sorted", 1))
    return list(ops.unique(call.value(0), axis=axis, sorted=is_sorted))


@translates("NonMaxSuppression", until=11)
def _non_max_suppression(call: Call) -> Any:
    """Thresholds are numbers that are known while the model is loaded; how many boxes are kept may be computed."""
    boxes, scores = call.value(0), call.value(1)
    overlap = float(call.number(3, "the threshold of what boxes share")) if call.has(3) else 0.0
    least = float(call.number(4, "the threshold of scores")) if call.has(4) else None
    most = call.value(2) if call.has(2) else call.constant(0, "int64")
    centred = bool(call.attribute("center_point_box", 0))
    return ops.non_max_suppression(boxes, scores, most, overlap=overlap, least=least, centred=centred)
