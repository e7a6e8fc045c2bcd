"""Ops of the domain ``ai.onnx.ml``, as skl2onnx writes them for pipelines of scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, translates


def _floats(call: Call) -> Any:
    """The first input in float32, which the results of these ops are, whatever the input is."""
    x = call.value(0)
    return x if x.dtype.name == "float32" else ops.cast(x, dtype="float32")


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
    x = _floats(call)
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


_TRANSFORMS = {"NONE": lambda x: x, "LOGISTIC": ops.sigmoid, "SOFTMAX": ops.softmax, "SOFTMAX_ZERO": _softmax_zero}


def transformed(call: Call, x: Any) -> Any:
    """Scores as the attribute ``post_transform`` says."""
    name = call.attribute("post_transform", "NONE")
    if name not in _TRANSFORMS:
        raise DeclinedError(f"{call.op} with the transform {name} is not supported; {', '.join(_TRANSFORMS)} are")
    if name != "NONE" and x.shape[-1] == 1:  # the specification transforms it, onnxruntime leaves it as it is
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


# ---------------------------------------------------------------------------------------------------- kernels


def _counted(call: Call, name: str, count: int) -> np.ndarray:
    """An attribute of so many numbers."""
    numbers = np.ravel(np.array(call.attribute(name, ()), np.float64))
    if numbers.size != count:
        raise FileFormatError(f"{call.op} has {numbers.size} {name}; {count} are expected")
    return numbers


def _vectors(call: Call, x: Any, count: int) -> np.ndarray:
    """The support vectors: (vectors, features)."""
    features = x.shape[-1]
    if not isinstance(features, int):
        features = np.size(call.attribute("support_vectors", ())) // max(count, 1)
    return _counted(call, "support_vectors", count * features).reshape(count, features)


def _kernel(call: Call, x: Any, vectors: np.ndarray) -> Any:
    """The kernel of each row of x with each support vector: (rows, vectors)."""
    kind = call.attribute("kernel_type", "LINEAR")
    gamma, constant, degree = (
        _counted(call, "kernel_params", 3).tolist() if call.attribute("kernel_params") else [0] * 3
    )
    if kind == "RBF":  # distances from the middle of all, as the squares of large numbers leave few digits
        middle = vectors.mean(axis=0).astype(x.dtype)
        x, vectors = x - call.constant(middle, x.dtype), vectors - middle
    products = x @ call.constant(vectors.T, x.dtype)
    if kind == "LINEAR":
        return products
    if kind == "POLY":
        return (gamma * products + constant) ** degree
    if kind == "SIGMOID":
        return ops.tanh(gamma * products + constant)
    if kind != "RBF":
        raise DeclinedError(f"{call.op} with the kernel {kind} is not supported; LINEAR, POLY, RBF, SIGMOID are")
    squares = ops.sum(x * x, axis=1, keepdims=True) + call.constant((vectors**2).sum(axis=1), x.dtype)
    return ops.exp(-gamma * ops.maximum(squares - 2 * products, 0))


@translates("SVMRegressor", until=1)
def _svm_regressor(call: Call) -> Any:
    x, count = _floats(call), call.attribute("n_supports", 0)
    if count < 0:
        raise FileFormatError(f"SVMRegressor has {count} support vectors")
    x = _kernel(call, x, _vectors(call, x, count)) if count else x
    features = x.shape[-1] if isinstance(x.shape[-1], int) else np.size(call.attribute("coefficients", ()))
    coefficients = call.parameter("coefficients", _counted(call, "coefficients", features).astype("float32")[:, None])
    score = x @ coefficients + call.parameter("rho", _counted(call, "rho", 1).astype("float32"))
    if call.attribute("one_class", 0):  # 1 for what is like the support vectors, -1 for an outlier
        return ops.cast(ops.where(score > 0, 1, -1), dtype="float32")
    return transformed(call, score)


@translates("SVMClassifier", until=1)
def _svm_classifier(call: Call) -> Any:
    """Each pair of classes has a score, and gives a vote to one of them (LIBSVM's one against one)."""
    labels, sizes = call.classes("classlabels_ints", "classlabels_strings"), call.attribute("vectors_per_class")
    if labels is None or not sizes or call.attribute("prob_a") or call.attribute("post_transform", "NONE") != "NONE":
        raise DeclinedError("SVMClassifier is supported with support vectors and without probabilities only")
    x, count, total = _floats(call), len(sizes), sum(sizes)
    if count != labels.shape[0] or count < 2 or min(sizes) < 0 or not total:
        raise FileFormatError(f"SVMClassifier has vectors for {count} classes, and {labels.shape[0]} names of classes")
    call.check_memory(8 * count * count * (total + 2 * count))
    coefficients = _counted(call, "coefficients", (count - 1) * total).reshape(count - 1, total)
    starts, pairs = np.cumsum([0, *sizes]), [(i, j) for i in range(count) for j in range(i + 1, count)]
    weights, votes = np.zeros((total, len(pairs))), np.zeros((2, len(pairs), count))
    for k, (i, j) in enumerate(pairs):
        for one, other in ((i, j - 1), (j, i)):
            rows = slice(starts[one], starts[one + 1])
            weights[rows, k] = coefficients[other, rows]
        votes[0, k, j] = votes[1, k, i] = 1
    weight, rho = call.parameter("coefficients", weights.astype(x.dtype)), _counted(call, "rho", len(pairs))
    scores = _kernel(call, x, _vectors(call, x, total)) @ weight + call.parameter("rho", rho.astype(x.dtype))
    won = ops.cast(scores > 0, dtype=x.dtype.name)
    counts = won @ call.constant(votes[1], x.dtype) + (1 - won) @ call.constant(votes[0], x.dtype)
    label = ops.gather(labels, ops.argmax(counts, axis=1))
    return label, ops.concatenate(-scores, scores, axis=1) if count == 2 else scores


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
