"""Metrics. With more than two classes, what is measured for each class is averaged over the classes that occur, in the
targets or in the predictions; with two it is that of the second one. Several columns are measured one by one and
averaged. Of no examples there is no number, NaN."""

from __future__ import annotations

import numpy as np

from dataflow import TrainingError, metric
from dataflow.metrics.compared import Compared


@metric("classes", "binary", better="higher", usual="training")
def accuracy(compared: Compared) -> float:
    """The share of examples whose class is the predicted one; of several binary columns, the share of entries."""
    return float(np.mean(compared.mean(compared.predicted == compared.actual)))


@metric("classes", better="higher")
def top_k(compared: Compared, *, k: int) -> float:
    """The share of examples whose class is among the k with the largest scores; of equal scores the first ones."""
    if k > compared.classes:
        raise TrainingError(f"top_{k} of {compared.classes} classes is always 1; take fewer than there are")
    best = np.argsort(-compared.prediction, axis=-1, kind="stable")[:, :k]
    return float(compared.mean((best == compared.actual[:, None]).any(axis=-1))[0])


@metric("classes", "binary", better="higher", usual="score")
def precision(compared: Compared) -> float:
    """Of the examples that are predicted to be of a class, the share that are. 0 for a class that is never
    predicted."""
    return _mean_over_classes(compared, lambda hits, actual, predicted: _ratio(hits, predicted))


@metric("classes", "binary", better="higher", usual="score")
def recall(compared: Compared) -> float:
    """Of the examples of a class, the share that are predicted to be. 0 for a class that never occurs."""
    return _mean_over_classes(compared, lambda hits, actual, predicted: _ratio(hits, actual))


@metric("classes", "binary", better="higher", usual="score")
def f1(compared: Compared) -> float:
    """The harmonic mean of precision and recall."""
    return _mean_over_classes(compared, lambda hits, actual, predicted: _ratio(2 * hits, actual + predicted))


@metric("classes", "binary", better="higher", usual="score")
def roc_auc(compared: Compared) -> float:
    """How often an example of a class has a higher score for it than one of another class; equal scores count half. Of
    more than two classes the mean over each against the rest. Classes that all examples are of, or none, are left out;
    NaN where no other is left."""
    areas = [
        _area(actual == number, column, compared.weights)
        for actual, _, scores in compared.choices
        for number, column in (enumerate(scores.T) if scores.ndim > 1 else [(1, scores)])
    ]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else np.nan


@metric("classes", "binary", better="higher", usual="score", table=True)
def confusion_matrix(compared: Compared) -> np.ndarray:
    """How many examples of each class (rows) are predicted to be of each class (columns), or the sum of their weights;
    of several binary columns, all of them together."""
    return np.sum([_table(actual, predicted, compared) for actual, predicted, _ in compared.choices], axis=0)


@metric("numbers", better="lower", usual="score")
def rmse(compared: Compared) -> float:
    """The root of the mean squared error."""
    return float(np.mean(np.sqrt(compared.mean((compared.prediction - compared.target) ** 2))))


@metric("numbers", better="lower", usual="score")
def mae(compared: Compared) -> float:
    """The mean of the errors' sizes."""
    return float(np.mean(compared.mean(np.abs(compared.prediction - compared.target))))


@metric("numbers", better="higher", usual="score")
def r2(compared: Compared) -> float:
    """The share of the targets' variance that is explained: 1 minus the squared error over that of the targets' mean.
    For targets that are all equal, 1 where they are met and else 0; NaN over fewer than two examples."""
    if len(compared.target) < 2:
        return np.nan
    error = compared.mean((compared.prediction - compared.target) ** 2)
    spread = compared.mean((compared.target - compared.mean(compared.target)) ** 2)
    constant = spread == 0
    shares = np.where(constant, np.where(error == 0, 1.0, 0.0), 1 - error / np.where(constant, 1, spread))
    return float(np.mean(np.where(np.isnan(error), np.nan, shares)))


ALL = [accuracy, top_k, precision, recall, f1, roc_auc, confusion_matrix, rmse, mae, r2]


# ------------------------------------------------------------------------------------------------ internals


def _mean_over_classes(compared, share_of):
    """What ``share_of`` gives for the hits of each class, its examples and its predictions, averaged."""
    shares = []
    for actual, predicted, _ in compared.choices:
        table = _table(actual, predicted, compared)
        by_class = share_of(table.diagonal(), table.sum(axis=1), table.sum(axis=0))
        occurs = np.bincount([*actual, *predicted], minlength=compared.classes) > 0
        shares.append(by_class[1] if compared.classes == 2 else by_class[occurs].mean())
    return float(np.mean(shares))


def _ratio(part, whole):
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0)


def _table(actual, predicted, compared):
    count = compared.classes
    weights = compared.weights if compared.weighted else None
    return np.bincount(actual * count + predicted, weights, minlength=count**2).reshape(count, count)


def _area(positive, scores, weights):
    """The area under the curve of the true positives over the false ones, as the threshold falls; tied scores go
    together."""
    order = np.argsort(scores, kind="stable")
    scores, yes, no = scores[order], (weights * positive)[order], (weights * ~positive)[order]
    if not yes.sum() > 0 or not no.sum() > 0:
        return None
    if np.isnan(scores[-1]):  # NaN is sorted to the end
        return np.nan
    starts = np.flatnonzero(np.diff(scores, prepend=np.nan) != 0)
    yes, no = np.add.reduceat(yes, starts), np.add.reduceat(no, starts)
    below = np.cumsum(no) - no
    return float(yes @ (below + no / 2) / (yes.sum() * no.sum()))
