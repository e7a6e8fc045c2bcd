"""Numbers that callers give, far too large: they cost time or are refused, never memory, and lose no work."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow import DataflowError, Model, StopTraining
from dataflow.backends.threads import OVER, thread_count
from dataflow.support.byte_sizes import parse_bytes

XOR = str(MODELS / "xor.toml")
HUGE = [10**9, 2**63, 10**30, 10**400]


def after_two(history: dataflow.History) -> None:
    if history.epochs == 2:
        raise StopTraining


def trained(tmp_path: Path, **settings: Any) -> None:
    """Train and save: what a run accepts at its start can be written at its end."""
    model = dataflow.load(XOR)
    dataflow.train(model, **{"epochs": 2, **settings})
    dataflow.save(model, tmp_path / "trained.msgpack")


CALLS: dict[str, Callable[[Model, Path, int], object]] = {
    "threads": lambda model, path, n: trained(path, threads=n),
    "batch_size": lambda model, path, n: trained(path, batch_size=n),
    "seed": lambda model, path, n: trained(path, seed=n, shuffle=True),
    "epochs": lambda model, path, n: trained(path, epochs=n, on_epoch=after_two),
    "validation": lambda model, path, n: trained(path, validation=n),
    "keep": lambda model, path, n: trained(path, checkpoint=path / "run", keep=n),
    "checkpoint_every": lambda model, path, n: trained(path, checkpoint=path / "run", checkpoint_every=n),
    "memory_limit": lambda model, path, n: trained(path, memory_limit=n),
    "memory_limit as text": lambda model, path, n: trained(path, memory_limit=f"{n}TB"),
    "compile, threads": lambda model, path, n: model.compile(values=["loss"], threads=n)(),
    "compile, memory_limit": lambda model, path, n: model.compile(values=["loss"], memory_limit=n)(),
    "explain, example": lambda model, path, n: dataflow.explain(model, wrt="W1", example=n),
    "draw, example": lambda model, path, n: dataflow.draw(model, values=True, example=n),
    "draw, max_nodes": lambda model, path, n: dataflow.draw(model, max_nodes=n),
    "draw, time_limit": lambda model, path, n: dataflow.draw(model, time_limit=n).render("dot"),
    "view, examples": lambda model, path, n: dataflow.view(model, examples=n),
    "view, frames": lambda model, path, n: dataflow.view(model, frames=n),
    "profile, batch_size": lambda model, path, n: dataflow.profile(model, batch_size=n, run=False),
    "jvp, order": lambda model, path, n: model.jvp(of="loss", wrt="W1", tangents={"W1": np.ones((2, 2))}, order=n),
}


@pytest.mark.parametrize("number", HUGE, ids=lambda number: f"{len(str(number))} digits")
@pytest.mark.parametrize("name", CALLS)
def test_a_huge_number_is_refused_or_costs_no_memory(tmp_path: Path, name: str, number: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        CALLS[name](dataflow.load(XOR), tmp_path, number)
    except DataflowError as error:
        assert "cannot be written" not in str(error)  # it would be known at the end of the work alone
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_threads_are_bounded_by_the_processors(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most = OVER * (os.cpu_count() or 1)
    assert thread_count(10**9) == thread_count(most) == most
    monkeypatch.setenv("DATAFLOW_THREADS", "9" * 50)
    assert thread_count() == most
    monkeypatch.delenv("DATAFLOW_THREADS")
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    graph = dataflow.Graph("wide")
    x = graph.input("x", ("n",))
    graph.node("y", dataflow.ops.exp(x) * 2 + x)
    model = Model(graph, outputs=["y"])
    data = np.linspace(-1, 1, 300_000)
    plain = model.compile(values=["y"], backend=backend, threads=1)(x=data)[0]["y"]
    assert (model.compile(values=["y"], backend=backend, threads=10**9)(x=data)[0]["y"] == plain).all()


def test_the_largest_seed_is_the_largest_that_files_hold(tmp_path: Path) -> None:
    trained(tmp_path, seed=2**63 - 1)
    with pytest.raises(dataflow.TrainingError, match=r"seed is a whole number, from 0 to 9223372036854775807, not"):
        trained(tmp_path, seed=2**63)


def test_amounts_of_memory_that_no_machine_has() -> None:
    assert parse_bytes(10**30) == parse_bytes(f"{10**400}GB") == sys.maxsize


@pytest.mark.parametrize("limit", [10**12, 10**400, float("inf")])
def test_a_long_time_limit_is_none(limit: float) -> None:
    drawing = dataflow.draw(dataflow.load(XOR), time_limit=limit)
    assert drawing.render("svg").startswith(b"<?xml")
