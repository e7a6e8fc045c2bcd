"""What metrics look at: the predictions for some examples beside their targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from dataflow.operations.op import Compares


class Compared:
    """Predictions and targets of examples, a row for each, with the weight of each.

    ``prediction`` and ``target`` are (examples, columns). Of classes, the columns are their scores and their shares;
    each position of a sequence is an example. Targets that are numbers of classes, one axis less, become shares, and
    examples of the class ``ignored`` are left out. Of binary choices and of numbers, each column is one of its own.
    """

    def __init__(
        self,
        kind: Compares,
        prediction: np.ndarray,
        target: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        logits: bool = False,
        ignored: int | None = None,
    ) -> None:
        self.kind = kind
        self.logits = logits
        """Whether the scores of classes and of binary choices are logits; else they are probabilities."""
        count = len(prediction) if prediction.ndim > (kind == "classes") else 1
        columns = prediction.shape[-1] if kind == "classes" else prediction.size // max(1, count)
        rows = prediction.size // max(1, columns)
        numbers = target.reshape(-1) if kind == "classes" and target.ndim == prediction.ndim - 1 else None
        if numbers is not None:
            target = (numbers[:, None] == np.arange(columns)).reshape(prediction.shape)
        target = np.broadcast_to(target, prediction.shape)
        exact = np.dtype(np.float64) if kind == "numbers" else prediction.dtype
        self.prediction = prediction.reshape(rows, columns).astype(exact, copy=False)
        self.target = target.reshape(rows, columns).astype(exact, copy=False)
        self.weights = np.ones(rows) if weights is None else np.repeat(np.float64(weights), rows // max(1, count))
        """Of each row; 1 unless given."""
        self.weighted = weights is not None
        if numbers is not None and ignored is not None and (numbers == ignored).any():
            kept = numbers != ignored
            self.prediction, self.target, self.weights = self.prediction[kept], self.target[kept], self.weights[kept]

    @cached_property
    def actual(self) -> np.ndarray:
        """The number of each row's class in the targets; of binary choices, one for each column."""
        return np.asarray(self.target.argmax(axis=-1) if self.kind == "classes" else (self.target >= 0.5) + 0)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The number of each row's predicted class: that of the largest score, the first of equal ones; of binary
        choices, one for each column."""
        if self.kind == "classes":
            return np.asarray(self.prediction.argmax(axis=-1))
        return np.asarray((self.prediction >= (0 if self.logits else 0.5)) + 0)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of each class, or of each binary choice, as the scores say."""
        scores = self.prediction.astype(np.float64)
        return probabilities(self.kind, scores) if self.logits else scores

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.prediction.shape[-1] if self.kind == "classes" else 2

    @cached_property
    def choices(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What is told apart, each as the actual classes, the predicted ones, and the scores of the second class (of
        more than two classes the probabilities of each): one entry for classes, one for each column of binary
        choices."""
        if self.kind != "classes":
            return [(self.actual[:, i], self.predicted[:, i], self.prediction[:, i]) for i in range(self.width)]
        if self.classes == 2:
            first, second = self.prediction.T
            return [(self.actual, self.predicted, second - first if self.logits else second)]
        return [(self.actual, self.predicted, self.probabilities)]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return int(self.prediction.shape[-1])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over rows, by their weights, for each column; NaN over none."""
        return mean_of(self.sums(values))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum over rows, by their weights, for each column, and behind these the sum of the weights."""
        by_row = values.reshape(len(values), math.prod(values.shape[1:]))
        if not self.weighted:
            return np.append(by_row.sum(axis=0), len(by_row))
        return np.append(self.weights @ by_row, self.weights.sum())

    def rows(self, chosen: slice | np.ndarray) -> Compared:
        """Some of the rows."""
        return self.made_of(self.prediction[chosen], self.target[chosen], self.weights[chosen])

    def made_of(self, prediction: np.ndarray, target: np.ndarray, weights: np.ndarray) -> Compared:
        """Other rows of the same kind."""
        other = object.__new__(Compared)
        other.kind, other.logits, other.weighted = self.kind, self.logits, self.weighted
        other.prediction, other.target, other.weights = prediction, target, weights
        return other


class Kept:
    """What is kept of all examples, in pieces that come one behind the other."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces

    def __iadd__(self, other: Kept) -> Kept:
        self.pieces += other.pieces
        return self


def mean_of(sums: np.ndarray) -> np.ndarray:
    """The means of which ``Compared.sums`` gave the parts, once they are added up."""
    return np.asarray(sums[:-1] / sums[-1])


def joined(pieces: Sequence[Compared]) -> Compared:
    """The rows of all."""
    if len(pieces) == 1:
        return pieces[0]
    prediction, target, weights = (
        np.concatenate([getattr(one, name) for one in pieces]) for name in ("prediction", "target", "weights")
    )
    return pieces[0].made_of(prediction, target, weights)


def probabilities(kind: Compares, logits: np.ndarray) -> np.ndarray:
    """What logits say: over the classes along the last axis, or of each binary choice by itself."""
    if kind == "classes":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
        return shares
    half = np.exp(-np.abs(logits))
    share: np.ndarray = np.where(logits >= 0, 1, half) / (1 + half)
    return share
