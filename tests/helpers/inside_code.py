"""A plan run by the compiled backend alone."""

from __future__ import annotations

import numpy as np

from dataflow import Graph
from dataflow.plan import make_plan


def run_inside(graph: Graph, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The node ``out``, with nothing left to numpy; with two threads the same bits."""
    from dataflow_llvm.running.runner import LlvmRunner

    plan = make_plan(graph, ["out"], {name: graph.spec(name) for name in arrays})
    runner = LlvmRunner(plan, 1)
    assert runner.program.is_whole
    (result,) = runner.run(list(arrays.values()))
    (shared,) = LlvmRunner(plan, 2).run(list(arrays.values()))
    assert shared.tobytes() == result.tobytes()
    return result
