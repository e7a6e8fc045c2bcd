"""Memory limits: what is forgotten is computed again, at most once, with the same bits."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from any_graph import graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_checks import check_arena, gradient_plans, interpreted, same

import dataflow
from dataflow import ArgumentError, Graph, Model, Trainer, ops
from dataflow.errors import MemoryLimitError
from dataflow.plan import Plan, make_plan
from dataflow.plan.lower import lower
from dataflow.plan.make_plan import LAYOUT, PASSES
from dataflow.plan.passes.recompute import recompute
from dataflow.support.byte_sizes import format_bytes, parse_bytes

BATCH, WIDTH = 8, 16
UNIT = BATCH * WIDTH * 8
"""Bytes of what one layer makes."""


def deep(layers: int, activation: str = "tanh") -> Model:
    graph = Graph("deep")
    h = graph.input("x", ("n", WIDTH))
    rng = np.random.default_rng(0)
    weights = [
        graph.parameter(f"W{i}", value=rng.normal(size=(WIDTH, WIDTH)) / math.sqrt(WIDTH)) for i in range(layers)
    ]
    biases = [graph.parameter(f"b{i}", (WIDTH,), init="zeros") for i in range(layers)]
    for i in range(layers):
        h = graph.node(f"h{i}", getattr(ops, activation)(h @ weights[i] + biases[i]))
    graph.node("loss", ops.sum(h * h))
    return Model(graph, [f"h{layers - 1}"], loss="loss")


def planned(model: Model, memory_limit: int | None = None) -> tuple[Plan, list[np.ndarray]]:
    known, _ = model.feed({"x": np.random.default_rng(1).normal(size=(BATCH, WIDTH))})
    graph, outputs, specs = gradient_plans(model, known)
    return make_plan(graph, outputs, specs, memory_limit=memory_limit), [known[name] for name in specs]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("layers", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_deep_net_needs_the_square_root_of_its_layers(layers: int, activation: str) -> None:
    model = deep(layers, activation)
    plain, arrays = planned(model)
    assert plain.intermediate_bytes > layers * UNIT
    limit = int(2.6 * math.sqrt(layers)) * UNIT
    plan, _ = planned(model, limit)
    assert plan.intermediate_bytes <= limit
    check_arena(plan)
    runs = Counter(instruction.op.name for instruction in plan.instructions)
    before = Counter(instruction.op.name for instruction in plain.instructions)
    assert 0 < runs["matmul"] - before["matmul"] <= layers  # one more forward pass has a product for each layer
    forward = {"matmul", "add", "tanh" if activation == "tanh" else "maximum"}
    assert all(runs[name] - before[name] <= layers for name in forward)
    for name in runs.keys() - forward:
        assert runs[name] == before[name]
    results, expected = (interpreted(one, arrays)[0] for one in (plan, plain))
    for result, other in zip(results, expected, strict=True):
        assert result.tobytes() == other.tobytes()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_each_layer_keeps_its_result_and_no_more(activation: str) -> None:
    """What the backward pass reads of a layer is h: relu's z > 0 is h > 0. The gradient on its way is one more."""
    plan, _ = planned(deep(20, activation))
    assert plan.intermediate_bytes == (20 + 1) * UNIT


def test_training_with_a_limit_gives_the_same_parameters() -> None:
    data = {"x": np.random.default_rng(1).normal(size=(20, WIDTH))}
    finals = []
    for limit in (None, "25 kB"):
        model = deep(20)
        trainer = Trainer(model, data, batch_size=BATCH, learning_rate=1e-4, memory_limit=limit)
        trainer.run(7)  # the last minibatch of an epoch is shorter
        finals.append(b"".join(array.tobytes() for array in model.parameters.values()))
    assert finals[0] == finals[1]


def test_what_cannot_be_met_says_the_least_that_can() -> None:
    model = deep(30)
    with pytest.raises(MemoryLimitError, match="a memory limit of 1.96 KiB cannot be met") as caught:
        planned(model, 2000)
    least = str(caught.value).split(" take ")[1].split(" at least")[0]
    plan, _ = planned(model, parse_bytes(least))
    assert plan.intermediate_bytes <= parse_bytes(least)
    with pytest.raises(MemoryLimitError, match="cannot be met"):
        planned(model, plan.intermediate_bytes - 1)
    f = model.compile(values=["loss"], gradients=["W0"], memory_limit=2000)
    with pytest.raises(MemoryLimitError, match="smaller minibatches take less"):
        f(x=np.ones((BATCH, WIDTH)))


def test_a_limit_that_is_large_enough_changes_nothing() -> None:
    model = deep(10)
    plain, _ = planned(model)
    assert planned(model, plain.intermediate_bytes)[0].instructions == plain.instructions


def skipping(layers: int) -> Model:
    """Every layer reads the input and an early layer as well, so that segments are not alone."""
    graph = Graph("skips")
    x = graph.input("x", ("n", WIDTH))
    W = graph.parameter("W", (WIDTH, WIDTH), init="he_normal")
    values = [x]
    for i in range(layers):
        values.append(ops.tanh(values[-1] @ W + values[i // 2]) * 0.5 + ops.transpose(ops.transpose(x) * 2))
    graph.node("loss", ops.sum(values[-1]))
    return Model(graph, ["loss"], loss="loss")


@pytest.mark.parametrize("segments", [2, 3, 7, 50])
def test_segments_that_read_each_other(segments: int) -> None:
    model = skipping(12)
    known, _ = model.feed({"x": np.random.default_rng(1).normal(size=(BATCH, WIDTH))})
    check_segments(model, known, segments)


@given(graphs(), st.integers(2, 6))
@settings(max_examples=30)
def test_random_graphs_in_segments(model: Model, segments: int) -> None:
    known, _ = model.feed({"x": np.random.default_rng(1).normal(size=(4, 3))})
    needed = model.graph.needed_for(model.outputs)
    known = {name: array for name, array in known.items() if name in needed}
    if known and model.graph.spec(model.outputs[0]).is_float:
        check_segments(model, known, segments)


def check_segments(model: Model, known: dict[str, np.ndarray], segments: int) -> None:
    graph, outputs, specs = gradient_plans(model, known)
    plain = lower(graph, outputs, specs)
    for _, one in PASSES:
        plain = one(plain)
    again = recompute(plain, segments)
    counts = Counter((instruction.op, instruction.node) for instruction in plain.instructions)
    for key, count in Counter((instruction.op, instruction.node) for instruction in again.instructions).items():
        assert count <= 2 * counts[key]
    finished = again
    for _, one in LAYOUT:
        finished = one(finished)
    check_arena(finished)
    arrays = [known[name] for name in specs]
    for plan in (again, finished):
        for result, expected in zip(interpreted(plan, arrays)[0], interpreted(plain, arrays)[0], strict=True):
            same(result, expected)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("512", 512), ("64MB", 64_000_000), ("1.5 GiB", 3 * 2**29), ("2k", 2000), ("1KiB", 1024), (7, 7)],
)
def test_amounts_of_memory(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count
    assert count <= parse_bytes(format_bytes(count)) <= count * 1.01


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e6", "3 parsecs", True, -5, 1.5, None])
def test_amounts_that_are_none(text: object) -> None:
    with pytest.raises(MemoryLimitError, match="number of bytes"):
        parse_bytes(text)  # type: ignore[arg-type]
    if text is not None:
        with pytest.raises((MemoryLimitError, ArgumentError)):
            Trainer(dataflow.load("models/xor.toml"), memory_limit=text)  # type: ignore[arg-type]
