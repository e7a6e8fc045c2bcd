"""What is checked of an op's other body, for training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataflow.autodiff.reverse import gradient_graph
from dataflow.autodiff.training_graph import training_graph
from dataflow.graph.graph import Graph
from dataflow.graph.walk import replay
from dataflow.operations.engine_ops import sum_to
from dataflow.shapes import substitute
from dataflow.testing.cases import Case
from dataflow.testing.derivative_checks import compare, has_derivative


def training(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """In training, the gradient agrees with finite differences while the random numbers stay; the result and new state
    have the declared shapes and dtypes, and are finite."""
    if case.op.training_rule is None or not has_derivative(case):
        return
    graph, operands = Graph("check"), list(case.arguments)
    known = {f"x{i}": case.arguments[i] for i in case.arrays}
    for i in case.arrays:
        is_float = i in case.floats
        operands[i] = (
            graph.parameter(f"x{i}", value=known[f"x{i}"]) if is_float else graph.constant(f"x{i}", operands[i])
        )
    y = graph.apply(case.op, operands, case.attributes, name="y")
    graph.node("f", sum_to(y * rng.normal(size=substitute(y.shape, {})), shape=()))
    trained = training_graph(graph, "f", seed=0)
    known |= {trained.minibatch: np.array(1)} if trained.minibatch else {}
    updates = replay(trained.graph, known, list(trained.updates.values()))
    for name, node in trained.updates.items():
        if not np.isfinite(updates[node]).all():
            yield f"the new value of {case.op.inputs[int(name[1:])]} is not finite"
    wrt = [f"x{i}" for i in case.floats if f"x{i}" not in trained.updates]
    gradient = gradient_graph(trained.graph, "f", wrt)
    names = [name for name in wrt if name in gradient.cotangents]
    cotangents = replay(gradient.graph, known, [gradient.cotangents[name] for name in names])
    for name in names:
        direction = rng.normal(size=known[name].shape)
        slope = float(np.sum(cotangents[gradient.cotangents[name]] * direction))

        def moved(step: float, name: str = name, direction: np.ndarray = direction) -> np.ndarray:
            at = {**known, name: known[name] + step * direction}
            return np.asarray(replay(trained.graph, at, ["f"])["f"])

        what = f"the derivative in training along a direction of {case.op.inputs[int(name[1:])]}"
        yield from compare(what, slope, moved, abs(slope))
