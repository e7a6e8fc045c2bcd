"""What makes an update of gradients: schedules, accumulation, clipping, frozen parameters, on both backends."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from nets import bits, classifier, xor

import dataflow
from dataflow import DataflowError, Graph, Model, NonFiniteError, Schedule, TrainingError, TrainSettings
from dataflow.cli.group import main
from dataflow.files.msgpack.container import read_container
from dataflow.files.toml.read import loads_toml
from dataflow.registry import registry
from dataflow.training import StopTraining, Trainer, train
from dataflow.training.minibatches.updates import BLOCK, Rates
from dataflow.training.trained_parameters import frozen_names

BACKENDS = ["numpy", *(["llvm"] if importlib.util.find_spec("llvmlite") else [])]
LLVM_SLOW = ["numpy", *(pytest.param(name, marks=pytest.mark.slow) for name in BACKENDS[1:])]
"""For what llvm need not show again: ``test_both_backends_agree`` has each setting with both."""
SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant", "warmup": 5},
    {"name": "step", "every": 4},
    {"name": "exponential", "factor": 0.9, "warmup": 3},
    {"name": "cosine", "floor": 0.1, "warmup": 4},
    {"name": "one_cycle"},
    {"name": "plateau", "patience": 1, "min_delta": 0.2, "warmup": 2},
]
EXTRAS: list[dict[str, Any]] = [
    {"accumulate": 4},
    {"accumulate": 100},
    {"clip": {"norm": 0.3}},
    {"clip": {"value": 0.02}},
    {"clip": {"norm": 0.3}, "accumulate": 2, "schedule": "cosine"},
    {"frozen": ["W1", "b*"]},
    {"early_stopping": {"patience": 9}, "accumulate": 4, "schedule": {"name": "plateau", "patience": 1}},
    *({"schedule": schedule} for schedule in SCHEDULES),
]


def settings(**changes: Any) -> TrainSettings:
    given = {"epochs": 4, "batch_size": 8, "shuffle": True, "validation": 0.1, **changes}
    return TrainSettings({"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}, **given)


def slope(weights: int = 1, dtype: str = "float64") -> Model:
    """A model whose gradient is the sum of its examples, whatever its parameters: loss = Σ w·x."""
    graph = Graph("slope", dtype)
    x = graph.input("x", ("n", weights))
    w = graph.parameter("w", (weights,), init="zeros")
    graph.node("loss", dataflow.ops.sum(x * w))
    return Model(graph, loss="loss")


def moves(model: Model, x: Any, backend: str, **options: Any) -> list[float]:
    """How far each minibatch of one example moves the parameters."""
    trainer = Trainer(model, {"x": x}, batch_size=1, backend=backend, **{"optimizer": "sgd", **options})
    before, found = trainer.parameters["w"], []
    for _ in range(len(x)):
        trainer.run(1)
        after = trainer.parameters["w"]
        found.append(after - before)
        before = after
    return np.array(found)


# ------------------------------------------------------------------------------------------------ what an update is


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_add_up_and_the_rest_of_an_epoch_is_an_update(backend: str) -> None:
    x = [[1.0], [2.0], [4.0], [8.0], [16.0], [32.0], [64.0]]
    found = moves(slope(), x, backend, learning_rate=1.0, accumulate=3)
    np.testing.assert_array_equal(found[:, 0], [0, 0, -7, 0, 0, -56, -64])


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_accumulating_is_a_larger_minibatch(backend: str) -> None:
    alone, parts = classifier(reduction="sum"), classifier(reduction="sum")
    train(alone, batch_size=16, shuffle=False, learning_rate=0.01, backend=backend)
    train(parts, batch_size=4, accumulate=4, shuffle=False, learning_rate=0.01, backend=backend)
    for name, value in alone.parameters.items():
        np.testing.assert_allclose(parts.parameters[name], value, rtol=1e-10, atol=1e-12)
    assert parts.training["steps"] == alone.training["steps"] == 4 * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_clipping(backend: str, dtype: str) -> None:
    x = [[3.0, 4.0], [0.3, 0.4], [-30.0, 0.04], [0.0, 0.0]]
    found = moves(slope(2, dtype), x, backend, learning_rate=1.0, clip={"norm": 2.5})
    expected = [[-1.5, -2], [-0.3, -0.4], [30 * 2.5 / math.hypot(30, 0.04), -0.04 * 2.5 / math.hypot(30, 0.04)], [0, 0]]
    np.testing.assert_allclose(found, expected, rtol=3e-6 if dtype == "float32" else 1e-13, atol=1e-13)
    found = moves(slope(2, dtype), x, backend, learning_rate=1.0, clip={"value": 0.35})
    expected = [[-0.35, -0.35], [-0.3, -0.35], [0.35, -0.04], [0, 0]]
    np.testing.assert_allclose(found, expected, rtol=3e-6 if dtype == "float32" else 1e-13, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_norm_is_that_of_all_parameters_together_also_of_two_dtypes(backend: str) -> None:
    graph = Graph("two")
    x = graph.input("x", ("n",))
    a, b = graph.parameter("a", value=0.0, dtype="float32"), graph.parameter("b", value=0.0)
    graph.node("loss", dataflow.ops.sum(3 * a * x + 4 * b * x))
    model = Model(graph, loss="loss")
    Trainer(model, {"x": [1.0]}, optimizer="sgd", learning_rate=1.0, clip={"norm": 1}, backend=backend).step()
    np.testing.assert_allclose([model.parameters["a"], model.parameters["b"]], [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("size", [1e200, 1e-200])
@pytest.mark.parametrize("backend", BACKENDS)
def test_norms_whose_square_no_float64_holds(backend: str, size: float) -> None:
    found = moves(slope(2), [[3 * size, 4 * size]], backend, learning_rate=1.0, clip={"norm": 1.0})
    np.testing.assert_allclose(found, [[-0.6, -0.8]] if size > 1 else [[-3 * size, -4 * size]], rtol=1e-12)


@pytest.mark.parametrize("clip", [{"norm": 1.0}, {"value": 1.0}])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_clipping_hides_nothing_that_is_not_finite(backend: str, accumulate: int, clip: dict) -> None:
    """d√w/dw is infinite at 0, though √0 is not."""
    graph = Graph("root")
    x, w = graph.input("x", ("n",)), graph.parameter("w", value=0.0)
    graph.node("loss", dataflow.ops.sum(x + dataflow.ops.sqrt(w)))
    model = Model(graph, loss="loss")
    trainer = Trainer(model, {"x": [1.0] * 4}, batch_size=1, clip=clip, accumulate=accumulate, backend=backend)
    with pytest.raises(NonFiniteError, match="epoch 1, batch 1 of 4"):
        trainer.run(4)
    assert trainer.steps == 0
    assert model.parameters["w"] == 0


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_frozen_parameters_stay_bit_for_bit(backend: str) -> None:
    model = classifier()
    before = bits(model)
    train(model, frozen=["W1", "b*"], backend=backend)
    after = bits(model)
    assert {name for name in after if after[name] != before[name]} == {"W2"}
    assert model.training["frozen"] == ["W1", "b*"]


def test_patterns_of_names() -> None:
    names = ["encoder.W", "encoder.deep.W", "encoder_b", "W"]
    assert frozen_names(names, ["encoder.*"]) == {"encoder.W", "encoder.deep.W"}
    assert frozen_names(names, ["*W"]) == {"encoder.W", "encoder.deep.W", "W"}
    assert frozen_names(names, ["W", "*_*"]) == {"encoder_b", "W"}
    assert frozen_names(names, []) == set()
    for pattern, text in (
        ("encoderb", "did you mean 'encoder_b'"),
        ("[W]", "no parameter is called '[W]'"),
        ("w", "W"),
    ):
        with pytest.raises(TrainingError) as caught:
            frozen_names(names, ["W", pattern])
        assert text in str(caught.value)


# ------------------------------------------------------------------------------------------------ schedules


def test_every_schedule_is_here() -> None:
    assert {schedule["name"] for schedule in SCHEDULES} == set(registry.registry().schedules)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", SCHEDULES[:-1], ids=lambda given: given["name"])
def test_each_update_has_its_rate(given: dict, backend: str) -> None:
    """With a gradient of 1, an update moves by the learning rate."""
    schedule = registry.schedule(given["name"]).create({key: given[key] for key in given if key != "name"})
    expected = schedule.rates(0.5, np.arange(12), 12)
    found = moves(slope(), np.ones((12, 1)), backend, learning_rate=0.5, schedule=given)
    np.testing.assert_allclose(-found[:, 0], expected, rtol=1e-12, atol=1e-14)
    assert len(set(expected)) > 2
    expected = schedule.rates(0.5, np.arange(6), 6)
    found = moves(slope(), np.ones((12, 1)), backend, learning_rate=0.5, schedule=given, accumulate=2)
    np.testing.assert_allclose(-found[1::2, 0], 2 * expected, rtol=1e-12, atol=1e-14)


def test_warm_up_rises_in_equal_steps() -> None:
    schedule = registry.schedule("cosine").create({"warmup": 4})
    rates = schedule.rates(2.0, np.arange(9), 12)
    np.testing.assert_allclose(rates[:5], [0.5, 1, 1.5, 2, 2])
    np.testing.assert_allclose(rates[4:], 1 + np.cos(np.pi * np.arange(5) / 8), rtol=1e-15)


def test_the_run_s_length_is_that_of_its_epochs() -> None:
    """Half a cosine over all updates: the last but none of the run is at its end."""
    for epochs in (3, 5):
        model = classifier(train=settings(schedule={"name": "cosine"}, epochs=epochs))
        seen = []
        rule = registry.optimizer("sgd").create({"learning_rate": 1e-3})
        trainer = Trainer(model, optimizer=rule)
        for _ in range(epochs * 6):
            trainer.step()
            seen.append(trainer.optimizer.learning_rate)
        np.testing.assert_allclose(seen, 5e-4 * (1 + np.cos(np.pi * np.arange(epochs * 6) / (epochs * 6))), rtol=1e-12)
        assert rule.learning_rate == 1e-3  # the caller's stays


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_a_plateau_follows_what_is_held_out(backend: str) -> None:
    """A loss of held-out examples that never falls by 1 more: times 0.1 after each 2 epochs."""
    model = classifier(train=settings(schedule={"name": "plateau", "patience": 2, "min_delta": 1.0}, epochs=7))
    norms, last = [], [dict(model.parameters)]

    def moved(history: dataflow.History) -> None:
        now = dict(model.parameters)
        norms.append(max(float(np.abs(now[name] - last[0][name]).max()) for name in now))
        last[0] = now

    history = train(model, on_epoch=moved, optimizer={"name": "sgd", "learning_rate": 0.01}, backend=backend)
    assert max(history.metrics["validation_loss"]) < 1 + min(history.metrics["validation_loss"])
    # the first epoch is the best so far, whatever it is; the second and third are no better
    levels = np.array(norms) / [1, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert levels.max() < 3 * levels.min()


def test_rates_are_the_same_bits_wherever_one_begins() -> None:
    course = registry.schedule("cosine").create({"warmup": 10})
    whole, parts = Rates(course, 0.1), Rates(course, 0.1)
    for rates in (whole, parts):
        rates.lay_out(3 * BLOCK)
    expected = whole.between(0, 2 * BLOCK + 100)
    found = [
        parts.between(first, stop) for first, stop in ((0, 1), (1, 777), (777, BLOCK + 3), (BLOCK + 3, 2 * BLOCK + 100))
    ]
    assert np.concatenate(found).tobytes() == expected.tobytes()
    assert [parts.at(update) for update in (5, BLOCK, 3)] == [expected[update] for update in (5, BLOCK, 3)]
    assert len(whole.between(4, 4)) == 0


def test_a_schedule_of_a_plugin_is_held_to_its_promise() -> None:
    class Wrong(Schedule):
        """Not a rate."""

        name = "wrong"

        def factors(self, updates, length):
            return -np.ones(len(updates))

    with pytest.raises(
        dataflow.PluginError, match="schedule 'wrong': factors gives a finite number ≥ 0 for each update"
    ):
        train(xor(), schedule=Wrong())


# ------------------------------------------------------------------------------------------------ backends, going on


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("extra", EXTRAS, ids=str)
def test_both_backends_agree(extra: dict, dtype: str) -> None:
    models = {}
    for backend in BACKENDS:
        models[backend] = classifier(count=53, dtype=dtype, train=settings(**extra))
        history = train(models[backend], backend=backend)
        assert history.epochs == 4
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    for name, value in models["numpy"].parameters.items():
        np.testing.assert_allclose(models["llvm"].parameters[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "learning_rate": 0.02},
        {"name": "rmsprop", "learning_rate": 0.01},
        {"name": "rmsprop", "learning_rate": 0.005, "momentum": 0.9, "weight_decay": 0.1, "decay": 0.9},
        {"name": "adagrad", "learning_rate": 0.05},
        {"name": "adagrad", "learning_rate": 0.05, "weight_decay": 0.1, "epsilon": 1e-6},
        {"name": "lion", "learning_rate": 0.003},
        {"name": "lion", "learning_rate": 0.003, "weight_decay": 0.5, "beta1": 0.8, "beta2": 0.9},
    ],
    ids=str,
)
def test_the_new_optimizers_inside_and_outside(optimizer: dict, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {}
    for backend in BACKENDS:
        models[backend] = classifier(count=53, dtype=dtype)
        trainer = Trainer(models[backend], batch_size=8, optimizer=optimizer, backend=backend)
        if backend == "llvm":
            assert trainer._inside is not None
            monkeypatch.setattr(trainer, "_outside", None)  # it is not needed
        trainer.run(20)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    for name, value in models["numpy"].parameters.items():
        np.testing.assert_allclose(models["llvm"].parameters[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("parts", [[1] * 47, [7, 20, 19, 1]])
def test_it_does_not_matter_in_how_many_calls(parts: list[int], backend: str) -> None:
    given = settings(accumulate=4, clip={"norm": 0.1}, schedule={"name": "cosine", "warmup": 3}, epochs=10)
    expected, model = classifier(train=given), classifier(train=given)
    alone, trainer = Trainer(expected, backend=backend), Trainer(model, backend=backend)
    alone.run(47)
    for part in parts:
        trainer.run(part)
    assert bits(model) == bits(expected)
    assert (
        trainer.steps == alone.steps == 7 * 2 + 1
    )  # an epoch of 6 minibatches has 2 updates, and of the 5 left one is made


def stop_at(epoch: int, batch: int) -> Any:
    def stop(progress: dataflow.Progress) -> None:
        if (progress.epoch, progress.batch) == (epoch, batch):
            raise StopTraining

    return stop


@pytest.mark.parametrize(
    ("extra", "backend"),
    [
        pytest.param(extra, backend, marks=pytest.mark.slow if i % 2 or (backend == "llvm" and len(extra) < 3) else ())
        for i, extra in enumerate(EXTRAS)
        for backend in BACKENDS
    ],
    ids=str,
)
def test_a_run_goes_on_bit_for_bit(extra: dict, backend: str, tmp_path: Path) -> None:
    """Stopped within an accumulation, at the end of an epoch, and again."""
    alone = classifier(train=settings(**extra))
    expected = train(alone, backend=backend)
    for i, (epoch, batch) in enumerate([(1, 3), (2, 6), (4, 1)]):
        model = classifier(train=settings(**extra))
        train(model, checkpoint=tmp_path, resume=i > 0, on_batch=stop_at(epoch, batch), backend=backend)
    model = classifier(train=settings(**extra))
    history = train(model, checkpoint=tmp_path, resume=True, backend=backend)
    assert bits(model) == bits(alone)
    assert (history.loss, history.metrics) == (expected.loss, expected.metrics)
    assert repr(model.training) == repr(alone.training)


@pytest.mark.parametrize("backend", LLVM_SLOW)
def test_training_further_is_a_run_of_its_own_for_the_schedule(backend: str) -> None:
    """The optimizer counts its updates on, and the schedule counts from the run's start."""
    model, whole = classifier(), classifier()
    given: dict[str, Any] = {"optimizer": {"name": "adam", "learning_rate": 0.01}, "shuffle": False, "backend": backend}
    train(model, epochs=2, **given)
    train(model, epochs=2, schedule={"name": "step", "every": 100}, **given)
    train(whole, epochs=4, **given)
    assert bits(model) == bits(whole)
    train(model, epochs=1, schedule={"name": "step", "every": 3, "factor": 1e-30}, **given)
    moved = max(float(np.abs(model.parameters[name] - whole.parameters[name]).max()) for name in model.parameters)
    assert 1e-4 < moved < 0.05


