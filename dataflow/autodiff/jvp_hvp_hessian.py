"""The modes of differentiation: vjp, jvp, Jacobian, Hessian-vector product, Hessian.

Each is a graph made from the same derivative rules. A jvp is the vjp of the vjp: ``Jᵀg`` is linear in ``g``, so its own
vjp with respect to ``g`` is ``J·tangent``. The rows (or columns) of a Jacobian come from one batched pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dataflow.autodiff.batching import NoBatchRuleError, batched_graph
from dataflow.autodiff.calls import calls_of
from dataflow.autodiff.reverse import check_differentiable, pull_at, sweep
from dataflow.execution.program import Program
from dataflow.graph.graph import Graph
from dataflow.graph.value import Value
from dataflow.operations.engine_ops import broadcast_to
from dataflow.shapes import Size, substitute

CHUNK_BYTES = 2**26
"""How much memory the intermediate values of one batched pass may take, roughly."""


@dataclass(frozen=True)
class LinearMap:
    """A graph in which results depend linearly on directions, which are inputs of it.

    ``directions`` gives the input for each name that has one, ``results`` the node of each result; a result that is
    missing is zero, as no path leads to it.
    """

    graph: Graph
    directions: dict[str, str]
    results: dict[str, str]
    unused: tuple[str, ...] = ()
    """Inputs on which the results do not depend, though some op may look at their shape."""


def vjp_map(graph: Graph, of: Sequence[str], wrt: Sequence[str]) -> LinearMap:
    """From cotangents of ``of`` to cotangents of ``wrt``: ``Jᵀ``."""
    for name in of:
        check_differentiable(graph, name, wrt)
    extended = graph.copy()
    directions = {name: _direction(extended, "cotangent", name) for name in dict.fromkeys(of)}
    return LinearMap(extended, directions, _swept(extended, directions, wrt))


def jvp_map(
    graph: Graph, of: Sequence[str], wrt: Sequence[str], tangents: Mapping[str, str] | None = None
) -> LinearMap:
    """From tangents of ``wrt`` to tangents of ``of``: ``J``, as the vjp of the vjp. ``tangents`` names inputs of the
    graph that are to be the directions; unless given they are added."""
    transposed = vjp_map(graph, of, wrt)
    extended = transposed.graph
    directions = dict(tangents or {name: _direction(extended, "tangent", name) for name in dict.fromkeys(wrt)})
    seeds = _summed_seeds(extended, [(transposed.results[name], directions[name]) for name in transposed.results])
    cotangents = _swept(extended, seeds, list(transposed.directions.values()))
    results = {name: cotangents[c] for name, c in transposed.directions.items() if c in cotangents}
    return LinearMap(extended, directions, results, tuple(transposed.directions.values()))


def directional_map(graph: Graph, of: str, wrt: Sequence[str], order: int) -> LinearMap:
    """From a tangent of ``wrt`` to the derivative of that order of ``of`` along it, d^k/dt^k of(wrt + t·tangent) at
    t = 0: a jvp of a jvp and so on, along one tangent. Linear in the tangent for order 1 only."""
    linear = jvp_map(graph, [of], wrt)
    for _ in range(order - 1):
        if of not in linear.results:
            break
        last = linear.results[of]
        following = jvp_map(linear.graph, [last], wrt, linear.directions)
        results = {of: following.results[last]} if last in following.results else {}
        unused = (*linear.unused, *following.unused)
        linear = LinearMap(following.graph, linear.directions, results, unused)
    return linear


def hvp_map(graph: Graph, of: str, wrt: Sequence[str]) -> LinearMap:
    """From tangents of ``wrt`` to ``H·tangent``, where H is the Hessian of ``sum(of)``: the gradient of gradient ·
    tangent."""
    check_differentiable(graph, of, wrt)
    first = graph.copy()
    target = first.value(of)
    seed = first.constant(_free(first, f"seed.{of}"), np.ones((), target.dtype), target.dtype)
    whole = seed if target.ndim == 0 else broadcast_to(seed, shape=target.shape)
    gradients = _swept(first, {of: whole.name}, wrt)
    directions = {name: _direction(first, "tangent", name) for name in dict.fromkeys(wrt)}
    seeds = _summed_seeds(first, [(gradients[name], directions[name]) for name in gradients])
    return LinearMap(first, directions, _swept(first, seeds, wrt))


class LinearProgram:
    """A linear map compiled: for one set of directions, or for many at once."""

    def __init__(self, linear: LinearMap) -> None:
        self.linear = linear
        self.names = list(linear.results)
        self._single = Program(linear.graph, [linear.results[name] for name in self.names])
        self._batched: Program | None = None
        self._looped = False

    def apply(
        self, known: Mapping[str, np.ndarray], directions: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """The results for one set of directions, by name; a missing one is zero."""
        inputs = self._inputs_for(directions, sizes)
        return {n: np.array(v) for n, v in zip(self.names, self._single.run({**known, **inputs}, sizes), strict=True)}

    def _inputs_for(self, directions: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
        """The directions by the inputs that stand for them, and zeros for inputs of which only the shape counts."""
        graph = self.linear.graph
        inputs = {self.linear.directions[name]: value for name, value in directions.items()}
        for name in self.linear.unused:
            inputs[name] = np.zeros(concrete_shape(graph, name, sizes), graph.node_of(name).dtype)
        return inputs

    def apply_many(
        self, known: Mapping[str, np.ndarray], directions: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """The results for directions with a leading axis, in one pass; the results have that axis too."""
        inputs = {self.linear.directions[name]: value for name, value in directions.items()}
        known = {**known, **self._inputs_for({}, sizes)}
        if self._batched is None and not self._looped:
            try:
                graph, nodes = batched_graph(
                    self.linear.graph,
                    list(dict.fromkeys(self._single.outputs)),
                    list(inputs),
                    Size.symbol("directions_"),
                )
                self._batched = Program(graph, [nodes[name] for name in self._single.outputs])
            except NoBatchRuleError:
                self._looped = True
        if self._batched is not None:
            return dict(zip(self.names, self._batched.run({**known, **inputs}, sizes), strict=True))
        count = len(next(iter(inputs.values())))
        rows = [
            self._single.run({**known, **{name: value[i] for name, value in inputs.items()}}, sizes)
            for i in range(count)
        ]
        return {name: np.stack([row[i] for row in rows]) for i, name in enumerate(self.names)}


def matrix(
    program: LinearProgram,
    known: Mapping[str, np.ndarray],
    directions: Mapping[str, tuple[int, ...]],
    results: Mapping[str, tuple[int, ...]],
    dtype: np.dtype,
    symbols: Mapping[str, int],
) -> np.ndarray:
    """The linear map as a matrix: a row for each entry of the directions, a column for each of the results, in
    row-major order, names side by side. (The transpose of the map's own matrix, as each direction gives a row.)"""
    inputs = {name: int(np.prod(shape, dtype=np.int64)) for name, shape in directions.items()}
    outputs = {name: int(np.prod(shape, dtype=np.int64)) for name, shape in results.items()}
    rows, columns = sum(inputs.values()), sum(outputs.values())
    result = np.zeros((rows, columns), dtype)
    if not program.names or not rows:
        return result
    sizes = sum(array.size for array in known.values()) + rows + columns
    chunk = max(1, min(rows, CHUNK_BYTES // (8 * max(1, sizes))))
    graph = program.linear.graph
    for start in range(0, rows, chunk):
        count = min(chunk, rows - start)
        basis, offset = {}, 0
        for name, shape in directions.items():
            block = np.eye(
                count, inputs[name], start - offset, dtype=graph.node_of(program.linear.directions[name]).dtype
            )
            basis[name] = block.reshape(count, *shape)
            offset += inputs[name]
        result_by_name = program.apply_many(known, basis, symbols)
        column = 0
        for name, width in outputs.items():
            if name in result_by_name:
                result[start : start + count, column : column + width] = result_by_name[name].reshape(count, width)
            column += width
    return result


def concrete_shape(graph: Graph, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of a node when the sizes are known."""
    return substitute(graph.node_of(name).shape, sizes)


def _direction(graph: Graph, kind: str, name: str) -> str:
    spec = graph.spec(name)
    return graph.input(_free(graph, f"{kind}.{name}"), spec.shape, spec.dtype).name


def _free(graph: Graph, name: str) -> str:
    while name in graph:
        name = f"another.{name}"
    return name


def _summed_seeds(graph: Graph, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Seeds by node; a node that is seeded twice (one gradient shared by two names) gets the sum."""
    seeds: dict[str, Value] = {}
    for node, direction in pairs:
        value = graph.value(direction)
        seeds[node] = seeds[node] + value if node in seeds else value
    return {node: value.name for node, value in seeds.items()}


def _swept(graph: Graph, seeds: Mapping[str, str], wrt: Sequence[str]) -> dict[str, str]:
    if not seeds:
        return {}
    order = graph.schedule(seeds)
    values = {name: graph.value(name) for name in order}
    start = {node: graph.value(seed) for node, seed in seeds.items()}
    cotangents = sweep(graph, order, start, wrt, pull_at(graph, values), calls_of(graph, order))
    return {name: cotangents[name].name for name in wrt if name in cotangents}
