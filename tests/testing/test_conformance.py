"""The conformance check finds each fault with the check that is meant for it, and refuses no op that is right."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from click.testing import CliRunner
from faulty_ops import FAULTY, mean_for_sum, undeclared_kink

import dataflow
from dataflow import Op, op, primitive, sample
from dataflow.analysis.high_precision import Precise
from dataflow.cli.group import main
from dataflow.errors import PluginError
from dataflow.ops import concatenate, exp, multiply, sin
from dataflow.ops import sum as sum_
from dataflow.registry import registry
from dataflow.testing import CHECKS, assert_op, check_op
from dataflow.testing.cases import cases_of, every_op
from dataflow.testing.precision import fifty_digits


def test_every_check_finds_a_fault_of_its_own_kind() -> None:
    assert len(FAULTY) >= 40
    kinds = {check for _, check in FAULTY}
    assert kinds - {"samples"} <= CHECKS.keys()
    # what only these find, others find along with it in every faulty op here
    assert CHECKS.keys() - kinds <= {"traced", "jvp", "plain numbers", "broadcast gradients", "cost"}


@pytest.mark.parametrize(("make", "check"), FAULTY, ids=[make.__name__ for make, _ in FAULTY])
@pytest.mark.parametrize("seed", [0, pytest.param(7, marks=pytest.mark.slow)])
def test_a_fault_is_found_by_the_check_that_is_meant_for_it(make: Callable[[], Op], check: str, seed: int) -> None:
    findings = check_op(make(), seed)
    assert check in {finding.check for finding in findings}, [str(finding) for finding in findings]
    assert all("\n" not in str(finding) for finding in findings)


def test_a_finding_names_op_check_sample_and_numbers() -> None:
    finding = next(finding for finding in check_op(mean_for_sum()) if finding.check == "vjp")
    assert (finding.op, finding.check, finding.sample) == ("faulty", "vjp", "sample 1: (3, 4)")
    assert str(finding).startswith("op 'faulty': vjp: the cotangent of x[0, 0] is ")
    assert "finite differences say" in finding.message
    with pytest.raises(PluginError, match="finite differences say"):
        assert_op(mean_for_sum())


def test_a_seed_repeats() -> None:
    assert check_op(mean_for_sum(), 3) == check_op(mean_for_sum(), 3)
    assert check_op(mean_for_sum(), 3) != check_op(mean_for_sum(), 4)


@pytest.mark.slow
def test_most_ops_are_compared_with_50_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = set()
    slope = Precise.slope
    monkeypatch.setattr(Precise, "slope", lambda self, *words: compared.add(case.op.name) or slope(self, *words))
    for each in every_op().values():
        for case in cases_of(each, 0):
            assert list(fifty_digits(case, np.random.default_rng(0))) == []
    assert len(compared) >= 30


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def with_faulty_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with one op that is right and two that are not."""

    class Plugin:
        @staticmethod
        @dataflow.hookimpl
        def register_ops():
            good, bad, worse = declared_kink(), undeclared_kink(), mean_for_sum()
            bad.name, worse.name = "bad", "worse"
            return [good, bad, worse]

    fresh = registry.Registry()
    registry.load_plugins(fresh)
    monkeypatch.setattr(registry, "_current", [fresh])
    fresh.add(Plugin, "a plugin with faults")


def test_the_command_checks_all_that_is_installed(with_faulty_plugin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = registry.all_ops()
    assert {"relu", "fine", "bad", "worse"} <= set(installed)
    few = {name: installed[name] for name in ("relu", "fine", "bad", "worse")}
    monkeypatch.setattr(registry, "all_ops", lambda: few)  # every op is checked elsewhere
    done = CliRunner().invoke(main, ["ops", "--check"])
    assert done.exit_code == 1
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()[1:] if line[:1].strip()}
    assert rows["relu"] == rows["fine"] == "ok"
    assert rows["bad"].startswith("kinks: the derivative is 0 from below, 1 from above")
    assert rows["worse"].startswith("vjp: ")
    assert "(from a plugin with faults)" in done.stdout
    assert " checks on each sample: 2 not right\n" in done.stdout
    assert done.stdout.endswith("all right\n")  # optimizers and whatever else there is
    assert done.stderr.startswith("Error: op 'bad' (a plugin with faults) is not right: kinks: ")
    assert done.stderr.endswith("; 1 more are not right either\n")
    assert done.stderr.count("\n") == 1


