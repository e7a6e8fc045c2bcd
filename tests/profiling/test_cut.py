"""Graphs cut into parts: against every cut there is, and by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow import Graph, Model
from dataflow.cli.group import main
from dataflow.errors import DataflowError
from dataflow.ops import mse, relu
from dataflow.profiling.cut import best_cut

MODELS = sorted((ROOT / "models").glob("*.toml"))


def every_cut(costs, crossing, count):
    """The heaviest part and the traffic of the best of all cuts, each tried."""
    found = []
    for inner in itertools.combinations(range(1, len(costs)), count - 1):
        ends = [0, *inner, len(costs)]
        parts = [sum(costs[start:stop]) for start, stop in itertools.pairwise(ends)]
        found.append((max(parts), sum(crossing[end - 1] for end in inner)))
    return min(found)


@pytest.mark.parametrize("seed", range(60))
def test_no_cut_is_better(seed) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(1, 11))
    costs = rng.integers(0, 1 + rng.integers(1, 9), length).tolist()
    crossing = rng.integers(0, 6, length).tolist()
    for count in range(1, length + 1):
        ends = best_cut(costs, crossing, count)
        assert len(ends) == count
        starts = [0, *ends[:-1]]
        assert all(start < stop for start, stop in zip(starts, ends, strict=True))
        assert ends[-1] == length
        heaviest = max(sum(costs[start:stop]) for start, stop in zip(starts, ends, strict=True))
        assert (heaviest, sum(crossing[end - 1] for end in ends[:-1])) == every_cut(costs, crossing, count)


def test_a_long_chain_is_cut_quickly() -> None:
    assert best_cut([1] * 100_000, [8] * 100_000, 4) == [25_000, 50_000, 75_000, 100_000]


def skip() -> Model:
    """h jumps over g; W1 is used at both ends."""
    graph = Graph("skip")
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", 3))
    W = graph.parameter("W", value=np.eye(3))
    h = graph.node("h", x @ W)
    g = graph.node("g", relu(h))
    f = graph.node("f", g * 2)
    u = graph.node("u", f + h)
    yhat = graph.node("yhat", u @ W)
    graph.node("loss", mse(yhat, y))
    return Model(graph, outputs=["yhat"], loss="loss")


def test_traffic_by_hand() -> None:
    """Five rows of three float64 are 120 bytes, W is 72. Behind h: h and W; behind g: g, h (for u) and W; behind f: f,
    h and W; behind u: u and W; behind yhat: yhat. All have gradients, which come back."""
    data = {"x": np.ones((5, 3)), "y": np.zeros((5, 3))}
    profile = dataflow.profile(skip(), data=data, run=False, cut=6)
    parts = profile.cut.parts
    assert [part.first for part in parts] == ["h", "g", "f", "u", "yhat", "loss"]
    assert [part.forward for part in parts] == [192, 312, 312, 192, 120, 0]
    assert [part.backward for part in parts] == [192, 312, 312, 192, 120, 0]
    assert [part.parameters for part in parts] == [72, 0, 0, 0, 0, 0]
    assert profile.cut.traffic == 2 * 1128
    # h: its product, that of its gradient with respect to W, and the update (sgd: a product and a sum for each entry)
    assert parts[0].operations >= (45 + 30) + (45 + 36) + 18
    assert "cut into 6 parts" in str(profile)


def test_forward_alone_sends_nothing_back() -> None:
    profile = dataflow.profile(skip(), data={"x": np.ones((5, 3))}, run=False, forward=True, cut=2)
    assert [part.backward for part in profile.cut.parts] == [0, 0]
    assert profile.cut.parts[0].forward > 0


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_parts_have_all_operations(path) -> None:
    model = dataflow.load(path)
    profile = dataflow.profile(model, run=False, cut=1)
    assert profile.cut.operations == profile.total.cost.operations
    assert profile.cut.traffic == 0
    assert profile.cut.parts[0].parameters == profile.memory["parameters"]


def test_the_command(tmp_path) -> None:
    digits = str(ROOT / "models" / "digits.toml")
    found = CliRunner().invoke(main, ["profile", digits, "--cut", "2", "--no-run"])
    assert "cut into 2 parts" in found.stdout
    document = json.loads(CliRunner().invoke(main, ["profile", digits, "--cut", "2", "--no-run", "--json"]).stdout)
    assert [part["last"] for part in document["cut"]["parts"]][1:] == ["loss"]
    assert document["cut"]["operations"] == sum(part["operations"] for part in document["cut"]["parts"])
    for value, code in (("40", 1), ("0", 2), ("two", 2), ("1.5", 2)):
        result = CliRunner().invoke(main, ["profile", digits, "--cut", value, "--no-run"])
        assert result.exit_code == code, value
        assert "Traceback" not in result.output
    assert "and a step computes 4 nodes" in CliRunner().invoke(main, ["profile", digits, "--cut", "40"]).stderr


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "4"])
def test_what_is_no_number_of_parts(count) -> None:
    with pytest.raises((DataflowError, TypeError), match="cut"):
        dataflow.profile(skip(), data={"x": np.ones((5, 3)), "y": np.zeros((5, 3))}, run=False, cut=count)
