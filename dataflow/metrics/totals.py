"""The loss and the metrics over data that come in pieces, each of which is let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import GraphError
from dataflow.metrics.compared import Compared, joined
from dataflow.metrics.comparisons import Comparison, Measured
from dataflow.metrics.measure import Measure

SHOWN = 20_000
"""Of so many rows about, from all over the data, predictions and targets are kept, to be drawn."""


class Totals:
    """``add`` pieces, then take the ``loss`` and the ``results``. Of a single piece they are what it gives, whatever
    the loss is; of several the loss has to be the sum or the mean of theirs."""

    def __init__(self, measure: Measure, loss: str | None, metrics: Sequence[Measured]) -> None:
        self._measure, self._loss, self._metrics = measure, loss, metrics
        self._kinds = measure.stated_kinds
        self._is_tried = loss is None
        self._first: tuple[float, dict[Comparison, Compared]] | None = None
        self._few: dict[str, np.ndarray] = {}
        self._pieces = 0
        self._sum = self._weighed = self._number = 0.0
        self._parts: dict[str, Any] = {}
        self._rows: dict[Comparison, int] = {}
        self._shown: dict[Comparison, list[Compared]] = {}
        self._step = 1
        self._seen = 0

    def add(self, data: Mapping[str, np.ndarray]) -> tuple[float, dict[Comparison, Compared]]:
        """Add some examples; their loss, and their predictions beside their targets."""
        self._pieces += 1
        if not self._is_tried:
            self._few = self._measure.some_of(data, self._few)
        if self._pieces > 1 and not self._is_tried:
            found = self._measure.kinds_of_loss(self._few)
            self._kinds, self._is_tried = self._kinds & found, len(found) < 2
            if not self._kinds:
                raise self._refused()
        loss, number, compared = self._measure.part(data)
        self._sum += loss
        self._weighed += loss * number if number else 0.0
        self._number += number
        for one in self._metrics:
            part = one.metric.part(compared[one.comparison])
            if one.name in self._parts:
                self._parts[one.name] += part
            else:
                self._parts[one.name] = part
        for comparison, pair in compared.items():
            self._rows[comparison] = self._rows.get(comparison, 0) + len(pair.prediction)
        if self._first is not None:
            self._show(self._first[1])
        self._first = None if self._pieces > 1 else (loss, compared)
        if self._pieces > 1:
            self._show(compared)
        return loss, compared

    @property
    def loss(self) -> float:
        """That of all examples: NaN of none."""
        if self._first is not None:
            return self._first[0]
        mean = self._weighed / self._number if self._number else float("nan")
        if len(self._kinds) > 1 and self._sum not in (0.0, mean):  # a loss of zero wherever it was tried
            raise self._refused()
        return self._sum if "sum" in self._kinds else mean

    def results(self) -> dict[str, Any]:
        """The metrics, by name."""
        return {one.name: one.metric.whole(self._parts[one.name], self._rows[one.comparison]) for one in self._metrics}

    def shown(self) -> dict[Comparison, Compared]:
        """Predictions beside targets of some rows."""
        if self._first is not None:
            return self._first[1]
        return {comparison: joined(pieces) for comparison, pieces in self._shown.items()}

    def _refused(self) -> GraphError:
        return GraphError(
            "the loss is neither the sum nor the mean of the losses of parts of the data, so that it takes all rows at "
            "once; score them without stream, or declare a loss that is one of the two",
            node=self._loss,
        )

    def _show(self, compared: Mapping[Comparison, Compared]) -> None:
        count = 0
        for comparison, pair in compared.items():
            count = len(pair.prediction)
            rows = np.arange(-self._seen % self._step, count, self._step)  # a copy: a slice would keep all of them
            self._shown.setdefault(comparison, []).append(pair.rows(rows))
        self._seen += count
        while self._seen > 2 * SHOWN * self._step:  # every second one is let go
            self._step *= 2
            for comparison, pieces in self._shown.items():
                self._shown[comparison] = [joined(pieces).rows(slice(None, None, 2))]
