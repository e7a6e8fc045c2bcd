"""Central finite differences, extrapolated to the step 0, and the node at which a rule disagrees with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import pullback
from dataflow.errors import DataflowError
from dataflow.graph.cost import spend_call
from dataflow.graph.graph import Graph
from dataflow.graph.node import OP, concrete_attributes
from dataflow.operations.op import Op

RATIO = 2.5
STEPS = 10
ENOUGH = 1e-11
"""The relative uncertainty at which no smaller step is tried."""


@dataclass(frozen=True)
class Difference:
    """A derivative, and by how much it may be off; infinite where it could not be determined."""

    value: float
    uncertainty: float


def central_difference(function: Callable[[float], np.ndarray], start: float = 1e-2) -> Difference:
    """The derivative of ``sum(function(step))`` at 0.

    Central differences for steps from ``start`` down by factors of ``RATIO`` are extrapolated to the step 0; what
    changes least from one order to the next is taken (Ridders, 1982, "Accurate computation of F'(x) and F'(x)F''(x)").
    The uncertainty has two parts: that change, and the rounding of the function's own values.
    """
    best = Difference(math.nan, math.inf)
    previous: list[float] = []
    step = start
    for _ in range(STEPS):
        above, below = function(step), function(-step)
        with np.errstate(all="ignore"):
            # entry by entry, before the sum: where nothing changes, nothing is lost
            row = [float(np.sum(above - below)) / (2 * step)]
            rounding = float(np.sum(np.abs(above)) + np.sum(np.abs(below))) * np.finfo(np.float64).eps / (2 * step)
        factor = 1.0
        for older in previous:
            factor *= RATIO**2
            row.append((row[-1] * factor - older) / (factor - 1))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - older))
            uncertainty = float(change + rounding)
            if uncertainty < best.uncertainty:
                best = Difference(float(row[-1]), uncertainty)
        if best.uncertainty <= ENOUGH * abs(best.value) or (len(row) == 3 and not any(row) and not any(previous)):
            break
        previous = row
        step /= RATIO
    return best


def has_kink(function: Callable[[float], np.ndarray], slope: float) -> bool:
    """Whether ``sum(function(step))`` has a kink at 0, with ``slope`` between its derivatives from the left and the
    right.

    At a kink these stay apart however small the step; where the function is smooth they approach each other with it.
    """
    gaps = []
    middle = function(0.0)
    for step in (1e-4, 1e-5):
        with np.errstate(all="ignore"):
            right = float(np.sum(function(step) - middle)) / step
            left = float(np.sum(middle - function(-step))) / step
        gaps.append(abs(right - left))
    low, high = min(left, right), max(left, right)
    slack = 1e-3 * gaps[-1]
    return bool(
        gaps[-1] > 1e-4 * max(abs(left), abs(right))
        and gaps[-1] > 0.5 * gaps[0]
        and low - slack <= slope <= high + slack
    )


def faulty_node(
    graph: Graph,
    on_path: Sequence[str],
    values: Mapping[str, np.ndarray],
    active: set[str],
    sizes: Mapping[str, int],
) -> tuple[str, str] | None:
    """The first op node whose own vector-Jacobian product disagrees with finite differences of the op alone."""
    rng = np.random.default_rng(0)
    for name in on_path:
        if graph.node_of(name).kind != OP:
            continue
        op = graph.op_of(name)
        attributes = concrete_attributes(op, graph.node_of(name), sizes)
        arguments: list[Any] = [values[x] if isinstance(x, str) else x for x in graph.arguments(name)]
        wanted = [isinstance(x, str) and x in active for x in graph.arguments(name)]
        g = rng.normal(size=values[name].shape)
        try:
            with np.errstate(all="ignore"):
                shares = pullback(op, g, values[name], arguments, attributes, wanted)
        except DataflowError:
            return name, op.name
        for i in np.flatnonzero(wanted):
            direction = rng.normal(size=arguments[i].shape)

            moved = _moving(op, arguments, attributes, int(i), direction, g)
            share = shares[i]
            slope = 0.0 if share is None else float(np.sum(share * direction))
            if not any(_agree(central_difference(moved, start), slope) for start in (1e-2, 1e-5)):
                return name, op.name
    return None


def _moving(
    op: Op, arguments: list[Any], attributes: Mapping[str, Any], i: int, direction: np.ndarray, g: np.ndarray
) -> Callable[[float], np.ndarray]:
    """The op's result, weighted with ``g``, as argument ``i`` moves along ``direction``."""

    def moved(step: float) -> np.ndarray:
        changed = [*arguments]
        changed[i] = arguments[i] + step * direction
        spend_call(6, op.name, op, changed, attributes)
        with np.errstate(all="ignore"):
            return np.asarray(g * op.compute(op.complete(changed), attributes))

    return moved


def _agree(measured: Difference, slope: float) -> bool:
    size = max(abs(measured.value), abs(slope))
    return not measured.uncertainty <= 1e-3 * size or bool(
        abs(measured.value - slope) <= 1e-6 * size + 10 * measured.uncertainty
    )
