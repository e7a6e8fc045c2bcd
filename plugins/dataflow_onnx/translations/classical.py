"""Ops of the domain ``ai.onnx.ml``, as skl2onnx writes them for pipelines of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, translates


def _floats(call: Call) -> Any:
    """The first input in float32, in which all of this is computed; float64 stays what it is."""
    x = call.value(0)
    return x if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else ops.cast(x, dtype="float32")


@translates("Scaler", until=1)
def _scaler(call: Call) -> Any:
    x = _floats(call)
    offset, scale = (np.array(call.attribute(name, default)) for name, default in (("offset", (0,)), ("scale", (1,))))
    return (x - call.constant(offset, x.dtype)) * call.constant(scale, x.dtype)


@translates("Normalizer", until=1)
def _normalizer(call: Call) -> Any:
    """A row of zeros stays one."""
    x, norm = _floats(call), call.attribute("norm", "MAX")
    if norm == "L1":
        size = ops.sum(ops.abs(x), axis=-1, keepdims=True)
    elif norm == "L2":
        size = ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True))
    else:
        size = ops.max(x, axis=-1, keepdims=True)
    return x / ops.where(size == 0, 1, size)


def _scores(call: Call, outputs: int) -> Any:
    x = _floats(call)
    weights = np.array(call.attribute("coefficients", ())).reshape(outputs, -1)
    scores = x @ call.constant(weights.T, x.dtype)
    bias = call.attribute("intercepts")
    return scores if not bias else scores + call.constant(bias, x.dtype)


_TRANSFORMS = {"NONE": lambda x: x, "LOGISTIC": ops.sigmoid, "SOFTMAX": ops.softmax}


def _transformed(call: Call, x: Any) -> Any:
    name = call.attribute("post_transform", "NONE")
    if name not in _TRANSFORMS:
        raise DeclinedError(f"{call.op} with the transform {name} is not supported; {', '.join(_TRANSFORMS)} are")
    return _TRANSFORMS[name](x)


@translates("LinearRegressor", until=1)
def _linear_regressor(call: Call) -> Any:
    return _transformed(call, _scores(call, call.attribute("targets", 1)))


@translates("LinearClassifier", until=1)
def _linear_classifier(call: Call) -> Any:
    """The class of each row, and the scores of all classes."""
    labels = call.attribute("classlabels_ints")
    if not labels:
        raise FileFormatError("LinearClassifier with texts as classes is not supported; number the classes from 0")
    scores = _scores(call, len(labels))
    if scores.shape[-1] != len(labels) or len(labels) < 2:
        raise DeclinedError("LinearClassifier with one score for two classes is not supported")
    return ops.gather(call.constant(labels, "int64"), ops.argmax(scores, axis=-1)), _transformed(call, scores)


@translates("ArrayFeatureExtractor", until=1)
def _array_feature_extractor(call: Call) -> Any:
    """Columns by their numbers; of one row it makes one, also where the row stands alone."""
    x, places = call.value(0), ops.reshape(call.value(1), shape=(-1,))
    chosen = ops.gather(x, places, axis=-1)
    return ops.expand_dims(chosen, axis=0) if x.ndim == 1 else chosen


@translates("ZipMap", until=1)
def _zip_map(call: Call) -> Any:
    """The numbers by the names of their classes; here the array itself, with a column for each class."""
    return call.value(0)
