"""The main job: real handwritten digits, to the accuracy that independent implementations reach."""

from __future__ import annotations

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow import NonFiniteError, TrainingError
from dataflow.training import Trainer, train

DIGITS = MODELS / "digits.toml"


@pytest.mark.parametrize("seeds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_digits_are_recognized(seeds):
    """64-32-10 relu, SGD 0.1, batch 32, 60 epochs, pixels / 16, trained on the first half and tested on the second."""
    accuracies = []
    for seed in range(seeds):
        model = dataflow.load(DIGITS)
        history = train(model, seed=seed)
        assert len(history.loss) == 60
        accuracies.append(history.metrics["validation_accuracy"][-1])
        # The test's accuracy once more, from the model's output alone.
        data = model.data.load(model.graph)
        guesses = model.run(x=data["x"][898:])["probabilities"].argmax(axis=1)
        assert (guesses == data["y"][898:].argmax(axis=1)).mean() == pytest.approx(accuracies[-1], abs=1e-12)
        assert history.metrics["accuracy"][-1] > 0.98
    assert seeds == 1 or 0.93 <= np.mean(accuracies) < 0.95
    assert min(accuracies) > 0.92


def test_the_settings_are_those_of_the_criterion():
    trainer = Trainer(dataflow.load(DIGITS))
    settings = trainer.settings.plain()
    assert {name: settings[name] for name in ("optimizer", "batch_size", "shuffle", "seed", "validation")} == {
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0, "nesterov": False, "weight_decay": 0},
        "batch_size": 32,
        "shuffle": True,
        "seed": 0,
        "validation": 0.5,
    }
    assert trainer.batches.per_epoch == 29
    assert len(trainer.held_out["x"]) == 899
    shapes = {name: array.shape for name, array in trainer.parameters.items()}
    assert shapes == {"W1": (32, 64), "b1": (32,), "W2": (10, 32), "b2": (10,)}


def test_the_summed_loss_diverges_or_fails_at_this_rate():
    model = dataflow.load(DIGITS)
    attributes = model.graph.node_of("loss").attributes
    model.graph.change_node("loss", attributes={**attributes, "reduction": "sum"})
    try:
        accuracy = train(model, epochs=10).metrics["accuracy"][-1]
    except NonFiniteError:
        accuracy = 0.0
    assert accuracy < 0.5


def test_whole_data_held_out():
    with pytest.raises(TrainingError, match="leaves none to train on"):
        train(dataflow.load(DIGITS), validation=0.9999)
