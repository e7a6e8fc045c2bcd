"""The worked examples on the table of penguins come out as their pages say, on figures that others compute."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from checkout import MODELS

import dataflow

with (MODELS / "penguins.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


def test_the_table_is_what_the_pages_say() -> None:
    assert len(ROWS) == 344
    assert sum(cell == "NA" for row in ROWS for cell in row.values()) == 19
    weighed = np.array([float(row["body_mass_g"]) for row in ROWS if row["body_mass_g"] != "NA"])
    assert len(weighed) == 342
    assert round(weighed.std(), -2) == 800


def test_the_mass_is_predicted_in_grams() -> None:
    model = dataflow.load(MODELS / "penguin-mass.toml")
    history = dataflow.train(model)
    assert history.metrics["validation_rmse"][-1] == pytest.approx(270, rel=0.1)
    assert history.metrics["validation_mae"][-1] == pytest.approx(210, rel=0.1)
    assert model.parameters["W1"].shape == (8, 12)
    grams = np.squeeze(model.predict(ROWS[:3])["mass"])
    assert np.all(np.abs(grams - [float(row["body_mass_g"]) for row in ROWS[:3]]) < 500)


def test_three_of_the_penguins_are_taken_for_another_species() -> None:
    model = dataflow.load(MODELS / "penguins.toml")
    dataflow.train(model)
    measured = [row for row in ROWS if row["body_mass_g"] != "NA"]
    named = model.predict(measured)["probabilities"]
    assert sum(name != row["species"] for name, row in zip(named, measured, strict=True)) == 3


def test_training_stops_itself_and_keeps_the_best_epoch() -> None:
    model = dataflow.load(MODELS / "penguin-sex.toml")
    history = dataflow.train(model)
    held_out = history.metrics["validation_loss"]
    assert history.epochs == len(held_out) == 39
    assert int(np.argmin(held_out)) + 1 == 19
    assert held_out[18] == pytest.approx(0.15, abs=0.005)


@pytest.mark.slow
def test_training_to_the_end_overfits() -> None:
    held_out = dataflow.train(dataflow.load(MODELS / "penguin-sex.toml")).metrics["validation_loss"]
    patient = {"metric": "validation_loss", "patience": 500}
    to_the_end = dataflow.train(dataflow.load(MODELS / "penguin-sex.toml"), early_stopping=patient)
    overfitted = to_the_end.metrics["validation_loss"]
    assert overfitted[:39] == held_out
    assert min(overfitted) == pytest.approx(0.14, abs=0.005)
    assert overfitted[-1] > 3 * min(overfitted)
