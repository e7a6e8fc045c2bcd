"""Losses beside plain numbers."""

from __future__ import annotations

import numpy as np
import pytest
from installed import BACKENDS

from dataflow import Graph, Model, Op, ops

LOSSES = ("huber", "kl_divergence", "mse", "hinge", "sigmoid_cross_entropy", "smooth_l1")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number_first", [True, False], ids=["number first", "number behind"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_plain_number_takes_the_dtype_of_the_array_beside_it(name: str, number_first: bool, backend: str) -> None:
    """As an array of that number does, in every dtype of floats."""
    loss: Op = getattr(ops, name)

    def run(dtype: str, number: float) -> np.ndarray:
        graph = Graph("loss", dtype)
        x = graph.input("x", (), dtype)
        graph.node("y", loss(number, x) if number_first else loss(x, number))
        model = Model(graph, ["y"])
        result = model.compile(values=["y"], backend=backend)(data={"x": 0.75})[0]["y"]
        assert result.dtype == model.run(data={"x": 0.75})["y"].dtype == graph.spec("y").dtype == dtype
        return result

    for dtype in ("float64", "float32"):
        np.testing.assert_allclose(
            run(dtype, 0.5),
            loss(np.array(0.5), np.array(0.75)) if number_first else loss(np.array(0.75), np.array(0.5)),
            rtol=1e-6,
        )
