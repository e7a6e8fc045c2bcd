"""The forward pass, node by node, with every intermediate value kept; and what is worth a warning in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, RuleError
from dataflow.graph import CONSTANT, OP, Graph, concrete_attributes
from dataflow.memory import no_room
from dataflow.shapes import format_shape, substitute


def forward(
    graph: Graph, order: Sequence[str], known: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The value of every node of ``order`` (topological) that ``known`` suffices for. What depends on an input
    that is not known is not in the result: it is not computed."""
    values = dict(known)
    with np.errstate(all="ignore"):
        for name in order:
            data = graph.nodes[name]
            if name in values:
                continue
            if data["kind"] == CONSTANT:
                values[name] = data["value"]
            elif data["kind"] == OP:
                sources = graph.arguments(name)
                if all(source in values for source in sources if isinstance(source, str)):
                    values[name] = _computed(graph, name, sources, values, sizes)
    return values


def _computed(
    graph: Graph, name: str, sources: Sequence[Any], values: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> np.ndarray:
    op, data = graph.op_of(name), graph.nodes[name]
    arguments = op.complete([values[source] if isinstance(source, str) else source for source in sources])
    try:
        result: np.ndarray = op.compute(arguments, concrete_attributes(op, data["attributes"], sizes))
        expected = substitute(data["shape"], sizes)
        if result.shape != expected:
            raise RuleError(
                f"op '{op.name}' gave the shape {format_shape(result.shape)} where its shape rule says "
                f"{format_shape(expected)}"
            )
    except DataflowError as error:
        raise error.at(node=name) from None
    except MemoryError:
        raise no_room(math.prod(substitute(data["shape"], sizes)) * data["dtype"].itemsize).at(node=name) from None
    return result if result.dtype == data["dtype"] else result.astype(data["dtype"])


def missing_inputs(graph: Graph, name: str, values: Mapping[str, Any]) -> list[str]:
    """The inputs that ``name`` needs and that are not known."""
    needed = graph.needed_for([name])
    return [source for source in graph.names("input") if source in needed and source not in values]


def non_finite_warnings(graph: Graph, order: Iterable[str], values: Mapping[str, np.ndarray]) -> list[str]:
    """A line for each node that made NaN or infinity of finite numbers."""
    finite: dict[str, bool] = {}
    found = []
    for name in order:
        if name not in values:
            continue
        value = values[name]
        finite[name] = value.dtype.kind != "f" or bool(np.isfinite(value).all())
        if finite[name] or graph.nodes[name]["kind"] != OP:
            continue
        sources = [source for source in graph.arguments(name) if isinstance(source, str)]
        if all(finite.get(source, True) for source in sources):
            places = np.argwhere(~np.isfinite(value))
            found.append(
                f"node '{name}' ({graph.nodes[name]['op']}): {_number(value, places[0])}{_place(places)}, "
                f"from {_operands(graph, name, values)}; outside its domain, or too large for {value.dtype}"
            )
    return found


def kink_warnings(graph: Graph, order: Iterable[str], values: Mapping[str, np.ndarray]) -> list[str]:
    """A line for each node whose input lies where its op has no derivative, with the convention that is used."""
    found = []
    for name in order:
        if name not in values or graph.nodes[name]["kind"] != OP:
            continue
        op = graph.op_of(name)
        if op.kink_rule is None:
            continue
        arguments = [values[source] if isinstance(source, str) else source for source in graph.arguments(name)]
        touched = np.broadcast_to(
            op.kink_rule.touched(*op.complete(arguments), **graph.nodes[name]["attributes"]), values[name].shape
        )
        if touched.any():
            places = np.argwhere(touched)
            found.append(f"node '{name}' ({op.name}) touches its kink{_place(places)}: {op.kink_rule.convention}")
    return found


def _place(places: np.ndarray) -> str:
    if places.shape[1] == 0:
        return ""
    first = ", ".join(str([int(i) for i in place]) for place in places[:3])
    more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
    return f" at {first}{more}"


def _number(value: np.ndarray, place: np.ndarray) -> str:
    return str(float(value[tuple(place)]))


def _operands(graph: Graph, name: str, values: Mapping[str, np.ndarray]) -> str:
    sources = graph.arguments(name)
    texts = []
    for source in sources:
        if not isinstance(source, str):
            texts.append(str(source))
        elif values[source].ndim == 0:
            texts.append(f"{source} = {values[source].item():g}")
        else:
            texts.append(source)
    return ", ".join(texts)
