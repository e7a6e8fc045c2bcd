"""Shapes that a model may have, and hardly means: the batch meets itself in another axis, a softmax over one entry."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import dataflow
from dataflow import Graph, Model, ops
from dataflow.cli.group import main
from dataflow.errors import DataflowWarning

MODEL = """dataflow = 1
[inputs]
x = {{ shape = ["n", 2] }}
y = {{ shape = ["n"] }}
[parameters]
W = {{ shape = [1, 2], init = "zeros" }}
[nodes]
p = "x @ W.T"
loss = '{loss}'
[model]
outputs = ["p"]
loss = "loss"
[data]
x = [[1, 2], [-3, 4], [5, -6]]
y = [1, -3, 5]
"""
CROSSED = "node 'loss.subtract' (subtract) broadcasts p (n, 1) and y (n,) to (n, n), every example with every other; "
ADVICE = "reshape y to (n, 1)"


def found(build, loss: str | None = "loss") -> list[str]:
    """The warnings of a model of two examples, whose loss is what ``build`` makes of u (n, 1), v (n,), X (n, 3)."""
    graph = Graph("g")
    u, v, x = graph.input("u", ("n", 1)), graph.input("v", ("n",)), graph.input("X", ("n", 3))
    graph.node("loss", build(u, v, x))
    data = {"u": [[1], [2]], "v": [1, 2], "X": [[1, 2, 3], [4, 5, 6]]}
    return Model(graph, [], loss).evaluate(data=data).warnings


ELEMENTWISE = {
    "subtract": lambda u, v: u - v,
    "add": lambda u, v: v + u,
    "multiply": lambda u, v: u * v,
    "divide": lambda u, v: u / v,
    "power": lambda u, v: u**v,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "where": lambda u, v: ops.where(v > 0, u, 0.0),
    "masked": lambda u, v: ops.masked(u, v > 0, v),
    "greater": lambda u, v: ops.where(u > v, 1.0, 2.0),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_batch_in_two_axes_is_told_of_every_elementwise_op(name: str) -> None:
    (text,) = found(lambda u, v, x: ops.sum(ELEMENTWISE[name](u, v)))
    assert f"({name}) broadcasts" in text
    assert "(n, n), every example with every other; reshape " in text
    assert text.endswith(" to (n, 1)")


def compared(build, width: int = 3) -> list[str]:
    """The warnings of a model whose loss is what ``build`` makes of a prediction p (n, 1) and targets y (n, width)."""
    graph = Graph("g")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", width))
    p = graph.node("p", x @ graph.parameter("W", (1, 2), init="zeros").T)
    graph.node("loss", ops.sum(build(p, x, y) ** 2))
    return Model(graph, ["p"], "loss").evaluate(data={"x": [[1, 2], [3, 4]], "y": [[0.0] * width] * 2}).warnings


@pytest.mark.parametrize("build", [lambda p, x, y: p - y, lambda p, x, y: y - p])
def test_targets_of_another_width(build) -> None:
    (text,) = compared(build)
    assert text.startswith("node 'loss.subtract' (subtract) broadcasts ")
    assert text.endswith(" to (n, 3): targets are held against a prediction of another width; give both one shape")
    assert "p (n, 1)" in text
    assert "y (n, 3)" in text


@pytest.mark.parametrize(
    ("build", "width"),
    [
        (lambda p, x, y: p - y, 1),  # alike
        (lambda p, x, y: y - ops.sum(x, axis=1, keepdims=True), 3),  # no parameter is in it
        (lambda p, x, y: y * p, 3),  # a factor
        (lambda p, x, y: ops.relu(p) - 2.0 * y, 3),  # not the targets themselves
        (lambda p, x, y: y - ops.sum(p), 3),  # one number for all
    ],
)
def test_other_widths_may_be_meant(build, width: int) -> None:
    assert compared(build, width) == []


@pytest.mark.parametrize(
    ("build", "meant"),
    [
        (lambda u, v, x: ops.sum(ops.expand_dims(x, axis=1) - x), "(n, 1, 3)"),
        (lambda u, v, x: ops.sum(ops.sum(x, axis=1, keepdims=True) - v), "(n, 1)"),
        (lambda u, v, x: ops.sum((x @ x.T)[0] - u), "(n, 1)"),
    ],
)
def test_what_to_reshape_to(build, meant: str) -> None:
    (text,) = found(build)
    assert text.endswith(f" to {meant}")


@pytest.mark.parametrize(
    "build",
    [
        lambda u, v, x: ops.sum(u - ops.reshape(v, shape=("n", 1))),
        lambda u, v, x: ops.sum(u[:, 0] - v),
        lambda u, v, x: ops.sum(x - u),  # one example, three entries
        lambda u, v, x: ops.sum(x - [1.0, 2.0, 3.0]),
        lambda u, v, x: ops.sum(v - ops.sum(v)),
        lambda u, v, x: ops.sum(ops.expand_dims(v, axis=0) - ops.expand_dims(v, axis=1)),  # all pairs, written out
        lambda u, v, x: ops.sum(x @ x.T - v),  # every pair already, and the same axis
        lambda u, v, x: ops.sum(x.T - v),  # the same axis, counted from the last
    ],
)
def test_no_warning_of_what_is_meant(build) -> None:
    assert found(build) == []


def test_no_warning_beside_the_loss() -> None:
    assert found(lambda u, v, x: ops.sum(u - v), loss=None) == []


@pytest.mark.parametrize(
    ("op", "axis", "said"),
    [
        (ops.softmax, -1, "so always 1"),
        (ops.softmax, 1, "so always 1"),
        (ops.log_softmax, -1, "so always 0"),
        (ops.softmax, 0, None),
    ],
)
def test_a_softmax_over_one_entry(op, axis: int, said: str | None) -> None:
    told = found(lambda u, v, x: ops.sum(op(u, axis=axis)))
    assert len(told) == (said is not None)
    assert all(said in text and "axis of size 1 of u (n, 1)" in text for text in told)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("command", ["run", "check", "train"])
def test_the_command_line_warns(command: str, backend: str, tmp_path: Path) -> None:
    for loss, expected in (
        ("mean((p - y)**2)", f"Warning: {CROSSED}{ADVICE}\n"),
        ('mean((p - reshape(y, shape=("n", 1)))**2)', ""),
    ):
        model = tmp_path / "model.toml"
        model.write_text(MODEL.format(loss=loss))
        exact = ["--exact"] if command == "run" else []  # else a note says that tiny numbers are written as 0
        done = CliRunner().invoke(main, [command, str(model), "--backend", backend, *exact])
        assert (done.exit_code, done.stderr) == (0, expected)
        if command == "run":
            done = CliRunner().invoke(main, [command, str(model), "--backend", backend, "--json"])
            assert json.loads(done.stdout)["warnings"] == ([CROSSED + ADVICE] if expected else [])


def test_training_in_python_warns(tmp_path: Path) -> None:
    model = tmp_path / "model.toml"
    model.write_text(MODEL.format(loss="mean((p - y)**2)"))
    for train in (dataflow.train, dataflow.Trainer):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(dataflow.load(model))
        assert [(one.category, str(one.message)) for one in caught] == [(DataflowWarning, CROSSED + ADVICE)]
