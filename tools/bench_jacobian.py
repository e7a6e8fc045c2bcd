"""Derivatives beside what they are made of: a full Jacobian against a hand-batched numpy pass, an explanation against a
gradient.

``python tools/bench_jacobian.py [ROUNDS]`` prints ratios of medians of interleaved rounds. Exit status 1 where the
Jacobian of a net of 256 inputs and outputs takes more than 3 times the hand-written pass, or the explanation of one
parameter of 50 layers of width 64 more than 10 gradients.
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

import dataflow
from dataflow.ops import mse, tanh


def interleaved(rounds: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def net(layers: int, width: int, *, loss: bool) -> dataflow.Model:
    """``layers`` of tanh(x @ W.T), all of one width."""
    graph = dataflow.Graph("net")
    value = graph.input("x", ("n", width))
    for i in range(layers):
        value = graph.node(f"h{i}", tanh(value @ graph.parameter(f"W{i}", (width, width), init="glorot_normal").T))
    if loss:
        graph.node("loss", mse(value, graph.input("y", ("n", width))))
    return dataflow.Model(graph, [value.name], "loss" if loss else None)


def jacobian(rounds: int) -> float:
    """The ratio for a full Jacobian."""
    model = net(4, 256, loss=False)
    x = np.random.default_rng(0).normal(size=(1, 256))
    weights = [model.parameters[f"W{i}"] for i in range(4)]

    def by_hand() -> np.ndarray:
        values = [x]
        for weight in weights:
            values.append(np.tanh(values[-1] @ weight.T))
        rows = np.eye(256)
        for weight, value in zip(weights[::-1], values[:0:-1], strict=True):
            rows = (rows * (1 - value * value)) @ weight
        return rows

    def ours() -> np.ndarray:
        return model.jacobian(of="h3", wrt="x", x=x)

    np.testing.assert_allclose(ours(), by_hand(), atol=1e-12)
    seconds = interleaved(rounds, ours=ours, by_hand=by_hand)
    return seconds["ours"] / seconds["by_hand"]


def explanation(rounds: int) -> tuple[float, float]:
    """The ratio for an explanation of one parameter of 50 layers, and its peak memory in MiB."""
    model = net(50, 64, loss=True)
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(64, 64)), "y": rng.normal(size=(64, 64))}
    seconds = interleaved(
        rounds,
        explain=lambda: dataflow.explain(model, wrt="W0", data=data),
        gradient=lambda: model.gradients(data=data),
    )
    tracemalloc.start()
    dataflow.explain(model, wrt="W0", data=data)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return seconds["explain"] / seconds["gradient"], peak


def main() -> int:
    """Measure, print, and judge."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    full = jacobian(rounds)
    print(f"Jacobian 256 by 256, over a hand-batched numpy pass: {full:.2f} (at most 3)")
    ratio, peak = explanation(max(3, rounds // 3))
    print(f"explaining one parameter of 50 layers, over a gradient: {ratio:.1f} (below 10), peak {peak:.0f} MiB")
    return 0 if full <= 3 and ratio < 10 else 1


if __name__ == "__main__":
    sys.exit(main())
