"""A trained model that is trained further: the optimizer goes on with the state that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import bits, classifier

import dataflow
from dataflow import Model, StopTraining, Trainer, TrainSettings, train
from dataflow.cli.group import main

OPTIMIZERS = [
    {"name": "adam", "learning_rate": 0.05},
    {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
]


def net(**settings: Any) -> Model:
    """Minibatches in file order, so that two epochs and two more are four."""
    return classifier(train=TrainSettings(epochs=2, batch_size=8, **settings))


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: one["name"])
def test_two_epochs_and_two_more_are_four(optimizer: dict[str, Any], backend: str, tmp_path: Path) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    settings: dict[str, Any] = {"optimizer": optimizer, "backend": backend}
    alone, model = net(), net()
    train(alone, epochs=4, **settings)
    assert train(model, **settings).optimizer_start == ""
    dataflow.save(model, tmp_path / "m.msgpack")
    model = dataflow.load(tmp_path / "m.msgpack")
    history = train(model, **settings)
    assert history.optimizer_start == "the optimizer goes on after 14 updates of training before"
    assert bits(model) == bits(alone)
    assert (model.training["steps"], model.training["updates_before"]) == (14, 14)
    # and once more
    train(alone, epochs=1, **settings)
    train(model, epochs=1, **settings)
    assert bits(model) == bits(alone)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: one["name"])
def test_fresh(optimizer: dict[str, Any]) -> None:
    model = net()
    train(model, optimizer=optimizer)
    other = net()
    other.parameters = dict(model.parameters)
    history = train(model, optimizer=optimizer, fresh_optimizer=True)
    assert history.optimizer_start == "the optimizer starts anew, as it was asked to"
    train(other, optimizer=optimizer)
    assert bits(model) == bits(other)
    assert "updates_before" not in model.training


def started(model: Model, **settings: Any) -> str:
    return str(Trainer(model, **settings).optimizer_start)


def test_when_it_starts_anew() -> None:
    adam = {"name": "adam", "learning_rate": 0.05}
    model = net()
    assert started(model) == ""
    train(model, optimizer=adam)
    assert started(model, optimizer="sgd") == "the optimizer starts anew, as training before was by adam"
    # its other settings may change
    assert "goes on after 14 updates" in started(model, optimizer={"name": "adam", "learning_rate": 0.5})
    record = model.training
    for place, value in (("state", {}), ("steps", "many"), ("state", 3), ("best", 1)):
        model.training = {**record, place: value}
        assert started(model, optimizer="adam") == (
            "the optimizer starts anew, as the state that was saved is of other parameters"
        )
    state = record["state"]["float64"]
    for changed in (
        {"mean": state["mean"][1:]},
        {"mean": np.full_like(state["mean"], np.nan)},
        {"square": state["square"].astype("float32")},
        {"names": ["W1"]},
    ):
        model.training = {**record, "state": {"float64": {**state, **changed}}}
        assert "of other parameters" in started(model, optimizer="adam")
    model.training = record
    model.parameters["b1"] = model.parameters["b1"] + 1
    assert started(model, optimizer="adam") == "the optimizer starts anew, as the parameters were changed since"


def test_the_best_epoch_s_state_goes_on() -> None:
    """With early stopping the result is an earlier epoch's; so is the state."""
    settings: dict[str, Any] = {"optimizer": {"name": "adam", "learning_rate": 0.2}, "validation": 0.4}
    model = net()
    history = train(model, epochs=100, early_stopping={"patience": 4}, **settings)
    assert history.best_epoch is not None
    alone = net()
    train(alone, epochs=history.best_epoch, **settings)
    assert bits(alone) == bits(model)
    for one in (alone, model):
        assert f"after {4 * history.best_epoch} updates" in train(one, epochs=1, **settings).optimizer_start
    assert bits(alone) == bits(model)


def test_a_run_that_went_on_resumes_bit_for_bit(tmp_path: Path) -> None:
    def stop(progress: dataflow.Progress) -> None:
        if (progress.epoch, progress.batch) == (2, 3):
            raise StopTraining

    settings: dict[str, Any] = {"optimizer": "adam", "epochs": 3}
    first = net()
    train(first, optimizer="adam")
    dataflow.save(first, tmp_path / "m.msgpack")
    alone, model = (dataflow.load(tmp_path / "m.msgpack") for _ in range(2))
    train(alone, **settings)
    train(model, checkpoint=tmp_path / "run", on_batch=stop, **settings)
    model = dataflow.load(tmp_path / "m.msgpack")
    train(model, checkpoint=tmp_path / "run", resume=True, **settings)
    assert bits(model) == bits(alone)
    assert repr(model.training) == repr(alone.training)


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataflow.save(net(optimizer=OPTIMIZERS[0]), "net.toml")
    assert "optimizer" not in CliRunner().invoke(main, ["train", "net.toml", "-o", "m.msgpack"]).stdout
    done = CliRunner().invoke(main, ["train", "m.msgpack"])
    assert (
        "; the optimizer goes on after 14 updates of training before (--fresh-optimizer starts it anew)\n"
        in done.stdout
    )
    done = CliRunner().invoke(main, ["train", "m.msgpack", "--fresh-optimizer"])
    assert "; the optimizer starts anew, as it was asked to\n" in done.stdout
