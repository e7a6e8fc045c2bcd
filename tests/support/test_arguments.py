"""Every public function checks what it is given: a result or an error of ours, whatever an argument is."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_values import ODD, Call, Refusing, calls, fault, small_model, tries

import dataflow
from dataflow.errors import ArgumentError
from dataflow.support.arguments import checked

CALLS = calls()
ONE_OF = 12
"""The default tests try one of so many odd calls, always the same; the slow one tries all."""
SLOW = ("view", "derive", "testing.check_op", "testing.assert_op")
"""Of which a single call takes long."""

NO_CALLS = {
    "Backend",
    "ClusterEngine",
    "Cost",
    "Dense",
    "Derivation",
    "Drawing",
    "Evaluation",
    "Explanation",
    "FileFormat",
    "History",
    "Initializer",
    "Jacobian",
    "Kronecker",
    "Op",
    "Optimizer",
    "Profile",
    "Progress",
    "Runner",
    "Metric",
    "Sample",
    "Schedule",
    "Shape",
    "Size",
    "TensorSpec",
    "TrainSettings",
    "Value",
    "View",
    "hookimpl",
    "sample",
}
"""Records, interfaces to subclass, and what the library makes itself."""

FOR_TRAIN = ("mark", "back_to_mark", "keep_best", "back_to_best", "run_until", "lay_out", "observe")
FOR_DATA = ("taught", "own_source", "own_data", "release_widths", "decide_widths")
"""What ``train`` alone calls, and what training, reading and commands call of a model with what they have checked."""
NEED_ANOTHER = ("Graph.op_of", "Graph.node, value", "run with inputs", "Value.__matmul__", "Value.__rmatmul__")
"""Calls in which nothing odd would be valid alone."""


def test_every_public_name_is_among_them() -> None:
    for name in dataflow.__all__:
        thing = getattr(dataflow, name)
        if callable(thing) and not (isinstance(thing, type) and issubclass(thing, Exception)) and name not in NO_CALLS:
            assert name in CALLS
    for kind in (dataflow.Model, dataflow.Graph, dataflow.Trainer):
        for name, method in vars(kind).items():
            if not name.startswith("_") and callable(method) and name not in FOR_TRAIN + FOR_DATA:
                assert f"{kind.__name__}.{name}" in CALLS
    assert len(ODD) >= 40
    assert sum(label.startswith("ops.") for label in CALLS) > 40


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("label", CALLS)
def test_the_valid_call_is_valid(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if label in SLOW or label == "load":
        pytest.skip("takes long, or needs a file")
    if label == "Model.to_jax":
        pytest.importorskip("jax")
    monkeypatch.chdir(tmp_path)
    if label not in NEED_ANOTHER:
        CALLS[label].make()(**CALLS[label].arguments)


def _faults(label: str, call: Call, one_of: int) -> list[str]:
    found = []
    for name, odd in tries(call):
        if zlib.crc32(f"{label} {name} {odd}".encode()) % one_of == 0 and (said := fault(call, name, odd)) is not None:
            found.append(f"{name}={odd}: {said}")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("label", [label for label in CALLS if label not in SLOW])
def test_odd_arguments(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some odd values are names of files to write
    with np.errstate(all="ignore"):
        assert _faults(label, CALLS[label], ONE_OF) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("label", CALLS)
def test_every_odd_argument(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="ignore"):
        assert _faults(label, CALLS[label], 1) == []


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: dataflow.train(small_model(), "f.csv"),
            "f.csv: there is no such file",
        ),
        (lambda: small_model().run(data="f.csv"), "f.csv: there is no such file"),
        (lambda: small_model().run(data=np.ones(2)), "or rows, each a mapping by column, not an array"),
        (lambda: dataflow.train(small_model(), optimizer=5), "train: optimizer takes text or a mapping by name or an "),
        (lambda: dataflow.train(small_model(), optimizer=["adam"]), "Optimizer or None, not a list"),
        (lambda: small_model().gradients(of=1), "Model.gradients: of takes text or None, not 1"),
        (
            lambda: small_model().jacobian(of="h", wrt=None),
            "wrt takes a list of names or text, not None",
        ),
        (lambda: small_model().gradients(wrt=["W", 1]), "not a list with 1 in it"),
        (
            lambda: dataflow.explain(small_model(), example="3"),
            "example takes a whole number or None, not '3'",
        ),
        (lambda: dataflow.save(None, "m.toml"), "save: model takes a Model, not None"),
        (lambda: dataflow.load(None), "load: path takes text or a path, not None"),
        (lambda: dataflow.derive(small_model(), of=dataflow, wrt="W"), "derive: of takes text or None, not a module"),
        (lambda: dataflow.Model("xor.toml"), "Model: graph takes a Graph, not 'xor.toml'"),
        (lambda: dataflow.Trainer(small_model(), shuffle="false"), "Trainer: shuffle takes True or False or None, not"),
        (
            lambda: small_model().graph.value("x")[np.array([0, 1])],
            "an index is an integer, a slice",
        ),
        (lambda: small_model().run(x=Refusing()), "'x': a Refusing cannot be read as an array: Can't call numpy()"),
        (lambda: dataflow.ops.relu(Refusing()), "a Refusing cannot be read as an array: Can't call numpy()"),
        (lambda: dataflow.ops.relu([[1.0], [1.0, 2.0]]), "rows have one length"),
        (lambda: dataflow.draw(small_model(), backwards=True), "unknown input 'backwards'; available: "),
        (lambda: dataflow.draw(small_model(), backwards=True), "; or is it the argument 'backward'?"),
        (lambda: small_model().gradients(wtr=["W"]), "; or is it the argument 'wrt'?"),
    ],
)
def test_messages_name_the_argument(ask: Any, message: str) -> None:
    with pytest.raises(dataflow.DataflowError) as caught:
        ask()
    assert message in str(caught.value)


def test_an_argument_error_is_a_type_error_and_a_wrong_call_is_pythons() -> None:
    with pytest.raises(TypeError) as caught:
        dataflow.load(5)  # type: ignore[arg-type]
    assert isinstance(caught.value, ArgumentError)
    with pytest.raises(TypeError, match="unexpected keyword") as other:
        dataflow.load("m.toml", nothing=1)  # type: ignore[call-arg]
    assert not isinstance(other.value, dataflow.DataflowError)


def test_a_fault_inside_a_checked_function_stays_what_it_is() -> None:
    @checked
    def broken(number: int) -> int:
        return number + "x"  # type: ignore[operator]

    with pytest.raises(TypeError) as caught:
        broken(1)
    assert not isinstance(caught.value, dataflow.DataflowError)
