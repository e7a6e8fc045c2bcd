"""Gradients against finite differences: what is right passes, what is wrong is found and named, kinks are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import XOR, classifier, xor

from dataflow import DataError, Graph, Model, TensorSpec, load, op, save
from dataflow.analysis.finite_differences import central_difference, has_kink
from dataflow.analysis.gradient_check import ENTRIES, check_gradients, in_float64, some_examples
from dataflow.cli import main
from dataflow.graph.subgraph import Subgraph
from dataflow.model.digests import graph_digest, parameter_digest
from dataflow.ops import cast, log, maximum, relu, scan, softmax, tanh, where
from dataflow.ops import sum as sum_

PARAMETERS = ["W1", "b1", "W2", "b2"]


def wrong_relu(g: Any, y: Any, x: Any) -> Any:
    return where(x > 0, 2 * g, 0)


# ------------------------------------------------------------------------------------------------ finite differences


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda t: np.exp(1 + t), np.e),
        (lambda t: np.sin(np.array([0.5, 2.0]) + t), np.cos(0.5) + np.cos(2.0)),
        (lambda t: np.array(1e6 * (3 + t) ** 3), 27e6),
        (lambda t: np.array(7.0), 0.0),
        (lambda t: np.log(0.005 + t), 200.0),  # the first steps leave the domain
        (lambda t: np.abs(1e-3 + t), 1.0),  # the first steps cross a kink
        (lambda t: 1e9 + np.array(np.tanh(t)), 1.0),
    ],
    ids=["exp", "sin", "large", "constant", "domain", "kink", "offset"],
)
def test_a_central_difference_knows_how_far_off_it_is(function: Any, expected: float) -> None:
    with np.errstate(all="ignore"):
        found = central_difference(function)
    assert abs(found.value - expected) <= 10 * found.uncertainty + 1e-15
    assert found.uncertainty <= 1e-3 * max(1, abs(expected))


def test_a_kink_is_told_from_a_bend() -> None:
    assert has_kink(lambda t: np.abs(t), 0.0)
    assert has_kink(lambda t: np.maximum(3 * t, -t), 1.0)
    assert not has_kink(lambda t: np.abs(t), 1.5)  # no derivative from any side
    assert not has_kink(lambda t: np.cosh(t), 0.0)
    assert not has_kink(lambda t: 3 * np.asarray(t), 3.0)


# ------------------------------------------------------------------------------------------------ what is right


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_entry_of_a_small_net_agrees(dtype: str) -> None:
    report = check_gradients(xor(dtype=dtype), "loss", PARAMETERS, XOR)
    assert report.ok
    assert [(check.checked, check.size) for check in report.checks] == [(4, 4), (2, 2), (2, 2), (1, 1)]
    assert all(check.digits > 9 for check in report.checks)
    assert report.kinks == ()


def test_any_node_with_respect_to_any_node_and_input() -> None:
    report = check_gradients(xor(), "yhat", ["x", "z", "h", "W2"], XOR)
    assert report.ok
    assert [check.checked for check in report.checks] == [8, 8, 8, 2]


def test_another_backend_is_checked_the_same_way() -> None:
    assert check_gradients(xor(), "loss", PARAMETERS, XOR, backend="numpy").ok


def test_of_a_large_array_a_choice_and_a_direction_are_checked() -> None:
    model = classifier()
    rng = np.random.default_rng(0)
    graph = Graph("large")
    W = graph.parameter("W", value=rng.normal(size=(20, 30)))
    graph.node("loss", sum_(tanh(graph.input("x", ("n", 30)) @ W.T)))
    report = check_gradients(Model(graph, [], "loss"), "loss", ["W"], {"x": rng.normal(size=(2, 30))})
    assert report.ok
    assert report.checks[0].checked == ENTRIES
    assert check_gradients(model, "loss", list(model.parameters), model.data.load(model.graph)).ok


def test_an_op_that_is_cast_to_float32_is_checked_in_float64() -> None:
    graph = Graph("cast")
    x = graph.input("x", (3,))
    graph.node("y", tanh(cast(x, dtype="float32") * 2))
    twin = in_float64(Model(graph, ["y"]))
    assert {node.dtype.name for _, node in twin.graph.node_items()} == {"float64"}
    assert check_gradients(Model(graph, ["y"]), "y", ["x"], {"x": [0.1, 0.2, 0.3]}).ok


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_inputs_of_fewer_bits_and_graphs_in_attributes_are_checked_in_float64(dtype: str) -> None:
    spec = TensorSpec((), np.dtype(dtype))
    body = Subgraph.traced(lambda h, x: [cast(tanh(h * x), dtype=dtype)], {"h": spec, "x": spec}, ["h"], "cell")
    graph = Graph("cell", dtype)
    graph.node("y", scan(graph.input("h", ()), graph.input("x", (3,)), body=body)["h"])
    report = check_gradients(Model(graph, ["y"]), "y", ["h", "x"], {"h": 0.5, "x": [0.25, 0.5, 2.0]})
    assert report.ok
    assert [check.checked for check in report.checks] == [1, 3]
    assert min(check.digits for check in report.checks) > 8


# ------------------------------------------------------------------------------------------------ kinks


def test_entries_that_leave_a_kink_are_left_out_and_reported() -> None:
    report = check_gradients(xor("S1"), "loss", PARAMETERS, XOR)  # z2 is exactly 0 at (1, 0)
    assert report.ok
    assert [(check.checked, check.kinks) for check in report.checks] == [(3, 1), (1, 1), (2, 0), (1, 0)]
    assert report.kinks == ("node 'h' (relu) touches its kink at [2, 1]: the derivative at 0 is taken as 0",)


def test_ties_are_kinks() -> None:
    graph = Graph("tie")
    a, b = graph.input("a", (2,)), graph.input("b", (2,))
    graph.node("m", maximum(a, b))
    report = check_gradients(Model(graph, ["m"]), "m", ["a"], {"a": [1.0, 2.0], "b": [1.0, 0.0]})
    assert report.ok
    assert (report.checks[0].checked, report.checks[0].kinks) == (1, 1)


def test_a_kink_that_no_rule_tells_is_found_from_both_sides() -> None:
    @op
    def hat(x):
        """|x|, written so that nothing says where its kink is."""
        return where(x > 0, x, -x)

    graph = Graph("hat")
    graph.node("y", graph.apply(hat, [graph.input("x", (3,))]))
    report = check_gradients(Model(graph, ["y"]), "y", ["x"], {"x": [-1.0, 0.0, 2.0]})
    assert report.ok
    assert (report.checks[0].checked, report.checks[0].kinks) == (2, 1)


def test_a_kink_very_near_is_no_fault() -> None:
    graph = Graph("near")
    graph.node("y", relu(graph.input("x", (3,))))
    report = check_gradients(Model(graph, ["y"]), "y", ["x"], {"x": [1.0, -1.0, 1e-7]})
    assert report.ok


# ------------------------------------------------------------------------------------------------ what is wrong


def test_a_wrong_rule_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relu, "vjp_rule", wrong_relu)
    report = check_gradients(xor(), "loss", PARAMETERS, XOR)
    assert not report.ok
    assert [bool(check.faults) for check in report.checks] == [True, True, False, False]
    assert report.blamed == ("h", "relu")
    fault = report.checks[0].faults[0]
    assert fault.found == pytest.approx(2 * fault.expected, rel=1e-9)


def test_a_derivative_that_is_nan_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tanh, "vjp_rule", lambda g, y, x: g * float("nan"))
    graph = Graph("nan")
    graph.node("y", tanh(graph.input("x", (2,))))
    report = check_gradients(Model(graph, ["y"]), "y", ["x"], {"x": [0.5, 1.0]})
    assert len(report.checks[0].faults) == 2


def test_what_is_not_finite_is_undecided() -> None:
    graph = Graph("log")
    graph.node("y", log(graph.input("x", (2,))))
    report = check_gradients(Model(graph, ["y"]), "y", ["x"], {"x": [-1.0, 2.0]})
    assert (report.checks[0].checked, report.checks[0].undecided) == (0, 2)  # the sum has no value
    assert report.ok


def test_a_missing_input_is_an_error() -> None:
    with pytest.raises(DataError, match="'y'"):
        check_gradients(xor(), "loss", ["W1"], {"x": [[0, 1]]})


# ------------------------------------------------------------------------------------------------ examples, digests


def test_a_batch_is_cut_to_some_examples() -> None:
    given = {"x": np.zeros((50, 2)), "y": np.zeros((50, 1)), "W1": np.zeros((2, 2))}
    cut = some_examples(xor().graph, given)
    assert {name: array.shape for name, array in cut.items()} == {"x": (32, 2), "y": (32, 1), "W1": (2, 2)}


def test_digests_are_the_same_in_every_format_and_tell_models_apart(tmp_path: Path) -> None:
    model = xor()
    for ending in ("toml", "msgpack"):
        save(model, tmp_path / f"m.{ending}")
        again = load(tmp_path / f"m.{ending}")
        assert graph_digest(again) == graph_digest(model)
        assert parameter_digest(again) == parameter_digest(model)
    assert graph_digest(xor("S1")) == graph_digest(model)
    assert parameter_digest(xor("S1")) != parameter_digest(model)
    assert graph_digest(xor(reduction="mean")) != graph_digest(model)
    assert graph_digest(xor(dtype="float32")) != graph_digest(model)


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_ends_with_status_1_and_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(xor(), "net.toml")
    monkeypatch.setattr(relu, "vjp_rule", wrong_relu)
    done = CliRunner().invoke(main, ["check", "net.toml"])
    assert done.exit_code == 1
    assert "WRONG" in done.stdout
    assert "All gradients agree" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: net.toml: the gradient of 'loss' with respect to 'W1' is wrong at [")
    assert "expected" in done.stderr
    assert "the derivative rule of op 'relu' at node 'h' is wrong; wrong too: 'b1'" in done.stderr


def test_the_command_checks_a_container_and_finds_a_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "net.msgpack"
    save(xor(), path)
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 0
    assert "checksums are right" in done.stdout
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "net.msgpack" in done.stderr


def test_the_command_says_what_it_did_not_check(tmp_path: Path) -> None:
    model = xor()
    model.data = None
    save(model, tmp_path / "net.toml")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "net.toml")])
    assert done.exit_code == 0
    assert "was not checked: 'loss' is not computed: needs the inputs 'x', 'y'" in done.stderr
    assert "agree" not in done.stdout
    done = CliRunner().invoke(main, ["check", str(tmp_path / "net.toml"), "--of", "loss"])
    assert done.exit_code == 1


def test_the_command_says_how_much_it_could_not_compare(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        "dataflow = 1\nparameters.a = { value = [nan, nan] }\nparameters.b = { value = [2.0] }\n"
        "nodes.l = 'sum(where(a > 0, a, 0)) + sum(b)'\nmodel.loss = 'l'\n"
    )
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 0
    assert "\nAll gradients agree, as far as they could be compared: 2 undecided.\n\ngraph  " in done.stdout


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ("", "No gradient could be compared: no entry of 'a' could, being at a kink."),
        ("b", "All gradients agree, as far as they could be compared: no entry of 'a' could, being at a kink."),
        (
            "bc",
            (
                "All gradients agree, as far as they could be compared: no entry of 'a' could, being at a kink; "
                "1 undecided."
            ),
        ),
    ],
)
def test_the_verdict_names_what_is_at_a_kink_altogether(more: str, verdict: str, tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    terms = {"b": " + sum(b)", "c": " + sum(where(c > 0, c, 0))"}
    path.write_text(
        "dataflow = 1\nparameters.a = { value = [0.0, 0.0] }\nparameters.b = { value = [2.0] }\n"
        "parameters.c = { value = [nan] }\n"
        f"nodes.l = 'sum(relu(a)){''.join(terms[name] for name in more)}'\nmodel.loss = 'l'\n"
    )
    wrt = ",".join(["a", *more])
    done = CliRunner().invoke(main, ["check", str(path), "--wrt", wrt])
    assert done.exit_code == 0
    assert f"\n{verdict} Check with other numbers: --parameters, --data or --set.\n" in done.stdout
    document = json.loads(CliRunner().invoke(main, ["check", str(path), "--wrt", wrt, "--json"]).stdout)
    assert (document["ok"], document["not_compared"]) == (True, ["a"])


def test_the_sum_of_a_softmax_hides_nothing() -> None:
    """It is always 1, so that the gradient of a plain sum is 0 whatever the rules say; the entries are weighted."""
    graph = Graph()
    x, W = graph.input("x", ("n", 3)), graph.parameter("W", (4, 3), init="he_normal")
    graph.node("p", softmax(x @ W.T))
    model = Model(graph, ["p"])
    data = {"x": np.random.default_rng(0).normal(size=(5, 3))}
    assert abs(model.gradients(of="p", wrt=["W"], data=data)["W"]).max() < 1e-15
    report = check_gradients(model, "p", ["W", "x"], data)
    assert report.ok
    assert report.weighted
    assert [(check.checked, check.undecided) for check in report.checks] == [(12, 0), (15, 0)]
    assert min(check.digits for check in report.checks) > 6
    assert min(check.precise_digits or 0 for check in report.checks) > 12
    assert "p.weighted" not in model.graph  # the model stays as it was


def test_what_no_path_leads_to_is_zero_to_the_last_bit() -> None:
    report = check_gradients(xor(), "W1", ["W1", "b1"], XOR)
    assert [(check.checked, check.undecided) for check in report.checks] == [(4, 0), (2, 0)]
    assert report.checks[1].digits == float("inf")
