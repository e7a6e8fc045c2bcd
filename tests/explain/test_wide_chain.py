"""An explanation of a node with many inner nodes grows with them, not with their square."""

from __future__ import annotations

import time

import dataflow
from dataflow.explain.explainer import explain


def test_time_grows_with_the_inner_nodes() -> None:
    def seconds(terms: int) -> float:
        graph = dataflow.Graph("sum")
        x = graph.input("x", (2,))
        total = x
        for i in range(terms):
            total = total + x * float(i + 1)
        graph.node("loss", dataflow.ops.sum(total))
        model, tries = dataflow.Model(graph, loss="loss"), []
        for _ in range(2):
            start = time.process_time()
            found = explain(model, wrt="x", data={"x": [1.0, 2.0]})
            tries.append(time.process_time() - start)
        one = found.explained["x"]
        assert one.gradient.tolist() == [1 + terms * (terms + 1) / 2] * 2  # x + 1·x + 2·x + ...
        return min(tries)

    assert seconds(2400) < 8 * 2.5 * seconds(300)
