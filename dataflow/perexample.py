"""Per-example gradients: one forward pass, and a backward pass that keeps the examples apart.

A node whose shape has the batch's symbolic size holds a piece for each example. Where the backward pass goes from
such a node to one that is not split (a parameter), the rule is called once for each example, with the cotangent of
all the others set to zero. What comes out sums to the gradient by construction, whatever the loss divides by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.autodiff import pullback
from dataflow.errors import DataError, DataflowError
from dataflow.feeding import batch_axis, batch_symbol
from dataflow.graph import OP, Graph, concrete_attributes


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
    order = graph.schedule([of])
    active = graph.depending_on(wrt)
    whole: dict[str, np.ndarray] = {}  # cotangents of all examples together, by node
    apart: dict[str, np.ndarray] = {}  # those that are kept apart, with a leading axis

    def add(table: dict[str, np.ndarray], name: str, share: np.ndarray) -> None:
        table[name] = table[name] + share if name in table else share

    if of in active:
        add(whole, of, np.ones_like(values[of]))
    with np.errstate(all="ignore"):
        for name in reversed(order):
            data = graph.nodes[name]
            if data["kind"] != OP or (name not in whole and name not in apart):
                continue
            sources = graph.arguments(name)
            wanted = [_is_wanted(graph, source, active) for source in sources]
            if not any(wanted):
                continue
            op = graph.op_of(name)
            attributes = concrete_attributes(op, data["attributes"], sizes)
            arguments = [values[source] if isinstance(source, str) else source for source in sources]

            def rule(g: np.ndarray, chosen: Sequence[bool]) -> list[Any]:
                try:
                    return pullback(op, g, values[name], arguments, attributes, chosen)  # noqa: B023 (called at once)
                except DataflowError as error:
                    raise error.at(node=name) from None  # noqa: B023

            axis = batch_axis(graph, name, batch)
            split = [axis is not None and isinstance(s, str) and batch_axis(graph, s, batch) is None for s in sources]
            if name in whole:
                together = [w and not s for w, s in zip(wanted, split, strict=True)]
                if any(together):
                    for source, share in zip(sources, rule(whole[name], together), strict=False):
                        if share is not None and isinstance(source, str):
                            add(whole, source, share)
                one_by_one = [w and s for w, s in zip(wanted, split, strict=True)]
                if any(one_by_one) and axis is not None:
                    pieces = [_only(whole[name], axis, i) for i in range(count)]
                    _add_apart(add, whole, apart, graph, batch, sources, [rule(g, one_by_one) for g in pieces])
            if name in apart:
                _add_apart(add, whole, apart, graph, batch, sources, [rule(g, wanted) for g in apart[name]])
    return {name: _result(graph, name, batch, count, whole, apart, values) for name in wrt}


def _is_wanted(graph: Graph, source: Any, active: set[str]) -> bool:
    return isinstance(source, str) and source in active and graph.nodes[source]["dtype"].kind == "f"


def _only(g: np.ndarray, axis: int, example: int) -> np.ndarray:
    piece = np.zeros_like(g)
    place = (slice(None),) * axis + (example,)
    piece[place] = g[place]
    return piece


def _add_apart(
    add: Any,
    whole: Any,
    apart: Any,
    graph: Graph,
    batch: str,
    sources: Sequence[Any],
    by_example: Sequence[Sequence[Any]],
) -> None:
    for position, source in enumerate(sources):
        shares = [shares[position] for shares in by_example]
        if not isinstance(source, str) or all(share is None for share in shares):
            continue
        stacked = np.stack(shares)
        if batch_axis(graph, source, batch) is None:
            add(apart, source, stacked)
        else:  # it is split itself: each example's piece is where it belongs
            add(whole, source, stacked.sum(axis=0))


def _result(
    graph: Graph,
    name: str,
    batch: str,
    count: int,
    whole: Mapping[str, np.ndarray],
    apart: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
) -> np.ndarray:
    shape = values[name].shape
    result: np.ndarray = apart.get(name, np.zeros((count, *shape), values[name].dtype))
    if name in whole:
        axis = batch_axis(graph, name, batch)
        shares = whole[name] / count if axis is None else np.stack([_only(whole[name], axis, i) for i in range(count)])
        result = result + shares
    return result
