"""Support vector machines, as LIBSVM writes them: a score for each pair of classes, votes, and probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow.graph.subgraph import Subgraph
from dataflow.shapes import TensorSpec
from dataflow_onnx.call import Call, DeclinedError, translates
from dataflow_onnx.translations.classical import floats, transformed


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
    x, count = floats(call), call.attribute("n_supports", 0)
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
    if labels is None or not sizes:
        raise DeclinedError("SVMClassifier without support vectors, or without names of classes, is not supported")
    x, count, total = floats(call), len(sizes), sum(sizes)
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
    if call.attribute("prob_a"):
        return label, transformed(call, _coupled(_paired(call, scores, pairs, count), count))
    if count > 2:
        return label, transformed(call, scores)
    if call.attribute("post_transform", "NONE") != "NONE":
        raise DeclinedError("SVMClassifier with one score for two classes and a transform of it is not supported")
    return label, ops.concatenate(-scores, scores, axis=1)


def _paired(call: Call, scores: Any, pairs: list[tuple[int, int]], count: int) -> Any:
    """How probable the first class of each pair is, if it is one of the two: (rows, classes, classes), 0 at equals."""
    slope, shift = (
        call.parameter(name, _counted(call, name, len(pairs)).astype(scores.dtype)) for name in ("prob_a", "prob_b")
    )
    first = ops.clip(ops.sigmoid(-(scores * slope + shift)), 1e-7, 1 - 1e-7)
    places = np.full((count, count), 2 * len(pairs))
    for k, (i, j) in enumerate(pairs):
        places[i, j], places[j, i] = k, len(pairs) + k
    columns = ops.concatenate(first, 1 - first, 0 * first[:, :1], axis=1)
    return ops.reshape(ops.gather(columns, call.constant(places, "int64"), axis=1), shape=(-1, count, count))


_MOST_SWEEPS, _TOLERANCE = 100, 0.005


def _coupled(paired: Any, count: int) -> Any:
    """The probability of each class. Of all that add up to 1, those with the least Σ (r_ji p_i - r_ij p_j)², sought as
    in LIBSVM: class by class, until a row's conditions of the minimum hold but for 0.005 by the number of classes
    (Wu, Lin and Weng, Probability estimates for multi-class classification by pairwise coupling, 2004)."""
    dtype = paired.dtype
    crossed = paired * ops.transpose(paired, axes=(0, 2, 1))
    quadratic = ops.expand_dims(ops.sum(paired * paired, axis=1), axis=1) * np.eye(count, dtype=dtype) - crossed
    start = ops.sum(0 * paired, axis=2) + np.array(1 / count, dtype)

    def sweep(step: Any, p: Any, quadratic: Any) -> list[Any]:
        products = ops.sum(quadratic * ops.expand_dims(p, axis=1), axis=2)
        total = ops.sum(p * products, axis=1, keepdims=True)
        open_rows = ops.max(ops.abs(products - total), axis=1, keepdims=True) >= _TOLERANCE / count
        new = p
        for i in range(count):
            row = ops.index(quadratic, key=f":, {i}")
            square = ops.index(row, key=f":, {i}:{i + 1}")
            product = ops.index(products, key=f":, {i}:{i + 1}")
            change = (total - product) / square
            total = (total + change * (change * square + 2 * product)) / (1 + change) ** 2
            products = (products + change * row) / (1 + change)
            new = (new + change * np.eye(count, dtype=dtype)[i]) / (1 + change)
        return [ops.max(ops.cast(open_rows, dtype="int64")) > 0, ops.where(open_rows, new, p)]

    specs = {"step": TensorSpec((), np.dtype("int64"))}
    specs |= {"p": TensorSpec(start.shape, dtype), "quadratic": TensorSpec(quadratic.shape, dtype)}
    body = Subgraph.traced(sweep, specs, ["more", "p"], "coupling")
    (p,) = ops.loop(np.array(_MOST_SWEEPS), np.array(True), start, quadratic, body=body)
    return p
