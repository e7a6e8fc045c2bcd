"""A step alone in the backend ``llvm``: the bits of many steps together, and what a step that fails leaves."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, line

from dataflow import Graph, Model
from dataflow.data.source import DataSource
from dataflow.errors import NonFiniteError
from dataflow.ops import mse
from dataflow.training import Trainer

pytest.importorskip("llvmlite")

from dataflow_llvm.running.training_loop import LlvmLoop

OPTIMIZERS = [
    {"name": "sgd", "learning_rate": 0.01},
    {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    {"name": "adam", "learning_rate": 0.01},
    {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
    {"name": "adagrad", "learning_rate": 0.01},
    {"name": "lion", "learning_rate": 0.01},
]


def many() -> Model:
    """So many weights that the state is kept in several pieces, the last of them shorter."""
    graph = Graph("many")
    x, y = graph.input("x", ("n", 5000)), graph.input("y", ("n", 5000))
    weights = graph.parameter("w", value=np.linspace(0.1, 1, 5000))
    graph.node("loss", mse(weights * x, y))
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(2, 5000)) for name in ("x", "y")}
    return Model(graph, [], "loss", data=DataSource(data))


def _named(optimizer: dict) -> str:
    return "-".join(str(value) for value in optimizer.values())


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=_named)
def test_steps_alone_are_steps_together(optimizer: dict) -> None:
    models = [many(), many()]
    alone, together = (Trainer(model, optimizer=optimizer, backend="llvm") for model in models)
    losses = [alone.step() for _ in range(7)]
    assert losses[-1] == together.run(7)
    assert alone.step() == together.step()
    assert bits(models[0]) == bits(models[1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=_named)
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(optimizer: dict) -> None:
    """A rate at which parameters overflow: in the update itself, or in the loss of the step after it."""
    trainer = Trainer(many(), optimizer=optimizer, backend="llvm")
    for _ in range(3):
        trainer.step()
    trainer.optimizer.learning_rate = 1e308
    for _ in range(5):
        before, steps = trainer.vectors.snapshot(), trainer.steps
        try:
            trainer.step()
        except NonFiniteError:
            break
    else:
        pytest.fail("nothing overflowed")
    assert trainer.steps == steps
    for array, saved in zip(trainer.vectors.changing().values(), before, strict=True):
        np.testing.assert_array_equal(array, saved)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=_named)
def test_what_the_optimizer_says_is_written_down_once(optimizer: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = LlvmLoop._take_numbers
    monkeypatch.setattr(LlvmLoop, "_take_numbers", lambda loop, numbers: [taken.append(numbers), take(loop, numbers)])
    trainer = Trainer(line(), optimizer=optimizer, backend="llvm")
    for rate in (0.01, np.float64(0.02)):
        trainer.optimizer.learning_rate = rate
        for _ in range(3):
            trainer.step()
    assert [numbers[0] for numbers in taken] == [0.01, 0.02]


def test_a_change_of_the_optimizer_holds_at_once() -> None:
    """Momentum switched on between two steps is used, and its velocity is put back where a step fails."""
    trainer = Trainer(line(), optimizer={"name": "sgd", "learning_rate": 0.01}, backend="llvm")
    trainer.step()
    trainer.optimizer.momentum = 0.5
    trainer.step()
    (group,) = trainer.vectors.groups
    assert group.state["velocity"].any()
    before = trainer.vectors.snapshot()
    trainer.optimizer.learning_rate = 1e308
    with pytest.raises(NonFiniteError):
        for _ in range(3):
            before = trainer.vectors.snapshot()
            trainer.step()
    for array, saved in zip(trainer.vectors.changing().values(), before, strict=True):
        np.testing.assert_array_equal(array, saved)
