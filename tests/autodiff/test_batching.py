"""Graphs that do for many sets of inputs at once what they did for one."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow import Graph, Model, op, ops
from dataflow.autodiff.batching import batched_graph


@op
def first_of_two(x, unused):
    """Twice x."""
    return x * 2.0


@pytest.mark.parametrize("over", [("x",), ("w",), ("x", "w")])
def test_an_op_that_makes_nothing_of_an_operand(over: tuple[str, ...]) -> None:
    """Expected are twice the values, for each set of inputs."""
    graph = Graph("g")
    x, w = graph.input("x", (2,)), graph.input("w", (3,))
    graph.node("y", first_of_two(x, w))
    batched, outputs = batched_graph(graph, ["y"], over, 4)
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=(4, size) if name in over else (size,)) for name, size in (("x", 2), ("w", 3))}
    found = Model(batched, [outputs["y"]]).run(**given)[outputs["y"]]
    np.testing.assert_allclose(found, np.broadcast_to(2 * given["x"], (4, 2)))


def test_the_gradient_for_each_example_of_one_step_of_a_recurrent_layer() -> None:
    """R meets nothing in the first step, whose state is zero: its gradient is zero for each example."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(1, 2, 3)), "W": rng.normal(size=(1, 4, 3)), "R": rng.normal(size=(1, 4, 4))}
    graph = Graph("g")
    values = [graph.input(name, array.shape) for name, array in arrays.items()]
    graph.node("y", ops.rnn(*values).y)
    jacobian = Model(graph, ["y"]).jacobian(of="y", wrt="R", **arrays)
    assert not np.any(np.asarray(jacobian))
    np.testing.assert_allclose(
        Model(graph, ["y"]).run(**arrays)["y"][0, 0], np.tanh(arrays["x"][0] @ arrays["W"][0].T), rtol=1e-12
    )
