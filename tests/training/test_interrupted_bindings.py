"""What an interrupt in the middle of binding leaves behind: the next call binds anew."""

from __future__ import annotations

import numpy as np
import pytest
from installed import BACKENDS
from nets import classifier

from dataflow import Graph, Trainer, ops
from dataflow.backends.numpy_runner import NumpyRunner
from dataflow.plan import make_plan
from dataflow.registry import registry


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "jax"])
def test_a_run_after_an_interrupted_one(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("g")
    graph.node("out", ops.cumsum(graph.input("x", (40_000,)) * 2, axis=0) + graph.input("y", (40_000,)))
    plan = make_plan(graph, ["out"], {name: graph.spec(name) for name in ("x", "y")})
    runner = registry.registry().backends[backend].prepare(plan, 1)
    y = np.zeros(40_000)
    runner.run([np.ones(40_000), y])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner._last, "_bind", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runner.run([np.full(40_000, 5.0), y])
    assert runner.run([np.full(40_000, 5.0), y])[0][:3].tolist() == [10.0, 20.0, 30.0]


def test_a_step_after_an_interrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"batch_size": 2, "shuffle": False, "seed": 0}
    trained, expected = Trainer(classifier(), **settings), Trainer(classifier(), **settings)
    trained.step()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NumpyRunner, "bind", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained.step()
    expected.step()
    assert [trained.step() for _ in range(4)] == [expected.step() for _ in range(4)]
