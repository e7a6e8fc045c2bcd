"""Steps that a plan has written out run as loops, with numpy's numbers; XLA gets as much code for many as for few."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Model, Value, ops
from dataflow.plan import make_plan
from dataflow.shapes import TensorSpec

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs the extra jax")
WIDTH = 3
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def layer(kind: str, steps: int, direction: str = "forward", layers: int = 1, dtype: str = "float64") -> Model:
    """Recurrent layers over x, (n, steps, 2), with a loss of all their outputs."""
    rng = np.random.default_rng(0)
    graph = Graph("g", dtype=dtype)
    h = ops.transpose(graph.input("x", ("n", steps, 2)), axes=(1, 0, 2))
    count = 2 if direction == "bidirectional" else 1
    for number in range(layers):
        gates, inputs = GATES[kind] * WIDTH, h.shape[-1]
        shapes = {"W": (count, gates, inputs), "R": (count, gates, WIDTH), "b": (count, 2 * gates)}
        own = [
            graph.parameter(f"{name}{number}", shape, value=rng.normal(size=shape)) for name, shape in shapes.items()
        ]
        y, *states = getattr(ops, kind)(h, *own, direction=direction)
        h = ops.reshape(ops.transpose(y, axes=(0, 2, 1, 3)), shape=(steps, h.shape[1], count * WIDTH))
    graph.node("y", h)
    graph.node("loss", ops.sum(ops.sin(h)) + sum((ops.sum(state * state) for state in states), 0.0))
    return Model(graph, ["y"], "loss")


Step = Callable[[Value, Value, Value, Value, Sequence[Value]], Value]
STEPS: dict[str, Step] = {
    "two steps back": lambda x, h, R, b, before: ops.tanh(x + h @ R + (before[-2] if len(before) > 1 else h) * 0.5),
    "a state that is flipped": lambda x, h, R, b, before: ops.sigmoid((h @ R)[:, ::-1] + x),
    "a branch": lambda x, h, R, b, before: ops.where(x > 0, h @ R, h) + b,
    "the first state in each": lambda x, h, R, b, before: ops.tanh(h @ R + (before[0] if before else x)),
    "an index out of some range": lambda x, h, R, b, before: ops.gather(
        ops.tanh(h @ R + x), ops.argsort(b, axis=0), axis=1
    ),
    "another number in each": lambda x, h, R, b, before: ops.tanh(h @ R + x * (1.0 + len(before))),
}
JOINED: dict[str, Callable[[list[Value]], Value]] = {
    "stacked": lambda states: ops.stack(*states, axis=1),
    "stacked from the last": lambda states: ops.stack(*states[::-1], axis=-1),
    "joined": lambda states: ops.concatenate(*states, axis=-1),
    "some": lambda states: ops.stack(states[3], states[2], states[1], states[6], states[-1], states[0], axis=0),
    "the last": lambda states: states[-1],
}


def by_hand(step: Step, join: Callable[[list[Value]], Value], steps: int = 12, backward: bool = False) -> Model:
    """A recurrence written with ops."""
    rng = np.random.default_rng(1)
    graph = Graph("g", dtype="float64")
    x = graph.input("x", ("n", steps, 2))
    W, R, b = (
        graph.parameter(name, shape, value=rng.normal(size=shape))
        for name, shape in {"W": (2, WIDTH), "R": (WIDTH, WIDTH), "b": (WIDTH,)}.items()
    )
    rows, states = x @ W, []
    h = rows[:, 0] * 0.5
    for t in reversed(range(steps)) if backward else range(steps):
        h = step(rows[:, t], h, R, b, states)
        states.append(h)
    result = graph.node("y", join(states))
    graph.node("loss", ops.sum(ops.sin(result)))
    return Model(graph, ["y"], "loss")


def assert_like_numpy(model: Model, rows: int, tolerance: float = 1e-12) -> None:
    steps = model.graph.spec("x").shape[1]
    x = np.random.default_rng(2).normal(size=(rows, steps, 2)).astype(model.graph.dtype)
    wrt = ["x", *model.parameters]
    runs = [
        model.compile(values=["y", "loss"], gradients=wrt, of="loss", backend=backend)(x=x)
        for backend in ("numpy", "jax")
    ]
    for expected, found in zip(*runs, strict=True):
        for name, array in expected.items():
            assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
            scale = max(1.0, np.abs(array).max(initial=0))
            np.testing.assert_allclose(found[name], array, tolerance, tolerance * scale, err_msg=name)


def code_of(model: Model, rows: int = 2) -> Any:
    """What JAX hands to XLA for the loss and the gradients, as equations."""
    import jax

    from dataflow.autodiff import gradient_graph
    from dataflow_jax.trace_plan import TracedPlan

    gradient = gradient_graph(model.graph, "loss", list(model.parameters))
    outputs = ["loss", *gradient.cotangents.values()]
    shapes = {"x": (rows, *model.graph.spec("x").shape[1:])}
    known = {name: np.zeros(shapes.get(name) or model.parameters[name].shape) for name in ("x", *model.parameters)}
    plan = make_plan(
        gradient.graph, outputs, {name: TensorSpec(array.shape, array.dtype) for name, array in known.items()}
    )
    with jax.enable_x64(True):
        return jax.make_jaxpr(TracedPlan(plan).outputs)(*(known[name] for name in plan.arguments)).jaxpr.eqns


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_recurrent_layers(kind: str, direction: str, rows: int) -> None:
    assert_like_numpy(layer(kind, 9, direction, layers=2 if direction == "forward" else 1), rows)


def test_in_float32() -> None:
    assert_like_numpy(layer("lstm", 20, dtype="float32"), 4, 1e-5)


@pytest.mark.parametrize("kind", GATES)
def test_many_steps_are_as_much_code_as_few(kind: str) -> None:
    """Of sixty-four steps as of sixteen, forward and backward."""
    few, many = (code_of(layer(kind, steps)) for steps in (16, 64))
    assert [equation.primitive.name for equation in many].count("scan") >= 2
    assert len(few) == len(many)


def test_the_gradient_of_shared_weights_is_one_product() -> None:
    """Σ δᵀ h over the steps, besides those of W and of the first steps, which are not in the loops."""
    for steps in (16, 64):
        names = [equation.primitive.name for equation in code_of(by_hand(STEPS["a branch"], JOINED["the last"], steps))]
        assert names.count("dot_general") <= 6


@pytest.mark.parametrize(
    ("step", "join"), [*((step, "stacked") for step in STEPS), *(("a branch", join) for join in [*JOINED][1:])]
)
def test_recurrences_by_hand(step: str, join: str) -> None:
    model = by_hand(STEPS[step], JOINED[join], backward=len(step) % 2 == 1)
    assert_like_numpy(model, 2)
    names = [equation.primitive.name for equation in code_of(model)]
    assert ("scan" in names) == (step != "another number in each")


def test_jax_differentiates_a_loop_as_we_do() -> None:
    """And maps it over examples."""
    import jax

    model = layer("lstm", 12, layers=2)
    x = np.random.default_rng(3).normal(size=(4, 12, 2))
    f, parameters = model.to_jax(["loss"]), dict(model.parameters)
    expected = model.evaluate(of="loss", wrt=list(parameters), data={"x": x}).gradients
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda own: f(own, {"x": x})["loss"]))(parameters)
        total = jax.vmap(lambda row: f(parameters, {"x": row[None]})["loss"])(x).sum()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-11, 1e-12, err_msg=name)
    np.testing.assert_allclose(total, model.compile(values=["loss"])(x=x)[0]["loss"], 1e-12)
