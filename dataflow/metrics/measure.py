"""What is measured over whole data: the loss, and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dataflow.backends.interface import Backend
from dataflow.execution.parameters import Parameters
from dataflow.execution.program import Program
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, OP
from dataflow.metrics.compared import Compared
from dataflow.metrics.comparisons import Comparison, Measured, Undo, compare
from dataflow.shapes import Size, bind, byte_count, substitute

MEMORY = 2**28
"""The bytes that all intermediate values may take for data to be measured in one run. Beyond, the data is measured in
pieces, if the loss is one that can be put together again."""

_TRIED = 16  # examples of a trial


class Measure:
    """``measure(data)`` gives the loss and the metrics, by name.

    ``split`` names the inputs that have a row for each example. The loss is that of all examples at once. Where that
    takes too much memory and the loss is an op with a ``reduction``, its values for pieces are added, or averaged by
    their lengths; but only after a trial on a few examples has shown that the sum of the parts is the whole, which it
    is not where a node mixes examples. ``weights`` is the input for the weights of examples, where the graph has one,
    and ``stated`` the graph then in which the loss is the op that the file says. ``undo`` takes the numbers of an input
    back to the unit of its table.
    """

    def __init__(
        self,
        graph: Graph,
        loss: str | None,
        parameters: Parameters,
        split: Sequence[str],
        metrics: Sequence[Measured],
        backend: str | Backend = "numpy",
        *,
        threads: int | None = None,
        weights: str = "",
        stated: Graph | None = None,
        undo: Undo | None = None,
    ) -> None:
        self._graph, self._loss, self._parameters = graph, loss, parameters
        self._split, self._weights, self._undo = list(split), weights, undo
        self._stated, self._metrics = stated or graph, list(metrics)
        self._comparisons = list(dict.fromkeys(one.comparison for one in metrics))
        pairs = [name for one in self._comparisons for name in (one.prediction, one.target)]
        for one in metrics:
            _try_number(one, graph)
        self._program = Program(graph, [*([loss] if loss else []), *pairs], backend, threads=threads)
        self._in_pieces: bool | None = None
        self.memory = MEMORY

    @property
    def inputs(self) -> list[str]:
        """The inputs that are needed."""
        return [name for name in self._program.arguments if self._graph.node_of(name).kind == INPUT]

    @property
    def names(self) -> list[str]:
        """What a call gives."""
        return ["loss", *(one.name for one in self._metrics if not one.metric.table)]

    def better(self, name: str) -> str:
        """``"lower"`` or ``"higher"``: which values of what is measured are better."""
        return {"loss": "lower", **{one.name: one.metric.better for one in self._metrics}}[name]

    def __call__(self, data: Mapping[str, np.ndarray]) -> dict[str, float]:
        loss, compared = self.compared(data)
        numbers = [one for one in self._metrics if not one.metric.table]
        return {"loss": loss, **{one.name: one.metric.measure(compared[one.comparison]) for one in numbers}}

    def compared(self, data: Mapping[str, np.ndarray]) -> tuple[float, dict[Comparison, Compared]]:
        """The loss, NaN where there is none, and the predictions beside their targets."""
        rows = self._rows(data)
        in_pieces = rows and rows < len(data[self._split[0]]) and self._adds_up(data)
        loss, pairs = self._combined(data, rows) if in_pieces else self._run(data)
        weights = data.get(self._weights)
        return loss, {
            one: compare(self._graph, one, pairs[2 * i], pairs[2 * i + 1], weights, self._undo)
            for i, one in enumerate(self._comparisons)
        }

    def part(self, data: Mapping[str, np.ndarray]) -> tuple[float, float, dict[Comparison, Compared]]:
        """The loss of some examples, how much they count in a mean, and their predictions beside their targets."""
        loss, compared = self.compared(data)
        return loss, self._number(data) if self._split else 1.0, compared

    @property
    def stated_kinds(self) -> set[str]:
        """What the loss of all examples may be of those of parts: what its op says, "sum" or "mean", else either."""
        node = None if self._loss is None else self._stated.node_of(self._loss)
        reduction = node.attributes.get("reduction") if node is not None and node.kind == OP else None
        return {reduction} if reduction in ("sum", "mean") else {"sum", "mean"}

    def some_of(self, data: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A few examples: those from ``before``, and as many of these as there may be besides."""
        first = self._piece(data, slice(0, _TRIED))
        if not before:
            return first
        return {
            name: np.concatenate([before[name], array])[:_TRIED] if name in self._split else array
            for name, array in first.items()
        }

    def kinds_of_loss(self, data: Mapping[str, np.ndarray]) -> set[str]:
        """What the loss of all examples may be, as a trial on these few tells: the "sum" of the losses of parts,
        or their "mean", weighed by the examples of each; both where it cannot tell, and neither where examples are
        mixed."""
        count = len(data[self._split[0]]) if self._split else 0
        if count < 2:
            return {"sum", "mean"}
        cut = max(1, count // 3)
        parts = [self._piece(data, part) for part in (slice(cut), slice(cut, None))]
        whole, *losses = (self._run(one)[0] for one in (data, *parts))
        shares = [self._number(part) for part in parts]
        candidates = {"sum": sum(losses), "mean": float(np.dot(shares, losses)) / (sum(shares) or 1)}
        slack = _slack(self._graph.node_of(str(self._loss)).dtype) * max(map(abs, (whole, *losses)))
        return {name for name, value in candidates.items() if not abs(whole - value) > slack}

    def _run(self, data: Mapping[str, np.ndarray]) -> tuple[float, list[np.ndarray]]:
        parameters = {name: self._parameters.current(name) for name in self._parameters}
        results = self._program.run({**data, **parameters})
        return (float(results[0]), results[1:]) if self._loss else (math.nan, results)

    def _combined(self, data: Mapping[str, np.ndarray], rows: int) -> tuple[float, list[np.ndarray]]:
        count = len(data[self._split[0]])
        total, parts = 0.0, []
        for start in range(0, count, rows):
            piece = self._piece(data, slice(start, start + rows))
            loss, pairs = self._run(piece)
            total += loss * self._number(piece) if self._is_mean else loss
            parts.append(pairs)
        names = self._program.outputs[1:] if self._loss else self._program.outputs
        joined = [
            np.concatenate(pieces) if _grows(self._graph, name) else pieces[0]
            for name, *pieces in zip(names, *parts, strict=True)
        ]
        return total / (self._number(data) or 1) if self._is_mean else total, joined

    def _piece(self, data: Mapping[str, np.ndarray], part: slice) -> dict[str, np.ndarray]:
        return {name: array[part] if name in self._split else array for name, array in data.items()}

    def _number(self, data: Mapping[str, np.ndarray]) -> float:
        """What a mean divides by: the number of examples, or the sum of their weights."""
        return float(data[self._weights].sum()) if self._weights else len(data[self._split[0]])

    @property
    def _is_mean(self) -> bool:
        return bool(self._loss and self._stated.node_of(self._loss).attributes["reduction"] == "mean")

    def _rows(self, data: Mapping[str, np.ndarray]) -> int:
        """How many examples fit into the memory; 0 where nothing can be split."""
        if not self._split:
            return 0
        sizes: dict[str, int] = {}
        for name, array in data.items():
            bind(self._graph.node_of(name).shape, array.shape, sizes)
        total = 0
        for name in self._graph.needed_for(self._program.outputs):
            node = self._graph.node_of(name)
            if node.kind == OP:
                total += byte_count(substitute(node.shape, sizes), node.dtype)
        return max(1, len(data[self._split[0]]) * self.memory // max(1, total))

    def _adds_up(self, data: Mapping[str, np.ndarray]) -> bool:
        if self._loss is None:
            return False
        if self._in_pieces is None:
            node = self._stated.node_of(self._loss)
            self._in_pieces = node.kind == OP and node.attributes.get("reduction") in ("sum", "mean")
            if self._in_pieces:
                few = self._piece(data, slice(0, min(16, len(data[self._split[0]]))))
                whole, parts = self._run(few)[0], self._combined(few, 5)[0]
                self._in_pieces = abs(whole - parts) <= 1e-4 * abs(whole)
        return self._in_pieces


def _slack(dtype: np.dtype) -> float:
    """How far two sums of a few numbers may differ, which are added in another order."""
    return 256 * float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def _try_number(measured: Measured, graph: Graph) -> None:
    """An error now where the number in a metric's name makes no sense for so many columns, and not after an epoch."""
    shape = graph.node_of(measured.comparison.prediction).shape
    if measured.metric.k is not None and shape and isinstance(shape[-1], int):
        example = np.zeros((1, shape[-1]))
        measured.metric.measure(Compared(measured.comparison.kind, example, example))


def _grows(graph: Graph, name: str) -> bool:
    """Whether a node has a row for each example."""
    shape = graph.node_of(name).shape
    return bool(shape) and isinstance(shape[0], Size)
