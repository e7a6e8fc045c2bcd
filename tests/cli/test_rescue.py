"""What becomes of a run's work: nothing that is there is replaced by less, nothing is written where nobody asked, and
what a message names is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS
from commands import invoke

import dataflow
from dataflow.training.trainer import Trainer

XOR = str(MODELS / "xor.toml")
SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(XOR, "xt.toml")
    return tmp_path


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def nan_data(path: str, number: float = np.nan) -> str:
    np.savez(path, x=np.array([[number, 1.0]]), y=np.array([[1.0]]))
    return path


def interrupting(monkeypatch: pytest.MonkeyPatch, number: int, at: int = 3, first: Any = None) -> None:
    """A real signal arrives while the epoch ``at`` is measured, after ``first`` was done."""
    measure = Trainer.measure

    def measured(trainer: Trainer) -> dict[str, float]:
        if trainer.batches.epoch == at:
            if first is not None:
                first()
            os.kill(os.getpid(), number)
        return measure(trainer)

    monkeypatch.setattr(Trainer, "measure", measured)


# ------------------------------------------------------------------------------------------------ NaN


def test_a_run_that_learned_nothing_leaves_a_good_file_alone(folder: Path) -> None:
    assert invoke("train", "xt.toml", "--epochs", 3, "-o", "good.msgpack").exit_code == 0
    before = Path("good.msgpack").read_bytes()
    done = invoke("train", "xt.toml", "--data", nan_data("nan.npz", np.inf), "-o", "good.msgpack")
    assert done.exit_code == 1
    assert done.stderr.endswith("; nothing was learned, so nothing was saved, and good.msgpack is as it was\n")
    assert Path("good.msgpack").read_bytes() == before
    assert listing(folder) == ["good.msgpack", "nan.npz", "xt.toml"]


@pytest.mark.parametrize(
    ("words", "there", "told", "written"),
    [
        ([], [], "they were not saved, as there was neither -o FILE nor --checkpoint DIR", None),
        (["-o", "new.msgpack"], [], "they were saved to new.msgpack", "new.msgpack"),
        (
            ["-o", "good.toml"],
            ["good.toml"],
            "they were saved to good-interrupted.toml, and good.toml is as it was",
            "good-interrupted.toml",
        ),
        (
            ["-o", "good.msgpack"],
            ["good.msgpack", "good-interrupted.msgpack"],
            "they were saved to good-interrupted-2.msgpack, and good.msgpack is as it was",
            "good-interrupted-2.msgpack",
        ),
        (["--checkpoint", "run"], [], "they were saved to run/xt-interrupted.msgpack", "run/xt-interrupted.msgpack"),
    ],
)
def test_where_the_last_good_parameters_go(
    folder: Path, words: list[str], there: list[str], told: str, written: str | None
) -> None:
    for name in there:
        Path(name).write_text("good")
    done = invoke("train", "xt.toml", "--learning-rate", 10, "--epochs", 500, *words)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].endswith(f"; {told}")
    assert all(Path(name).read_text() == "good" for name in there)
    assert listing(folder) == sorted({"xt.toml", *there, *([] if written is None else [written.split("/")[0]])})
    if written is not None:
        assert all(np.isfinite(array).all() for array in dataflow.load(written).parameters.values())


# ------------------------------------------------------------------------------------------------ asked to end


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("words", "there", "kept"),
    [
        ([], False, None),
        (["-o", "t.msgpack"], False, "t.msgpack"),
        (["-o", "t.msgpack"], True, "t-interrupted.msgpack"),
        (["--checkpoint", "run"], False, "run/checkpoint-000003-000000.msgpack"),
    ],
)
def test_what_an_interrupted_command_keeps_and_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: list[str], there: bool, kept: str | None
) -> None:
    if there:
        Path("t.msgpack").write_text("good")
    with monkeypatch.context() as patch:
        interrupting(patch, number)
        done = invoke("train", "xt.toml", *words)
    assert (done.exit_code, done.stdout) == (128 + number, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith("Interrupted after 3 epochs; ")
    assert not there or Path("t.msgpack").read_text() == "good"
    if kept is None:
        assert listing(folder) == ["xt.toml"]
        assert "were not saved, as there was neither -o FILE nor --checkpoint DIR" in line
    else:
        assert f" {kept}. Go on with: " in line
        assert Path(kept).is_file()
    again = shlex.split(re.sub(r" \(the order .*", "", line.partition(": dataflow ")[2]))
    if "--epochs" in again:
        del again[(at := again.index("--epochs")) : at + 2]
    done = invoke(*again, "--epochs", 5, "--json")  # what it says to type works
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"] == 5


@pytest.mark.parametrize("words", [[], ["-o", "t.msgpack"]])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_checkpoint_folder_that_is_deleted_during_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], blocked: bool
) -> None:
    def delete() -> None:
        shutil.rmtree("run")
        if blocked:  # it cannot be made again
            Path("run").write_text("")

    interrupting(monkeypatch, signal.SIGTERM, first=delete)
    done = invoke("train", "xt.toml", "--checkpoint", "run", "--checkpoint-every", 1000, *words)
    assert done.exit_code == 128 + signal.SIGTERM
    line = done.stderr.splitlines()[-1]
    if not blocked:
        assert "; the newest checkpoint is run/checkpoint-000003-000000.msgpack. Go on with: " in line
        assert Path("run/checkpoint-000003-000000.msgpack").is_file()
        assert Path("run/lock").is_file()
    else:
        kept = "t.msgpack" if words else "xt-interrupted.msgpack"
        another = ["-o t-2.msgpack "] if words else [""]  # the next run reads the one that was saved
        again = " ".join(["dataflow train", kept, "--epochs 2997", *another])
        assert f"; the parameters are in {kept}. Go on with: {again}" in line
        assert dataflow.load(kept).training["epochs"] == 3
    for name in re.findall(r"\S*checkpoint-\d+-\d+\.msgpack", done.stderr):
        assert Path(name).is_file()


@pytest.mark.slow
def test_a_script_with_three_trainings_ends_at_the_first(folder: Path) -> None:
    script = (
        "import dataflow\nmodel = dataflow.load('xt.toml')\n"
        "for i in range(3):\n    print('begins', i, flush=True)\n"
        "    dataflow.train(model, epochs=10**12, checkpoint=f'run{i}', checkpoint_every=10**6)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 60
        while not list(folder.glob("run0/checkpoint-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert (stdout, running.returncode) == (b"begins 0\n", -signal.SIGINT)
    found = re.search(rb"the newest checkpoint is (\S+)", stderr)
    assert found is not None
    assert Path(found[1].decode()).is_file()
    assert not Path("run1").exists()


# ------------------------------------------------------------------------------------------------ outputs


@pytest.mark.parametrize("place", ["folder", "no folder", "device", "cannot be written"])
@pytest.mark.parametrize(
    ("words", "ending"),
    [
        (["train", "xt.toml", "-o"], "msgpack"),
        (["train", "xt.toml", "--plot"], "svg"),
        (["run", "xt.toml", "--output"], "json"),
        (["jacobian", "xt.toml", "--of", "yhat", "--wrt", "W1", "--output"], "csv"),
        (["explain", "xt.toml", "--wrt", "W1", "--output"], "txt"),
        (["draw", "xt.toml", "-o"], "svg"),
        (["view", "xt.toml", "-o"], "html"),
        (["profile", "xt.toml", "--plot"], "svg"),
        (["convert", "xt.toml"], "msgpack"),
    ],
    ids=lambda value: "-".join(value).replace("xt.toml-", "") if isinstance(value, list) else "",
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], ending: str, place: str
) -> None:
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    if place == "no folder" and words[0] == "draw":
        place = "folder"  # it makes those that are missing
    target = Path(f"out.{ending}")
    if place == "folder":
        target.mkdir()
    elif place == "no folder":
        target = Path("nowhere") / target
    elif place == "device":
        target.symlink_to("/dev/null")
    elif os.path.isdir("/proc/self"):
        target = Path("/proc") / target  # not even root makes files there
    else:
        pytest.skip("Linux")

    def work(*arguments: object, **settings: object) -> None:
        raise AssertionError("it was begun")

    monkeypatch.setattr("dataflow.cli.common.load", work)
    before = listing(folder)
    done = invoke(*words, target)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith(f"Error: {target}: ")
    assert done.stderr.count("\n") == 1
    assert listing(folder) == before


def test_an_output_that_cannot_be_written_after_all_goes_to_another_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Trainer.measure

    def measured(trainer: Trainer) -> dict[str, float]:
        shutil.rmtree("out", ignore_errors=True)
        return measure(trainer)

    Path("out").mkdir()
    monkeypatch.setattr(Trainer, "measure", measured)
    done = invoke("train", "xt.toml", "--epochs", 3, "-o", "out/t.msgpack")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: out/t.msgpack: cannot be written: there is no folder 'out'; create it first; "
        "the trained parameters were saved to t-interrupted.msgpack\n"
    )
    assert dataflow.load("t-interrupted.msgpack").training["epochs"] == 3


def test_a_picture_that_fails_costs_no_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")

    def full(*arguments: object, **settings: object) -> None:
        raise dataflow.FileFormatError("cannot be written: the disk is full", file="loss.svg")

    monkeypatch.setattr("dataflow.training.history.plot_loss", full)
    done = invoke("train", "xt.toml", "--epochs", 3, "-o", "t.msgpack", "--plot", "loss.svg")
    assert done.stderr == ("Error: loss.svg: cannot be written: the disk is full; the trained model is in t.msgpack\n")
    assert dataflow.load("t.msgpack").training["epochs"] == 3


# ------------------------------------------------------------------------------------------------ links


@pytest.mark.parametrize("name", ["lock", "checkpoint-000000-000000.msgpack"])
def test_a_link_in_the_checkpoint_folder_makes_no_file_elsewhere(folder: Path, name: str) -> None:
    Path("run").mkdir()
    Path("run", name).symlink_to(folder / "elsewhere")
    done = invoke("train", "xt.toml", "--epochs", 1, "--checkpoint", "run", *(["--resume"] if name != "lock" else []))
    assert not Path("elsewhere").exists()
    assert done.exit_code == 1
    if name == "lock":
        assert done.stderr == (
            "Error: run/lock: is a link, and a lock is a file of its own; delete it, or choose another folder\n"
        )
