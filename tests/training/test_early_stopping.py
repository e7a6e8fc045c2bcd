"""Training that stops itself, and keeps the parameters of its best epoch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import bits, classifier, line

import dataflow
from dataflow import History, Model, StopTraining, Trainer, TrainingError, TrainSettings, train
from dataflow.cli.group import main
from dataflow.training.early_stopping import EarlyStopping

BACKENDS = ["numpy", "llvm"]
LLVM_SLOW = ["numpy", pytest.param("llvm", marks=pytest.mark.slow)]
"""For what is in the training loop around either: test_updates.py lets llvm go on with early stopping, too."""


def overfitting(patience: int = 5, **more: Any) -> Model:
    """Few examples and many epochs: the held-out loss falls and rises again."""
    settings = TrainSettings(
        {"name": "sgd", "learning_rate": 0.3, "momentum": 0.9},
        epochs=200,
        batch_size=8,
        shuffle=True,
        validation=0.4,
        early_stopping={"patience": patience, **more},
    )
    return classifier(train=settings)


def watching(values: list[float], name: str = "loss", **settings: Any) -> tuple[int | None, int | None]:
    """The best epoch, and the epoch after which the run is done, for these values of the metric."""
    model = classifier()
    trainer = Trainer(model)
    stopping = EarlyStopping({"metric": name, "patience": 3, "min_delta": 0.0, **settings}, trainer)
    history = History()
    for value in values:
        trainer.batches.seek(trainer.batches.epoch + 1, 0)
        history.add({"loss": 0.0, name: value})
        stopping.after_epoch(history)
        if stopping.done:
            return history.best_epoch, history.epochs
    return history.best_epoch, None


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([5, 4, 3, 2, 1], {}, (5, None)),
        ([5, 4, 4, 4, 4, 1], {}, (2, 5)),  # as good is not better
        ([5, 4, 6, 6, 3, 7, 7, 7], {}, (5, 8)),
        ([5, 4.9, 4.8, 4.7, 4.6], {"min_delta": 0.5}, (4, 4)),  # small steps do not count, but the best is the best
        ([5, 4.8, 4.6, 4.4, 4.2, 4.0], {"min_delta": 0.5}, (6, None)),  # unless they add up
        ([math.nan, 3, math.nan, math.nan, 2, 9, 9, 9], {}, (5, 8)),
        ([math.nan] * 5, {}, (None, 3)),
        ([1, 2, 3], {"patience": 1}, (1, 2)),
    ],
)
@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_when_a_run_is_done(values: list[float], settings: Any, expected: Any, name: str) -> None:
    signed = values if name == "loss" else [-value for value in values]  # of an accuracy, more is better
    assert watching(signed, name, **settings) == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_best_epoch_is_the_result(backend: str, tmp_path: Path) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    model = overfitting()
    history = train(model, backend=backend)
    held_out = history.metrics["validation_loss"]
    best = int(np.argmin(held_out)) + 1
    assert history.best_epoch == best
    assert best < history.epochs == best + 5 < 200
    assert not history.interrupted
    # the parameters are those that a run of so many epochs ends with
    shorter = overfitting(patience=1000)
    train(shorter, backend=backend, epochs=best)
    assert bits(model) == bits(shorter)
    assert Trainer(model, backend=backend).measure()["validation_loss"] == held_out[best - 1]
    assert model.training["best"] == {"epoch": best, "steps": 4 * best}
    dataflow.save(model, tmp_path / "m.msgpack")
    assert bits(dataflow.load(tmp_path / "m.msgpack")) == bits(model)


def test_without_held_out_examples_the_loss_is_watched() -> None:
    model = line(2.0, train=TrainSettings(epochs=50, early_stopping={"patience": 2}))  # 2·x is y: nothing to learn
    history = train(model, learning_rate=0.1)
    assert (history.epochs, history.best_epoch, history.loss) == (3, 1, [0.0, 0.0, 0.0])


def test_a_run_that_is_interrupted_keeps_the_best_so_far() -> None:
    def stop(history: History) -> None:
        if history.best_epoch is not None and history.epochs == history.best_epoch + 2:
            raise StopTraining

    model = overfitting()
    history = train(model, on_epoch=stop)
    assert history.interrupted
    assert history.best_epoch is not None
    shorter = overfitting(patience=1000)
    train(shorter, epochs=history.best_epoch)
    assert bits(model) == bits(shorter)


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_it_goes_on_bit_for_bit(backend: str, tmp_path: Path) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    alone = overfitting()
    reference = train(alone, backend=backend)
    assert reference.best_epoch is not None
    moments = [(2, 1), (reference.best_epoch, 4), (reference.best_epoch + 2, 3), (reference.epochs, 1)]
    for place in moments:

        def stop(progress: dataflow.Progress, place: tuple[int, int] = place) -> None:
            if (progress.epoch, progress.batch) == place:
                raise StopTraining

        model = overfitting()
        train(model, backend=backend, checkpoint=tmp_path, resume=place != moments[0], on_batch=stop)
    model = overfitting()
    history = train(model, backend=backend, checkpoint=tmp_path, resume=True)
    assert (history.loss, history.metrics) == (reference.loss, reference.metrics)
    assert (history.epochs, history.best_epoch) == (reference.epochs, reference.best_epoch)
    assert bits(model) == bits(alone)
    assert repr(model.training) == repr(alone.training)
    # done is done: nothing more is trained, and the result is the same
    again = overfitting()
    assert train(again, backend=backend, checkpoint=tmp_path, resume=True).epochs == reference.epochs
    assert bits(again) == bits(alone)
    with pytest.raises(TrainingError, match="was made with early_stopping = "):
        train(overfitting(patience=7), backend=backend, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_all_together_goes_on_bit_for_bit(backend: str, tmp_path: Path) -> None:
    """With weights, a drawn validation, a schedule, clipping and gradients that are added, after training before."""
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    settings: dict[str, Any] = {
        "epochs": 40,
        "optimizer": {"name": "adamw", "learning_rate": 0.1},
        "validation": {"share": 0.3, "shuffle": True, "stratify": "y"},
        "schedule": {"name": "cosine", "warmup": 5},
        "clip": {"norm": 0.5},
        "accumulate": 2,
        "weights": np.arange(50) % 4,
        "early_stopping": {"patience": 3, "metric": "validation_accuracy"},
        "backend": backend,
    }
    alone, model = classifier(), classifier()
    for one in (alone, model):
        train(one, epochs=1, optimizer="adamw", accumulate=2, backend=backend)
    dataflow.save(model, tmp_path / "m.msgpack")
    reference = train(alone, **settings)
    assert reference.best_epoch is not None
    assert reference.best_epoch < reference.epochs < 40
    assert "goes on after 3 updates" in reference.optimizer_start
    for i, moment in enumerate([(1, 1), (2, 4), (reference.epochs, 3)]):

        def stop(progress: dataflow.Progress, moment: tuple[int, int] = moment) -> None:
            if (progress.epoch, progress.batch) == moment:
                raise StopTraining

        model = dataflow.load(tmp_path / "m.msgpack")
        train(model, checkpoint=tmp_path / "run", resume=i > 0, on_batch=stop, **settings)
    model = dataflow.load(tmp_path / "m.msgpack")
    history = train(model, checkpoint=tmp_path / "run", resume=True, **settings)
    assert (history.loss, history.metrics, history.best_epoch) == (
        reference.loss,
        reference.metrics,
        reference.best_epoch,
    )
    assert bits(model) == bits(alone)
    assert repr(model.training) == repr(alone.training)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "accurac"}, "the metric 'accurac' is not measured; did you mean 'accuracy'"),
        ({"metric": "validation_loss"}, "'validation_loss' is not measured; hold out examples with validation"),
        ({"patience": 0}, "early_stopping.patience"),
        ({"min_delta": -1}, "early_stopping.min_delta is a number, 0 or more, not -1"),
        ({"waiting": 1}, "unknown key 'waiting' in early_stopping"),
    ],
)
def test_what_cannot_be(settings: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(classifier(), validation=0.0, early_stopping=settings)


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataflow.save(overfitting(), "net.toml")
    assert "early_stopping = { patience = 5, min_delta = 0.0 }" in Path("net.toml").read_text()
    done = CliRunner().invoke(main, ["train", "net.toml", "--early-stopping.patience", "3", "-o", "t.msgpack"])
    assert done.exit_code == 0, done.output
    record = dataflow.load("t.msgpack").training
    assert record["early_stopping"] == {"patience": 3, "min_delta": 0.0}
    best = record["best"]["epoch"]
    assert f"\n\nthe best epoch, {best}, is the result, as the 3 after it were no better: loss " in done.stdout
    done = CliRunner().invoke(main, ["train", "net.toml", "--early-stopping.metric=accuracy", "--json"])
    found = json.loads(done.stdout)
    assert found["best_epoch"] == int(np.argmax(found["metrics"]["accuracy"])) + 1