def test_the_command_gives_findings_as_json(with_faulty_plugin: None) -> None:
    done = CliRunner().invoke(main, ["ops", "worse", "--check", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["findings"][0].keys() == {"check", "sample", "message"}
    checks = {finding["check"] for finding in found["findings"]}
    assert "vjp" in checks
    assert not checks & {"jvp", "second derivative", "50 digits"}  # they follow from it
    done = CliRunner().invoke(main, ["ops", "fine", "--check", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["findings"]) == (0, [])


# ------------------------------------------------------------------------------------------------ ops that are right


def jacobian_alone() -> Op:
    @primitive
    def fine(x):
        """Running sums of a vector."""
        return np.cumsum(x)

    @fine.shape
    def _(x):
        return x.shape

    @fine.jacobian
    def _(y, x):
        return np.tri(x.shape[0])

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=4))

    return fine


def variadic_body() -> Op:
    @op
    def fine(*xs):
        """The squares of all inputs, one after the other."""
        return concatenate(*[x * x for x in xs])

    return fine


def optional_input_and_literals() -> Op:
    @op
    def fine(x, scale=None, *, shift: float = 0.5):
        """sin(scale · x) + shift · x, where the scale may be left out."""
        return sin(x if scale is None else multiply(scale, x)) + shift * x

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))
        yield sample(rng.normal(size=(2, 3)), rng.normal(size=3), shift=-2.0)
        yield sample(rng.normal(size=(2, 3)), 1.5)

    return fine


def declared_kink() -> Op:
    @op
    def fine(x, *, limit: float = 0.7):
        """x, cut off at a limit."""
        return dataflow.ops.minimum(x, limit)

    @fine.kink("at the limit the derivative is taken as a half")
    def _(x, *, limit):
        return x == limit

    return fine


def smooth_at_a_tie_of_inner_kinks() -> Op:
    @op
    def fine(x):
        """Softplus, log(1 + eˣ), without overflow; smooth at 0, where its parts are not."""
        return dataflow.ops.maximum(x, 0) + dataflow.ops.log(1 + exp(-dataflow.ops.abs(x)))

    return fine


def constant_result() -> Op:
    @op
    def fine(x):
        """A zero for each column."""
        return 0 * sum_(x, axis=0)

    @fine.vjp
    def _(g, y, x):
        return 0

    @fine.shape
    def _(x):
        return x.shape[1:]

    @fine.samples
    def _(rng):
        yield sample(rng.normal(size=(2, 3)))

    return fine


def test_a_derivative_that_is_always_zero_may_be_none() -> None:
    @primitive(elementwise=True)
    def fine(x):
        """Zeros in the shape of x."""
        return np.zeros_like(x)

    @fine.vjp
    def _(g, y, x):
        return None

    assert check_op(fine) == []


@pytest.mark.parametrize(
    "make",
    [variadic_body, optional_input_and_literals, declared_kink, smooth_at_a_tie_of_inner_kinks, constant_result],
)
@pytest.mark.parametrize("seed", [0, 7])
def test_an_op_that_is_right_is_not_refused(make: Callable[[], Op], seed: int) -> None:
    assert list(map(str, check_op(make(), seed))) == []


def test_a_numpy_jacobian_computes_but_cannot_be_traced_with_symbolic_sizes() -> None:
    findings = check_op(jacobian_alone())
    assert {finding.check for finding in findings} <= {"symbolic sizes"}
    assert all("to be traced" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        (lambda x: x if x > 0 else -x, "a choice entry by entry is where(condition, a, b)"),
        (lambda x: math.exp(x), "its body calls ops, such as dataflow.ops.exp, not functions of one number"),
    ],
)
def test_a_body_that_asks_python_is_told_what_to_write(body: Callable[..., object], advice: str) -> None:
    def asking(x: object) -> object:
        """What Python's own functions make of x."""
        return body(x)

    with pytest.raises(PluginError) as caught:
        assert_op(op(asking))
    assert advice in str(caught.value)
