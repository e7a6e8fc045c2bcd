"""Products of matrices, and sums and the like along axes."""

from __future__ import annotations

import numpy as np

from dataflow.shapes import element_count, normalize_axes, normalize_axis
from dataflow_onnx.saving.calls import SavedCall, UnwritableError, writes
from dataflow_onnx.saving.written.elementwise import computed_in


def _reduced(call: SavedCall, op: str) -> str:
    dtype = computed_in(call.result.dtype)
    if op == "ReduceSum" and dtype.kind == "u":
        dtype = np.dtype(np.int64)  # of which there is a kernel; the bits are the same
    axes = call.axes
    if axes == ():
        raise UnwritableError("along no axis")
    numbers = "" if axes is None else call.out.numbers(axes)
    value = call.out.add(op, call.x(0, dtype), numbers, keepdims=int(call["keepdims"]))
    return call.to_result(value, dtype)


def _reduction(name: str, op: str) -> None:
    def write(call: SavedCall) -> str:
        if call.axes == () and name in ("sum", "mean", "max", "min", "prod"):
            return call.x(0, call.result.dtype)
        return _reduced(call, op)

    writes(name)(write)


for _name, _op in (
    *(("sum", "ReduceSum"), ("mean", "ReduceMean"), ("max", "ReduceMax"), ("min", "ReduceMin")),
    *(("prod", "ReduceProd"), ("sum_square", "ReduceSumSquare"), ("log_sum", "ReduceLogSum")),
    ("logsumexp", "ReduceLogSumExp"),
):
    _reduction(_name, _op)


@writes("norm")
def _norm(call: SavedCall) -> str:
    if call["order"] not in (1, 2):
        raise UnwritableError(f"of the order {call['order']}")
    return _reduced(call, "ReduceL1" if call["order"] == 1 else "ReduceL2")


def _largest(name: str, op: str) -> None:
    writes(name)(
        lambda call: call.out.add(
            op, call.x(0, computed_in(call.spec().dtype)), axis=call["axis"], keepdims=int(call["keepdims"])
        )
    )


for _name, _op in (("argmax", "ArgMax"), ("argmin", "ArgMin")):
    _largest(_name, _op)


@writes("cumsum")
def _cumsum(call: SavedCall) -> str:
    dtype = computed_in(call.result.dtype)
    axis = call.out.constant(call["axis"], np.int64)
    how = {"exclusive": int(call["exclusive"]), "reverse": int(call["reverse"])}
    return call.to_result(call.out.add("CumSum", call.x(0, dtype), axis, **how), dtype)


@writes("cumprod")
def _cumprod(call: SavedCall) -> str:
    """The product of all entries up to each: over a square of entries, with 1 for those that do not count."""
    out, dtype, shape = call.out, computed_in(call.result.dtype), call.spec().shape
    axis = normalize_axis(call["axis"], len(shape))
    count = call.spec().shape[axis]
    line = out.add("Range", out.constant(0, np.int64), out.scalar(count), out.constant(1, np.int64))
    row, column = out.add("Unsqueeze", line, out.numbers([1])), out.add("Unsqueeze", line, out.numbers([0]))
    compare = ("Greater" if call["exclusive"] else "GreaterOrEqual", "Less" if call["exclusive"] else "LessOrEqual")
    counts = out.add(compare[int(call["reverse"])], row, column)
    counts = out.add("Unsqueeze", counts, out.numbers(range(2, 1 + len(shape) - axis)))
    spread = out.add("Unsqueeze", call.x(0, dtype), out.numbers([axis]))
    factors = out.add("Where", counts, spread, out.constant(1, dtype))
    return call.to_result(out.add("ReduceProd", factors, out.numbers([axis + 1]), keepdims=0), dtype)


@writes("size")
def _size(call: SavedCall) -> str:
    shape = call.spec().shape
    axes = normalize_axes(call["axis"], len(shape))
    total = call.out.scalar(element_count([shape[axis] for axis in axes]))
    if call["least"] > 0:
        total = call.out.add("Max", total, call.out.constant(call["least"], np.int64))
    return call.out.cast(total, call.result.dtype)


@writes("sum_to")
def _sum_to(call: SavedCall) -> str:
    out, shape, target = call.out, call.spec().shape, call.result.shape
    lead = len(shape) - len(target)
    summed = [i for i in range(len(shape)) if i < lead or (target[i - lead] == 1 and shape[i] != 1)]
    dtype = computed_in(call.result.dtype)
    value = call.x(0, dtype)
    if summed:
        value = out.add("ReduceSum", value, out.numbers(summed), keepdims=1)
    if lead:
        value = out.add("Squeeze", value, out.numbers(range(lead)))
    return call.to_result(value, dtype)


@writes("matmul")
def _matmul(call: SavedCall) -> str:
    dtype = computed_in(call.result.dtype)
    return call.to_result(call.out.add("MatMul", *call.all(dtype)), dtype)


@writes("linear")
def _linear(call: SavedCall) -> str:
    dtype = call.result.dtype
    if len(call.spec(0).shape) != 2 or len(call.spec(1).shape) != 2:
        raise UnwritableError("of other than matrices")
    return call.out.add("Gemm", call.x(0, dtype), call.x(1, dtype), call.optional(2, dtype), transB=1)


@writes("einsum")
def _einsum(call: SavedCall) -> str:
    ranks = {len(call.spec(i).shape) for i in range(len(call.arguments))}
    if call.result.dtype.name not in ("float32", "float64") or (len(ranks) > 1 and "." in call["equation"]):
        raise UnwritableError("in this way")
    return call.out.add("Einsum", *call.all(), equation=call["equation"])


def _along_axis(name: str, op: str, single: bool = False) -> None:
    writes(name, single=single)(lambda call: call.out.add(op, call.x(0, call.result.dtype), axis=call["axis"]))


for _name, _op in (("softmax", "Softmax"), ("log_softmax", "LogSoftmax")):
    _along_axis(_name, _op)
_along_axis("hardmax", "Hardmax", single=True)
