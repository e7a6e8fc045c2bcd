"""Losses of classes that are given by their numbers."""

from __future__ import annotations

import numpy as np

from dataflow import DTYPES, DtypeError, OpError, ShapeError, TensorSpec, format_shape, op, sample
from dataflow.operations.engine_ops import expand_dims, where
from dataflow_nn.activations import log_softmax
from dataflow_nn.losses import Reduction, as_float, reduce
from dataflow_ops.gathering import gather_elements
from dataflow_ops.reductions import size, sum_
from dataflow_ops.selecting import gather
from dataflow_ops.shaping import check_whole, squeeze


@op(compares="classes")
def nll(log_probabilities, classes, weights=None, *, ignore_index: int | None = None, reduction: Reduction = "sum"):
    """−Σ weight · log probability of each example's class. The logarithms are (..., classes), the classes (...) are
    whole numbers from 0, the weights, 1 unless given, are (classes,). The class ``ignore_index`` adds nothing, and may
    be a number that no class has. "mean" divides by the number of examples, the first axis, whatever the weights are,
    those with an ignored class among them."""
    log_probabilities = as_float(log_probabilities)
    safe = classes if ignore_index is None else where(classes != ignore_index, classes, 0)
    costs = -squeeze(gather_elements(log_probabilities, expand_dims(safe, axis=-1), wrap=False), axis=-1)
    counted = costs if ignore_index is None else where(classes != ignore_index, costs, 0)
    return reduce(sum_(counted if weights is None else counted * gather(weights, safe)), log_probabilities, reduction)


@op(compares="classes")
def cross_entropy(
    logits,
    classes,
    weights=None,
    *,
    ignore_index: int | None = None,
    smoothing: float = 0.0,
    reduction: Reduction = "sum",
):
    """−Σ weight · log_softmax(logits) of each example's class, over the last axis: softmax_cross_entropy with the
    classes by their numbers. Weights, ``ignore_index`` and "mean" are as for nll. With ``smoothing`` that share of each
    label is spread evenly over all classes (Szegedy et al., 2015)."""
    logs = log_softmax(as_float(logits))
    total = nll(logs, classes, weights, ignore_index=ignore_index)
    if smoothing:
        counted = logs if ignore_index is None else where(expand_dims(classes != ignore_index, axis=-1), logs, 0)
        spread = sum_(counted if weights is None else counted * weights) / size(logits, axis=-1)
        total = (1 - smoothing) * total - smoothing * spread
    return reduce(total, logits, reduction)


def _declare_shape(loss):
    @loss.shape
    def _(scores, classes, weights, *, reduction, **more):
        name = loss.name
        check_whole(name, "classes", classes)
        if scores.dtype == bool:
            raise DtypeError(f"{name} takes numbers first, not booleans; cast them, as in cast(x, dtype='float64')")
        if scores.ndim == 0 or scores.shape[:-1] != classes.shape:
            raise ShapeError(
                f"{name} takes scores of (..., classes) and a number of a class for each, not "
                f"{format_shape(scores.shape)} and {format_shape(classes.shape)}; shares of classes are for "
                f"softmax_cross_entropy"
            )
        if weights is not None and weights.shape != scores.shape[-1:]:
            raise ShapeError(
                f"{name} takes a weight for each class of {format_shape(scores.shape)}, not "
                f"{format_shape(weights.shape)}"
            )
        if scores.shape[-1] == 0:
            raise ShapeError(f"{name} needs at least one class, not scores of {format_shape(scores.shape)}")
        if reduction == "mean" and scores.ndim < 2:
            raise ShapeError(f'{name} with reduction="mean" needs a first axis, the examples')
        if not 0 <= more.get("smoothing", 0) <= 1:
            raise OpError(f"{name}: smoothing is a share from 0 to 1, not {more['smoothing']}")
        floats = scores.dtype if scores.dtype.kind == "f" else DTYPES["float64"]
        return TensorSpec((), floats if weights is None else np.result_type(floats, weights.dtype))


_declare_shape(nll)
_declare_shape(cross_entropy)


@nll.samples
def _(rng):
    yield sample(-rng.exponential(size=(3, 2)), rng.integers(2, size=3), reduction="mean")
    yield sample(-rng.exponential(size=(4, 2)), np.array([1, 5, 0, 1]), rng.uniform(0.5, 2, size=2), ignore_index=5)


@cross_entropy.samples
def _(rng):
    yield sample(rng.normal(size=(3, 2)), rng.integers(2, size=3), reduction="mean")
    yield sample(
        rng.normal(size=(3, 2)), np.array([1, 5, 0]), rng.uniform(0.5, 2, size=2), ignore_index=5, smoothing=0.1
    )
