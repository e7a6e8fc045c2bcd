"""Plans: every pass keeps the results, the arena holds what is needed, and what runs per step allocates nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from any_graph import graphs
from hypothesis import given, settings
from plan_checks import check_all, gradient_plans

import dataflow
from dataflow import Model
from dataflow.plan import stages
from dataflow.shapes import TensorSpec

MODELS = ["xor", "digits", "deep", "jacobian", "wine"]


@pytest.mark.parametrize("name", MODELS)
def test_every_pass_keeps_the_results_of_models(name: str) -> None:
    model = dataflow.load(f"models/{name}.toml")
    given_data = model.data.load(model.graph) if model.data is not None else {"x": np.linspace(0.1, 1, 3)}
    known, _ = model.feed({name: array[:50] for name, array in given_data.items()})
    graph, outputs, specs = gradient_plans(model, known)
    plan = check_all(graph, outputs, specs, [known[name] for name in specs])
    assert len(plan.instructions) < len(next(iter(stages(graph, outputs, specs)))[1].instructions)


@given(graphs())
@settings(max_examples=25)
def test_every_pass_keeps_the_results_of_random_graphs(model: Model) -> None:
    rng = np.random.default_rng(int(hashlib.sha256(repr(list(model.graph)).encode()).hexdigest()[:8], 16))
    for count in (4, 0):
        if count == 0 and any(node.op == "softmax" for _, node in model.graph.node_items()):
            continue  # along the axis of length 0 it is not defined
        known, _ = model.feed({"x": rng.normal(size=(count, 3))})
        known = {name: array for name, array in known.items() if name in model.graph.needed_for(model.outputs)}
        if not model.graph.spec(model.outputs[0]).is_float:
            specs = {name: TensorSpec(array.shape, array.dtype) for name, array in known.items()}
            check_all(model.graph, model.outputs, specs, list(known.values()))
        elif known:
            graph, outputs, specs = gradient_plans(model, known)
            check_all(graph, outputs, specs, [known[name] for name in specs])
