"""``dataflow check`` of models so large that not every gradient can be compared by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import dataflow
from dataflow.analysis import gradient_check
from dataflow.cli.group import main
from dataflow.limits import VARIABLE

LAYERS = 100


def layers(path: Path, op: str = "tanh") -> Path:
    rows = [f"h{i} = '{op}({f'h{i - 1}' if i else 'x'} @ W{i} + b{i})'\n" for i in range(LAYERS)]
    declared = [
        f"W{i} = {{ value = [[0.9, 0.1], [-0.2, 1.1]] }}\nb{i} = {{ value = [0.01, {0.001 * i}] }}\n"
        for i in range(LAYERS)
    ]
    path.write_text(
        "dataflow = 1\ninputs.x = { shape = ['n', 2] }\n[parameters]\n"
        + "".join(declared)
        + "[nodes]\n"
        + "".join(rows)
        + f"loss = 'sum(h{LAYERS - 1})'\n[model]\nloss = 'loss'\n[data]\nx = [[0.5, -0.25], [1.0, 2.0]]\n"
    )
    return path


def check(path: Path, work: int, monkeypatch: pytest.MonkeyPatch, *more: str):
    monkeypatch.setenv(VARIABLE, f"work={work}")
    return CliRunner().invoke(main, ["check", str(path), *more])


def test_what_the_work_does_not_allow_is_compared_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(layers(tmp_path / "m.toml"), 200_000, monkeypatch)
    assert done.exit_code == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert "of 200 arrays were compared together" in warning
    assert "--wrt NAME" in warning
    assert "All gradients agree." in done.stdout
    assert " together " in done.stdout
    document = json.loads(check(tmp_path / "m.toml", 200_000, monkeypatch, "--json").stdout)
    (gradients,) = document["gradients"]
    names = [*gradients["wrt"], *gradients["together"]["wrt"]]
    assert sorted(names) == sorted(f"{kind}{i}" for kind in "Wb" for i in range(LAYERS))
    assert f"b{LAYERS - 1}" in gradients["wrt"]  # it takes least
    assert gradients["together"]["digits"] > 6
    assert gradients["together"]["size"] == sum(4 if name[0] == "W" else 2 for name in gradients["together"]["wrt"])


def test_enough_work_compares_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(layers(tmp_path / "m.toml"), 10**9, monkeypatch, "--json")
    (gradients,) = json.loads(done.stdout)["gradients"]
    assert len(gradients["wrt"]) == 2 * LAYERS
    assert "together" not in gradients


def test_a_wrong_rule_is_found_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivative of one op is a thousandth too large: along one direction it shows, and the op is named."""
    monkeypatch.setattr(dataflow.ops.tanh, "vjp_rule", lambda g, y, x: g * (1 - y * y) * 1.001)
    done = check(layers(tmp_path / "m.toml"), 200_000, monkeypatch)
    assert done.exit_code == 1
    assert "together is wrong along a direction" in done.stderr or "is wrong" in done.stderr
    assert "WRONG" in done.stdout


def test_nodes_inside_are_not_moved_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that depends on a parameter would stay where it is, while the gradient goes through it."""
    graph = dataflow.Graph("two")
    w = graph.parameter("w", value=[0.5, 2.0])
    h = graph.node("h", w * w)
    graph.node("loss", dataflow.ops.sum(h * w))
    model = dataflow.Model(graph, loss="loss")
    monkeypatch.setattr(gradient_check, "STEPS_OF_AN_ENTRY", 10**9)
    with dataflow.limits.allowance("check"):
        report = gradient_check.check_gradients(model, "loss", ["w", "h"], {})
    assert report.ok
    assert [check.together for check in report.checks] == [(), ()]


def test_a_refusal_says_how_to_ask_for_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layers(tmp_path / "m.toml")
    monkeypatch.setenv(VARIABLE, "work=5000")
    for command in (["check"], ["explain"]):
        done = CliRunner().invoke(main, [*command, str(path)])
        assert done.exit_code == 1
        assert "; ask for less: one array, --wrt NAME or an earlier node, --of NAME; raise the limit" in done.stderr
