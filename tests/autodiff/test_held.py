"""A parameter with no differentiable path to the loss: it is held, and its derivatives are 0, whatever is asked.

The loss is ½ · scale · Σ (w·x − 1)² over the chosen x, so that its derivatives by w are written down by hand below.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dataflow
from dataflow import Graph, Model, ops
from dataflow.cli.group import main
from dataflow.errors import DataflowWarning, GraphError, NonFiniteError

X = np.array([1.0, -1.0, 2.0])
INPUTS = {"x": X}
BACKENDS = ["numpy", "llvm"]

KINDS: dict[str, tuple[Callable[[Any, Any, Any], Any], list[float], float]] = {
    "comparison": (lambda x, z, t: ops.where(x > t, z, 0.0), [1, 2], 1),
    "comparison of what is computed": (lambda x, z, t: ops.where(x > ops.exp(t) - 1, z, 0.0), [1, 2], 1),
    "whole numbers": (lambda x, z, t: z * ops.cast(ops.cast(t + 2, dtype="int64"), dtype="float64"), [1, -1, 2], 2),
    "shape": (lambda x, z, t: z * ops.size(t), [1, -1, 2], 1),
    "unused": (lambda x, z, t: z, [1, -1, 2], 1),
}
"""How t takes part; the x that count; the scale."""


def model_of(kind: str) -> Model:
    graph = Graph("g")
    x, w, t = graph.input("x", ("n",)), graph.parameter("w", value=0.5), graph.parameter("t", value=0.5)
    graph.node("loss", ops.sum(KINDS[kind][0](x, 0.5 * (w * x - 1) ** 2, t)))
    return Model(graph, [], loss="loss")


def slope(kind: str, w: float, xs: Any = None) -> float:
    """The derivative of the loss by w."""
    _, chosen, scale = KINDS[kind]
    return float(sum(scale * x * (w * x - 1) for x in (chosen if xs is None else xs)))


def curvature(kind: str) -> float:
    return float(sum(KINDS[kind][2] * x * x for x in KINDS[kind][1]))


def descended(kind: str, steps: int) -> float:
    w = 0.5
    for _ in range(steps):
        w -= 0.01 * slope(kind, w)
    return w


# ------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"memory_limit": "1MB"}, {"batch_size": 3, "shuffle": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_held(kind: str, options: dict[str, Any], backend: str) -> None:
    model = model_of(kind)
    with pytest.warns(DataflowWarning) as said:
        trainer = dataflow.Trainer(model, INPUTS, learning_rate=0.01, backend=backend, **options)
    how = "" if kind == "unused" else " by anything that has a derivative"
    assert [str(one.message) for one in said] == [f"the loss does not depend on 't'{how}; not trained"]
    trainer.step()
    trainer.run(4)
    np.testing.assert_allclose(model.parameters["w"], descended(kind, 5), rtol=1e-12)
    assert model.parameters["t"] == 0.5
    assert trainer.parameters.keys() == {"w", "t"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_read_where_it_is_set_meanwhile(backend: str) -> None:
    model = model_of("comparison")
    with pytest.warns(DataflowWarning):
        trainer = dataflow.Trainer(model, INPUTS, learning_rate=0.01, backend=backend)
    trainer.run(3)
    w = descended("comparison", 3)
    model.parameters["t"] = 1.5  # now 2 alone counts
    trainer.step()
    np.testing.assert_allclose(model.parameters["w"], w - 0.01 * slope("comparison", w, [2]), rtol=1e-12)
    assert trainer.measure()["loss"] == pytest.approx(0.5 * (2 * float(model.parameters["w"]) - 1) ** 2, rel=1e-12)


@pytest.mark.filterwarnings("ignore:the loss does not depend")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_with_what_it_held(kind: str, backend: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": INPUTS, "learning_rate": 0.01, "backend": backend}
    dataflow.train(model_of(kind), epochs=2, checkpoint=tmp_path, **settings)
    model = model_of(kind)
    if kind != "unused":
        model.parameters["t"] = 1.5
    dataflow.train(model, epochs=5, checkpoint=tmp_path, resume=True, **settings)
    whole = model_of(kind)
    dataflow.train(whole, epochs=5, **settings)
    assert {n: v.tobytes() for n, v in model.parameters.items()} == {
        n: v.tobytes() for n, v in whole.parameters.items()
    }


@pytest.mark.filterwarnings("ignore:the loss does not depend")
def test_it_has_to_be_finite() -> None:
    model = model_of("comparison")
    model.parameters["t"] = float("nan")
    with pytest.raises(NonFiniteError, match="parameter 't' has nan"):
        dataflow.Trainer(model, INPUTS)


def test_a_parameter_is_a_float() -> None:
    with pytest.raises(GraphError, match="parameter 'k' has the dtype int64; a parameter is float64 or float32"):
        Graph("g").parameter("k", value=2, dtype="int64")


# ------------------------------------------------------------------------------------------------ derivatives

WAYS: dict[str, Callable[[Model], tuple[Any, Any]]] = {
    "gradients": lambda m: by_name(m.gradients(**INPUTS)),
    "per example": lambda m: by_name({n: g.sum() for n, g in m.per_example_gradients(**INPUTS).items()}),
    "jacobian": lambda m: tuple(m.jacobian(of="loss", wrt=["w", "t"], **INPUTS)[0]),
    "jacobian forward": lambda m: tuple(m.jacobian(of="loss", wrt=["w", "t"], mode="forward", **INPUTS)[0]),
    "vjp": lambda m: by_name(m.vjp(of="loss", wrt=["w", "t"], cotangent=1.0, **INPUTS)),
    "jvp": lambda m: tuple(m.jvp(of="loss", wrt=["w", "t"], tangents={n: 1.0}, **INPUTS) for n in ("w", "t")),
    **{
        f"compile {backend}": lambda m, backend=backend: by_name(  # type: ignore[misc]
            m.compile(values=["loss"], gradients=["w", "t"], backend=backend)(**INPUTS)[1]
        )
        for backend in BACKENDS
    },
    **{
        f"compile {backend}, each alone": lambda m, backend=backend: tuple(  # type: ignore[misc]
            m.compile(gradients=[n], backend=backend, memory_limit="1MB")(**INPUTS)[1][n] for n in ("w", "t")
        )
        for backend in BACKENDS
    },
}
ALONE: dict[str, Callable[[Model], Any]] = {
    "gradients": lambda m: m.gradients(wrt="t", **INPUTS)["t"],
    "per example": lambda m: m.per_example_gradients(wrt="t", **INPUTS)["t"],
    "jacobian": lambda m: m.jacobian(of="loss", wrt="t", **INPUTS),
    "jacobian forward": lambda m: m.jacobian(of="loss", wrt="t", mode="forward", **INPUTS),
    "vjp": lambda m: m.vjp(of="loss", wrt="t", cotangent=1.0, **INPUTS)["t"],
    "jvp": lambda m: m.jvp(of="loss", wrt="t", tangents={"t": 1.0}, **INPUTS),
    "jvp of order 2": lambda m: m.jvp(of="loss", wrt="t", tangents={"t": 1.0}, order=2, **INPUTS),
    "hvp": lambda m: m.hvp(wrt="t", tangents={"t": 1.0}, **INPUTS)["t"],
    "hessian": lambda m: m.hessian(wrt="t", **INPUTS),
}


def by_name(found: dict[str, Any]) -> tuple[Any, Any]:
    return found["w"], found["t"]


@pytest.mark.filterwarnings("ignore:the gradient of 'loss' with respect to 't' is zero")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_its_derivative_is_0_beside_another(kind: str, way: Callable[[Model], tuple[Any, Any]]) -> None:
    w, t = way(model_of(kind))
    assert float(w) == pytest.approx(slope(kind, 0.5), rel=1e-12)
    assert float(t) == 0


@pytest.mark.filterwarnings("ignore:the gradient of 'loss' with respect to 't' is zero")
@pytest.mark.parametrize("way", ALONE.values(), ids=ALONE)
@pytest.mark.parametrize("kind", KINDS)
def test_its_derivative_is_0_alone(kind: str, way: Callable[[Model], Any]) -> None:
    assert np.array_equal(np.ravel(way(model_of(kind))), np.zeros(np.size(way(model_of(kind)))))


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind: str) -> None:
    model, wrt = model_of(kind), ["w", "t"]
    np.testing.assert_allclose(model.hessian(wrt=wrt, **INPUTS), np.diag([curvature(kind), 0]))
    hvp = model.hvp(wrt=wrt, tangents={"w": 2.0, "t": 3.0}, **INPUTS)
    np.testing.assert_allclose([hvp["w"], hvp["t"]], [2 * curvature(kind), 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_input_that_only_a_comparison_reads(backend: str) -> None:
    graph = Graph("g")
    x, w = graph.input("x", ("n",)), graph.parameter("w", value=0.5)
    graph.node("loss", ops.sum(ops.where(x > 0, w * w, 0.0)))
    model = Model(graph, [], loss="loss")
    _, gradients = model.compile(gradients=["x", "w"], backend=backend)(x=X)
    assert gradients["x"].tolist() == [0, 0, 0]
    assert float(gradients["w"]) == 2  # two of x are above 0
    assert model.jacobian(of="loss", wrt=["x", "w"], x=X).tolist() == [[0, 0, 0, 2]]
    dataflow.Trainer(model, INPUTS, learning_rate=0.25, backend=backend).step()
    assert model.parameters["w"] == 0


# ------------------------------------------------------------------------------------------------ commands

COMMANDS = {
    "run": ["run", "MODEL"],
    "train": ["train", "MODEL", "-o", "OUT.msgpack"],
    "train llvm": ["train", "MODEL", "-o", "OUT.msgpack", "--backend", "llvm"],
    "check": ["check", "MODEL"],
    "explain": ["explain", "MODEL", "--of", "loss", "--wrt", "t"],
    "profile": ["profile", "MODEL"],
    "profile llvm": ["profile", "MODEL", "--backend", "llvm"],
    "view": ["view", "MODEL", "-o", "OUT.html"],
    "draw": ["draw", "MODEL", "--backward", "-o", "OUT.svg"],
    "jacobian": ["jacobian", "MODEL", "--of", "loss", "--wrt", "t"],
    "hessian": ["gradients", "MODEL", "--mode", "hessian", "--of", "loss", "--wrt", "t,w"],
    "per example": ["gradients", "MODEL", "--mode", "per-example", "--of", "loss", "--wrt", "t"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("kind", ["where(x > t, (w * x - 1) ** 2, 0)", "(w * x - 1) ** 2"])
def test_every_command_takes_it(kind: str, command: list[str], tmp_path: Path) -> None:
    model = tmp_path / "model.toml"
    model.write_text(
        "dataflow = 1\n"
        'inputs.x = { shape = ["n"] }\n'
        "parameters.w = { value = 1.0 }\n"
        "parameters.t = { value = 0.5 }\n"
        f'nodes.loss = "sum({kind})"\n'
        'model.loss = "loss"\n'
        "data.x = [1.0, -1.0, 2.0]\n"
    )
    words = [word.replace("MODEL", str(model)).replace("OUT", str(tmp_path / "out")) for word in command]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
