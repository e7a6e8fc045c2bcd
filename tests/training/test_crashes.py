"""Whatever stops a run (SIGKILL at any moment, a disk that fails, Ctrl-C, SIGTERM), it goes on from the last good
checkpoint and ends bit for bit like a run that was left alone."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkout import HELPERS, MODELS
from click.testing import CliRunner
from crashes import CALLS
from nets import bits, classifier, xor

import dataflow
from dataflow import DataflowWarning, FileFormatError, TrainingError, TrainSettings
from dataflow.cli.group import main
from dataflow.files.msgpack.container import read_container
from dataflow.training import Trainer, train
from dataflow.training.saving.checkpoints import Checkpoints
from dataflow.training.saving.interrupts import Interrupt, deferred

DIGITS = str(MODELS / "digits.toml")
COMMAND = [sys.executable, "-m", "dataflow"]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")


def ran(*words: object, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, cwd=folder, timeout=600, **options
    )


def settings(epochs: int = 5) -> TrainSettings:
    return TrainSettings({"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}, epochs, 8, True, 0, 0.1)


# ------------------------------------------------------------------------------------------------ killed


@pytest.mark.parametrize("count", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_half_of_them_inside_a_save(tmp_path: Path, count: int) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # so that processes are forked without other threads
    done = ran(sys.executable, HELPERS / "crashes.py", count, 0, tmp_path, folder=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == count
    assert sum(run["inside"] for run in runs) == count // 2
    for run in runs:
        assert run["same"], run
        assert not any(name.startswith(".") for name in run["left"]), run
    if count > 100:  # of a few, chance may take none
        assert any(run["torn"] for run in runs)  # some left half a file behind
        assert any(len(run["moments"]) == 2 for run in runs)


# ------------------------------------------------------------------------------------------------ a disk that fails


class Failing:
    """A system whose ``at``-th call fails, and with ``for_good`` every one after it. ``short``: a write of which half
    is done, and then the error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, code: int, *, short: bool, for_good: bool) -> None:
        self.at, self.code, self.short, self.for_good = at, code, short, for_good
        self.count = 0
        self.failed: list[str] = []
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.count += 1
            due = self.count == self.at or (self.failed and self.for_good)
            if due and self.short and not self.failed and call.__name__ == "write" and len(arguments[1]) > 1:
                self.at += 1  # the rest of this write
                return call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if due:
                self.failed.append(call.__name__)
                if call.__name__ == "close":
                    call(*arguments)
                raise OSError(self.code, os.strerror(self.code))
            return call(*arguments, **keywords)

        return counted


@pytest.mark.parametrize("code", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind", ["for good", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("once", "short write"))]
)
def test_a_fault_at_every_call_of_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: str) -> None:
    alone = classifier(train=settings())
    train(alone)
    model = classifier(train=settings())
    before = train(model, epochs=2, checkpoint=tmp_path / "before")
    good = bits(model)
    seen = []
    for at in range(1, 100):
        folder = shutil.copytree(tmp_path / "before", tmp_path / str(at))
        model = classifier(train=settings())
        trainer = Trainer(model)
        with Checkpoints(folder, trainer) as checkpoints, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = checkpoints.begin(resume=True)
            trainer.run(3)
            newer = bits(model)
            with monkeypatch.context() as patch:
                failing = Failing(patch, at, code, short=kind == "short write", for_good=kind == "for good")
                checkpoints.save(history)
        if not failing.failed:
            break
        seen += failing.failed[:1]
        # what does not matter (an old file stays) is not told; after the rename, the new one may be there
        assert len(said) == (failing.failed[0] != "unlink"), failing.failed
        for warning in said:
            assert re.search(
                r"could not be written: .*\(the last good one is checkpoint-000002-000000\.msgpack\)",
                str(warning.message),
            )
        again = classifier(train=settings())
        restored = Trainer(again)
        with Checkpoints(folder, restored) as checkpoints:
            found = checkpoints.begin(resume=True)
        assert (found.loss, bits(again)) in [(before.loss, good), (before.loss, newer)]
        assert not list(folder.glob(".dataflow-*"))
        model = classifier(train=settings())
        train(model, checkpoint=folder, resume=True)
        assert bits(model) == bits(alone)
    assert {*CALLS} <= {*seen}
    assert len(seen) >= 10


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_run_goes_on_when_a_checkpoint_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    alone = classifier(train=settings())
    train(alone)

    def on_epoch(history: dataflow.History) -> None:
        if history.epochs == 2:
            Failing(monkeypatch, 1, code, short=False, for_good=True)
        if history.epochs == 4:
            monkeypatch.undo()

    model = classifier(train=settings())
    with pytest.warns(DataflowWarning, match="the checkpoint could not be written: .*; training goes on") as caught:
        history = train(model, checkpoint=tmp_path, on_epoch=on_epoch)
    assert len(caught) == 2
    assert all("the last good one is checkpoint-000002" in str(warning.message) for warning in caught)
    assert bits(model) == bits(alone)
    assert history.checkpoint == tmp_path / "checkpoint-000005-000000.msgpack"


def test_a_folder_that_cannot_be_written_is_known_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    model = xor()
    with pytest.raises(FileFormatError, match="cannot be written: the disk is full"):
        train(model, checkpoint=tmp_path)
    assert bits(model) == bits(xor())


