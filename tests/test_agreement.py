"""Every backend gives the gradients of the pass that runs node by node, which other tests compare with 50 digits.

The reference is that pass in float64. An error is a norm over that of the reference, for each gradient and for all of
them as one vector. In float64 a backend may differ by 1e-12; in float32 by 1e-5, or by 20 times what the pass node by
node differs by in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import dataflow
from dataflow import Graph, Model, Value, ops, registry
from dataflow.autodiff import backward
from dataflow.evaluate import forward
from dataflow.testing.cases import cases_of

MODELS = sorted(path.stem for path in Path("models").glob("*.toml"))
BACKENDS = sorted(registry.registry().backends)
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def node_by_node(
    model: Model, of: str, wrt: Sequence[str], known: dict[str, np.ndarray], dtype: type
) -> dict[str, np.ndarray]:
    """The gradients, with every float converted to ``dtype`` first."""
    sizes = model.feed({name: known[name] for name in model.graph.names("input") if name in known})[1]
    converted = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in known.items()}
    order = model.graph.schedule([of])
    values = forward(model.graph, order, converted, sizes)
    return backward(model.graph, order, values, {of: np.ones_like(values[of])}, wrt, sizes)


def errors(found: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> np.ndarray:
    """Relative, in norm: of each array, and of all as one vector."""
    pairs = [tuple(array.astype(np.float64).ravel() for array in pair) for pair in zip(found, reference, strict=True)]
    pairs.append(tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True)))
    return np.array([np.linalg.norm(a - b) / (np.linalg.norm(b) or 1) for a, b in pairs], float)


def check(model: Model, of: str, known: dict[str, np.ndarray], dtype: str, backend: str) -> None:
    wrt = [name for name, array in known.items() if array.dtype.kind == "f"]
    plain = node_by_node(model, of, wrt, known, np.dtype(dtype).type)
    wrt = [name for name in wrt if name in plain]
    if not wrt:
        return
    exact = node_by_node(model, of, wrt, known, np.float64)
    reference = [exact[name] for name in wrt]
    assert all(np.isfinite(array).all() for array in reference)
    inputs = {name: known[name] for name in model.graph.names("input") if name in known}
    gradients = model.compile(gradients=wrt, of=of, backend=backend)(data=inputs)[1]
    own = errors([plain[name] for name in wrt], reference)
    theirs = errors([gradients[name] for name in wrt], reference)
    assert (theirs <= np.maximum(TOLERANCE[dtype], 20 * own)).all(), dict(zip([*wrt, "all"], theirs, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, backend: str) -> None:
    model = dataflow.load(f"models/{name}.toml")
    if model.data is None:
        shapes = {name: model.graph.spec(name).shape for name in model.graph.names("input")}
        rng = np.random.default_rng(0)
        sizes = {name: [size if isinstance(size, int) else 5 for size in shape] for name, shape in shapes.items()}
        given = {name: rng.uniform(0.5, 2, sizes[name]) for name in shapes}
    else:
        given = {key: array[:64] if array.ndim else array for key, array in model.data.load(model.graph).items()}
    of = model.loss or model.outputs[0]
    known = {key: array for key, array in model.feed(given)[0].items() if key in model.graph.needed_for([of])}
    check(model, of, known, str(model.graph.dtype), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", sorted(registry.all_ops()))
def test_ops(name: str, dtype: str, backend: str) -> None:
    """The gradient of a sum with random weights, so that no op's gradient is 0 by nature."""
    for case in cases_of(registry.lookup(name), 0):
        graph, arrays, value = case.changed({i: case.arguments[i].astype(dtype) for i in case.floats}).graph()
        if not value.spec.is_float:
            continue
        shape = tuple(int(size) for size in value.shape)  # type: ignore[arg-type]
        weights = graph.constant("weights", np.random.default_rng(1).uniform(0.5, 2, shape), value.dtype)
        graph.node("total", ops.sum(value * weights))
        check(Model(graph, ["total"]), "total", dict(arrays), dtype, backend)


def well_conditioned(seed: int, dtype: str) -> Model:
    """Layers of moderate size in random order, with skips, shared weights, reductions and views."""
    rng = np.random.default_rng(seed)
    graph = Graph("random", dtype)
    values: list[Value] = [graph.input("x", ("n", 6))]
    weights = [graph.parameter(f"W{i}", value=rng.normal(size=(6, 6)) / 6**0.5) for i in range(3)]
    bias = graph.parameter("b", value=rng.normal(size=6))
    rows = graph.parameter("c", value=rng.uniform(0.5, 1.5, 6))
    for _ in range(int(rng.integers(4, 12))):
        a, b = (values[int(rng.integers(max(0, len(values) - 3), len(values)))] for _ in range(2))
        W = weights[int(rng.integers(3))]
        match int(rng.integers(10)):
            case 0:
                value = ops.tanh(a @ W + bias)
            case 1:
                value = ops.relu(ops.linear(a, W, bias)) + 0.1 * b
            case 2:
                value = ops.sigmoid(a) * rows - b / 4
            case 3:
                value = ops.softmax(a) + a
            case 4:
                value = ops.transpose(ops.transpose(a) * 0.5) + b[:, ::-1]
            case 5:
                value = a / (2 + b * b)
            case 6:
                value = ops.where(a > b, ops.sin(a), ops.cos(b))
            case 7:
                value = a - ops.mean(a, axis=1, keepdims=True)
            case 8:
                value = ops.concatenate(a[:, :3], ops.maximum(b, 0.3 * a)[:, 3:], axis=1)
            case _:
                value = ops.log(1 + ops.exp(ops.reshape(a, shape=(-1, 6)))) - ops.abs(b) ** 2 / 8
        values.append(value)
    total = graph.node("loss", ops.mse(values[-1] @ weights[0], graph.input("y", ("n", 6)), reduction="mean"))
    return Model(graph, [total.name], loss="loss")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 100, 25)], ids=str)
def test_random_graphs(seeds: range, dtype: str, backend: str) -> None:
    for seed in seeds:
        model = well_conditioned(seed, dtype)
        rng = np.random.default_rng(seed)
        known, _ = model.feed({name: rng.normal(size=(7, 6)) for name in ("x", "y")})
        needed = model.graph.needed_for(["loss"])
        check(model, "loss", {name: array for name, array in known.items() if name in needed}, dtype, backend)
