"""``dataflow train --sweep``: its table, its JSON, its files, its exit status, and how it is stopped and goes on."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from checkout import MODELS
from click.testing import CliRunner, Result
from nets import classifier
from rich.console import Console

import dataflow
from dataflow import TrainSettings
from dataflow.cli import sweeping
from dataflow.cli.group import main
from dataflow.cli.sweeping import _live_table, _result, _values
from dataflow.training.history import History
from dataflow.training.sweep import Sweep
from dataflow.training.sweeps.runs import SweepRun

XOR = str(MODELS / "xor.toml")
SHORT = ("--epochs", "4")
COMMAND = [sys.executable, "-m", "dataflow"]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, words)])


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_best_is_the_single_run_with_its_options(jobs: int, tmp_path: Path) -> None:
    words = (XOR, *SHORT, "--sweep", "learning_rate=0.01,0.05", "--sweep", "seed=0..1", "--jobs", jobs)
    done = call(*words, "-o", tmp_path / "best.msgpack", "--checkpoint", tmp_path / "s")
    assert done.exit_code == 0, done.output
    assert "best: learning_rate=0.05,seed=0, loss " in done.stdout
    assert done.stdout.splitlines()[0].split() == ["learning_rate", "seed", "epochs", "loss"]
    assert sorted(line.partition(" ")[0] for line in done.stderr.splitlines()) == ["1/4", "2/4", "3/4", "4/4"]
    single = call(XOR, *SHORT, "--learning-rate", 0.05, "--seed", 0, "-o", tmp_path / "single.msgpack")
    assert single.exit_code == 0
    assert (tmp_path / "best.msgpack").read_bytes() == (tmp_path / "single.msgpack").read_bytes()
    folders = {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()}
    assert folders == {f"learning_rate={rate},seed={seed}" for rate in ("0.01", "0.05") for seed in (0, 1)}
    assert call(*words, "-o", tmp_path / "x.msgpack", "--checkpoint", tmp_path / "s").exit_code == 1  # no --resume
    again = call(*words, "-o", tmp_path / "again.msgpack", "--checkpoint", tmp_path / "s", "--resume")
    assert again.stdout.replace("again", "best") == done.stdout
    assert (tmp_path / "again.msgpack").read_bytes() == (tmp_path / "best.msgpack").read_bytes()


def test_json() -> None:
    done = call(XOR, *SHORT, "--sweep", "optimizer.momentum=0,0.5", "--jobs", 1, "--json", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [run["values"] for run in found["runs"]] == [{"optimizer.momentum": 0}, {"optimizer.momentum": 0.5}]
    for run in found["runs"]:
        optimizer = json.dumps({"name": "sgd", "learning_rate": 0.1, "momentum": run["values"]["optimizer.momentum"]})
        single = json.loads(call(XOR, *SHORT, "--optimizer", optimizer, "--json").stdout)
        assert run["loss"] == single["loss"]
        if found["runs"][found["best"]] is run:
            assert found["parameters"] == single["parameters"]
    assert (found["metric"], found["better"]) == ("loss", "lower")


def test_a_failed_run_is_a_row_and_all_failed_are_an_error(tmp_path: Path) -> None:
    done = call(XOR, *SHORT, "--sweep", "learning_rate=0.1,1e200", "--jobs", 1, "-o", tmp_path / "best.msgpack")
    assert done.exit_code == 0
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("1e+200")]
    assert "failed: " in row
    assert "epoch 1" in row
    assert (tmp_path / "best.msgpack").exists()
    done = call(XOR, *SHORT, "--sweep", "learning_rate=1e200,1e201", "--jobs", 1, "--quiet")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {XOR}: all runs failed; learning_rate=1e+200: ")
    assert done.stderr.count("\n") == 1


def test_an_output_that_cannot_be_written_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: dataflow.Model, path: Path) -> None:
        raise dataflow.FileFormatError("cannot be written: the disk is full", file=path)

    monkeypatch.setattr(sweeping, "save", fail)
    done = call(XOR, *SHORT, "--sweep", "seed=0..1", "--jobs", 1, "-o", tmp_path / "best.msgpack", "--quiet")
    assert done.exit_code == 1
    place = tmp_path / "best.msgpack"
    assert done.stderr == f"Error: {place}: cannot be written: the disk is full; the best model was saved to {place}\n"
    assert dataflow.load(place).training["epochs"] == 4


@pytest.mark.slow
@pytest.mark.parametrize(("of_file", "of_pipe"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_a_table_of_its_own_and_standard_input(of_file: int, of_pipe: int, tmp_path: Path) -> None:
    """Each with so many jobs: all give the same."""
    table = "x0,x1,y\n0,1,1\n1,1,0\n0.5,0.5,1\n"
    (tmp_path / "d.csv").write_text(table)
    words = ["train", XOR, *SHORT, "--sweep", "learning_rate=0.02,0.05", "--json", "--quiet", "--jobs"]
    file = CliRunner().invoke(main, [*words, str(of_file), "--data", str(tmp_path / "d.csv")])
    piped = CliRunner().invoke(main, [*words, str(of_pipe), "--data", "-"], input=table)
    assert (file.exit_code, piped.exit_code) == (0, 0), piped.output
    assert file.stdout == piped.stdout
    for run in json.loads(file.stdout)["runs"]:
        rate = str(run["values"]["learning_rate"])
        single = call(XOR, *SHORT, "--learning-rate", rate, "--data", tmp_path / "d.csv", "--json")
        assert run["loss"] == json.loads(single.stdout)["loss"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sweep", "seed"), "is not of the form KEY=V,V"),
        (("--sweep", "seed="), "is not of the form KEY=V,V"),
        (("--sweep", "sed=1"), "did you mean 'seed'"),
        (("--sweep", "seed=1", "--sweep", "seed=2"), "seed is swept twice"),
        (("--sweep", "seed=9..0"), "no range"),
        (("--sweep", "seed=0..99999"), "no range"),
        (("--sweep", "seed=1,,2"), "a value is missing"),
        (("--sweep", "seed=0.5"), "seed is a whole number"),
        (("--jobs", "2"), "--jobs is for a sweep"),
        (("--sweep", "seed=0..1", "--resume"), "--checkpoint DIR"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str) -> None:
    done = call(XOR, *words)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.split())


def test_what_is_swept_and_given(tmp_path: Path) -> None:
    done = call(XOR, "--sweep", "seed=0..1", "--seed", "3")
    assert done.exit_code == 1
    assert done.stderr == f"Error: {XOR}: seed is swept and given as well; leave out one of them\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.01,0.1", [0.01, 0.1]),
        ("0..3", [0, 1, 2, 3]),
        ("-1..1, 7", [-1, 0, 1, 7]),
        ("sgd,adam", ["sgd", "adam"]),
        ('adam, {"name": "sgd", "momentum": 0.5}', ["adam", {"name": "sgd", "momentum": 0.5}]),
        ("true,false,null", [True, False, None]),
        ("1e-3 , 2", [1e-3, 2]),
        ("64MB,1GB", ["64MB", "1GB"]),
        ('["a","b"],["a"]', [["a", "b"], ["a"]]),
    ],
)
def test_values(text: str, values: list[Any]) -> None:
    found = list(_values(text))
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_the_live_table_fits_and_shows_what_goes_on() -> None:
    runs = [SweepRun(f"seed={i}", {"seed": i}, 9) for i in range(100)]
    for i, run in enumerate(runs[:60]):
        run.state, run.history = "finished", History(9, [float(100 - i)])
    runs[3].state, runs[3].error, runs[3].history = "failed", "NaN in 'h'", History(2, [1.0, 2.0])
    runs[70].state, runs[70].history = "running", History(4, [0.5])
    done = Sweep(runs)
    done.choose()
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(_live_table(done, 10))
    lines = console.export_text().splitlines()
    assert len(lines) <= 13
    assert "100 runs: 59 finished, 1 failed, 39 waiting" in lines[-1]
    assert any("seed=59" in line and "best" in line for line in lines)
    assert any("seed=70" in line and "4/9" in line for line in lines)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    settings = TrainSettings({"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}, 400, 8, True, 0, 0.1)
    dataflow.save(classifier(train=settings), tmp_path / "m.msgpack")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_and_says_how_to_go_on(number: signal.Signals, long: Path) -> None:
    words = [*COMMAND, "train", "m.msgpack", "--sweep", "seed=0..3", "--jobs", "2", "--checkpoint", "s"]
    process = subprocess.Popen(words, cwd=long, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not list(long.glob("s/*/checkpoint-00000[2-9]*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    last = errors.splitlines()[-1]
    assert last.startswith("Interrupted after 0 of 4 runs; what there is was saved to s. Go on with: dataflow train ")
    assert last.endswith("--checkpoint s --resume")
    assert "Traceback" not in errors
    assert not list(long.glob("s/*/history.json"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_without_a_folder_it_says_how_to_start_again(long: Path) -> None:
    words = [*COMMAND, "train", "m.msgpack", "--sweep", "seed=0..3", "--jobs", "2", "--epochs", "100000"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(words, cwd=long, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    while b"epoch" not in shown or b"/100000" not in shown:
        shown += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:  # Linux says so where the other end is closed
            break
        if not data:
            break
        shown += data
    process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 130
    assert b"4 runs: 3 waiting" in shown  # the live table
    text = " ".join(shown.decode(errors="replace").split())
    assert "nothing was saved. Start again with: dataflow train m.msgpack" in text
    assert "--checkpoint m-sweep" in text


def test_a_run_that_ends_before_anything_is_measured() -> None:
    run = SweepRun("seed=1", {"seed": 1}, 5, state="interrupted")
    assert _result(run) == "interrupted after 0 epochs"
    run.history.epochs, run.history.loss = 1, [0.5]
    assert _result(run) == "interrupted after 1 epoch, loss 0.5"
