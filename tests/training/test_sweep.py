"""Sweeps: each run is the single run with its options, bit for bit, however many processes there are and whatever is
killed."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import bits, classifier, xor

import dataflow
from dataflow import DataflowError, TrainSettings
from dataflow.data.source import DataSource
from dataflow.model.comparison import compare
from dataflow.ops import mse
from dataflow.training import ArrayMinibatches, train
from dataflow.training.saving.locking import locked
from dataflow.training.sweep import Sweep, sweep
from dataflow.training.sweeps.combinations import better, combine
from dataflow.training.sweeps.runs import HISTORY, TRAINED

COMMAND = [sys.executable, "-m", "dataflow"]
OVER: dict[str, Any] = {"learning_rate": [0.01, 0.1], "seed": range(2)}


def settings(epochs: int = 3) -> TrainSettings:
    return TrainSettings({"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}, epochs, 8, True, 0, 0.1)


def model(epochs: int = 3) -> dataflow.Model:
    return classifier(train=settings(epochs))


def files(folder: Path) -> dict[str, bytes]:
    """What the runs left behind."""
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(folder.glob("*/*"))
        if path.name in (TRAINED, HISTORY)
    }


# ------------------------------------------------------------------------------------------------ what the runs give


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_are_single_runs(jobs: int, tmp_path: Path) -> None:
    whole = model()
    done = sweep(whole, over=OVER, jobs=jobs, checkpoint=tmp_path / "s")
    assert compare(whole, model()).same
    assert [dict(run.values) for run in done.runs] == [
        {"learning_rate": rate, "seed": seed} for rate in OVER["learning_rate"] for seed in OVER["seed"]
    ]
    for run in done.runs:
        single = model()
        history = train(single, **run.values)
        assert run.state == "finished"
        assert (run.history.loss, run.history.metrics) == (history.loss, history.metrics)
        assert run.folder is not None
        assert compare(dataflow.load(run.folder / TRAINED), single).same
        saved = json.loads((run.folder / HISTORY).read_text())
        assert (saved["loss"], saved["metrics"], saved["error"]) == (history.loss, history.metrics, None)
    assert done.metric == "validation_loss"
    assert done.best is not None
    assert done.model is not None
    best = min(done.runs, key=lambda run: run.history.metrics["validation_loss"][-1])
    assert done.best is best
    single = model()
    train(single, **best.values)
    assert bits(done.model) == bits(single)


@pytest.mark.slow
def test_what_is_given_reaches_every_process() -> None:
    arrays = dict(model().data.load(model().graph))
    data = {name: array[:30] for name, array in arrays.items()}
    weights = np.arange(30) % 3
    given: dict[str, Any] = {"weights": weights, "batch_size": 7, "validation": {"share": 0.2}, "frozen": ["b1"]}
    given |= {"schedule": {"name": "step", "every": 2}, "clip": {"norm": 1.0}, "early_stopping": {"patience": 2}}
    over = {"optimizer.momentum": [0.0, 0.5], "optimizer.learning_rate": [0.2]}
    done = sweep(model(), data, over=over, jobs=2, **given)
    for run, momentum in zip(done.runs, over["optimizer.momentum"], strict=True):
        single = model()
        optimizer = {"name": "sgd", "learning_rate": 0.2, "momentum": momentum}
        assert run.history.loss == train(single, data, optimizer=optimizer, **given).loss
    assert done.metric == "validation_loss"


@pytest.mark.parametrize(
    "over",
    [
        {"backend": ["numpy", "llvm"]},
        {"clip.norm": [0.1, 10], "accumulate": [2]},
        {"schedule": ["cosine", {"name": "step", "every": 2}]},
        {"frozen": [["W1"], ["W1", "b1"]], "validation": [0.2]},
        {"validation.share": [0.1, 0.3], "validation.shuffle": [True]},
        {"early_stopping.patience": [1, 3]},
    ],
    ids=lambda over: next(iter(over)),
)
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_kind_of_option_can_be_swept(over: dict[str, Any], jobs: int) -> None:
    def option(values: Any) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for key, value in values.items():
            name, dot, inner = key.partition(".")
            options[name] = {**options.get(name, {}), inner: value} if dot else value
        return options

    done = sweep(model(8), over=over, jobs=jobs)
    assert [run.state for run in done.runs] == ["finished"] * 2
    for run in done.runs:
        history = train(model(8), **option(run.values))
        assert (run.history.loss, run.history.metrics) == (history.loss, history.metrics)
    assert done.runs[0].history.loss != done.runs[1].history.loss


@pytest.mark.slow
def test_parameters_that_were_set_and_data_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n1,2\n2,3.5\n3,6\n")
    (tmp_path / "m.toml").write_text(
        'dataflow = 1\nname = "m"\n[inputs]\nx = { shape = ["n"] }\ny = { shape = ["n"] }\n'
        '[parameters]\nw = { value = 0.5 }\n[nodes]\nloss = "mse(w * x, y)"\n[model]\nloss = "loss"\n'
        '[data]\nfile = "d.csv"\n[train]\nepochs = 4\noptimizer = { name = "sgd", learning_rate = 0.01 }\n'
    )
    loaded = dataflow.load(tmp_path / "m.toml")
    loaded.parameters["w"] = 0.25
    done = sweep(loaded, over={"batch_size": [1, 2]}, jobs=2)
    for run in done.runs:
        single = dataflow.load(tmp_path / "m.toml")
        single.parameters["w"] = 0.25
        assert run.history.loss == train(single, batch_size=run.values["batch_size"]).loss
        if run is done.best:
            assert done.model is not None
            assert compare(done.model, single).same
            assert done.model.run()["loss"] == single.run()["loss"]  # it finds its data


def test_a_run_that_fails_is_a_row(tmp_path: Path) -> None:
    over = {"learning_rate": [0.1, 1e200, 0.2]}
    found: list[Sweep] = [
        sweep(xor(), over=over, epochs=5, jobs=jobs, checkpoint=tmp_path / str(jobs)) for jobs in (1, 2)
    ]
    for done in found:
        assert [run.state for run in done.runs] == ["finished", "failed", "finished"]
        assert done.runs[1].error is not None
        assert "epoch" in done.runs[1].error
    assert found[0].runs[1].error == found[1].runs[1].error
    assert files(tmp_path / "1") == files(tmp_path / "2")
    again = sweep(xor(), over=over, epochs=5, jobs=2, checkpoint=tmp_path / "1", resume=True)
    assert [(run.state, run.error, run.history.loss) for run in again.runs] == [
        (run.state, run.error, run.history.loss) for run in found[0].runs
    ]


TABLE = """dataflow = 2
name = "m"
[inputs]
x = { shape = ["n", 4] }
y = { shape = ["n", 1] }
[parameters]
w = { shape = [1, 4], init = "zeros" }
[nodes]
yhat = "x @ w.T"
loss = "mse(yhat, y)"
[model]
outputs = ["yhat"]
loss = "loss"
[data]
file = "d.csv"
columns = { x = ["area", "kind"], y = "price" }
missing = { area = "mean" }
categories = { kind = "one_hot" }
standardize = ["x", "y"]
[train]
epochs = 3
validation = { share = 0.25, shuffle = true }
optimizer = { name = "sgd", learning_rate = 0.01 }
"""


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_learned_of_a_table_is_learned_by_each_run(jobs: int, tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [f"{rng.random():.3f},{'abc'[i % 3]},{rng.random():.3f}" for i in range(40)]
    rows[5] = f",b,{rng.random():.3f}"
    (tmp_path / "d.csv").write_text("area,kind,price\n" + "\n".join(rows) + "\n")
    (tmp_path / "m.toml").write_text(TABLE)
    loaded = dataflow.load(tmp_path / "m.toml")
    other = DataSource(columns=loaded.data.columns).at(tmp_path / "d.csv")
    with open(tmp_path / "d.csv", encoding="utf-8") as file:
        table = [{key: cell for key, cell in row.items() if cell} for row in csv.DictReader(file)]
    for row in table:
        row |= {key: float(row[key]) for key in ("area", "price") if key in row}
        row.setdefault("area", None)
    path = tmp_path / "d.csv"
    for data in (None, loaded.data.at(str(path)), path, iter(table))[jobs - 1 :]:
        if jobs > 1 and data is not None and hasattr(data, "__next__"):
            with pytest.raises(DataflowError, match="jobs=1"):
                sweep(loaded, data, over={"seed": [0, 1, 2]}, jobs=jobs)
            continue
        done = sweep(loaded, data, over={"seed": [0, 1]}, jobs=jobs)
        for run in done.runs:
            single = dataflow.load(tmp_path / "m.toml")
            history = train(single, single.data.at(str(tmp_path / "d.csv")) if data else None, seed=run.values["seed"])
            assert (run.history.loss, run.history.metrics) == (history.loss, history.metrics)
            if run is done.best:
                assert done.model is not None
                assert compare(done.model, single).same
    assert loaded.data.learned is None
    with pytest.raises(DataflowError, match="all runs failed"):
        sweep(loaded, other, over={"seed": [0, 1]})  # a text column without a category


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_where_all_fail_the_first_reason_is_told(jobs: int) -> None:
    with pytest.raises(dataflow.TrainingError, match=r"all runs failed; learning_rate=1e\+200: .*epoch"):
        sweep(xor(), over={"learning_rate": [1e200, 1e201]}, epochs=5, jobs=jobs)
    with pytest.raises(DataflowError, match="needs the input 'y'"):
        sweep(xor(), {"x": [[0, 1]]}, over={"seed": [0, 1]})


@pytest.mark.slow
def test_warnings_come_once() -> None:
    net = xor()
    net.graph.parameter("unused", value=[1.0])
    unused = dataflow.Model(net.graph, ["yhat"], "loss", data=net.data)
    with pytest.warns(dataflow.DataflowWarning, match="does not depend on 'unused'") as caught:
        sweep(unused, over={"learning_rate": [0.1, 0.2, 0.3]}, jobs=2)
    assert len(caught) == 1


def test_what_no_other_process_can_know() -> None:
    @dataflow.op
    def shifted(x):
        """x + 1, of an op that no plugin registers."""
        return x + 1

    graph = dataflow.Graph("own")
    x, w = graph.input("x", ("n",)), graph.parameter("w", value=1.0)
    graph.node("loss", mse(shifted(x * w), x))
    own = dataflow.Model(graph, [], "loss")
    data = {"x": np.arange(3.0)}
    over = {"learning_rate": [0.01, 0.02]}
    done = sweep(own, data, over=over)
    assert done.model is not None
    assert done.model.run(data=data)["loss"] == min(run.history.loss[0] for run in done.runs)
    with pytest.raises(DataflowError, match="jobs=1"):
        sweep(own, data, over=over, jobs=2)
    arrays = ArrayMinibatches(xor().data.load(xor().graph), ["x", "y"], 4, 2)
    assert sweep(xor(), arrays, over={"learning_rate": [0.01]}, jobs=2).runs[0].state == "finished"
    with pytest.raises(DataflowError, match="jobs=1"):
        sweep(xor(), arrays, over=over, jobs=2)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_with_early_stopping_its_metric_decides_at_its_best_epoch(jobs: int, tmp_path: Path) -> None:
    stopping = {"metric": "validation_accuracy", "patience": 2}
    over = {"learning_rate": [0.001, 0.3, 0.1]}
    done = sweep(model(12), over=over, jobs=jobs, early_stopping=stopping, checkpoint=tmp_path / "s")
    assert (done.metric, done.better) == ("validation_accuracy", "higher")
    singles = []
    for run in done.runs:
        singles.append(model(12))
        history = train(singles[-1], learning_rate=run.values["learning_rate"], early_stopping=stopping)
        assert run.history.best_epoch == history.best_epoch
        assert run.measured["validation_accuracy"] == max(history.metrics["validation_accuracy"])
        assert history.epochs < 12
    best = max(range(3), key=lambda i: done.runs[i].measured["validation_accuracy"])
    assert done.best is done.runs[best]
    assert done.model is not None
    assert bits(done.model) == bits(singles[best])
    again = sweep(model(12), over=over, jobs=jobs, early_stopping=stopping, checkpoint=tmp_path / "s", resume=True)
    assert again.best is not None
    assert (again.best.name, again.best.history.best_epoch) == (done.best.name, done.best.history.best_epoch)


def test_whether_more_is_better_is_the_metrics_to_say() -> None:
    assert better("loss") == better("validation_loss") == better("validation_rmse") == "lower"
    assert better("validation_accuracy") == better("f1") == better("validation_top_3_yhat") == "higher"


# ------------------------------------------------------------------------------------------------ keys and values


@pytest.mark.parametrize(
    ("over", "options", "message"),
    [
        ({}, {}, "needs a key"),
        ({"learning_rat": [1]}, {}, "did you mean 'learning_rate'"),
        ({"seed.x": [1]}, {}, "no option 'seed.x'"),
        ({"optimizer.": ["x"]}, {}, "no option"),
        ({"seed": []}, {}, "a list of values"),
        ({"seed": 3}, {}, "a list of values"),
        ({"optimizer": "sgd"}, {}, "a list of values"),
        ({"seed": [0, "1"]}, {}, "seed is a whole number"),
        ({"seed": [0, 0]}, {}, "seed=0 and seed=0 would be the same"),
        ({"learning_rate": [1, 1.0]}, {}, "would be the same"),
        ({"learning_rate": [0.1], "optimizer.learning_rate": [1, 2]}, {}, "would be the same"),
        ({"seed": [0, 1]}, {"seed": 2}, "swept and given"),
        ({"seed": range(101), "batch_size": range(1, 101)}, {}, "10,100 runs"),
        ({"optimizer.momentun": [0.5]}, {}, "momentun"),
        ({"optimizer": ["sgd", "nothing"]}, {}, "nothing"),
    ],
)
def test_what_cannot_be_swept(over: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataflowError, match=message):
        combine(TrainSettings(), over, options)


def test_names_are_names_of_folders() -> None:
    over = {"optimizer": ["sgd", {"name": "adam", "learning_rate": 0.5}], "shuffle": [True]}
    found = combine(TrainSettings(), over, {})
    assert found[0].name == "optimizer=sgd,shuffle=true"
    assert re.fullmatch(r"optimizer=adam-[0-9a-f]{10},shuffle=true", found[1].name)
    assert len({one.name for one in found}) == 2
    assert found[1].settings.rule.settings()["learning_rate"] == 0.5
    optimizer = {"name": "sgd", "learning_rate": 2.0}
    (given,) = combine(TrainSettings(), {"optimizer.momentum": [0.5]}, {"optimizer": optimizer})
    assert given.settings.rule.settings().items() >= {"momentum": 0.5, "learning_rate": 2.0}.items()
    # a name alone keeps what is declared of it, as it does for a single run
    (named,) = combine(TrainSettings({"name": "sgd", "learning_rate": 3.0}), {"optimizer": ["sgd"]}, {})
    assert named.settings.rule.settings()["learning_rate"] == 3.0


# ------------------------------------------------------------------------------------------------ going on


def test_values_and_epochs_may_be_added(tmp_path: Path) -> None:
    sweep(model(), over={"seed": [0, 1]}, checkpoint=tmp_path / "s")
    before = files(tmp_path / "s")
    more = sweep(model(), over={"seed": [0, 1, 2]}, checkpoint=tmp_path / "s", resume=True)
    assert [run.state for run in more.runs] == ["finished"] * 3
    assert before.items() < files(tmp_path / "s").items()
    longer = sweep(model(), over={"seed": [1, 2]}, epochs=5, checkpoint=tmp_path / "s", resume=True)
    whole = sweep(model(), over={"seed": [1, 2]}, epochs=5, checkpoint=tmp_path / "t")
    assert [run.history.loss for run in longer.runs] == [run.history.loss for run in whole.runs]
    assert files(tmp_path / "t").items() < files(tmp_path / "s").items()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    over = {"seed": [0, 1]}
    sweep(model(), over=over, checkpoint=tmp_path / "s")

    def refused(match: str, folder: str = "s", **options: Any) -> None:
        with pytest.raises(dataflow.TrainingError, match=match):
            sweep(**{"model": model(), "over": over, "checkpoint": tmp_path / folder, "resume": True} | options)

    refused("earlier sweep", resume=False)
    refused("needs the folder", checkpoint=None)
    refused("another model", model=xor())
    changed = model()
    changed.parameters["W1"] = changed.parameters["W1"] + 1
    refused("another model", model=changed)
    data = dict(model().data.load(model().graph))
    refused("other data", data={name: array[:20] for name, array in data.items()})
    refused("other settings .batch_size", batch_size=3)
    train(model(), checkpoint=tmp_path / "single")
    refused("a single run", "single")
    with locked(tmp_path / "s"):
        refused("another run uses this folder")
    (tmp_path / "s" / "sweep.json").write_text("{")
    refused("no description of a sweep")


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupt_ends_all_and_saves(jobs: int, tmp_path: Path) -> None:
    expected = sweep(model(15), over=OVER, checkpoint=tmp_path / "whole")
    calls = 0

    def interrupt(done: Sweep) -> None:
        nonlocal calls
        calls += 1
        if any(run.state == "running" and run.history.epochs for run in done.runs) and calls < 1000:
            calls = 1000
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sweep(model(15), over=OVER, jobs=jobs, checkpoint=tmp_path / "s", on_change=interrupt)
    assert not files(tmp_path / "s").keys() >= files(tmp_path / "whole").keys()
    again = sweep(model(15), over=OVER, checkpoint=tmp_path / "s", resume=True)
    assert files(tmp_path / "s") == files(tmp_path / "whole")
    assert expected.best is not None
    assert again.best is not None
    assert again.best.name == expected.best.name


# ------------------------------------------------------------------------------------------------ killed


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux")
@pytest.mark.slow
@pytest.mark.parametrize("count", [15])
def test_killed_at_any_moment_it_goes_on_bit_for_bit(count: int, tmp_path: Path) -> None:
    dataflow.save(model(30), tmp_path / "m.msgpack")
    with warnings.catch_warnings():
        sweep(dataflow.load(tmp_path / "m.msgpack"), over=OVER, checkpoint=tmp_path / "whole")
    words = ["train", "m.msgpack", "--sweep", "learning_rate=0.01,0.1", "--sweep", "seed=0..1", "--checkpoint", "s"]
    words += ["--resume", "-o", "best.msgpack", "--jobs", "2", "--checkpoint-every", "4"]
    rng = random.Random(count)
    kills = 0
    while kills < count:
        parent = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        before = time.monotonic()
        while not children(parent.pid) and time.monotonic() < before + 60 and parent.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 3))
        processes = children(parent.pid) if parent.poll() is None else []
        victim = rng.choice([parent.pid, *processes])
        if processes:
            os.kill(victim, signal.SIGKILL)
        _, errors = parent.communicate(timeout=120)
        kills += 1
        if parent.returncode == 0:  # all runs had ended, or the victim had just sent its last one: begin again
            assert files(tmp_path / "s") == files(tmp_path / "whole")
            for path in (tmp_path / "s").glob("*/*"):
                path.unlink()
            (tmp_path / "best.msgpack").unlink()
        elif victim != parent.pid:
            assert parent.returncode == 1, errors
            assert b"was killed by signal 9" in errors
            assert not (tmp_path / "best.msgpack").exists()
        until = time.monotonic() + 20
        while any(map(alive, processes)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not any(map(alive, processes))
    done = subprocess.run([*COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "s") == files(tmp_path / "whole")
    assert not list((tmp_path / "s").glob(".sweep-*"))
    assert (tmp_path / "best.msgpack").read_bytes() in files(tmp_path / "s").values()
