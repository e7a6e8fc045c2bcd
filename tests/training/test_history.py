"""What a run tells, in a line, as plain data and as a picture; and what callbacks get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nets import bits, classifier

import dataflow.training.loop
from dataflow import History, Progress, StopTraining, Trainer, train


def test_a_history_is_one_line_however_long_the_run() -> None:
    history = History(2, [0.5, 0.25], {"validation_loss": [1.0, 2 / 3]})
    assert repr(history) == "<history: 2 epochs, loss 0.25, validation loss 0.666667>"
    assert repr(History()) == "<history: 0 epochs>"
    assert repr(History(1, [1.0], interrupted=True)) == "<history: 1 epoch, loss 1, interrupted>"
    assert len(repr(History(10**5, [0.1] * 10**5))) < 60


def test_a_history_as_plain_data(tmp_path: Path) -> None:
    history = train(classifier(), epochs=2, checkpoint=tmp_path)
    plain = json.loads(json.dumps(history.to_dict()))
    assert plain["loss"] == history.loss
    assert plain["metrics"] == history.metrics
    assert (plain["epochs"], plain["interrupted"], plain["checkpoint"]) == (2, False, str(history.checkpoint))
    history.to_dict()["loss"].clear()
    assert len(history.loss) == 2


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_what_callbacks_get(backend: str) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    batches: list[Progress] = []
    sometimes: list[Progress] = []
    epochs: list[tuple[int, int]] = []
    model = classifier()  # 6 minibatches in each of 4 epochs
    train(
        model,
        backend=backend,
        on_batch=batches.append,
        on_progress=sometimes.append,
        on_epoch=lambda history: epochs.append((history.epochs, len(history.metrics["validation_loss"]))),
    )
    assert [(one.epoch, one.batch) for one in batches] == [(e, b) for e in range(1, 5) for b in range(1, 7)]
    assert {(one.epochs, one.batches) for one in batches} == {(4, 6)}
    assert sometimes == batches
    assert epochs == [(1, 1), (2, 2), (3, 3), (4, 4)]
    # the same run without callbacks, which ends in the same bits
    alone = classifier()
    train(alone, backend=backend)
    assert bits(alone) == bits(model)


def test_without_callbacks_an_epoch_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    run = Trainer.run_until

    def counted(trainer: Trainer, steps: int, *rest: object) -> object:
        calls.append(steps)
        return run(trainer, steps, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "run_until", counted)
    monkeypatch.setattr(dataflow.training.loop, "Progress", None)  # nobody asks for it
    train(classifier())
    assert calls == [6] * 4


def test_stop_training_keeps_the_result() -> None:
    def stop(history: History) -> None:
        if history.epochs == 2:
            raise StopTraining

    model, shorter = classifier(), classifier()
    history = train(model, on_epoch=stop)
    train(shorter, epochs=2)
    assert (history.epochs, history.interrupted) == (2, True)
    assert bits(model) == bits(shorter)
    assert model.training["epochs"] == 2
