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
