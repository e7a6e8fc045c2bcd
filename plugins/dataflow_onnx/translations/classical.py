"""Ops of the domain ``ai.onnx.ml``, as skl2onnx writes them for pipelines of scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, translates


def floats(call: Call) -> Any:
    """The first input in float32, which the results of these ops are, whatever the input is."""
    x = call.value(0)
    return x if x.dtype.name == "float32" else ops.cast(x, dtype="float32")


@translates("Scaler", until=1)
def _scaler(call: Call) -> Any:
    x = floats(call)
    offset, scale = (np.array(call.attribute(name, default)) for name, default in (("offset", (0,)), ("scale", (1,))))
    return (x - call.constant(offset, x.dtype)) * call.constant(scale, x.dtype)


@translates("Normalizer", until=1)
def _normalizer(call: Call) -> Any:
    """A row of zeros stays one."""
    x, norm = floats(call), call.attribute("norm", "MAX")
    if norm == "L1":
        size = ops.sum(ops.abs(x), axis=-1, keepdims=True)
    elif norm == "L2":
        size = ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True))
    else:
        size = ops.max(x, axis=-1, keepdims=True)
    return x / ops.where(size == 0, 1, size)


@translates("Binarizer", until=1)
def _binarizer(call: Call) -> Any:
    x = call.value(0)
    return ops.cast(x > call.constant(call.attribute("threshold", 0.0), x.dtype), dtype=x.dtype.name)


@translates("Imputer", until=1)
def _imputer(call: Call) -> Any:
    """What is missing: NaN, or a number."""
    x = call.value(0)
    kind = "float" if x.dtype.kind == "f" else "int64"
    missing = call.attribute(f"replaced_value_{kind}", 0)
    values = np.array(call.attribute(f"imputed_value_{kind}s", ()))
    if values.size not in (1, x.shape[-1]):
        raise FileFormatError(f"Imputer has {values.size} values for {x.shape[-1]} columns")
    place = ops.isnan(x) if math.isnan(missing) else x == call.constant(missing, x.dtype)
    return ops.where(place, call.constant(values, x.dtype), x)


@translates("FeatureVectorizer", until=1)
def _feature_vectorizer(call: Call) -> Any:
    columns = [ops.cast(x, dtype="float32") for x in call.values()]
    return ops.concatenate(*(x if x.ndim == 2 else ops.reshape(x, shape=(1, -1)) for x in columns), axis=1)


# ---------------------------------------------------------------------------------------------------- linear


def _scores(call: Call, outputs: int) -> Any:
    """Coefficients and intercepts are parameters."""
    x = floats(call)
    coefficients = np.array(call.attribute("coefficients", ()), x.dtype)
    if outputs < 1 or not coefficients.size or coefficients.size % outputs:
        raise FileFormatError(f"{call.op} has {coefficients.size} coefficients for {outputs} results")
    scores = x @ ops.transpose(call.parameter("coefficients", coefficients.reshape(outputs, -1)))
    bias = call.attribute("intercepts")
    return scores + call.parameter("intercepts", np.array(bias, x.dtype)) if bias else scores


def _softmax_zero(x: Any) -> Any:
    """Softmax over the scores that are not 0; the others stay 0."""
    weights = ops.where(ops.abs(x) > 1e-7, ops.exp(x - ops.max(x, axis=-1, keepdims=True)), 0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _probit(x: Any) -> Any:
    """The quantile of the normal distribution, as programs compute it for ONNX: by Winitzki's approximation of the
    inverse error function, whose relative error is at most 2e-3 or so. Infinite at 0 and 1."""
    log = ops.log(4 * x * (1 - x))
    half = 2 / (math.pi * 0.147) + log / 2
    size = ops.sqrt(2 * (ops.sqrt(half * half - log / 0.147) - half))
    return ops.where(x < 0.5, -size, size)


_TRANSFORMS = {
    "NONE": lambda x: x,
    "LOGISTIC": ops.sigmoid,
    "SOFTMAX": ops.softmax,
    "SOFTMAX_ZERO": _softmax_zero,
    "PROBIT": _probit,
}


def transformed(call: Call, x: Any, name: str = "") -> Any:
    """Scores after a transform: the one that the attribute ``post_transform`` names, unless one is given."""
    name = name or call.attribute("post_transform", "NONE")
    if name not in _TRANSFORMS:
        raise DeclinedError(f"{call.op} with the transform {name} is not supported; {', '.join(_TRANSFORMS)} are")
    if (
        name not in ("NONE", "PROBIT") and x.shape[-1] == 1
    ):  # the specification transforms it, onnxruntime leaves it as it is
        raise DeclinedError(
            f"{call.op} with one result and the transform {name} is not supported; programs differ in it"
        )
    return _TRANSFORMS[name](x)


def of_two(call: Call, score: Any, other: Any) -> Any:
    """The scores of two classes, of which the second has one, a column; ``other`` is that of the first as it is."""
    name = call.attribute("post_transform", "NONE")
    if name not in ("NONE", "LOGISTIC"):
        raise DeclinedError(f"{call.op} with one score for two classes and the transform {name} is not supported")
    both = [ops.sigmoid(-score), ops.sigmoid(score)] if name == "LOGISTIC" else [other, score]
    return ops.concatenate(*both, axis=1)


@translates("LinearRegressor", until=1)
def _linear_regressor(call: Call) -> Any:
    return transformed(call, _scores(call, call.attribute("targets", 1)))


@translates("LinearClassifier", until=1)
def _linear_classifier(call: Call) -> Any:
    """The class of each row, and the scores of all classes."""
    labels = call.classes("classlabels_ints", "classlabels_strings")
    count = 0 if labels is None else labels.shape[0]
    if labels is None or count < 2:
        raise FileFormatError("LinearClassifier needs the names or numbers of two classes at least")
    results = len(call.attribute("intercepts", ())) or count
    scores = _scores(call, results)
    if results == 1 and count == 2:
        chosen = ops.reshape(ops.cast(scores > 0, dtype="int64"), shape=(-1,))
        return ops.gather(labels, chosen), of_two(call, scores, 1 - scores)
    if results != count:
        raise FileFormatError(f"LinearClassifier has {results} intercepts for {count} classes")
    return ops.gather(labels, ops.argmax(scores, axis=-1)), transformed(call, scores)


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
