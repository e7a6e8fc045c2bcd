"""A graph's derivatives at a point, as arrays: the programs behind them are made once and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.autodiff.jvp_hvp_hessian import (
    LinearProgram,
    concrete_shape,
    directional_map,
    hvp_map,
    matrix,
    vjp_map,
)
from dataflow.errors import DataError, nearest
from dataflow.execution.inputs import as_input
from dataflow.graph.graph import Graph
from dataflow.shapes import format_shape

MOST_ORDERS = 8
"""The highest order of a derivative along a tangent: with each order the graph grows about threefold."""


@dataclass(frozen=True)
class Point:
    """What is differentiated, and where: the values of inputs and parameters, and the numbers for symbolic sizes."""

    of: str
    wrt: Sequence[str]
    known: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]


class Derivatives:
    """The modes of differentiation of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._programs: dict[tuple[str, str, tuple[str, ...], int], LinearProgram] = {}
        self._state = graph.state

    def jacobian(self, point: Point, mode: str | None = None) -> np.ndarray:
        """Rows are the entries of ``of``, columns those of the wrts side by side. The default mode is the one with
        fewer passes."""
        if mode not in (None, "reverse", "forward"):
            raise DataError(f"the mode is 'reverse' or 'forward', not {mode!r}")
        if len(set(point.wrt)) < len(point.wrt):
            once, places = self._once(point)
            return np.take(self.jacobian(once, mode), places, axis=1)
        rows, columns = self._shapes(point, [point.of]), self._shapes(point, point.wrt)
        fewer_rows = math.prod(rows[point.of]) <= sum(math.prod(shape) for shape in columns.values())
        if mode == "reverse" or (mode is None and fewer_rows):
            return matrix(self._program("vjp", point), point.known, rows, columns, self._dtype(point), point.sizes)
        return matrix(self._program("jvp", point), point.known, columns, rows, self._dtype(point), point.sizes).T

    def hessian(self, point: Point) -> np.ndarray:
        """Of ``sum(of)``: rows and columns are the entries of the wrts side by side."""
        if len(set(point.wrt)) < len(point.wrt):
            once, places = self._once(point)
            return np.take(np.take(self.hessian(once), places, axis=0), places, axis=1)
        shapes = self._shapes(point, point.wrt)
        return matrix(self._program("hvp", point), point.known, shapes, shapes, self._dtype(point), point.sizes)

    def vjp(self, point: Point, cotangent: Any) -> dict[str, np.ndarray]:
        """``cotangent · J`` by wrt."""
        return self._applied("vjp", point, {point.of: cotangent}, [point.of], point.wrt)

    def jvp(self, point: Point, tangents: Mapping[str, Any], order: int = 1) -> np.ndarray:
        """``J · tangent``, in the shape of ``of``; of a higher order the derivative along the tangent taken again."""
        if type(order) is not int or not 1 <= order <= MOST_ORDERS:
            raise DataError(f"the order of a derivative is a number from 1 to {MOST_ORDERS}, not {order!r}")
        return self._applied("jvp", point, tangents, point.wrt, [point.of], order)[point.of]

    def hvp(self, point: Point, tangents: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """``H · tangent`` by wrt, where H is the Hessian of ``sum(of)``."""
        return self._applied("hvp", point, tangents, point.wrt, point.wrt)

    # -------------------------------------------------------------------------------------------- internals

    def _once(self, point: Point) -> tuple[Point, np.ndarray]:
        """The point with each wrt once, and which of its columns stand where: a wrt named twice has two blocks."""
        names = list(dict.fromkeys(point.wrt))
        blocks: dict[str, np.ndarray] = {}
        start = 0
        for name, shape in self._shapes(point, names).items():
            blocks[name] = np.arange(start, start := start + math.prod(shape))
        return replace(point, wrt=names), np.concatenate([blocks[name] for name in point.wrt])

    def _applied(
        self,
        kind: str,
        point: Point,
        directions: Mapping[str, Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
        order: int = 1,
    ) -> dict[str, np.ndarray]:
        what = "cotangent" if kind == "vjp" else "tangent"
        for name in directions:
            if name not in inputs:
                raise DataError(f"there is a {what} for '{name}', which is not differentiated{nearest(name, inputs)}")
        arrays = {}
        for name, shape in self._shapes(point, inputs).items():
            arrays[name] = as_input(self.graph, name, directions.get(name, np.zeros(shape)))
            if arrays[name].shape != shape:
                needed, given_shape = format_shape(shape), format_shape(arrays[name].shape)
                raise DataError(f"the {what} of '{name}' has its shape, {needed}, not {given_shape}")
        program = self._program(kind, point, order)
        result_by_name = program.apply(point.known, arrays, point.sizes) if program.names else {}
        return {name: result_by_name.get(name, zeros(self.graph, name, point.sizes)) for name in outputs}

    def _program(self, kind: str, point: Point, order: int = 1) -> LinearProgram:
        if self._state is not self.graph.state:
            self._programs.clear()
            self._state = self.graph.state
        key = (kind, point.of, tuple(point.wrt), order)
        if key not in self._programs:
            if kind == "hvp":
                linear = hvp_map(self.graph, point.of, point.wrt)
            elif kind == "vjp":
                linear = vjp_map(self.graph, [point.of], point.wrt)
            else:
                linear = directional_map(self.graph, point.of, point.wrt, order)
            self._programs[key] = LinearProgram(linear)
        return self._programs[key]

    def _shapes(self, point: Point, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
        return {name: concrete_shape(self.graph, name, point.sizes) for name in names}

    def _dtype(self, point: Point) -> np.dtype:
        return np.result_type(*(self.graph.node_of(name).dtype for name in (point.of, *point.wrt)))


def zeros(graph: Graph, name: str, sizes: Mapping[str, int]) -> np.ndarray:
    """Zeros in the shape and dtype of a node."""
    return np.zeros(concrete_shape(graph, name, sizes), graph.node_of(name).dtype)