@pytest.mark.parametrize(
    "optimizer", ["adamw", "rmsprop", {"name": "rmsprop", "momentum": 0.9}, "adagrad", "lion"], ids=str
)
def test_the_new_optimizers_go_on_bit_for_bit(optimizer: Any, tmp_path: Path) -> None:
    alone, first, second = classifier(), classifier(), classifier()
    train(alone, optimizer=optimizer)
    train(first, optimizer=optimizer, checkpoint=tmp_path, on_batch=stop_at(2, 3))
    train(second, optimizer=optimizer, checkpoint=tmp_path, resume=True)
    assert bits(second) == bits(alone) != bits(first)


def test_checkpoints_within_an_epoch_count_minibatches(tmp_path: Path) -> None:
    train(classifier(train=settings(accumulate=3)), checkpoint=tmp_path, checkpoint_every=4, keep=100)
    positions = [tuple(map(int, path.stem.split("-")[1:])) for path in sorted(tmp_path.glob("*.msgpack"))]
    assert positions == [(step // 6, step % 6) for step in range(0, 25, 4)]
    header = read_container(tmp_path / "checkpoint-000001-000002.msgpack", mapped=False).header
    assert header["steps"] == 2


def test_another_length_is_another_run_where_the_schedule_depends_on_it(tmp_path: Path) -> None:
    for name, refused in (("cosine", True), ("constant", False)):
        folder = tmp_path / name
        train(classifier(), schedule=name, epochs=2, checkpoint=folder)
        if refused:
            with pytest.raises(TrainingError, match="was made with epochs = 2, and this run has 3"):
                train(classifier(), schedule=name, epochs=3, checkpoint=folder, resume=True)
        else:
            assert train(classifier(), schedule=name, epochs=3, checkpoint=folder, resume=True).epochs == 3


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schedule": {"name": "cosine", "floor": 0.5}}, "floor"),
        ({"accumulate": 2}, "accumulate = 1, and this run has 2"),
        ({"clip": {"value": 1}}, 'clip = {"norm": 1.0}, and this run has {"value": 1.0}'),
        ({"frozen": []}, 'frozen = ["b1"], and this run has []'),
    ],
)
def test_a_checkpoint_of_another_setting_is_refused(change: dict, text: str, tmp_path: Path) -> None:
    given = settings(schedule={"name": "cosine"}, clip={"norm": 1}, frozen=["b1"])
    train(classifier(train=given), checkpoint=tmp_path)
    with pytest.raises(TrainingError) as caught:
        train(classifier(train=given), checkpoint=tmp_path, resume=True, **change)
    assert text in str(caught.value)


