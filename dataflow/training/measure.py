"""What is measured after an epoch: the loss over whole data, and the accuracy where there are classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dataflow.graph import OP, Graph
from dataflow.parameters import Parameters
from dataflow.program import Program
from dataflow.shapes import bind, byte_count, substitute
from dataflow.training.settings import Settings

MEMORY = 2**28
"""The bytes that all intermediate values may take for data to be measured in one run. Beyond, the data is measured in
pieces, if the loss is one that can be put together again."""


class Measure:
    """``measure(data)`` gives the loss and, where the loss has one softmax_cross_entropy, the accuracy.

    ``split`` names the inputs that have a row for each example. The loss is that of all examples at once. Where that
    takes too much memory and the loss is an op with a ``reduction``, its values for pieces are added, or averaged by
    their lengths; but only after a trial on a few examples has shown that the sum of the parts is the whole, which it
    is not where a node mixes examples.
    """

    def __init__(
        self, graph: Graph, loss: str, parameters: Parameters, split: Sequence[str], settings: Settings
    ) -> None:
        self._graph, self._loss, self._parameters, self._split = graph, loss, parameters, list(split)
        self._classes = _prediction_and_labels(graph, loss)
        self._program = Program(graph, [loss, *(self._classes or ())], settings.backend, threads=settings.threads)
        self._in_pieces: bool | None = None
        self.memory = MEMORY

    def __call__(self, data: Mapping[str, np.ndarray]) -> dict[str, float]:
        rows = self._rows(data)
        if rows and rows < len(data[self._split[0]]) and self._adds_up(data):
            return self._combined(data, rows)
        loss, hits = self._run(data)
        return {"loss": loss} if hits is None else {"loss": loss, "accuracy": float(np.mean(hits))}

    def _run(self, data: Mapping[str, np.ndarray]) -> tuple[float, np.ndarray | None]:
        loss, *classes = self._program.run({**data, **self._parameters})
        if not classes:
            return float(loss), None
        prediction, labels = classes
        return float(loss), prediction.argmax(axis=-1) == labels.argmax(axis=-1)

    def _combined(self, data: Mapping[str, np.ndarray], rows: int) -> dict[str, float]:
        count = len(data[self._split[0]])
        total, hits = 0.0, []
        for start in range(0, count, rows):
            piece = self._piece(data, slice(start, start + rows))
            loss, found = self._run(piece)
            total += loss * len(piece[self._split[0]]) if self._is_mean else loss
            hits += [] if found is None else [found]
        measured = {"loss": total / count if self._is_mean else total}
        return {**measured, "accuracy": float(np.mean(np.concatenate(hits)))} if hits else measured

    def _piece(self, data: Mapping[str, np.ndarray], part: slice) -> dict[str, np.ndarray]:
        return {name: array[part] if name in self._split else array for name, array in data.items()}

    @property
    def _is_mean(self) -> bool:
        return bool(self._graph.nodes[self._loss]["attributes"]["reduction"] == "mean")

    def _rows(self, data: Mapping[str, np.ndarray]) -> int:
        """How many examples fit into the memory; 0 where nothing can be split."""
        if not self._split:
            return 0
        sizes: dict[str, int] = {}
        for name, array in data.items():
            bind(self._graph.nodes[name]["shape"], array.shape, sizes)
        total = 0
        for name in self._graph.needed_for([self._loss]):
            node = self._graph.nodes[name]
            if node["kind"] == OP:
                total += byte_count(substitute(node["shape"], sizes), node["dtype"])
        return max(1, len(data[self._split[0]]) * self.memory // max(1, total))

    def _adds_up(self, data: Mapping[str, np.ndarray]) -> bool:
        if self._in_pieces is None:
            node = self._graph.nodes[self._loss]
            self._in_pieces = node["kind"] == OP and node["attributes"].get("reduction") in ("sum", "mean")
            if self._in_pieces:
                few = self._piece(data, slice(0, min(16, len(data[self._split[0]]))))
                whole, parts = self._run(few)[0], self._combined(few, 5)["loss"]
                self._in_pieces = abs(whole - parts) <= 1e-4 * abs(whole)
        return self._in_pieces


def _prediction_and_labels(graph: Graph, loss: str) -> tuple[str, str] | None:
    """The nodes that the one softmax_cross_entropy in the loss compares."""
    found = [name for name in graph.needed_for([loss]) if graph.nodes[name].get("op") == "softmax_cross_entropy"]
    if len(found) != 1:
        return None
    prediction, labels = graph.arguments(found[0])[:2]
    return (prediction, labels) if isinstance(prediction, str) and isinstance(labels, str) else None
