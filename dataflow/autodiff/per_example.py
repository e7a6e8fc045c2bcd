"""Per-example gradients: one forward pass, and a backward pass that keeps the examples apart.

A node whose shape has the batch's symbolic size holds a piece for each example. Where the backward pass goes from
such a node to one that is not split (a parameter), the rule is called once for each example, with the cotangent of
all the others set to zero. The results add up to the gradient by construction, whatever the loss divides by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import pull_at, sweep
from dataflow.errors import DataError
from dataflow.execution.inputs import batch_axis, batch_symbol
from dataflow.graph.graph import Graph


def per_example_gradients(
    graph: Graph, of: str, wrt: Sequence[str], values: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """For each wrt an array with a leading axis of the number of examples; the sum over it is the gradient of
    ``sum(of)``."""
    batch = batch_symbol(graph, of)
    if batch is None:
        raise DataError(
            f"'{of}' depends on no input with a symbolic first size such as \"n\"; there are no examples to tell apart"
        )
    count = sizes[batch]
    pull = pull_at(graph, values, sizes)

    def is_split(name: object) -> bool:
        return isinstance(name, str) and batch_axis(graph, name, batch) is not None

    def visit(name: str, g: Cotangent, wanted: Sequence[bool]) -> Sequence[Cotangent | None]:
        sources, axis = graph.arguments(name), batch_axis(graph, name, batch)
        parted = [axis is not None and not is_split(source) for source in sources]
        total: list[Cotangent | None] = [None] * len(sources)

        def add(by_example: Sequence[Sequence[Any]]) -> None:
            for i, shares in enumerate(zip(*by_example, strict=True)):
                if i < len(sources) and any(share is not None for share in shares):
                    stacked = np.stack(shares)
                    # where the source is split itself, each example's piece is where it belongs
                    share = Cotangent(stacked.sum(axis=0)) if is_split(sources[i]) else Cotangent(None, stacked)
                    total[i] = share + total[i]

        if g.whole is not None:
            together = [want and not part for want, part in zip(wanted, parted, strict=True)]
            one_by_one = [want and part for want, part in zip(wanted, parted, strict=True)]
            for i, share in enumerate(pull(name, g.whole, together)):
                if share is not None:
                    total[i] = Cotangent(share)
            if axis is not None and any(one_by_one):
                add([pull(name, _only(g.whole, axis, example), one_by_one) for example in range(count)])
        if g.apart is not None and any(wanted):
            add([pull(name, piece, wanted) for piece in g.apart])
        return total

    cotangents = sweep(graph, graph.schedule([of]), {of: Cotangent(np.ones_like(values[of]))}, wrt, visit)
    none = Cotangent()
    return {name: _result(graph, name, batch, count, cotangents.get(name, none), values[name]) for name in wrt}


@dataclass(frozen=True)
class Cotangent:
    """The cotangent as a sum: a part of all examples together, and a part for each example, with a leading axis."""

    whole: np.ndarray | None = None
    apart: np.ndarray | None = None

    def __add__(self, other: Cotangent | None) -> Cotangent:
        if other is None:
            return self
        return Cotangent(_sum(self.whole, other.whole), _sum(self.apart, other.apart))


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return b if a is None else a if b is None else a + b


def _only(g: np.ndarray, axis: int, example: int) -> np.ndarray:
    piece = np.zeros_like(g)
    place = (slice(None),) * axis + (example,)
    piece[place] = g[place]
    return piece


def _result(graph: Graph, name: str, batch: str, count: int, cotangent: Cotangent, value: np.ndarray) -> np.ndarray:
    result = np.zeros((count, *value.shape), value.dtype) if cotangent.apart is None else cotangent.apart
    if (whole := cotangent.whole) is not None:
        axis = batch_axis(graph, name, batch)
        result = result + (whole / count if axis is None else np.stack([_only(whole, axis, i) for i in range(count)]))
    return result
