"""Training inside the backend ``llvm``: what numpy's training gives, the same bits always, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner
from nets import bits, classifier, line, xor

import dataflow
from dataflow import Graph, Model, ops
from dataflow.backends import threads
from dataflow.cli import main
from dataflow.errors import NonFiniteError
from dataflow.files.msgpack.container import read_container, write_container
from dataflow.training import StopTraining, Trainer, train
from dataflow_nn.optimizers import SGD

pytest.importorskip("llvmlite")

XOR = str(ROOT / "models" / "xor.toml")
OPTIMIZERS = [
    {"name": "sgd", "learning_rate": 0.1},
    {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.1},
    {"name": "adam", "learning_rate": 0.01},
    {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.1, "beta1": 0.8},
]


def wide(dtype: str = "float32") -> Model:
    """Large enough that threads share its work."""
    rng = np.random.default_rng(0)
    graph = Graph("wide", dtype)
    h, y = graph.input("x", ("n", 300)), graph.input("y", ("n", 10))
    for i, (rows, columns) in enumerate(((300, 400), (400, 10))):
        W = graph.parameter(f"W{i}", value=rng.normal(size=(rows, columns)) / rows)
        h = h @ W + graph.parameter(f"b{i}", value=rng.normal(size=columns))
        h = ops.relu(h) if i == 0 else h
    graph.node("loss", ops.softmax_cross_entropy(graph.node("out", h), y, reduction="mean"))
    return Model(graph, ["out"], "loss")


def examples(count: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(count, 300)).astype(dtype), "y": np.eye(10, dtype=dtype)[rng.integers(0, 10, count)]}


@pytest.mark.parametrize(
    ("dtype", "shuffle"), [pytest.param("float32", False, marks=pytest.mark.slow), ("float64", True)]
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: "-".join(str(value) for value in one.values()))
def test_the_same_training_as_with_numpy(optimizer: dict, shuffle: bool, dtype: str) -> None:
    models = {}
    for backend in ("numpy", "llvm"):
        models[backend] = classifier(count=53, dtype=dtype)
        train(models[backend], epochs=3, batch_size=8, optimizer=optimizer, shuffle=shuffle, backend=backend)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    for name, value in models["numpy"].parameters.items():
        np.testing.assert_allclose(models["llvm"].parameters[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("make", [xor, classifier])
@pytest.mark.parametrize("parts", [[60], [1] * 60, [7, 20, 33], [59, 1]])
def test_it_does_not_matter_in_how_many_calls(make, parts: list[int]) -> None:
    expected, model = make(), make()
    Trainer(expected, backend="llvm").run(60)
    trainer = Trainer(model, backend="llvm")
    losses = [trainer.run(part) for part in parts]
    assert bits(model) == bits(expected)
    assert trainer.steps == 60
    assert np.isfinite(losses).all()


def test_the_loss_is_that_of_the_last_minibatch() -> None:
    losses = {}
    for backend in ("numpy", "llvm"):
        trainer = Trainer(classifier(), backend=backend)
        losses[backend] = [trainer.run(count) for count in (1, 5, 9)]
    np.testing.assert_allclose(losses["llvm"], losses["numpy"], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("extra", [{}, {"clip": {"norm": 0.01}, "accumulate": 2}, {"clip": {"value": 1e-4}}], ids=str)
def test_the_number_of_threads_changes_no_bit(dtype: str, extra: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_cores", lambda: 3)
    found = []
    for count, ahead in ((1, 0), (2, 0), (3, 0), (3, 1), (3, 2)):  # a stream that works ahead takes some of them
        monkeypatch.setenv("DATAFLOW_THREADS", str(count))
        model = wide(dtype)
        trainer = Trainer(model, examples(100, dtype), batch_size=64, shuffle=True, backend="llvm", **extra)
        trainer.run(6)
        with ExitStack() as stack:
            for _ in range(ahead):
                stack.enter_context(threads.working_ahead())
            trainer.run(6)
            values = model.compile(values=["out"], backend="llvm")(data=examples(100, dtype))[0]["out"]
        found.append((bits(model), values.tobytes()))
    assert all(one == found[0] for one in found)


def test_a_learning_rate_that_is_changed_between_calls_counts() -> None:
    models = []
    for backend in ("numpy", "llvm"):
        models.append(xor())
        trainer = Trainer(models[-1], backend=backend)
        trainer.run(3)
        trainer.optimizer.learning_rate = 0.01
        models[-1].parameters["b1"] = [0.3, -0.3]
        trainer.run(3)
    for name, value in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[name], value, rtol=1e-12)


@pytest.mark.parametrize("bad", [0, 3, 11, 25])
def test_what_is_not_finite_stops_before_its_minibatch(bad: int) -> None:
    """Data with NaN in minibatch ``bad``: the same message, position and parameters as from outside."""
    told, kept = [], []
    for backend in ("numpy", "llvm"):
        model = classifier(count=240)
        data = {
            name: np.array(values) for name, values in dict(Trainer(classifier(count=240)).batches.everything()).items()
        }
        count = len(data["x"])
        data["x"][min(count - 1, bad * 8)] = np.nan
        trainer = Trainer(model, data, batch_size=8, shuffle=False, validation=0, backend=backend)
        with pytest.raises(NonFiniteError) as caught:
            trainer.run(1000)
        assert trainer.steps == trainer.batches.batch == bad
        told.append(str(caught.value))
        kept.append(dict(model.parameters))
    assert told[0] == told[1]
    for name, value in kept[0].items():
        np.testing.assert_allclose(kept[1][name], value, rtol=1e-9)


def test_divergence_is_told_as_with_numpy() -> None:
    told = []
    for backend in ("numpy", "llvm"):
        model = line()
        with pytest.raises(NonFiniteError) as caught:
            Trainer(model, optimizer="sgd", learning_rate=10.0, backend=backend).run(2000)
        assert np.isfinite(model.parameters["w"])
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_an_optimizer_that_inherits_from_ours_updates_as_it_says() -> None:
    """The kernels stand for the classes themselves, whatever the name of another class."""

    class Halved(SGD):
        """Each step half as long."""

        def update(self, parameters, gradients, state, step):
            gradients *= 0.5
            super().update(parameters, gradients, state, step)

    models = {}
    for optimizer in (Halved(learning_rate=0.2), SGD(learning_rate=0.1)):
        models[type(optimizer)] = model = classifier()
        train(model, epochs=2, optimizer=optimizer, backend="llvm")
    for name, value in models[SGD].parameters.items():
        np.testing.assert_allclose(models[Halved].parameters[name], value, rtol=1e-12)


def test_progress_counts_every_minibatch_and_callbacks_see_each() -> None:
    seen: list[int] = []
    progress: list[int] = []
    train(
        classifier(),
        epochs=2,
        backend="llvm",
        on_batch=lambda one: seen.append(one.batch),
        on_progress=lambda one: progress.append(one.batch),
    )
    assert seen == progress == [*range(1, 7)] * 2
    progress.clear()
    train(classifier(), epochs=2, backend="llvm", on_progress=lambda one: progress.append(one.batch))
    assert progress.count(6) == 2
    assert len(progress) < 12


def test_a_run_goes_on_from_a_checkpoint_within_an_epoch(tmp_path: Path) -> None:
    whole, first = classifier(), classifier()
    train(whole, epochs=4, backend="llvm")

    def stop(progress: object) -> None:
        raise StopTraining

    history = train(first, epochs=4, backend="llvm", checkpoint=tmp_path, checkpoint_every=4, on_progress=stop)
    assert history.interrupted
    second = classifier()
    train(second, epochs=4, backend="llvm", checkpoint=tmp_path, checkpoint_every=4, resume=True)
    assert bits(second) == bits(whole)


@pytest.mark.parametrize("backend", ["llvm", "numba"])
def test_a_run_that_the_backend_began_under_its_former_name_goes_on_bit_for_bit(tmp_path: Path, backend: str) -> None:
    whole, first, second = classifier(), classifier(), classifier()
    train(whole, epochs=4, backend="llvm")
    path = train(first, epochs=2, backend="llvm", checkpoint=tmp_path).checkpoint
    assert path is not None
    container = read_container(path, mapped=False)
    assert container.header["settings"]["backend"] == "llvm"
    container.header["settings"]["backend"] = "numba"
    write_container(path, container.header, container.tensors)
    with pytest.warns(dataflow.DataflowWarning) as caught:
        train(second, epochs=4, backend=backend, checkpoint=tmp_path, resume=True)
    assert {str(one.message) for one in caught} == {FORMER}
    assert bits(second) == bits(whole)
    assert second.training["backend"] == "llvm"


FORMER = "the backend 'numba' is called 'llvm' now: write llvm"


def test_the_former_name_works_in_python_and_warns_once() -> None:
    model = xor()
    expected = model.compile(values=["loss"], backend="llvm")()[0]["loss"]
    for use in (
        lambda: model.compile(values=["loss"], backend="numba")()[0]["loss"],
        lambda: train(xor(), epochs=1, backend="numba"),
        lambda: Trainer(xor(), backend="numba").run(1),
        lambda: dataflow.profile(xor(), backend="numba", run=False),
    ):
        with pytest.warns(dataflow.DataflowWarning) as caught:
            result = use()
        assert [str(one.message) for one in caught] == [FORMER]
        if isinstance(result, np.ndarray):
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "command", [["train", "--epochs=1", "--json"], ["run"], ["profile"], ["check"], ["check", "--wrt=W1"]]
)
def test_the_former_name_works_in_commands_and_warns_once(command: list[str]) -> None:
    results = [
        CliRunner().invoke(main, [command[0], XOR, *command[1:], "--backend", name]) for name in ("llvm", "numba")
    ]
    assert [result.exit_code for result in results] == [0, 0], results[1].output
    assert [result.stderr.count(FORMER) for result in results] == [0, 1]
    assert "numba" not in results[1].stdout


# ------------------------------------------------------------------------------------------------ other processes


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=settings, cwd=ROOT, check=False
    )


TRAINED = f"""
import dataflow, hashlib
model = dataflow.load({XOR!r})
dataflow.train(model, epochs=3, backend="llvm")
print(hashlib.sha256(b"".join(value.tobytes() for value in model.parameters.values())).hexdigest())
"""


@pytest.mark.slow
def test_the_cache_is_used_and_not_needed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(TRAINED, DATAFLOW_CACHE=str(cache))
    assert first.returncode == 0, first.stderr
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert any(path.name.startswith("interpreter") for path in files)
    second = run(TRAINED, DATAFLOW_CACHE=str(cache))
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files, "compiled twice"
    damaged = next(path for path in files if path.name.startswith("interpreter"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    third = run(TRAINED, DATAFLOW_CACHE=str(cache))
    assert damaged.stat().st_size > 100
    (tmp_path / "file").write_text("in the way")
    fourth = run(TRAINED, DATAFLOW_CACHE=str(tmp_path / "file" / "cache"))
    assert fourth.returncode == 0, fourth.stderr
    assert first.stdout == second.stdout == third.stdout == fourth.stdout
    assert first.stderr == fourth.stderr == ""


MISSING = "import sys; sys.modules['llvmlite'] = None\n"


@pytest.mark.slow
def test_without_the_compiler_it_says_what_to_install() -> None:
    code = f"{MISSING}from dataflow.cli import main\nmain(['train', {XOR!r}, '--backend', 'llvm'])"
    done = run(code)
    assert done.returncode == 1
    assert done.stdout == ""
    (message,) = done.stderr.splitlines()
    assert 'pip install "dataflow-autodiff[fast]"' in message


@pytest.mark.slow
def test_without_the_compiler_all_else_is_as_before() -> None:
    code = f"{MISSING}from dataflow.cli import main\nmain(['train', {XOR!r}, '--json', '--epochs', '2'])"
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2


def test_the_compiler_is_imported_by_those_who_use_it() -> None:
    code = f"""
import sys, dataflow
model = dataflow.load({XOR!r})
dataflow.train(model, epochs=1)
assert "dataflow_llvm" in sys.modules and "llvmlite" not in sys.modules
dataflow.train(model, epochs=1, backend="llvm")
assert "llvmlite" in sys.modules and "numba" not in sys.modules
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_the_command_line_trains_with_it() -> None:
    losses = []
    for backend in ("numpy", "llvm"):
        done = CliRunner().invoke(main, ["train", XOR, "--epochs", "20", "--backend", backend, "--json"])
        assert done.exit_code == 0, done.output
        losses.append(json.loads(done.stdout)["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)


def test_a_backend_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(dataflow.DataflowError, match="llvm"):
        train(xor(), backend="llvn")