# ------------------------------------------------------------------------------------------------ asked to end

SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from nets import classifier
from dataflow import TrainSettings
from dataflow.training import train
settings = TrainSettings({"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}, 30, 8, True, 0, 0.1)
def pause(progress):
    time.sleep(0.01)
    print(progress.epoch, progress.batch, flush=True)
history = train(classifier(train=settings), checkpoint=sys.argv[2], on_batch=pause)
print("interrupted" if history.interrupted else "finished", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(n, -n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
)
def test_a_script_that_is_asked_to_end(tmp_path: Path, number: int, status: int) -> None:
    command = [sys.executable, "-c", SCRIPT, str(HELPERS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for _ in range(10):
            running.stdout.readline()
        with pytest.raises(TrainingError, match="another run uses this folder"):
            train(classifier(train=settings(30)), checkpoint=tmp_path, resume=True)
        running.send_signal(number)
        told, error = running.communicate(timeout=60)
        assert running.returncode == status
    done = [line for line in told.splitlines(keepends=True) if line[0].isdigit()]
    assert told == "".join(done)  # what stands after the training was not run
    if number == signal.SIGINT:
        assert re.search(r"; the newest checkpoint is \S+/checkpoint-\d+-\d+\.msgpack\n", error)
    header = read_container(max(tmp_path.glob("checkpoint-*"))).header
    assert header["steps"] >= 10
    assert header["batch"] == header["steps"] % 6  # it waited for the end of a minibatch, not of an epoch
    model, alone = classifier(train=settings(30)), classifier(train=settings(30))
    train(alone)
    train(model, checkpoint=tmp_path, resume=True)
    assert bits(model) == bits(alone)


@pytest.mark.parametrize(
    ("number", "before"),
    [
        pytest.param(signal.SIGINT, "", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "", marks=pytest.mark.slow),
        (signal.SIGTERM, "trap '' INT;"),  # as for a job behind &
    ],
)
def test_the_command_that_is_asked_to_end_says_how_to_go_on(tmp_path: Path, number: int, before: str) -> None:
    words = ["train", DIGITS, "--epochs", "100000", "--checkpoint", "run", "--checkpoint-every", "3"]
    with subprocess.Popen(
        ["bash", "-c", f'{before} exec "$@"', "bash", *COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as running:
        while not list(tmp_path.glob("run/checkpoint-*-000003.msgpack")):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (128 + number, "")
    found = re.fullmatch(
        r"Interrupted after (\d+) epochs?; the newest checkpoint is (\S+)\. Go on with: dataflow (.*)\n", stderr
    )
    assert found, stderr
    assert found[2].startswith(f"run/checkpoint-{int(found[1]):06d}-")
    assert (tmp_path / found[2]).exists()
    # what it says works
    again = found[3].replace("--epochs 100000", f"--epochs {int(found[1]) + 1}")
    done = ran(*COMMAND, *again.split(), "--quiet", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("words", "left"), [([], "nothing"), (["--checkpoint", "run"], "only what was in run before")])
def test_the_command_that_is_asked_twice_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], left: str
) -> None:
    def long_measurement(trainer: Trainer) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "measure", long_measurement)
    done = CliRunner().invoke(main, ["train", str(MODELS / "xor.toml"), *words])
    assert done.stderr == f"Error: interrupted twice, before the run could end in order; {left} was saved\n"
    assert done.exit_code == 128 + signal.SIGTERM


def test_whoever_defers_signals_first_decides() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with deferred(terminate=True, resend=False) as outer:
        with deferred() as inner:
            assert inner is outer
        signal.raise_signal(signal.SIGTERM)
        assert (outer.requested, outer.signal) == (True, signal.SIGTERM)
        found: list[Interrupt] = []
        thread = threading.Thread(target=lambda: found.append(deferred().__enter__()))
        thread.start()
        thread.join()
        assert not found[0].requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_handler_of_the_program_s_own_stays(tmp_path: Path) -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        history = train(
            classifier(train=settings(1)),
            checkpoint=tmp_path,
            on_batch=lambda progress: os.kill(os.getpid(), signal.SIGTERM),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (history.interrupted, len(seen)) == (False, 6)


def test_two_commands_on_one_folder(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "run", Trainer(xor())):
        done = ran(*COMMAND, "train", MODELS / "xor.toml", "--checkpoint", "run", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: run: another run uses this folder for its checkpoints; wait")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the system refuses to write on."""
    words = [*COMMAND, "train", DIGITS, "--checkpoint", "run"]
    first = ran(*words, "--epochs", 1, folder=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *words]
    second = ran(*limited, "--epochs", 3, "--resume", folder=tmp_path)
    assert second.returncode == 0
    lines = second.stderr.splitlines()
    assert [line[:55] for line in lines] == ["Warning: the checkpoint could not be written: run/check"] * 2
    assert all("the last good one is checkpoint-000001-000000.msgpack" in line for line in lines)
    assert "final: loss" in second.stdout
    third = ran(*words, "--epochs", 3, "--resume", folder=tmp_path)
    assert (third.returncode, third.stderr) == (0, "")
    assert (tmp_path / "run" / "checkpoint-000003-000000.msgpack").exists()
