"""Metrics. With more than two classes, what is measured for each class is averaged over the classes that occur, in the
targets or in the predictions; with two it is that of the second one. Several columns are measured one by one and
averaged. Of no examples there is no number, NaN.

Each but the area under the curve is made of sums over examples, so that the data may come in pieces; that one keeps the
scores of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflow import TrainingError, metric
from dataflow.metrics.compared import Kept, mean_of


def _hits(compared):
    return compared.sums(compared.predicted == compared.actual)


def _best_hits(compared, *, k):
    if k > compared.classes:
        raise TrainingError(f"top_{k} of {compared.classes} classes is always 1; take fewer than there are")
    best = np.argsort(-compared.prediction, axis=-1, kind="stable")[:, :k]
    return compared.sums((best == compared.actual[:, None]).any(axis=-1))


def _tables(compared):
    """For each choice the examples of each class (rows) that are predicted to be of each class (columns), by their
    weights, and in a last row how often each class occurs."""
    count = compared.classes
    weights = compared.weights if compared.weighted else None
    tables = np.array(
        [
            np.concatenate(
                [
                    np.bincount(actual * count + predicted, weights, minlength=count**2).reshape(count, count),
                    np.bincount(np.concatenate([actual, predicted]), minlength=count)[None],
                ]
            )
            for actual, predicted, _ in compared.choices
        ]
    )
    return tables.reshape(-1, count + 1, count)


def _ranked(compared):
    """The classes and the scores of all, and their weights."""
    weights = compared.weights if compared.weighted else None
    return Kept([[(actual.astype(np.int32), scores, weights) for actual, _, scores in compared.choices]])


def _squares(compared):
    return compared.sums((compared.prediction - compared.target) ** 2)


def _sizes(compared):
    return compared.sums(np.abs(compared.prediction - compared.target))


@dataclass
class _Spread:
    """Squared errors of predictions, and of the targets' mean; the latter of two parts are put together as Chan, Golub
    and LeVeque, 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"."""

    rows: int
    weight: float
    errors: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def __iadd__(self, other):
        if not self.weight > 0 or not other.weight > 0:
            larger = self if self.weight > 0 else other
            self.mean, self.squares, weight = larger.mean, larger.squares, larger.weight
        else:
            weight = self.weight + other.weight
            share, difference = other.weight / weight, other.mean - self.mean
            self.squares = self.squares + other.squares + difference**2 * (self.weight * share)
            self.mean = self.mean + share * difference
        self.rows, self.weight, self.errors = self.rows + other.rows, weight, self.errors + other.errors
        self.least, self.most = np.minimum(self.least, other.least), np.maximum(self.most, other.most)
        return self


def _spread(compared):
    target = compared.target
    mean = compared.mean(target)
    *squares, weight = compared.sums((target - mean) ** 2)
    ends = target.min(axis=0, initial=np.inf), target.max(axis=0, initial=-np.inf)
    return _Spread(len(target), weight, _squares(compared)[:-1], mean, np.array(squares), *ends)


@metric("classes", "binary", better="higher", usual="training", part=_hits)
def accuracy(hits: np.ndarray) -> float:
    """The share of examples whose class is the predicted one; of several binary columns, the share of entries."""
    return float(np.mean(mean_of(hits)))


@metric("classes", better="higher", part=_best_hits)
def top_k(hits: np.ndarray) -> float:
    """The share of examples whose class is among the k with the largest scores; of equal scores the first ones."""
    return float(mean_of(hits)[0])


@metric("classes", "binary", better="higher", usual="score", part=_tables)
def precision(tables: np.ndarray) -> float:
    """Of the examples that are predicted to be of a class, the share that are. 0 for a class that is never
    predicted."""
    return _mean_over_classes(tables, lambda hits, actual, predicted: _ratio(hits, predicted))


@metric("classes", "binary", better="higher", usual="score", part=_tables)
def recall(tables: np.ndarray) -> float:
    """Of the examples of a class, the share that are predicted to be. 0 for a class that never occurs."""
    return _mean_over_classes(tables, lambda hits, actual, predicted: _ratio(hits, actual))


@metric("classes", "binary", better="higher", usual="score", part=_tables)
def f1(tables: np.ndarray) -> float:
    """The harmonic mean of precision and recall."""
    return _mean_over_classes(tables, lambda hits, actual, predicted: _ratio(2 * hits, actual + predicted))


@metric("classes", "binary", better="higher", usual="score", part=_ranked)
def roc_auc(ranked: Kept) -> float:
    """How often an example of a class has a higher score for it than one of another class; equal scores count half. Of
    more than two classes the mean over each against the rest. Classes that all examples are of, or none, are left out;
    NaN where no other is left."""
    areas = []
    for pieces in zip(*ranked.pieces, strict=True):
        actual, scores = (np.concatenate(arrays) for arrays in list(zip(*pieces, strict=True))[:2])
        weights = np.ones(len(actual)) if pieces[0][2] is None else np.concatenate([one[2] for one in pieces])
        columns = enumerate(scores.T) if scores.ndim > 1 else [(1, scores)]
        areas += [_area(actual == number, column, weights) for number, column in columns]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else np.nan


@metric("classes", "binary", better="higher", usual="score", table=True, part=_tables)
def confusion_matrix(tables: np.ndarray) -> np.ndarray:
    """How many examples of each class (rows) are predicted to be of each class (columns), or the sum of their weights;
    of several binary columns, all of them together."""
    return np.asarray(tables[:, :-1].sum(axis=0))


@metric("numbers", better="lower", usual="score", part=_squares)
def rmse(squares: np.ndarray) -> float:
    """The root of the mean squared error."""
    return float(np.mean(np.sqrt(mean_of(squares))))


@metric("numbers", better="lower", usual="score", part=_sizes)
def mae(sizes: np.ndarray) -> float:
    """The mean of the errors' sizes."""
    return float(np.mean(mean_of(sizes)))


@metric("numbers", better="higher", usual="score", part=_spread)
def r2(spread: _Spread) -> float:
    """The share of the targets' variance that is explained: 1 minus the squared error over that of the targets' mean.
    For targets that are all equal, 1 where they are met and else 0; NaN over fewer than two examples."""
    if spread.rows < 2:
        return np.nan
    error, squares = spread.errors / spread.weight, spread.squares / spread.weight
    constant = (squares == 0) | (spread.least == spread.most)
    shares = np.where(constant, np.where(error == 0, 1.0, 0.0), 1 - error / np.where(constant, 1, squares))
    return float(np.mean(np.where(np.isnan(error), np.nan, shares)))


ALL = [accuracy, top_k, precision, recall, f1, roc_auc, confusion_matrix, rmse, mae, r2]


# ------------------------------------------------------------------------------------------------ internals


def _mean_over_classes(tables, share_of):
    """What ``share_of`` gives for the hits of each class, its examples and its predictions, averaged."""
    shares = []
    for table, occurrences in ((one[:-1], one[-1]) for one in tables):
        by_class = share_of(table.diagonal(), table.sum(axis=1), table.sum(axis=0))
        shares.append(by_class[1] if len(table) == 2 else by_class[occurrences > 0].mean())
    return float(np.mean(shares))


def _ratio(part, whole):
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0)


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
