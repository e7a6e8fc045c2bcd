"""What exporters compute from shapes, for shapes with symbolic sizes: arrays of objects, by numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dataflow_onnx.call import Call, DeclinedError


def _array(call: Call, i: int) -> np.ndarray:
    return call.array(i, "a size")


def _concatenated(call: Call) -> np.ndarray:
    parts = [_array(call, i).astype(object) for i in range(len(call.operands))]
    return np.concatenate(parts, axis=call.attribute("axis"))


def _gathered(call: Call) -> np.ndarray:
    return _objects(np.take(_array(call, 0), _array(call, 1).astype(np.int64), axis=call.attribute("axis", 0)))


def _sliced(call: Call) -> np.ndarray:
    starts, ends, axes, steps = call.slices()
    if tuple(axes) not in ((0,), (-1,)):
        raise DeclinedError("Slice of sizes along other axes is not supported")
    return _array(call, 0)[slice(starts[0], ends[0], steps[0])]


def _reshaped(call: Call) -> np.ndarray:
    return _array(call, 0).reshape([int(size) for size in _array(call, 1)])


def _same(call: Call) -> np.ndarray:
    return _array(call, 0)


def _squeezed(call: Call) -> np.ndarray:
    axes = call.axes(1)
    return np.squeeze(_array(call, 0), axis=axes)


def _unsqueezed(call: Call) -> np.ndarray:
    return np.expand_dims(_array(call, 0), axis=call.axes(1) or ())


def _objects(value: Any) -> np.ndarray:
    """An array of objects, also where numpy would give the object itself."""
    if isinstance(value, np.ndarray):
        return value
    result = np.empty((), object)
    result[()] = value
    return result


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Call], np.ndarray]:
    def apply(call: Call) -> np.ndarray:
        return _objects(function(_array(call, 0).astype(object), _array(call, 1).astype(object)))

    return apply


SIZES: dict[str, Callable[[Call], np.ndarray]] = {
    "Add": _binary(np.add),
    "Cast": _same,
    "Concat": _concatenated,
    "Gather": _gathered,
    "Identity": _same,
    "Mul": _binary(np.multiply),
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Squeeze": _squeezed,
    "Sub": _binary(np.subtract),
    "Unsqueeze": _unsqueezed,
}