# ------------------------------------------------------------------------------------------------ files, bad input

TOML = """dataflow = 1
[inputs]
x = { shape = ["n", 2] }
[parameters]
W = { shape = [3, 2], init = "he_normal" }
v = { shape = [3], init = "he_normal" }
[nodes]
loss = "sum((x @ W.T @ v) ** 2)"
[model]
loss = "loss"
[data]
x = [[1, 2], [3, 4]]
[train]
"""
ALL = """schedule = { name = "cosine", warmup = 100 }
accumulate = 4
clip = { norm = 1.0 }
frozen = ["W*"]
"""


def test_files_keep_all_of_it(tmp_path: Path) -> None:
    model = loads_toml(TOML + ALL)
    stated = model.train_settings
    assert (stated.schedule, stated.accumulate) == ({"name": "cosine", "warmup": 100}, 4)
    assert (stated.clip, stated.frozen) == ({"norm": 1.0}, ["W*"])
    for name in ("m.toml", "m.msgpack"):
        dataflow.save(model, tmp_path / name)
        assert dataflow.load(tmp_path / name).train_settings == stated
    assert ALL in (tmp_path / "m.toml").read_text()
    assert loads_toml(TOML + "schedule = 'cosine'").train_settings.schedule == {"name": "cosine"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("schedule = 'cosin'", "unknown schedule 'cosin'; did you mean 'cosine'"),
        ("schedule = 'step'", "schedule 'step' needs every (int)"),
        ("schedule = { name = 'exponential' }", "needs factor (float)"),
        ("schedule = { name = 'cosine', warm = 3 }", "unknown attribute 'warm'; did you mean 'warmup'"),
        ("schedule = { name = 'cosine', warmup = -1 }", "warmup is a number of updates, 0 or more, not -1"),
        ("schedule = { name = 'cosine', warmup = 0.5 }", "'warmup' takes int, not 0.5"),
        ("schedule = { name = 'step', every = 0 }", "every is a whole number ≥ 1, not 0"),
        ("schedule = { name = 'exponential', factor = 0.0 }", "factor is a number above 0, not 0.0"),
        ("schedule = { name = 'one_cycle', peak = 2.0 }", "peak lies from 0 to 1; it is 2.0"),
        ("schedule = { name = 'plateau', patience = 0 }", "patience is a whole number ≥ 1, not 0"),
        ("schedule = { name = 'plateau', min_delta = -1.0 }", "min_delta is a number ≥ 0, not -1.0"),
        ("schedule = { warmup = 3 }", "the name of the schedule is missing"),
        ("accumulate = 0", "accumulate takes an integer ≥ 1, not 0"),
        ("clip = 1.0", "clip takes a table of norm (a number above 0), value (a number above 0), not 1.0"),
        ("clip = {}", "clip takes one of norm and value"),
        ("clip = { norm = 1, value = 1 }", "clip takes one of norm and value"),
        ("clip = { norm = 0 }", "norm takes a number above 0, not 0"),
        ("clip = { nrm = 1 }", "unknown key 'nrm' in clip; did you mean 'norm'"),
        ("frozen = 'W'", "frozen takes a list of names, not 'W'"),
    ],
)
def test_bad_lines(line: str, text: str) -> None:
    with pytest.raises(DataflowError) as caught:
        loads_toml(TOML + line)
    assert text in str(caught.value)
    assert caught.value.line == 14


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"clip": {"norm": math.inf}}, "clip.norm is a number above 0, not inf"),
        ({"clip": {"norm": math.nan}}, "clip.norm is a number above 0, not nan"),
        ({"clip": {"norm": -1}}, "clip.norm is a number above 0, not -1"),
        ({"accumulate": 0}, "accumulate is a whole number, 1 or more, not 0"),
        ({"frozen": ["W3"]}, "frozen: no parameter is called 'W3'; available: 'W1', 'b1', 'W2', 'b2'"),
        ({"frozen": ["*"]}, "every parameter is frozen"),
        ({"schedule": {"warmup": 1}}, 'a schedule is a name, such as "cosine", or has one'),
        ({"schedule": 3}, "train: schedule takes text or a mapping by name or a Schedule or None, not 3"),
    ],
)
def test_bad_arguments(given: dict, text: str) -> None:
    with pytest.raises((TrainingError, dataflow.ArgumentError)) as caught:
        train(xor(), **given)
    assert text in str(caught.value)


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(TOML + "schedule = { name = 'cosine', floor = 0.5 }\n")
    words = ["--schedule.warmup=3", "--clip.norm=1.0", "--accumulate", "2", "--frozen", "W*", "--epochs", "2"]
    done = CliRunner().invoke(main, ["train", str(tmp_path / "m.toml"), *words, "-o", str(tmp_path / "m.msgpack")])
    assert done.exit_code == 0, done.output
    record = dataflow.load(tmp_path / "m.msgpack").training
    assert record["schedule"] == {"name": "cosine", "floor": 0.5, "warmup": 3}
    assert (record["clip"], record["accumulate"], record["frozen"]) == ({"norm": 1.0}, 2, ["W*"])
    text = CliRunner().invoke(main, ["check", str(tmp_path / "m.msgpack")]).output
    assert "schedule name cosine, floor 0.5, warmup 3, accumulate 2, clip norm 1.0, frozen W*" in " ".join(text.split())
    for given, status, message in (
        (["--schedule", "cosin"], 1, "unknown schedule 'cosin'; did you mean 'cosine'"),
        (
            ["--schedule", "step"],
            1,
            "schedule 'step' needs every (int), as in { name = \"step\", every = 100 } or --schedule.every=100",
        ),
        (["--frozen", "V"], 1, "frozen: no parameter is called 'V'; did you mean 'v'"),
        (["--clip.norm=0"], 2, "clip.norm is a number above 0, not 0"),
        (["--clip", "norm"], 2, "it takes a table of norm"),
    ):
        done = CliRunner().invoke(main, ["train", str(tmp_path / "m.toml"), *given])
        assert (done.exit_code, message in done.output) == (status, True), done.output
