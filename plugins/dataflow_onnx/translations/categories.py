"""Ops of the domain ``ai.onnx.ml`` that number categories. Texts are numbers here: their places in one list."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.graph.value import Value
from dataflow_onnx.call import Call, translates


def _same(call: Call, x: Value, keys: np.ndarray) -> Any:
    """Whether each entry of x is each key, along a last axis. NaN is the same as NaN."""
    wide = ops.expand_dims(x, axis=-1)
    same = wide == call.constant(keys, np.result_type(keys, x.dtype) if x.dtype.kind == "f" else keys.dtype)
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        return ops.logical_or(same, ops.logical_and(ops.isnan(wide), call.constant(np.isnan(keys), "bool")))
    return same


_KINDS = {"int64s": np.int64, "floats": np.float32}


def _given(call: Call, what: str) -> np.ndarray:
    """Keys or values, in one of four attributes."""
    tensor = call.attribute(f"{what}_tensor")
    if tensor is not None:
        return np.ravel(tensor)
    texts = call.attribute(f"{what}_strings")
    if texts:
        return call.places(texts)
    for suffix, dtype in _KINDS.items():
        numbers = call.attribute(f"{what}_{suffix}")
        if numbers:
            return np.array(numbers, dtype)
    raise FileFormatError(f"LabelEncoder has no {what}")


def _default(call: Call, dtype: np.dtype[Any]) -> Any:
    """What stands for an entry that is no key."""
    tensor = call.attribute("default_tensor")
    if tensor is not None:
        return np.ravel(tensor)[0]
    if call.attribute("values_strings"):
        return call.places([call.attribute("default_string", "_Unused")])[0]
    return call.attribute("default_int64", -1) if dtype.kind in "iu" else call.attribute("default_float", -0.0)


@translates("LabelEncoder", since=2, until=4)
def _label_encoder(call: Call) -> Any:
    keys, values = _given(call, "keys"), _given(call, "values")
    if keys.size != values.size:
        raise FileFormatError(f"LabelEncoder has {keys.size} keys and {values.size} values")
    same = _same(call, call.value(0), keys)
    found = ops.cast(same, dtype="int64")
    # of the same keys the first counts, as in onnxruntime
    chosen = ops.gather(call.constant(values, values.dtype), ops.argmax(found, axis=-1))
    default = call.constant(_default(call, values.dtype), values.dtype)
    return ops.where(ops.max(found, axis=-1) > 0, chosen, default)


@translates("OneHotEncoder", until=1)
def _one_hot_encoder(call: Call) -> Any:
    """What is no category gives zeros; that it is an error, as an attribute may say, only a run would tell."""
    texts, numbers = call.attribute("cats_strings"), call.attribute("cats_int64s")
    if not texts and not numbers:
        raise FileFormatError("OneHotEncoder has no categories")
    keys = call.places(texts) if texts else np.array(numbers, np.int64)
    return ops.cast(_same(call, call.value(0), keys), dtype="float32")
