"""Files of version 1 of both formats: they are never written anew, and must load as long as there is this project."""

from __future__ import annotations

import numpy as np
import pytest
from checkout import CORPUS

import dataflow
from dataflow.files.msgpack import envelope
from dataflow.files.toml import known_keys

OLD = CORPUS


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
def test_version_1_loads_and_gives_the_same_numbers(ending: str) -> None:
    model = dataflow.load(OLD / f"version1{ending}")
    assert model.name == "version 1"
    assert model.doc.startswith("Written by version 1")
    assert model.outputs == ["z"]
    assert model.train_settings.seed == 11
    b = model.parameters["b"]
    # By hand: b is drawn from the seed and the name alone; the rest is arithmetic.
    x = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    h = np.where([True, False], x, np.array([3, 4]) * x) + b
    g = np.tanh(h @ np.array([[1.0, 0.0], [0.5, -1.0]]).T)
    z = g @ np.array([1.5, -2.0])
    values = model.run()
    np.testing.assert_allclose(values["z"], z, rtol=1e-14)
    np.testing.assert_allclose(values["loss"], ((z - [1, 0, 1]) ** 2).sum() / 2 / 3, rtol=1e-14)
    np.testing.assert_allclose(b, [-0.12643273262097562, 0.1993879718561069], rtol=1e-15)


def test_version_2_loads_with_what_it_learned() -> None:
    model = dataflow.load(OLD / "version2.msgpack")
    assert model.data is not None
    assert model.data.learned is not None
    # By hand: four of five rows are trained on, and one of them has no class.
    assert model.data.learned.column("size").fill == 2.0
    assert model.data.learned.column("kind").names == ("u", "v")
    assert model.data.learned.input("y").names == ("no", "yes")
    deviations = np.sqrt([1 / 6, 1, 1, 1, 2 / 9])
    np.testing.assert_allclose(model.data.learned.input("x").deviation, deviations, rtol=1e-15)
    x = np.array([[1.5, 0, 1, 0, 0], [2, 1, 0, 1, 1], [2.5, 0, 1, 0, 0], [6, 0, 0, 0, 0]])
    x = (x - [2, 0, 0, 0, 1 / 3]) / deviations
    np.testing.assert_allclose(model.run()["x"], x, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(model.run()["z"], x @ model.parameters["W"], rtol=1e-14, atol=1e-15)
    declared = dataflow.load(OLD / "version2.toml")
    assert declared.has_open_widths
    assert np.array_equal(declared.run()["x"], model.run()["x"])  # it learns the same


def test_the_versions_that_are_read() -> None:
    """Whoever raises one of these leaves a file of the version before beside these, and a test that it loads."""
    assert (known_keys.VERSION, envelope.VERSION) == (2, 2)
