"""Products of matrices, and sums and the like along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import normalize_axes, ops
from dataflow_onnx.call import Call, as_like, translates


def _reduction(name: str, op: Any, until: int) -> None:
    def translation(call: Call) -> Any:
        x, axes = call.value(0), call.axes(1)
        if not axes and call.attribute("noop_with_empty_axes", 0):
            if name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
                return x
            axes = ()
        elif not axes:
            axes = None
        if name in _OF_NOTHING and _covers_nothing(x, axes):
            keep, along = call.attribute("keepdims", 1), normalize_axes(axes, x.ndim)
            shape = tuple(1 if i in along else n for i, n in enumerate(x.shape) if keep or i not in along)
            return ops.broadcast_to(call.constant(_of_nothing(name, x.dtype), x.dtype), shape=shape)
        return as_like(op(x, axis=axes, keepdims=bool(call.attribute("keepdims", 1))), x)

    translates(name, until=until)(translation)


_OF_NOTHING = ("ReduceMax", "ReduceMin", "ReduceLogSumExp")


def _covers_nothing(x: Any, axes: Any) -> bool:
    return any(x.shape[axis] == 0 for axis in normalize_axes(axes, x.ndim))


def _of_nothing(name: str, dtype: Any) -> Any:
    """The largest or smallest of no numbers, as ONNX has it."""
    if dtype.kind == "f":
        return np.inf if name == "ReduceMin" else -np.inf
    if dtype.kind == "b":
        return name == "ReduceMin"
    return np.iinfo(dtype).max if name == "ReduceMin" else np.iinfo(dtype).min


def _l1(x: Any, **how: Any) -> Any:
    return ops.sum(ops.abs(x), **how)


def _l2(x: Any, **how: Any) -> Any:
    return ops.norm(x, order=2, **how)


for _name, _op, _until in (
    *(("ReduceSum", ops.sum, 13), ("ReduceMean", ops.mean, 18), ("ReduceMax", ops.max, 20), ("ReduceMin", ops.min, 20)),
    *(("ReduceProd", ops.prod, 18), ("ReduceL1", _l1, 18), ("ReduceL2", _l2, 18), ("ReduceLogSum", ops.log_sum, 28)),
    *(("ReduceLogSumExp", ops.logsumexp, 28), ("ReduceSumSquare", ops.sum_square, 18)),
):
    _reduction(_name, _op, _until)


@translates("MatMul", until=13)
def _matmul(call: Call) -> Any:
    return call.value(0) @ call.value(1)


@translates("Gemm", since=7, until=13)
def _gemm(call: Call) -> Any:
    a, b, c = call.value(0), call.value(1), call.optional(2)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    a = a.T if call.attribute("transA", 0) else a
    if (
        call.attribute("transB", 0)
        and alpha == beta == 1
        and c is not None
        and c.ndim == 1
        and c.shape[0] == b.shape[0]
    ):
        return ops.linear(a, b, c)
    product = a @ (b.T if call.attribute("transB", 0) else b)
    product = product if alpha == 1 else product * alpha
    return product if c is None else product + (c if beta == 1 else c * beta)


@translates("Einsum", until=28)
def _einsum(call: Call) -> Any:
    return ops.einsum(*call.values(), equation=call.attribute("equation"))


def _normalized(name: str, op: Any) -> None:
    def translation(call: Call) -> Any:
        x = call.value(0)
        if call.version >= 13:
            return op(x, axis=call.attribute("axis", -1))
        flat = ops.flatten(x, axis=call.attribute("axis", 1))  # in older opsets along all axes from that one on
        return ops.reshape(op(flat, axis=-1), shape=x.shape)

    translates(name, until=13)(translation)


for _name, _op in (("Softmax", ops.softmax), ("LogSoftmax", ops.log_softmax), ("Hardmax", ops.hardmax)):
    _normalized(_name, _op)
